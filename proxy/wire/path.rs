//! The one form of a path that routes are matched on, caches are keyed by and nodes are sent.
//!
//! Who decides on `/static/../admin` as it was written and forwards it to an app that resolves it, guards another
//! door than the one that opens. Dot segments are resolved (RFC 3986 §5.2.4) and, unless the operator says
//! otherwise, `//` is `/`. What only becomes a dot segment after decoding is refused: nobody means well with it.
//! Escapes are never decoded: `%2F` stays a letter of its segment, for us and for the node alike.

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
            b"" => normal &= !merge || segments.peek().is_none(),
            _ if segment.iter().any(|b| matches!(b, b'%' | b';')) => hides_nothing(segment)?,
            _ => {}
        }
    }
    Ok(normal)
}

/// Looks behind the escapes and parameters of a segment.
fn hides_nothing(segment: &[u8]) -> Result<(), Ambiguous> {
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
    Ok(())
}

fn escape(digits: &[u8]) -> Option<u8> {
    let digit = |at: usize| digits.get(at).and_then(|d| char::from(*d).to_digit(16));
    u8::try_from(digit(0)? * 16 + digit(1)?).ok()
}

/// The one form of `path`, which [`is_normal`] found to have one.
pub fn normal(path: &str, merge: bool) -> String {
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
            ("/%c0%af/%41", "/%c0%af/%41"),
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
        fn the_form_is_its_own_form_and_has_no_dot_segment(path in "/([./a;]|%2e|%2f|%41){0,12}", merge: bool) {
            if let Ok(form) = form(&path, merge) {
                prop_assert_eq!(is_normal(form.as_bytes(), merge), Ok(true));
                let has_dots = form.split('/').any(|s| s == "." || s == "..");
                prop_assert!(form.starts_with('/') && !has_dots);
                prop_assert!(!merge || !form.contains("//"));
            }
        }
    }
}
