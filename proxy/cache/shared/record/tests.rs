//! What is written is read; what is not whole is not.

use proptest::prelude::*;

use super::*;
use crate::cache::key::Target;

const SEED: u64 = 7;

fn key() -> Key {
    let target = Target {
        scheme: "http",
        host: "shop.example",
        path: "/a",
        query: Some("b=c"),
    };
    Key::new(target, SEED)
}

fn record(deed: Deed) -> Record {
    Record {
        purge: 0x0123_4567_89ab_cdef,
        deed,
        by: "deploy (10.0.0.5:99)".into(),
        at: "web-2".into(),
    }
}

fn purge(what: Purge, hard: bool) -> Record {
    record(Deed::Purge { what, hard })
}

#[test]
fn every_kind_is_read_as_it_was_written() {
    let prefix = |host: Option<&str>| Purge::Prefix {
        host: host.map(Into::into),
        path: "/a/".into(),
    };
    let all = [
        Purge::Url(key()),
        Purge::Tag(b"p\xff1".as_slice().into()),
        prefix(None),
        prefix(Some("shop.example")),
        Purge::Host("shop.example".into()),
        Purge::All,
    ];
    let purges = all
        .into_iter()
        .flat_map(|what| [purge(what.clone(), false), purge(what, true)]);
    for written in purges.chain([record(Deed::Invalidate(key()))]) {
        let bytes = written.bytes();
        assert_eq!(Record::read(&bytes, SEED), Some(written.clone()));
        for end in 0..bytes.len() {
            assert_eq!(
                Record::read(&bytes[..end], SEED),
                None,
                "{written:?} to {end}"
            );
        }
        let more = [&bytes, &b"x"[..]].concat();
        assert_eq!(Record::read(&more, SEED), None, "{written:?}");
    }
}

#[test]
fn a_record_of_another_version_is_none_of_ours() {
    let mut bytes = purge(Purge::All, false).bytes();
    bytes[0] = 2;
    assert_eq!(Record::read(&bytes, SEED), None);
}

#[test]
fn its_form_is_written_down_since_other_versions_read_it() {
    let bytes = purge(Purge::Tag(b"x".as_slice().into()), true).bytes();
    let said = b"\x01t\x01\x01\x23\x45\x67\x89\xab\xcd\xef\0\0\0\x01x\0\0\0\0\0\0\0\x14deploy (10.0.0.5:99)\0\0\0\x05web-2";
    assert_eq!(bytes, said);
}

#[test]
fn one_that_is_too_long_purges_everything_as_thoroughly() {
    let tag = vec![b'x'; LONGEST].into_boxed_slice();
    let read = Record::read(&purge(Purge::Tag(tag), true).bytes(), SEED);
    assert_eq!(read, Some(purge(Purge::All, true)));
}

#[test]
fn a_long_name_is_cut_between_characters() {
    let mut written = purge(Purge::All, false);
    written.by = "ä".repeat(150).into();
    let read = Record::read(&written.bytes(), SEED).unwrap();
    assert_eq!(&*read.by, "ä".repeat(100));
}

proptest! {
    #[test]
    fn any_bytes_are_a_record_or_none(
        kind in prop::sample::select(b"utpqhai!".to_vec()),
        bytes in proptest::collection::vec(any::<u8>(), 0..80),
    ) {
        let _ = Record::read(&bytes, SEED);
        let _ = Record::read(&[&[VERSION, kind, 0][..], &bytes].concat(), SEED);
    }
}
