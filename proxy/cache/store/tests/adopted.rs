//! Answers that another proxy fetched: put beside the others, purged as they are, within the same cap.

use super::*;
use crate::cache::store::fill::Loaded;

fn loaded(store: &Store, body: usize, begun: u64) -> Loaded {
    Loaded {
        life: life(1_000),
        head: head(100),
        body: vec![b'b'; body].into(),
        selection: Selection::default(),
        tags: [store.tag_hash(b"red")].into(),
        begun,
    }
}

fn purge(store: &Store, tag: &str, hard: bool) {
    store.purge(&Purge::Tag(tag.as_bytes().into()), hard, 5_000);
}

#[test]
fn it_is_found_by_all_who_waited_for_the_fetch_and_by_who_comes_later() {
    for body in [0, 10, 60_000, 70_000, 900_000] {
        let store = store();
        let key = url(&store, "/a");
        let filler = lead(&store, &key, &any());
        let waits = follow(&store, &key, &any());
        filler.adopt(loaded(&store, body, 0)).unwrap();
        assert!(now(waits.state()).is_none(), "nobody was told yet");
        filler.look_again();
        assert!(matches!(now(waits.state()), Some(State::LookAgain)));
        let entry = stored(&store, "/a").unwrap();
        assert!(body_of(&entry) == vec![b'b'; body], "{body}");
        assert_eq!(entry.life, life(1_000));
        assert_eq!((store.stats().entries, store.stats().fills), (1, 0));
    }
}

#[test]
fn one_that_was_purged_since_it_was_fetched_is_not_put() {
    let store = store();
    let filler = lead(&store, &url(&store, "/a"), &any());
    purge(&store, "red", true);
    assert!(filler.adopt(loaded(&store, 10, 0)).is_err());
    // Fetched after the purge that another proxy knew of.
    assert!(filler.adopt(loaded(&store, 10, 1)).is_ok());
}

#[test]
fn one_whose_url_is_purged_while_it_is_read_is_not_put() {
    let store = store();
    let key = url(&store, "/a");
    let filler = store.alone(Arc::clone(&key));
    store.invalidate(&key);
    let sequence = store.sequence();
    let put = filler.adopt(loaded(&store, 10, sequence));
    assert_eq!(put.err(), Some(Why::PurgedMeanwhile));
}

#[test]
fn one_that_was_purged_softly_is_stale_and_one_purged_later_goes_as_any_other() {
    let store = store();
    purge(&store, "red", false);
    let filler = lead(&store, &url(&store, "/a"), &any());
    filler.adopt(loaded(&store, 10, 0)).unwrap();
    filler.look_again();
    let found = store.find(&url(&store, "/a"), &any()).entry.unwrap();
    assert_eq!(found.1, Some(5_000));
    purge(&store, "red", true);
    assert!(stored(&store, "/a").is_none());
}

#[test]
fn however_many_come_the_cap_holds() {
    let store = Store::new(&rules(4 * MIB, MIB), 7);
    let mut kept = Vec::new();
    for n in 0..200 {
        let filler = lead(&store, &url(&store, &format!("/{n}")), &any());
        // Some are still being sent when others come.
        kept.extend(filler.adopt(loaded(&store, 50_000 + 1_000 * n, 0)).ok());
        kept.truncate(10);
        let stats = store.stats();
        assert!(stats.bytes <= stats.capacity, "{stats:?}");
    }
    assert!(store.stats().entries > 5);
    let filler = lead(&store, &url(&store, "/large"), &any());
    let large = loaded(&store, MIB as usize + 1, 0);
    assert_eq!(filler.adopt(large).err(), Some(Why::TooLarge));
}
