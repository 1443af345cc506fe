//! Cookies among others, as clients send them and apps set them (RFC 6265).
//!
//! What is looked for is found whatever stands beside it, and what is taken out leaves the rest byte for byte: a field
//! that another program reads is not ours to tidy up. Never looks for more than a few values of one name: how many a
//! client sends is its own choice.

use http::{HeaderMap, HeaderName, HeaderValue, header};

use crate::base::fields::Fields;

/// How many cookies of one name are looked at. Browsers send the one of the closest path first (RFC 6265 §5.4), and
/// more than two or three of one name are nobody's accident.
const LOOKED_AT: usize = 4;

/// The values of the cookies of this name, the first few, without the quotes around them.
pub fn values<'a>(fields: &'a impl Fields, name: &'a str) -> impl Iterator<Item = &'a [u8]> {
    let lines = fields.lines(&header::COOKIE);
    let pairs = lines.flat_map(|line| line.split(|b| *b == b';'));
    pairs.filter_map(|pair| value(pair, name)).take(LOOKED_AT)
}

/// The value that an answer sets for the cookie of this name, without the quotes around it. The last counts, as it does
/// for browsers; one that is set to nothing is being removed.
pub fn set<'a>(fields: &'a HeaderMap, name: &str) -> Option<&'a [u8]> {
    let lines = fields.get_all(header::SET_COOKIE).iter();
    let pairs = lines.filter_map(|line| line.as_bytes().split(|b| *b == b';').next());
    let found = pairs.filter_map(|pair| value(pair, name)).next_back();
    found.filter(|value| !value.is_empty())
}

/// The value of a field, without the blanks around it.
pub fn field<'a>(fields: &'a HeaderMap, name: &HeaderName) -> Option<&'a [u8]> {
    let value = fields.get(name).map(|v| v.as_bytes().trim_ascii());
    value.filter(|value| !value.is_empty())
}

/// A `Cookie` field without the cookies of these names. `None`: it has none of them, and stays as it is. Empty: nothing
/// is left.
pub fn without(field: &HeaderValue, names: &[&str]) -> Option<Vec<u8>> {
    let is_ours = |pair: &[u8]| names.iter().any(|name| value(pair, name).is_some());
    let pairs = || field.as_bytes().split(|b| *b == b';');
    if !pairs().any(is_ours) {
        return None;
    }
    let mut left = Vec::with_capacity(field.len());
    for (i, pair) in pairs().filter(|pair| !is_ours(pair)).enumerate() {
        if i > 0 {
            left.push(b';');
        }
        left.extend_from_slice(pair);
    }
    let blank = |b: &u8| *b == b';' || b.is_ascii_whitespace();
    if left.iter().all(blank) {
        left.clear();
    }
    // The blank that parted the first of the others from one of ours.
    let lead = left.iter().take_while(|b| b.is_ascii_whitespace()).count();
    left.drain(..lead);
    Some(left)
}

/// The value of `pair`, when that is its name.
fn value<'a>(pair: &'a [u8], name: &str) -> Option<&'a [u8]> {
    let at = memchr::memchr(b'=', pair)?;
    let (its_name, value) = (pair[..at].trim_ascii(), pair[at + 1..].trim_ascii());
    (its_name == name.as_bytes()).then(|| unquoted(value))
}

