//! What is found again, for whom, and what gives way.

use super::*;

#[test]
fn what_was_stored_is_found_byte_for_byte_whatever_its_size() {
    let store = store();
    for size in [0, 1, 1000, 65_536, 65_537, 300_000] {
        let path = format!("/{size}");
        let body: Vec<u8> = (0..size).map(|n: u32| (n * 7 + n / 256) as u8).collect();
        let answer = Answer {
            body: body.clone().into(),
            ..answer(&path, 0)
        };
        answer.put(&store).unwrap();
        let entry = stored(&store, &path).unwrap();
        assert_eq!(body_of(&entry), body, "{size}");
        assert_eq!(entry.head.lines(), head(100).lines());
        assert_eq!(entry.life, life(1000));
    }
    assert_eq!(store.stats().entries, 6);
}

#[test]
fn variants_stand_side_by_side_and_others_are_told_that_there_are_some() {
    let store = store();
    let key = url(&store, "/");
    assert!(!store.find(&key, &wants("a")).other_variant);
    for variant in ["a", "b"] {
        let answer = Answer {
            variant: Some(variant),
            body: Bytes::copy_from_slice(variant.as_bytes()),
            ..answer("/", 0)
        };
        answer.put(&store).unwrap();
    }
    for variant in ["a", "b"] {
        let found = store.find(&key, &wants(variant));
        assert_eq!(body_of(&found.entry.unwrap().0), variant.as_bytes());
    }
    let none = store.find(&key, &wants("c"));
    assert!(none.entry.is_none() && none.other_variant);
    assert_eq!(store.invalidate(&key), 2);
    assert_eq!(store.stats().entries, 0);
}

#[test]
fn of_several_that_match_the_one_received_last_is_given() {
    let store = store();
    let old = Answer {
        body: "old".into(),
        ..answer("/", 0)
    };
    old.put(&store).unwrap();
    let new = Answer {
        variant: Some("a"),
        received: 2000,
        body: "new".into(),
        ..answer("/", 0)
    };
    new.put(&store).unwrap();
    let found = |variant: &str| store.find(&url(&store, "/"), &wants(variant)).entry;
    assert_eq!(body_of(&found("a").unwrap().0), b"new");
    assert_eq!(body_of(&found("b").unwrap().0), b"old");
}

#[test]
fn what_is_for_the_same_requests_is_replaced_and_too_many_variants_lose_the_oldest() {
    let rules = Cache {
        variants: 3,
        ..rules(16 * MIB, MIB)
    };
    let store = Store::new(&rules, 7);
    for (n, variant) in ["a", "b", "b", "c", "d"].into_iter().enumerate() {
        let answer = Answer {
            variant: Some(variant),
            received: 1000 + n as u64,
            ..answer("/", 10)
        };
        answer.put(&store).unwrap();
    }
    let is_there = |variant: &str| {
        store
            .find(&url(&store, "/"), &wants(variant))
            .entry
            .is_some()
    };
    assert_eq!(
        ["a", "b", "c", "d"].map(is_there),
        [false, true, true, true]
    );
    assert_eq!(evicted(&store, "replaced"), 1);
    assert_eq!(evicted(&store, "variants"), 1);
}

#[test]
fn two_keys_with_one_hash_never_see_each_others_answers() {
    let store = store();
    let mine = url(&store, "/mine");
    let yours = Arc::new(url(&store, "/yours").with_hash(mine.hash()));
    assert_eq!(mine.hash(), yours.hash());
    answer("/mine", 10).put(&store).unwrap();
    let found = store.find(&yours, &any());
    assert!(found.entry.is_none() && !found.other_variant);
    assert_eq!(store.invalidate(&yours), 0);
    assert!(stored(&store, "/mine").is_some());

    let fetching = lead(&store, &mine, &any());
    let mut filler = lead(&store, &yours, &any());
    filler.begins(
        (head(10), life(1)),
        Selection::default(),
        Box::default(),
        None,
    );
    filler.finish().unwrap();
    drop(fetching);
    assert!(store.find(&yours, &any()).entry.is_some());
    assert!(stored(&store, "/mine").is_none(), "there is one place");
}

#[test]
fn an_entry_is_discarded_only_while_it_is_the_one_that_is_stored() {
    let store = store();
    let old = answer("/", 10).put(&store).unwrap();
    let new = answer("/", 20).put(&store).unwrap();
    store.discard(&old);
    assert_eq!(stored(&store, "/").unwrap().body.len(), 20);
    store.discard(&new);
    assert!(stored(&store, "/").is_none());
}

#[test]
fn a_renewed_entry_shares_the_body_and_takes_the_place_of_the_old_one() {
    let store = store();
    let old = answer("/", 1000).put(&store).unwrap();
    let renew = |old: &Arc<Entry>| {
        let begun = store.sequence();
        store.renew(
            old,
            (life(5000), head(50)),
            Selection::default(),
            Box::default(),
            begun,
        )
    };
    let new = renew(&old);
    assert_eq!(stored(&store, "/").unwrap().life.received, 5000);
    assert_eq!(new.body.pieces()[0].as_ptr(), old.body.pieces()[0].as_ptr());
    // Who validated the old one meanwhile gets an answer, and the newer one stays.
    let late = renew(&old);
    assert!(!Arc::ptr_eq(&stored(&store, "/").unwrap(), &late));
    assert!(Arc::ptr_eq(&stored(&store, "/").unwrap(), &new));
    store.invalidate(&new.key);
    renew(&new);
    assert!(
        stored(&store, "/").is_none(),
        "what is gone does not come back"
    );
}

#[test]
fn a_mark_holds_until_its_time_or_until_it_is_taken_back() {
    let store = store();
    let key = url(&store, "/");
    assert!(!store.is_marked(&key, 0));
    store.mark(&key, 100);
    assert!(store.is_marked(&key, 99) && !store.is_marked(&key, 100));
    store.mark(&key, 200);
    store.unmark(&key);
    assert!(!store.is_marked(&key, 0));
    for n in 0..100_000 {
        store.mark(&url(&store, &format!("/{n}")), 100);
    }
    let marks = store.stats().marks;
    assert!(marks > 16_000 && marks <= MARKS as u64, "{marks}");
}

#[test]
fn less_memory_evicts_at_once_and_more_takes_more() {
    let store = store();
    let fill = |store: &Store, from: u32| {
        for n in from..from + 400 {
            answer(&format!("/{n}"), 50_000).put(store).unwrap();
        }
    };
    fill(&store, 0);
    let many = store.stats();
    assert!(many.bytes <= 16 * MIB && many.bytes > 12 * MIB, "{many:?}");
    // What is being sent gives way too when there is no other way.
    let mut sent = Vec::new();
    store.for_each(|entry| sent.push(Arc::clone(entry)));
    store.set_rules(&rules(4 * MIB, MIB));
    assert_eq!(store.stats().entries, 0);
    drop(sent);
    fill(&store, 0);
    let few = store.stats();
    assert!(few.bytes <= 4 * MIB && few.bytes > 2 * MIB, "{few:?}");
    store.set_rules(&rules(8 * MIB, MIB));
    assert_eq!(store.stats().entries, few.entries);
    fill(&store, 1000);
    let more = store.stats();
    assert!(more.bytes <= 8 * MIB && more.bytes > 5 * MIB, "{more:?}");
    store.set_rules(&rules(2 * MIB, MIB));
    let least = store.stats();
    assert!(least.bytes <= 2 * MIB && least.entries > 0, "{least:?}");
}
