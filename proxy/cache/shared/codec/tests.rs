//! Whatever is done to a value, it is nothing or what was written.

use std::sync::Arc;

use ::bytes::Bytes;
use http::{HeaderMap, HeaderValue, StatusCode};

use super::*;
use crate::cache::entry::{Body, Entry, Head};
use crate::cache::key::{Key, Target};
use crate::cache::policy::life::{FOR_EVER, Life, Source};
use crate::cache::policy::vary::Selection;
use crate::cache::shared::chain::Position;
use crate::cache::shared::writer::answer as answer_of;

const NOW: u64 = 1_700_000_000_000;
const HOUR: u64 = 3_600_000;
const MOST: u64 = 1024 * 1024;

fn key(path: &str) -> Arc<Key> {
    let target = Target {
        scheme: "https",
        host: "shop.example",
        path,
        query: None,
    };
    Arc::new(Key::new(target, 7))
}

fn life(lifetime: u64) -> Life {
    Life {
        received: NOW - 2_000,
        initial_age: 1_000,
        lifetime,
        source: Source::MaxAge,
        stale_while_revalidate: 5_000,
        stale_if_error: Some(7_000),
        no_cache: false,
        must_revalidate: false,
        has_validator: true,
    }
}

fn selection(vary: &'static str, request: &HeaderMap) -> Selection {
    let mut answer = HeaderMap::new();
    answer.insert("vary", HeaderValue::from_static(vary));
    answer.insert("content-language", HeaderValue::from_static("de"));
    Selection::of(&answer, request).unwrap()
}

/// An answer of these bytes; `plain`: it has no coding of its own.
fn entry(body: &[u8], plain: bool, selection: Selection) -> Entry {
    let mut fields: Vec<(&[u8], &[u8])> = vec![
        (b"Content-Type", b"text/html"),
        (b"X-Empty", b""),
        (b"ETag", b"\"a\""),
        (b"Set-Thing", b"\xe9t\xe9: 1"),
    ];
    if !plain {
        fields.push((b"Content-Encoding", b"gzip"));
    }
    let head = Head::new(StatusCode::OK, fields);
    let (one, two) = body.split_at(body.len() / 2);
    let pieces = [Bytes::copy_from_slice(one), Bytes::copy_from_slice(two)];
    let body = Body::Many(pieces.into());
    let what = (life(60_000), head, body);
    Entry::new(key("/a"), what, selection, Box::default(), 3)
}

const AT: Position = Position { n: 12, uid: 34 };

fn value(entry: &Entry) -> Vec<u8> {
    let encoded = encode(&answer_of(entry), AT, NOW, HOUR).unwrap();
    let mut value = front(ANSWER, 5, encoded.useful);
    value.extend_from_slice(&encoded.answer);
    value
}

fn read(value: &[u8]) -> Option<Framed> {
    decode(&Bytes::copy_from_slice(value), key("/a").bytes(), MOST)
}

fn answer(value: &[u8]) -> Option<Box<Stored>> {
    match read(value)?.value {
        Value::Answer(stored) => Some(stored),
        Value::Index(_) | Value::Purged => None,
    }
}

/// Bytes that a seed makes: of few letters, or of any.
fn body(rng: &mut fastrand::Rng) -> Vec<u8> {
    let length = rng.usize(..20_000);
    let of = if rng.bool() { 3 } else { 255 };
    (0..length).map(|_| rng.u8(..=of)).collect()
}

