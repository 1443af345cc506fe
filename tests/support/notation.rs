//! Bytes as people can review them: `GET /\r\n`, `\x80`, `\*65536(a)`, and back again.
//!
//! Used by the corpus and by every report of a failure, so that what is reported can be put into a corpus file as it
//! stands. It never guesses: an escape it does not know is a mistake in the file.

/// Longest text of a report about bytes.
const SHOWN: usize = 1_500;

/// The bytes of a text in this notation. `\i` stands for `id`.
///
/// | written | means |
/// |---|---|
/// | `\r` `\n` `\t` `\0` `\s` `\\` | CR, LF, HTAB, NUL, a space, a backslash |
/// | `\xHH` | the byte with this number |
/// | `\*N(text)` | the text N times; `\)` is a parenthesis in it; repeats may nest |
pub fn bytes(text: &str, id: &str) -> Result<Vec<u8>, String> {
    let mut reader = Reader {
        rest: text.as_bytes(),
        id,
    };
    let mut out = Vec::new();
    reader.until(None, &mut out)?;
    Ok(out)
}

struct Reader<'a> {
    rest: &'a [u8],
    id: &'a str,
}

impl Reader<'_> {
    fn next(&mut self) -> Result<u8, String> {
        let (first, rest) = self.rest.split_first().ok_or("it ends within an escape")?;
        self.rest = rest;
        Ok(*first)
    }

    fn until(&mut self, end: Option<u8>, out: &mut Vec<u8>) -> Result<(), String> {
        loop {
            if self.rest.is_empty() && end.is_none() {
                return Ok(());
            }
            match self.next()? {
                b if Some(b) == end => return Ok(()),
                b'\\' => self.escape(out)?,
                b => out.push(b),
            }
        }
    }

    fn escape(&mut self, out: &mut Vec<u8>) -> Result<(), String> {
        match self.next()? {
            b'r' => out.push(b'\r'),
            b'n' => out.push(b'\n'),
            b't' => out.push(b'\t'),
            b'0' => out.push(0),
            b's' => out.push(b' '),
            b @ (b'\\' | b')' | b'(') => out.push(b),
            b'i' => out.extend(self.id.as_bytes()),
            b'x' => {
                let digits = [self.next()?, self.next()?];
                let digits = std::str::from_utf8(&digits).map_err(|e| e.to_string())?;
                out.push(u8::from_str_radix(digits, 16).map_err(|e| e.to_string())?);
            }
            b'*' => {
                let mut count = 0_usize;
                loop {
                    match self.next()? {
                        b'(' => break,
                        b if b.is_ascii_digit() => count = count * 10 + usize::from(b - b'0'),
                        b => return Err(format!("{:?} in a repeat's number", char::from(b))),
                    }
                }
                let mut part = Vec::new();
                self.until(Some(b')'), &mut part)?;
                out.extend(part.repeat(count));
            }
            b => return Err(format!("no escape: \\{}", char::from(b))),
        }
        Ok(())
    }
}

/// Bytes in this notation, long repeats as such, cut when very long.
pub fn show(bytes: &[u8]) -> String {
    let mut out = String::new();
    let mut rest = bytes;
    while !rest.is_empty() {
        let repeats = |period: usize| {
            let part = &rest[..period.min(rest.len())];
            rest.chunks(part.len()).take_while(|c| *c == part).count()
        };
        // Lines and chunks repeat with short periods; the shortest that makes a long run is shown.
        let found = (1..=24)
            .map(|p| (p, repeats(p)))
            .find(|(p, n)| p * n > 40 && *n > 3);
        let (period, times) = found.unwrap_or((1, 1));
        let one: String = rest[..period].iter().map(|b| escaped(*b)).collect();
        if times > 1 {
            let one = one.replace(')', "\\)");
            out.push_str(&format!("\\*{times}({one})"));
        } else {
            out.push_str(&one);
        }
        rest = &rest[period * times..];
        if out.len() > SHOWN {
            out.push_str(&format!("… and {} bytes more", rest.len()));
            break;
        }
    }
    out
}

fn escaped(b: u8) -> String {
    match b {
        b'\r' => "\\r".into(),
        b'\n' => "\\n".into(),
        b'\t' => "\\t".into(),
        b'\\' => "\\\\".into(),
        b' '..=b'~' => char::from(b).into(),
        b => format!("\\x{b:02x}"),
    }
}

#[test]
fn notation_goes_both_ways() {
    let written = r"GET /\i? HTTP/1.1\r\nA: \*2(b\*2(\)))\x80\s\\\t\r\n";
    let read = bytes(written, "~1~").unwrap();
    assert_eq!(read, b"GET /~1~? HTTP/1.1\r\nA: b))b))\x80 \\\t\r\n");
    assert_eq!(bytes(&show(&read), "").unwrap(), read);
    let long = [b"x".repeat(41), vec![0; 41]].concat();
    assert_eq!(show(&long), r"\*41(x)\*41(\x00)");
    assert_eq!(bytes(&show(&long), "").unwrap(), long);
    for wrong in [r"\q", r"\x8", r"\*a(b)", r"\*2(b", "\\"] {
        assert!(bytes(wrong, "").is_err(), "{wrong}");
    }
}
