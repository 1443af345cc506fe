//! Paths: one form, which is its own form, and in which nobody finds a dot segment, however often he decodes it once.

use tidegate::base::path::{is_normal, normal};

/// What stands behind the first slash.
pub fn run(bytes: &[u8]) {
    let bytes = bytes.strip_prefix(b"/").unwrap_or(bytes);
    let path = [b"/", bytes].concat();
    for merge in [true, false] {
        let verdict = is_normal(&path, merge);
        if !is_clean(&path) {
            continue;
        }
        let text = std::str::from_utf8(&path).expect("ASCII");
        let Ok(is_it) = verdict else { continue };
        let form = normal(text, merge);
        assert_eq!(is_it, form == text, "{form}");
        assert_eq!(is_normal(form.as_bytes(), merge), Ok(true), "{form}");
        assert_eq!(normal(&form, merge), form);
        assert!(form.starts_with('/') && form.len() <= path.len());
        assert!(!merge || !form.contains("//"), "{form}");
        let parts = |text: &str| text.split('/').any(|part| matches!(part, "." | ".."));
        assert!(!parts(&form), "{form}");
        let decoded = decoded(form.as_bytes());
        assert!(!decoded.iter().any(u8::is_ascii_control), "{form}");
        for part in decoded.split(|b| matches!(b, b'/' | b'\\')) {
            let bare = part.split(|b| *b == b';').next().unwrap_or_default();
            assert!(!matches!(bare, b"." | b".."), "{form} hides dots");
        }
    }
}

/// What a target was found to be before its path is looked at: letters of RFC 3986, and whole escapes.
fn is_clean(path: &[u8]) -> bool {
    let whole = |(at, _): (usize, &u8)| {
        let digits = path.get(at + 1..at + 3);
        digits.is_some_and(|d| d.iter().all(u8::is_ascii_hexdigit))
    };
    let mut escapes = path.iter().enumerate().filter(|(_, b)| **b == b'%');
    let letters = |b: &u8| b.is_ascii_graphic() && !b"#\\\"<>^`{|}".contains(b);
    path.iter().all(letters) && escapes.all(whole)
}

/// Every escape read once.
fn decoded(path: &[u8]) -> Vec<u8> {
    let (mut out, mut at) = (Vec::new(), 0);
    while at < path.len() {
        let digits = path.get(at + 1..at + 3);
        let byte = digits
            .filter(|d| path[at] == b'%' && d.iter().all(u8::is_ascii_hexdigit))
            .and_then(|d| u8::from_str_radix(std::str::from_utf8(d).ok()?, 16).ok());
        out.push(byte.unwrap_or(path[at]));
        at += if byte.is_some() { 3 } else { 1 };
    }
    out
}
