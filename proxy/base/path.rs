//! The one form of a path that routes are matched on, caches are keyed by and nodes are sent.
//!
//! Who decides on `/static/../admin` as it was written and forwards it to an app that resolves it, guards another
//! door than the one that opens. Dot segments are resolved (RFC 3986 §5.2.4) and, unless the operator says
//! otherwise, `//` is `/`. What only becomes a dot segment after decoding is refused: nobody means well with it.
//! Letters that need no escape lose it (`%61` is `a`, RFC 3986 §6.2.2.2), or a guard of `/admin` could be passed as
//! `/%61dmin`. Other escapes are never decoded: `%2F` stays a letter of its segment, for us and for the node alike.

use std::borrow::Cow;

use memchr::memchr_iter;

/// The path can be read in two ways, or holds an escaped control character.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ambiguous;

/// Whether `path`, which begins with `/` and has whole escapes, is in its one form already. `merge`: `//` is `/`.
///
/// # Errors
/// When it has no form that everybody agrees on.
pub fn is_normal(path: &[u8], merge: bool) -> Result<bool, Ambiguous> {
    // Most paths have nothing that needs a closer look.
    let odd = |pair: &[u8]| matches!(pair, [b'/', b'.' | b'/'] | [_, b'%' | b';']);
    if !path.windows(2).any(odd) {
        return Ok(true);
    }
    let mut normal = true;
    let mut segments = path[1..].split(|b| *b == b'/').peekable();
    while let Some(segment) = segments.next() {
        match segment {
            b"." | b".." => normal = false,
            // To whoever drops parameters it is an empty segment, which `//` may hide.
            [b';', ..] => return Err(Ambiguous),
            b"" => normal &= !merge || segments.peek().is_none(),
            _ if segment.iter().any(|b| matches!(b, b'%' | b';')) => {
                normal &= !hides(segment)?;
            }
            _ => {}
        }
    }
    Ok(normal)
}

/// Looks behind the escapes and parameters of a segment: whether an escape hides a letter that needs none.
fn hides(segment: &[u8]) -> Result<bool, Ambiguous> {
    let mut hidden = false;
    // Dots of the part that is being read; `None` once it is more than dots.
    let mut dots = Some(0);
    let mut rest = segment;
    let is_dot_segment = |dots| matches!(dots, Some(1 | 2));
    while let Some((first, after)) = rest.split_first() {
        let (byte, escaped) = match first {
            b'%' => (escape(after), true),
            plain => (Some(*plain), false),
        };
        rest = after.get(if escaped { 2 } else { 0 }..).unwrap_or_default();
        hidden |= escaped && byte.is_some_and(is_unreserved);
        match byte {
            None | Some(0..0x20 | 0x7f) => return Err(Ambiguous),
            Some(b'.') => dots = dots.map(|n| n + 1),
            // A slash in disguise ends a part, and parameters end what matters of it (`..;x` is `..` to some).
            Some(b'/' | b'\\' | b';') => {
                if is_dot_segment(dots) {
                    return Err(Ambiguous);
                }
                dots = (byte != Some(b';')).then_some(0);
            }
            Some(_) => dots = None,
        }
    }
    if is_dot_segment(dots) {
        return Err(Ambiguous);
    }
    Ok(hidden)
}

/// Letters that mean the same with and without an escape (RFC 3986 §2.3).
fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~')
}

/// `path` without the escapes that nothing needs.
fn plain(path: &str) -> Cow<'_, str> {
    let needless = |at: usize| escape(&path.as_bytes()[at + 1..]).filter(|b| is_unreserved(*b));
    let Some(first) = memchr_iter(b'%', path.as_bytes()).find(|at| needless(*at).is_some()) else {
        return Cow::Borrowed(path);
    };
    let (mut out, mut done) = (String::with_capacity(path.len()), 0);
    for at in memchr_iter(b'%', path.as_bytes()).skip_while(|at| *at < first) {
        if let Some(letter) = needless(at) {
            out.push_str(&path[done..at]);
            out.push(char::from(letter));
            done = at + 3;
        }
    }
    out.push_str(&path[done..]);
    Cow::Owned(out)
}

fn escape(digits: &[u8]) -> Option<u8> {
    let digit = |at: usize| digits.get(at).and_then(|d| char::from(*d).to_digit(16));
    u8::try_from(digit(0)? * 16 + digit(1)?).ok()
}

/// `path` with the digits of its escapes in capitals: `%2f` and `%2F` are the same (RFC 3986 §6.2.2.1), and a rule about
/// one is a rule about both.
pub fn capital(path: &str) -> Cow<'_, str> {
    let small = |at: &usize| {
        let digits = path.as_bytes()[at + 1..].iter().take(2);
        { digits }.any(u8::is_ascii_lowercase)
    };
    if !memchr_iter(b'%', path.as_bytes()).any(|at| small(&at)) {
        return Cow::Borrowed(path);
    }
    let (mut out, mut digits) = (String::with_capacity(path.len()), 0);
    for letter in path.chars() {
        out.push(if digits > 0 {
            letter.to_ascii_uppercase()
        } else {
            letter
        });
        digits = match letter {
            '%' => 2,
            _ => u8::saturating_sub(digits, 1),
        };
    }
    Cow::Owned(out)
}

