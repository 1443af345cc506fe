//! Which bytes are wanted.

use proptest::prelude::*;

use super::super::testing::fields;
use super::*;

fn of(line: &str, length: u64) -> Ranges {
    wanted(&fields(&[("range", line)]), length)
}

fn many(parts: &[Range<u64>]) -> Ranges {
    Ranges::Many(parts.iter().cloned().collect())
}

#[test]
fn one_part_is_from_here_to_there_to_the_end_or_the_last_so_many() {
    for (line, part) in [
        ("bytes=0-1", 0..2),
        ("Bytes=0-1", 0..2),
        ("bytes= 0-1 ", 0..2),
        ("bytes=,0-1,,", 0..2),
        ("bytes=0-0", 0..1),
        ("bytes=1-", 1..10),
        ("bytes=9-", 9..10),
        ("bytes=-1", 9..10),
        ("bytes=-10", 0..10),
        ("bytes=-11", 0..10),
        ("bytes=5-99", 5..10),
        ("bytes=0-", 0..10),
        ("bytes=005-006", 5..7),
        ("bytes=5-99999999999999999999999999", 5..10),
        ("bytes=-99999999999999999999999999", 0..10),
        ("bytes=0-1, 50-", 0..2),
        ("bytes=-0, 3-4", 3..5),
    ] {
        assert_eq!(of(line, 10), Ranges::One(part), "{line}");
    }
}

#[test]
fn what_the_body_has_not_is_refused() {
    for line in [
        "bytes=10-",
        "bytes=10-20",
        "bytes=-0",
        "bytes=10-, 11-12",
        "bytes=99999999999999999999999-",
    ] {
        assert_eq!(of(line, 10), Ranges::None, "{line}");
    }
    assert_eq!(of("bytes=0-", 0), Ranges::None);
    assert_eq!(of("bytes=0-0", 0), Ranges::None);
    assert_eq!(of("bytes=-0", 0), Ranges::None);
    assert_eq!(of("bytes=-5", 0), Ranges::Whole, "all of nothing");
}

#[test]
fn what_is_not_the_grammar_is_as_if_it_were_not_there() {
    for line in [
        "",
        "bytes",
        "bytes=",
        "bytes=,",
        "bytes=-",
        "bytes=a-b",
        "bytes=1",
        "bytes=2-1",
        "bytes=0-1, 2-1",
        "bytes=0-1;2-3",
        "bytes=0 - 1",
        "bytes=0--1",
        "bytes=--1",
        "bytes=+1-2",
        "bytes=0x1-2",
        "bytes =0-1",
        "items=0-1",
        "bytes:0-1",
        "0-1",
    ] {
        assert_eq!(of(line, 10), Ranges::Whole, "{line}");
    }
    let twice = fields(&[("range", "bytes=0-1"), ("range", "bytes=2-3")]);
    assert_eq!(wanted(&twice, 10), Ranges::Whole);
    assert_eq!(wanted(&fields(&[]), 10), Ranges::Whole);
}

#[test]
fn several_parts_stay_several_when_they_are_in_order() {
    assert_eq!(of("bytes=0-1,4-5", 10), many(&[0..2, 4..6]));
    assert_eq!(of("bytes=0-1, 2-3, -1", 10), many(&[0..2, 2..4, 9..10]));
}

#[test]
fn parts_that_overlap_or_go_back_are_put_together() {
    assert_eq!(of("bytes=0-5,4-7", 10), Ranges::One(0..8));
    assert_eq!(of("bytes=0-,0-,0-,0-", 10), Ranges::One(0..10));
    assert_eq!(of("bytes=4-5,0-1", 10), many(&[0..2, 4..6]));
    assert_eq!(of("bytes=4-5,0-3", 10), Ranges::One(0..6));
}

#[test]
fn too_many_parts_are_the_whole_unless_they_meet() {
    let apart: Vec<String> = (0..17).map(|i| format!("{}-{}", i * 3, i * 3)).collect();
    assert_eq!(
        of(&format!("bytes={}", apart.join(",")), 100),
        Ranges::Whole
    );
    let sixteen = of(&format!("bytes={}", apart[..16].join(",")), 100);
    assert!(matches!(sixteen, Ranges::Many(parts) if parts.len() == 16));
    let meeting: Vec<String> = (0..17).map(|i| format!("{i}-{i}")).collect();
    assert_eq!(
        of(&format!("bytes={}", meeting.join(",")), 100),
        Ranges::One(0..17)
    );
}

proptest! {
    #[test]
    fn never_more_bytes_than_there_are_and_never_one_twice(
        parts in proptest::collection::vec((any::<Option<u8>>(), any::<Option<u8>>()), 0..24), length in 0_u64..300,
    ) {
        let text = |n: Option<u8>| n.map_or(String::new(), |n| n.to_string());
        let parts: Vec<String> = parts.iter().map(|(a, b)| format!("{}-{}", text(*a), text(*b))).collect();
        let parts = match of(&format!("bytes={}", parts.join(",")), length) {
            Ranges::Whole | Ranges::None => Vec::new(),
            Ranges::One(part) => vec![part],
            Ranges::Many(parts) => {
                prop_assert!(parts.len() > 1 && parts.len() <= PARTS_AT_MOST);
                parts.to_vec()
            }
        };
        prop_assert!(parts.iter().all(|part| part.start < part.end && part.end <= length));
        prop_assert!(parts.windows(2).all(|two| two[0].end <= two[1].start));
    }

    #[test]
    fn no_bytes_panic(line in proptest::collection::vec(any::<u8>(), 0..60), length in any::<u64>()) {
        let line = [b"bytes=", &line[..]].concat();
        if let Ok(value) = http::HeaderValue::from_bytes(&line) {
            let mut request = HeaderMap::new();
            request.append("range", value);
            wanted(&request, length);
        }
    }
}