#[test]
fn what_was_written_is_read_again_to_the_last_byte() {
    let mut rng = fastrand::Rng::with_seed(9);
    let mut small = 0;
    for _ in 0..300 {
        let mut request = HeaderMap::new();
        let languages = ["de", "fr;q=0.5, de", "", "en"];
        if rng.bool() {
            let language = languages[rng.usize(..languages.len())];
            request.insert("accept-language", HeaderValue::from_static(language));
        }
        let selection = match rng.u8(..3) {
            0 => Selection::default(),
            1 => selection("accept-language", &request),
            _ => selection("X-A, Accept-Language, x-b", &request),
        };
        let (body, plain) = (body(&mut rng), rng.bool());
        let entry = entry(&body, plain, selection);
        let value = value(&entry);
        let framed = read(&value).unwrap();
        assert_eq!(
            (framed.floor, framed.given.get()),
            (5, 60_000 - 3_000 + 7_000)
        );
        let stored = answer(&value).unwrap();
        assert_eq!(stored.position, AT);
        assert!(stored.body == body, "another body");
        assert_eq!(stored.head.lines(), entry.head.lines());
        assert_eq!(stored.head.etag(), Some(&b"\"a\""[..]));
        assert_eq!(stored.selection, entry.selection);
        assert_eq!(stored.selection.hash(), entry.selection.hash());
        assert!(stored.selection.matches(&request));
        // Ten seconds later, by whatever clock.
        let later = stored.life(10_000, 77_000).unwrap();
        assert_eq!(later.age(77_000), entry.life.age(NOW) + 10_000);
        assert_eq!(later.fresh_until(None), 77_000 + 60_000 - 3_000 - 10_000);
        assert!(stored.life(framed.given.get(), 77_000).is_none());
        small += usize::from(value.len() < body.len());
        assert!(
            plain || value.len() >= body.len(),
            "a coded body is left alone"
        );
    }
    assert!(
        small > 30,
        "bodies of few letters are made smaller: {small}"
    );
}

#[test]
fn a_value_cut_anywhere_is_nothing() {
    let value = value(&entry(&[b'a'; 700], true, Selection::default()));
    for length in 0..value.len() {
        assert!(read(&value[..length]).is_none(), "{length}");
    }
    assert!(read(&[&value[..], b"x"].concat()).is_none());
}

#[test]
fn a_value_with_one_bit_turned_is_nothing() {
    let plain = value(&entry(b"short", true, Selection::default()));
    let small = value(&entry(&[b'a'; 700], true, Selection::default()));
    let varies = value(&entry(b"x", true, selection("x-a", &HeaderMap::new())));
    let varied = entry(b"x", true, selection("x-a", &HeaderMap::new()));
    let (_, index) = encode(&answer_of(&varied), AT, NOW, HOUR)
        .unwrap()
        .variant
        .unwrap();
    let index = [front(INDEX, 1, 2), index].concat();
    let purged = front(PURGED, 1, 2);
    for value in [plain, small, varies, index, purged] {
        assert!(read(&value).is_some());
        for bit in 0..value.len() * 8 {
            let mut turned = value.clone();
            turned[bit / 8] ^= 1 << (bit % 8);
            assert!(read(&turned).is_none(), "bit {bit}");
        }
    }
}

#[test]
fn whatever_stands_there_is_nothing_or_the_same_bytes() {
    let mut rng = fastrand::Rng::with_seed(10);
    let request = HeaderMap::new();
    let (long, varied) = (vec![b'a'; 3_000], selection("x-a, x-b", &request));
    let kept = [
        entry(b"short", true, Selection::default()),
        entry(&long, true, Selection::default()),
        entry(&long, false, varied),
    ];
    let kept: Vec<(Vec<u8>, Bytes)> = kept
        .iter()
        .map(|entry| (value(entry), entry.body.pieces().concat().into()))
        .collect();
    for _ in 0..20_000 {
        let (value, body) = &kept[rng.usize(..kept.len())];
        let mut made = value.clone();
        for _ in 0..rng.usize(1..6) {
            let at = rng.usize(..made.len());
            match rng.u8(..5) {
                0 => made[at] = rng.u8(..),
                1 => made.truncate(at.max(1)),
                2 => made.insert(at, rng.u8(..)),
                3 => drop(made.remove(at)),
                _ => {
                    let other = &kept[rng.usize(..kept.len())].0;
                    made.truncate(at.max(1));
                    made.extend_from_slice(&other[at.min(other.len())..]);
                }
            }
            if made.is_empty() {
                break;
            }
        }
        if let Some(stored) = answer(&made) {
            assert!(kept.iter().any(|(_, own)| stored.body == own), "{body:?}");
        }
    }
}

