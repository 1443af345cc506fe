//! Bodies in other codings: what is kept beside a body, for how long, and what purges and renewals make of it.

use super::*;
use crate::cache::entry::Form;

pub(super) const BR: Coding = Coding::Brotli;
pub(super) const GZIP: Coding = Coding::Gzip;

/// A body that says it is a form.
pub(super) fn made(length: usize) -> Vec<Bytes> {
    let all: Vec<u8> = (0..length).map(|n| (n / 7) as u8).collect();
    vec![Bytes::from(all)]
}

pub(super) fn bytes_of(form: &Form) -> Option<Vec<u8>> {
    form.body.as_ref().map(|body| body.pieces().concat())
}

/// The form that is stored under this path.
pub(super) fn form(store: &Store, path: &str, coding: Coding) -> Option<Vec<u8>> {
    bytes_of(stored(store, path)?.form(coding)?)
}

fn is_at(one: &Arc<Entry>, store: &Store, path: &str) -> bool {
    stored(store, path).is_some_and(|there| Arc::ptr_eq(one, &there))
}

/// Nothing is counted but the tables.
pub(super) fn is_empty(store: &Store) -> bool {
    store.stats().bytes == store.core.shelf.tables()
}

/// An answer that came encoded.
fn encoded(store: &Store, body: usize) -> Arc<Entry> {
    let mut filler = lead(store, &url(store, "/"), &any());
    let fields = [(&b"Content-Encoding"[..], &b"gzip"[..])];
    let what = (Head::new(StatusCode::OK, fields), life(1000));
    filler.begins(what, Selection::default(), Box::default(), None);
    now(filler.write(vec![7; body].into())).unwrap();
    filler.finish().unwrap()
}

fn renew(store: &Store, old: &Arc<Entry>, received: Millis) -> Arc<Entry> {
    let (begun, what) = (store.sequence(), (life(received), head(50)));
    store.renew(old, what, Selection::default(), old.tags.clone(), begun)
}

#[test]
fn forms_stand_beside_their_body_whatever_its_size_and_go_with_it() {
    let store = store();
    for (body, length) in [(1000, 0), (1000, 999), (70_000, 65_537), (900_000, 300_000)] {
        let entry = answer("/", body).put(&store).unwrap();
        let first = store.put_form(&entry, BR, &made(length), false).unwrap();
        assert!(is_at(&first, &store, "/"));
        let both = store
            .put_form(&entry, GZIP, &made(length / 2), true)
            .unwrap();
        assert_eq!(form(&store, "/", BR), Some(made(length).concat()));
        assert_eq!(form(&store, "/", GZIP), Some(made(length / 2).concat()));
        assert!(both.form(GZIP).unwrap().is_final && !both.form(BR).unwrap().is_final);
        assert!(both.form(Coding::Zstd).is_none());
        assert!(both.body.is_same(&entry.body) && both.is_same_answer(&entry));
        drop((entry, first));
        let Stats {
            entries,
            forms,
            form_bytes,
            bytes,
            ..
        } = store.stats();
        assert_eq!((entries, forms), (1, 2));
        assert!(form_bytes >= (length + length / 2) as u64, "{form_bytes}");
        assert_eq!(bytes, both.weight() + store.core.shelf.tables());
        drop(both);
        assert_eq!(store.invalidate(&url(&store, "/")), 1);
        assert!(is_empty(&store));
    }
    assert_eq!(evicted(&store, "replaced"), 0, "nothing was: it got a form");
}

#[test]
fn pieces_of_any_size_become_one_body() {
    let store = store();
    let entry = answer("/", 400_000).put(&store).unwrap();
    let all = made(200_000).remove(0);
    let mut rest = all.clone();
    let mut pieces = Vec::new();
    for size in [1, 0, 7, 65_536, 3, 100_000].iter().cycle() {
        pieces.push(rest.split_to(rest.len().min(*size)));
        if rest.is_empty() {
            break;
        }
    }
    let entry = store.put_form(&entry, BR, &pieces, false).unwrap();
    assert!(bytes_of(entry.form(BR).unwrap()).unwrap() == all);
    let body = entry.form(BR).unwrap().body.clone().unwrap();
    assert_eq!(body.pieces().len(), 4, "blocks of one size, and the rest");
}

#[test]
fn a_form_no_smaller_than_the_body_is_remembered_as_not_worth_it() {
    let store = store();
    let entry = answer("/", 1000).put(&store).unwrap();
    for length in [1000, 1001] {
        let entry = store.put_form(&entry, BR, &made(length), false).unwrap();
        assert!(entry.form(BR).unwrap().body.is_none(), "{length}");
    }
    assert_eq!(store.stats().forms, 0);
    let entry = store.put_no_gain(&entry, GZIP, true).unwrap();
    assert!(entry.form(GZIP).unwrap().is_final);
    // With more effort it is worth it after all.
    store.put_form(&entry, BR, &made(999), true).unwrap();
    assert_eq!(form(&store, "/", BR), Some(made(999).concat()));
}

