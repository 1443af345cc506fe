//! What differs is told apart, what means the same is not, and nothing that a client writes makes two keys one.

use proptest::prelude::*;

use super::*;

fn key(scheme: &str, host: &str, path: &str, query: Option<&str>) -> Key {
    let target = Target {
        scheme,
        host,
        path,
        query,
    };
    Key::new(target, 7)
}

#[test]
fn a_key_reads_back_as_the_url_it_was_made_of() {
    let key = key("https", "Shop.Example.COM:443", "/a/b", Some("x=1"));
    assert_eq!(key.to_string(), "https://shop.example.com/a/b?x=1");
    assert_eq!((key.host(), key.path()), ("shop.example.com", "/a/b"));
    assert_eq!(key.query(), Some("x=1"));
}

#[test]
fn what_differs_has_another_key_and_what_means_the_same_has_not() {
    let plain = key("http", "a", "/b", None);
    assert_eq!(plain, key("http", "A:80", "/b", None));
    for other in [
        key("https", "a", "/b", None),
        key("http", "a", "/b", Some("")),
        key("http", "a:443", "/b", None),
        key("http", "a", "/B", None),
        key("http", "a/b", "", None),
        key("http", "", "a/b", None),
    ] {
        assert_ne!(plain, other, "{other}");
    }
}

/// Bytes that an attacker would try: separators, escapes, and what some parsers take for nothing.
fn text(most: usize) -> impl Strategy<Value = String> {
    let letters = prop::sample::select(vec![
        "a", "b", "A", "/", "//", "|", "%2f", "%2F", "%7c", "?", "&", "=", ":", ":80", ":443", ".",
        ";", "#", "0", " ", "http", "\u{0}", "\u{1}",
    ]);
    prop::collection::vec(letters, 0..most).prop_map(|parts| parts.concat())
}

fn tuple() -> impl Strategy<Value = (bool, String, String, Option<String>)> {
    (any::<bool>(), text(3), text(4), prop::option::of(text(4)))
}

type Tuple = (bool, String, String, Option<String>);

/// The same tuple with one thing moved over a border, so that a sloppy frame would not see it.
fn nudged((tls, host, path, query): &Tuple, how: u8) -> Tuple {
    let (mut host, mut path, mut query) = (host.clone(), path.clone(), query.clone());
    match how % 8 {
        0 => path.insert_str(0, &std::mem::take(&mut host)),
        1 => host.push_str(&std::mem::take(&mut path)),
        2 => path = format!("{path}?{}", query.take().unwrap_or_default()),
        3 => query = query.map(|query| query.split('&').rev().collect::<Vec<_>>().join("&")),
        4 => host = host.to_ascii_uppercase(),
        5 => host.push('.'),
        6 => host.push_str(if *tls { ":443" } else { ":80" }),
        _ => return (!tls, host, path, query),
    }
    (*tls, host, path, query)
}

fn key_of((tls, host, path, query): &Tuple) -> Key {
    let scheme = if *tls { "https" } else { "http" };
    key(scheme, host, path, query.as_deref())
}

/// What a tuple means, as a value that is compared part by part.
fn meaning((tls, host, path, query): &Tuple) -> Tuple {
    let port = if *tls { ":443" } else { ":80" };
    let host = host.strip_suffix(port).unwrap_or(host);
    (*tls, host.to_ascii_lowercase(), path.clone(), query.clone())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(10_000))]

    #[test]
    fn two_keys_are_one_when_their_targets_mean_the_same_and_never_else(
        one in tuple(), other in tuple(), how in any::<u8>(),
    ) {
        for other in [other, nudged(&one, how)] {
            let same = meaning(&one) == meaning(&other);
            let (one, other) = (key_of(&one), key_of(&other));
            prop_assert_eq!(one == other, same, "{} and {}", one, other);
            prop_assert_eq!(one.hash() == other.hash(), same);
        }
    }

    #[test]
    fn a_key_gives_back_what_it_was_made_of(one in tuple()) {
        let (tls, host, path, query) = meaning(&one);
        let key = key_of(&one);
        prop_assert_eq!(key.scheme() == "https", tls);
        prop_assert_eq!((key.host(), key.path()), (host.as_str(), path.as_str()));
        prop_assert_eq!(key.query(), query.as_deref());
    }
}

#[test]
fn what_came_from_elsewhere_is_a_key_only_if_it_has_the_form_of_one() {
    let sent = key("https", "shop.example", "/a", Some("b=c"));
    assert_eq!(Key::of_bytes(sent.bytes(), 7), Some(sent.clone()));
    assert_ne!(Key::of_bytes(sent.bytes(), 8), Some(sent.clone()));
    let plain = key("http", "a", "/", None);
    assert_eq!(Key::of_bytes(plain.bytes(), 7), Some(plain.clone()));
    for end in 0..plain.bytes().len() {
        assert_eq!(Key::of_bytes(&plain.bytes()[..end], 7), None, "{end}");
    }
    let with = |at: usize, byte: u8| {
        let mut bytes = plain.bytes().to_vec();
        bytes[at] = byte;
        Key::of_bytes(&bytes, 7)
    };
    assert_eq!(with(0, 2), None, "a scheme that is none");
    assert_eq!(with(1, 0xff), None, "longer than all of it");
    assert_eq!(with(HOST + 4, b'A'), None, "nobody asks for it so");
    assert_eq!(with(HOST + 4, 0xff), None, "no text");
    let more = [plain.bytes(), b"x"].concat();
    assert_eq!(Key::of_bytes(&more, 7), None, "a query where there is none");
}

proptest! {
    #[test]
    fn any_bytes_are_a_key_or_none_and_a_key_reads_back(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
        if let Some(key) = Key::of_bytes(&bytes, 7) {
            prop_assert_eq!(key.bytes(), &bytes);
            let _ = (key.to_string(), key.query());
        }
    }
}