/// The one form of `path`, which [`is_normal`] found to have one.
pub fn normal(path: &str, merge: bool) -> String {
    let path = &*plain(path);
    let mut kept: Vec<&str> = Vec::new();
    let mut segments = path.strip_prefix('/').unwrap_or(path).split('/').peekable();
    let mut open = false;
    while let Some(segment) = segments.next() {
        let last = segments.peek().is_none();
        match segment {
            "." => {}
            ".." => drop(kept.pop()),
            "" if merge || last => {}
            _ => {
                kept.push(segment);
                continue;
            }
        }
        open = last;
    }
    let mut out = String::with_capacity(path.len());
    for segment in &kept {
        out.push('/');
        out.push_str(segment);
    }
    if open || out.is_empty() {
        out.push('/');
    }
    out
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn form(path: &str, merge: bool) -> Result<String, Ambiguous> {
        let is_normal = is_normal(path.as_bytes(), merge)?;
        let form = normal(path, merge);
        assert_eq!(is_normal, form == path, "{path} {form}");
        Ok(form)
    }

    #[test]
    fn dot_segments_and_double_slashes_are_resolved() {
        for (path, expected) in [
            ("/", "/"),
            ("/a/b", "/a/b"),
            ("/a/b/", "/a/b/"),
            ("//a", "/a"),
            ("/a//b///c", "/a/b/c"),
            ("/a//", "/a/"),
            ("/a/./b", "/a/b"),
            ("/a/../b", "/b"),
            ("/a/b/..", "/a/"),
            ("/a/.", "/a/"),
            ("/../../x", "/x"),
            ("/..", "/"),
            ("/static/../admin/x", "/admin/x"),
            ("/...", "/..."),
            ("/.well-known/x", "/.well-known/x"),
            ("/a/..b/c..", "/a/..b/c.."),
            ("/a%2fb%5C", "/a%2fb%5C"),
            ("/a;b=c/d", "/a;b=c/d"),
            ("/%c0%af/%41", "/%c0%af/A"),
            ("/%61dmin/%7e%2Ex%2f%20", "/admin/~.x%2f%20"),
            ("/%2541", "/%2541"),
            ("/a;%62", "/a;b"),
            ("/%25%36%31", "/%2561"),
        ] {
            assert_eq!(form(path, true).as_deref(), Ok(expected), "{path}");
        }
    }

    #[test]
    fn double_slashes_stay_where_the_operator_wants_them() {
        for (path, expected) in [
            ("//a", "//a"),
            ("/a//b", "/a//b"),
            ("/a//../b", "/a/b"),
            ("/a//", "/a//"),
        ] {
            assert_eq!(form(path, false).as_deref(), Ok(expected), "{path}");
        }
    }

    #[test]
    fn digits_of_escapes_are_alike_in_both_letter_cases() {
        for (path, expected) in [
            ("/a/b", "/a/b"),
            ("/caf%c3%a9/%2f", "/caf%C3%A9/%2F"),
            ("/%2F%C3é%aab", "/%2F%C3é%AAb"),
            ("/%", "/%"),
            ("/x%c", "/x%C"),
        ] {
            assert_eq!(capital(path), expected);
        }
    }

    #[test]
    fn what_is_a_dot_segment_only_to_some_is_refused() {
        for path in [
            "/%2e%2e/admin",
            "/.%2E/admin",
            "/a/%2e",
            "/a/..%2fadmin",
            "/a%2f..",
            "/a%2F..%2Fb",
            "/..%5cadmin",
            "/a%5c..%5cb",
            "/..;/admin",
            "/.;x/admin",
            "/;/admin",
            "/a/;x=1/admin",
            "/..%3bx/admin",
            "/x%00.css",
            "/x%0d%0aSet-Cookie",
            "/%7f",
        ] {
            assert_eq!(form(path, true), Err(Ambiguous), "{path}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]

        #[test]
        fn the_form_is_its_own_form_and_has_no_dot_segment(path in "/([./a;]|%2e|%2f|%41|%25){0,12}", merge: bool) {
            if let Ok(form) = form(&path, merge) {
                prop_assert_eq!(is_normal(form.as_bytes(), merge), Ok(true));
                let has_dots = form.split('/').any(|s| s == "." || s == "..");
                prop_assert!(form.starts_with('/') && !has_dots);
                prop_assert!(!merge || !form.contains("//"));
            }
        }
    }
}