#[test]
fn what_came_encoded_is_kept_decoded_however_large_that_is_up_to_a_bound() {
    let store = store();
    let entry = encoded(&store, 1000);
    let identity = Coding::Identity;
    assert!(
        store
            .put_form(&entry, identity, &made(MIB as usize + 1), true)
            .is_none()
    );
    store
        .put_form(&entry, identity, &made(50_000), true)
        .unwrap();
    assert_eq!(form(&store, "/", identity), Some(made(50_000).concat()));
}

#[test]
fn a_better_form_takes_the_place_of_another_and_a_worse_one_does_not() {
    let store = store();
    let entry = answer("/", 1000).put(&store).unwrap();
    let put = |length, is_final| {
        let entry = store.put_form(&entry, BR, &made(length), is_final).unwrap();
        assert!(is_at(&entry, &store, "/"));
        let form = entry.form(BR).unwrap();
        (
            form.body.as_ref().map_or(0, |body| body.len()),
            form.is_final,
        )
    };
    assert_eq!(put(500, false), (500, false));
    assert_eq!(put(600, false), (500, false));
    assert_eq!(put(400, true), (400, true));
    assert_eq!(put(300, false), (400, true));
    assert_eq!(stored(&store, "/").unwrap().forms().len(), 1);
}

#[test]
fn uses_are_counted_across_renewals_and_other_forms() {
    let store = store();
    let mut entry = answer("/", 1000).put(&store).unwrap();
    entry = store.put_form(&entry, BR, &made(500), false).unwrap();
    assert_eq!(entry.form(BR).unwrap().hit(), 1);
    entry = renew(&store, &entry, 2000);
    assert_eq!(entry.form(BR).unwrap().hit(), 2);
    entry = store.put_form(&entry, GZIP, &made(500), false).unwrap();
    assert_eq!(
        (
            entry.form(BR).unwrap().hits(),
            entry.form(GZIP).unwrap().hits()
        ),
        (2, 0)
    );
}

#[test]
fn renewals_and_forms_that_cross_lose_neither() {
    let store = store();
    let old = answer("/", 1000).put(&store).unwrap();
    // Whoever validated it does not know of the form it got.
    store.put_form(&old, BR, &made(500), false).unwrap();
    let new = renew(&store, &old, 5000);
    assert!(is_at(&new, &store, "/"));
    assert_eq!(form(&store, "/", BR), Some(made(500).concat()));
    // Whoever made the form does not know of the renewal.
    let entry = store.put_form(&old, GZIP, &made(400), false).unwrap();
    assert_eq!((entry.life.received, entry.forms().len()), (5000, 2));
    assert!(is_at(&entry, &store, "/"));
    // Who validated the old one meanwhile does not take the newer one's place.
    let late = renew(&store, &old, 4000);
    assert_eq!(late.life.received, 4000);
    assert_eq!(stored(&store, "/").unwrap().life.received, 5000);
}

#[test]
fn an_answer_is_discarded_with_the_forms_it_got_since() {
    let store = store();
    let old = answer("/", 1000).put(&store).unwrap();
    drop(store.put_form(&old, BR, &made(500), false));
    store.discard(&old);
    assert!(stored(&store, "/").is_none());
    drop(old);
    assert!(is_empty(&store));
}

#[test]
fn another_body_never_gets_the_form() {
    let store = store();
    let old = answer("/", 1000).put(&store).unwrap();
    answer("/", 1000).put(&store).unwrap();
    assert!(store.put_form(&old, BR, &made(500), true).is_none());
    assert!(stored(&store, "/").unwrap().forms().is_empty());
    let variant = |name| Answer {
        variant: Some(name),
        ..answer("/v", 1000)
    };
    let (a, b) = (
        variant("a").put(&store).unwrap(),
        variant("b").put(&store).unwrap(),
    );
    store.put_form(&a, BR, &made(500), true).unwrap();
    let find = |name| {
        store
            .find(&url(&store, "/v"), &wants(name))
            .entry
            .unwrap()
            .0
    };
    assert!(find("a").form(BR).is_some() && find("b").form(BR).is_none());
    assert!(Arc::ptr_eq(&find("b"), &b));
}

#[test]
fn an_empty_body_has_no_forms() {
    let store = store();
    let entry = answer("/", 0).put(&store).unwrap();
    assert!(store.put_form(&entry, BR, &made(20), true).is_none());
    assert!(matches!(store.derive(&entry, BR), DerivingStored::Lead(_)));
}

