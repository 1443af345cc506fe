//! The members of comma-separated fields (RFC 9110 §5.6.1), quoted commas left alone.
//!
//! Never allocates, and takes time in proportion to what it reads, whatever stands there.

/// The members of one line, blanks around them removed; empty ones are handed out too.
#[derive(Debug, Clone)]
pub(super) struct Members<'a> {
    rest: Option<&'a [u8]>,
    /// Whether `\` within quotes takes the next byte as it is.
    escapes: bool,
    /// Whether a quote may still be closed further on.
    quotes: bool,
}

impl<'a> Members<'a> {
    /// Of a line in which quoted strings have escapes (RFC 9110 §5.6.4).
    pub(super) fn of(line: &'a [u8]) -> Self {
        Members {
            rest: Some(line),
            escapes: true,
            quotes: true,
        }
    }

    /// Of a line of entity tags, in which `\` is a letter as others are (RFC 9110 §8.8.3).
    pub(super) fn of_tags(line: &'a [u8]) -> Self {
        Members {
            escapes: false,
            ..Members::of(line)
        }
    }
}

impl<'a> Iterator for Members<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let rest = self.rest?;
        let mut at = 0;
        while let Some(byte) = rest.get(at) {
            match byte {
                b',' => break,
                b'"' if self.quotes => match quoted(&rest[at..], self.escapes) {
                    Some(length) => at += length,
                    // A quote that is never closed is none: what a `no-store` behind it says still counts.
                    None => self.quotes = false,
                },
                _ => at += 1,
            }
        }
        self.rest = rest.get(at + 1..);
        Some(rest[..at].trim_ascii())
    }
}

/// How long the quoted string is that begins here, both quotes included.
pub(super) fn quoted(bytes: &[u8], escapes: bool) -> Option<usize> {
    let mut at = 1;
    loop {
        match bytes.get(at)? {
            b'"' => return Some(at + 1),
            b'\\' if escapes => at += 2,
            _ => at += 1,
        }
    }
}

/// Whether these bytes are a decimal number, and which; what does not fit is the largest there is.
pub(super) fn number(digits: &[u8]) -> Option<u64> {
    let add = |sum: u64, digit: &u8| {
        let digit = digit.is_ascii_digit().then(|| u64::from(digit - b'0'))?;
        Some(sum.saturating_mul(10).saturating_add(digit))
    };
    (!digits.is_empty()).then(|| digits.iter().try_fold(0, add))?
}

#[cfg(test)]
mod tests {
    use super::*;

    fn members(line: &str) -> Vec<&str> {
        let text = |m| std::str::from_utf8(m).unwrap();
        Members::of(line.as_bytes()).map(text).collect()
    }

    #[test]
    fn commas_separate_where_they_are_not_quoted() {
        assert_eq!(members("a, b\t,c"), ["a", "b", "c"]);
        assert_eq!(members(""), [""]);
        assert_eq!(members(",a,"), ["", "a", ""]);
        assert_eq!(members(r#"a="x,y", b"#), [r#"a="x,y""#, "b"]);
        assert_eq!(members(r#"a="x\",y", b"#), [r#"a="x\",y""#, "b"]);
        let tags: Vec<&[u8]> = Members::of_tags(br#""a\", "b,c""#).collect();
        assert_eq!(tags, [&br#""a\""#[..], br#""b,c""#]);
    }

    #[test]
    fn a_quote_that_is_never_closed_hides_nothing() {
        assert_eq!(members(r#"a="x, no-store"#), [r#"a="x"#, "no-store"]);
        let hostile = "\"\\".repeat(100_000) + ",a";
        assert_eq!(members(&hostile).len(), 2);
    }

    #[test]
    fn numbers_saturate_and_nothing_else_is_one() {
        assert_eq!(number(b"0042"), Some(42));
        assert_eq!(number(b"99999999999999999999999"), Some(u64::MAX));
        for not in ["", "-1", "+1", "1.0", " 1", "1a", "'1'"] {
            assert_eq!(number(not.as_bytes()), None, "{not}");
        }
    }
}