/// A value without the quotes around it (RFC 6265 §4.1.1).
fn unquoted(value: &[u8]) -> &[u8] {
    let inner = value
        .strip_prefix(b"\"")
        .and_then(|v| v.strip_suffix(b"\""));
    inner.unwrap_or(value)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn fields(name: HeaderName, lines: &[&str]) -> HeaderMap {
        let mut fields = HeaderMap::new();
        for line in lines {
            fields.append(&name, line.parse().unwrap());
        }
        fields
    }

    fn found(lines: &[&str]) -> Vec<String> {
        let fields = fields(header::COOKIE, lines);
        let found = values(&fields, "tg").map(|v| String::from_utf8_lossy(v).into_owned());
        found.collect()
    }

    #[test]
    fn a_cookie_is_found_wherever_it_stands() {
        assert_eq!(found(&["tg=x"]), ["x"]);
        assert_eq!(found(&["a=1; tg=x; b=2"]), ["x"]);
        assert_eq!(found(&["a=1;tg=x;b=2"]), ["x"]);
        assert_eq!(found(&["a=1", "b=2; tg = \"x\" "]), ["x"]);
        assert_eq!(found(&["tg=x=y"]), ["x=y"]);
        assert_eq!(found(&["tg=1; tg=2", "tg=3"]), ["1", "2", "3"]);
        assert_eq!(found(&["tg=1; tg=2; tg=3; tg=4; tg=5"]).len(), LOOKED_AT);
        assert_eq!(found(&["tg=\"x"]), ["\"x"], "quotes come in pairs");
        for none in ["", "tg", "Tg=x", "atg=x", "tgx=x", "a=tg=x", "; ;"] {
            assert_eq!(found(&[none]), [""; 0], "{none}");
        }
    }

    #[test]
    fn what_an_answer_sets_is_found_and_what_it_removes_is_not() {
        let of = |lines: &[&str]| {
            let fields = fields(header::SET_COOKIE, lines);
            set(&fields, "sid").map(|v| String::from_utf8_lossy(v).into_owned())
        };
        assert_eq!(of(&["sid=abc; Path=/; HttpOnly"]), Some("abc".into()));
        assert_eq!(of(&["x=1", "sid=\"abc\""]), Some("abc".into()));
        assert_eq!(of(&["sid=old", "sid=new"]), Some("new".into()));
        assert_eq!(of(&["sid=; Max-Age=0"]), None);
        assert_eq!(of(&["x=1; sid=abc"]), None, "an attribute is no cookie");
    }

    #[test]
    fn the_others_stay_byte_for_byte() {
        let left = |line: &str| {
            let value = HeaderValue::from_str(line).unwrap();
            let left = without(&value, &["tg", "pin"]);
            left.map(|left| String::from_utf8(left).unwrap())
        };
        for (line, rest) in [
            ("a=1; tg=x; b=2", "a=1; b=2"),
            ("tg=x; a=1", "a=1"),
            ("a=1; tg=x", "a=1"),
            ("tg=x; a=1; pin=9; b=\"2 3\"; tg=y", "a=1; b=\"2 3\""),
            ("a=1;tg=x;  b=2;", "a=1;  b=2;"),
            ("tg=x", ""),
            ("tg=x; ;pin=1", ""),
            ("tg = \"x\";b", "b"),
        ] {
            assert_eq!(left(line), Some(rest.into()), "{line}");
        }
        for kept in ["", "a=1", "a=tg=1; tgx=2; tg", "pins=1 ;;"] {
            assert_eq!(left(kept), None, "{kept}");
        }
    }

    /// A cookie that is none of ours, odd ones among them.
    fn other() -> impl Strategy<Value = String> {
        "([a-f]{1,3}=[!-:<-~ ]{0,6}|[a-f\"]{1,4}|)".prop_map(|pair| pair.trim().to_string())
    }

    proptest! {
        #[test]
        fn ours_are_found_in_order_and_taken_out_without_a_trace(
            pairs in prop::collection::vec((other(), any::<bool>(), "[A-Za-z0-9_-]{0,9}", any::<bool>()), 0..8)
        ) {
            let (mut all, mut others, mut values_of_ours) = (Vec::new(), Vec::new(), Vec::new());
            for (other, is_ours, value, quoted) in pairs {
                if is_ours {
                    all.push(if quoted { format!("tg=\"{value}\"") } else { format!("tg={value}") });
                    values_of_ours.push(value);
                } else {
                    all.push(other.clone());
                    others.push(other);
                }
            }
            let line = all.join("; ");
            values_of_ours.truncate(LOOKED_AT);
            prop_assert_eq!(found(&[&line]), values_of_ours);
            let left = without(&HeaderValue::from_str(&line).unwrap(), &["tg"]);
            if others.len() == all.len() {
                prop_assert_eq!(left, None);
            } else {
                let left = left.unwrap();
                let rest = others.join("; ");
                let blank = rest.bytes().all(|b| b == b';' || b == b' ');
                let rest = if blank { "" } else { rest.trim_start() };
                prop_assert_eq!(String::from_utf8(left.clone()).unwrap(), rest);
                prop_assert!(HeaderValue::from_bytes(&left).is_ok());
            }
        }

        #[test]
        fn no_bytes_are_too_odd(bytes in prop::collection::vec(any::<u8>(), 0..60)) {
            if let Ok(line) = HeaderValue::from_bytes(&bytes) {
                let left = without(&line, &["tg"]).unwrap_or_else(|| line.as_bytes().to_vec());
                prop_assert!(left.len() <= bytes.len());
                let left = HeaderValue::from_bytes(&left).unwrap();
                prop_assert_eq!(without(&left, &["tg"]), None);
            }
        }
    }
}