#[test]
fn what_other_programs_keep_is_nothing() {
    let foreign: [&[u8]; 9] = [
        b"",
        b"1",
        b"TGS",
        b"TGS1",
        b"{\"a\":1}",
        b"\x80\x04\x95pickle",
        b"<html>",
        &[0; 200],
        &[b'9'; 200],
    ];
    for value in foreign {
        assert!(read(value).is_none(), "{value:?}");
    }
    let mut older = value(&entry(b"short", true, Selection::default()));
    older[3] = b'0';
    assert!(read(&older).is_none(), "of another version");
}

#[test]
fn a_sealed_value_that_says_what_cannot_be_is_nothing() {
    // The hash is right: who wrote it was mistaken, or is another program with our names.
    let seal = |rest: &[u8]| [front(ANSWER, 0, 1), sealed(ANSWER, rest)].concat();
    let whole = value(&entry(b"short", true, Selection::default()));
    let rest = &whole[REST..];
    assert!(read(&seal(rest)).is_some());
    let mut rng = fastrand::Rng::with_seed(11);
    for _ in 0..20_000 {
        let mut rest = rest.to_vec();
        for _ in 0..rng.usize(1..4) {
            let at = rng.usize(..rest.len());
            match rng.u8(..3) {
                0 => rest[at] = rng.u8(..),
                1 => rest[at] = 0xff,
                _ => rest.truncate(at.max(1)),
            }
        }
        if let Some(stored) = answer(&seal(&rest)) {
            assert!(stored.body.len() <= 5, "no more than there was");
            let lines = stored.head.slices().count();
            assert!(lines <= 5, "{lines} lines");
        }
    }
}

#[test]
fn a_body_is_never_larger_than_it_may_be() {
    let entry = entry(&vec![b'a'; 5_000], true, Selection::default());
    let value = Bytes::from(value(&entry));
    assert!(value.len() < 1_000, "it is one letter");
    assert!(decode(&value, key("/a").bytes(), 5_000).is_some());
    assert!(decode(&value, key("/a").bytes(), 4_999).is_none());
    // It says less than there is.
    let mut rest = value[REST..].to_vec();
    let at = rest
        .windows(8)
        .rposition(|w| w == 5_000_u64.to_le_bytes())
        .unwrap();
    rest[at..at + 8].copy_from_slice(&100_u64.to_le_bytes());
    let less = [front(ANSWER, 0, 1), sealed(ANSWER, &rest)].concat();
    assert!(read(&less).is_none());
}

#[test]
fn what_is_of_another_url_is_nothing() {
    let value = Bytes::from(value(&entry(b"short", true, Selection::default())));
    assert!(decode(&value, key("/b").bytes(), MOST).is_none());
    let varied = entry(b"x", true, selection("x-a", &HeaderMap::new()));
    let (_, index) = encode(&answer_of(&varied), AT, NOW, HOUR)
        .unwrap()
        .variant
        .unwrap();
    let index = Bytes::from([front(INDEX, 1, 2), index].concat());
    let names = |path: &str| match decode(&index, key(path).bytes(), MOST)?.value {
        Value::Index(index) => Some(index.names),
        Value::Answer(_) | Value::Purged => None,
    };
    assert_eq!(names("/a").unwrap(), ["x-a"]);
    assert_eq!(names("/b"), None);
}

#[test]
fn of_use_is_what_is_fresh_or_may_be_used_stale_and_no_longer_than_allowed() {
    let base = life(60_000); // 57 seconds are left
    let cases = [
        (base, HOUR, 57_000 + 7_000),
        (base, 10_000, 10_000),
        (life(0), HOUR, 0),
        (life(FOR_EVER), HOUR, HOUR),
        (
            Life {
                no_cache: true,
                ..base
            },
            HOUR,
            0,
        ),
        (
            Life {
                stale_if_error: None,
                ..base
            },
            HOUR,
            57_000 + 5_000,
        ),
        (
            Life {
                received: NOW - 80_000,
                ..base
            },
            HOUR,
            0,
        ),
    ];
    for (life, ttl_max, expected) in cases {
        assert_eq!(useful(&life, NOW, ttl_max), expected, "{life:?}");
    }
}