#[test]
fn without_room_there_is_no_form_and_the_answer_stays_as_it_is() {
    let store = store();
    let path = |n| format!("/{n}");
    let all: Vec<_> = (0..)
        .map_while(|n| answer(&path(n), 900_000).put(&store).ok())
        .collect();
    assert!(store.put_form(&all[0], BR, &made(800_000), true).is_none());
    assert!(is_at(&all[0], &store, "/0") && all[0].forms().is_empty());
    assert!(store.stats().bytes <= store.stats().capacity);
}

fn tag(name: &str) -> Purge {
    Purge::Tag(name.as_bytes().into())
}

fn tagged(store: &Store) -> Arc<Entry> {
    let answer = Answer {
        tags: &["red"],
        ..answer("/", 1000)
    };
    let entry = answer.put(store).unwrap();
    store.put_form(&entry, GZIP, &made(500), true).unwrap()
}

#[test]
fn every_purge_concerns_an_answer_with_all_its_forms() {
    let ways = |store: &Store| {
        let prefix = Purge::Prefix {
            host: None,
            path: "/".into(),
        };
        let host = Purge::Host("a.example".into());
        [
            Purge::Url((*url(store, "/")).clone()),
            tag("red"),
            prefix,
            host,
            Purge::All,
        ]
    };
    for n in 0..5 {
        for hard in [false, true] {
            let store = store();
            let old = tagged(&store);
            assert_eq!(store.purge(&ways(&store)[n], hard, 5000), 1, "{n} {hard}");
            let late = store.put_form(&old, BR, &made(400), true);
            let found = stored(&store, "/");
            if hard {
                assert!(found.is_none() && late.is_none(), "{n}");
                drop(old);
                assert!(is_empty(&store), "{n}");
            } else {
                let found = found.unwrap();
                assert_eq!(
                    (found.expired_at(), found.forms().len()),
                    (Some(5000), 2),
                    "{n}"
                );
            }
        }
    }
}

#[test]
fn a_form_brings_nothing_back_that_is_purged_but_not_walked_over_yet() {
    for hard in [false, true] {
        let store = store();
        let old = tagged(&store);
        let hash = |name: &[u8]| store.tag_hash(name);
        store.core.epochs.note(&tag("red"), hard, 5000, hash);
        let new = store.put_form(&old, BR, &made(400), true);
        assert_eq!(new.is_none(), hard);
        let expired = stored(&store, "/").map(|entry| entry.expired_at());
        assert_eq!(expired, (!hard).then_some(Some(5000)));
        // What was known of the old one is known of this one, and it does not come back by being validated.
        if let Some(new) = new {
            assert_eq!(
                (new.expired_by(), new.judged()),
                (old.expired_by(), old.judged())
            );
        }
    }
}

#[test]
fn purges_forms_and_renewals_at_once_never_bring_back_what_was_purged() {
    let store = store();
    let key = url(&store, "/");
    for n in 0..400 {
        let old = tagged(&store);
        let what = [tag("red"), Purge::Url((*key).clone()), Purge::All][n % 3].clone();
        let hard = n % 2 == 0;
        std::thread::scope(|scope| {
            scope.spawn(|| store.put_form(&old, BR, &made(400), true));
            scope.spawn(|| store.put_form(&old, Coding::Zstd, &made(300), true));
            scope.spawn(|| store.purge(&what, hard, 5000));
        });
        let found = store.find(&key, &any()).entry;
        match hard {
            true => assert!(found.is_none(), "{n}"),
            false => {
                let (entry, expired) = found.unwrap();
                assert_eq!((expired, entry.forms().len()), (Some(5000), 3), "{n}");
            }
        }
        store.invalidate(&key);
    }
}

#[test]
fn all_forms_that_are_put_at_once_are_there_in_the_end() {
    let store = store();
    for n in 0..200 {
        let old = answer("/", 1000).put(&store).unwrap();
        std::thread::scope(|scope| {
            for coding in Coding::ALL.into_iter().skip(1) {
                let (store, old) = (&store, &old);
                scope.spawn(move || store.put_form(old, coding, &made(500), false).unwrap());
            }
            scope.spawn(|| renew(&store, &old, 5000 + n));
        });
        let entry = stored(&store, "/").unwrap();
        assert_eq!((entry.forms().len(), entry.life.received), (4, 5000 + n));
    }
}

#[test]
fn less_memory_evicts_answers_with_their_forms() {
    let store = store();
    for n in 0..100 {
        let entry = answer(&format!("/{n}"), 50_000).put(&store).unwrap();
        drop(store.put_form(&entry, BR, &made(40_000), false));
    }
    let many = store.stats();
    assert!(many.forms > 90, "{many:?}");
    store.set_rules(&rules(2 * MIB, MIB / 2));
    let few = store.stats();
    assert!(
        few.bytes <= 2 * MIB && few.entries > 0 && few.forms <= few.entries,
        "{few:?}"
    );
    assert!(few.form_bytes < MIB);
}
