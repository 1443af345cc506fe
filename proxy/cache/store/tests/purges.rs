//! Purges take effect at once, on what is stored, what is fetched and what is validated.

use super::*;

fn tag(name: &str) -> Purge {
    Purge::Tag(name.as_bytes().into())
}

fn prefix(host: Option<&str>, path: &str) -> Purge {
    Purge::Prefix {
        host: host.map(Into::into),
        path: path.into(),
    }
}

fn expired(store: &Store, path: &str) -> Option<Millis> {
    store.find(&url(store, path), &any()).entry.unwrap().1
}

fn tagged<'a>(path: &'a str, tags: &'a [&'a str]) -> Answer<'a> {
    Answer {
        tags,
        ..answer(path, 10)
    }
}

#[test]
fn each_way_of_naming_it_purges_that_and_nothing_else() {
    let all = ["/a/1", "/a/2", "/b"];
    let cases: [(Purge, &[&str]); 9] = [
        (tag("red"), &["/a/1", "/b"]),
        (tag("none"), &[]),
        (prefix(None, "/a"), &["/a/1", "/a/2"]),
        (prefix(Some("A.Example"), "/a/2"), &["/a/2"]),
        (prefix(Some("b.example"), "/a"), &[]),
        (Purge::Host("A.EXAMPLE".into()), &all),
        (Purge::Host("example".into()), &[]),
        (Purge::All, &all),
        (
            Purge::Url(store().key(Target {
                scheme: "http",
                host: "a.example",
                path: "/b",
                query: None,
            })),
            &["/b"],
        ),
    ];
    for (what, concerned) in cases {
        for hard in [false, true] {
            let store = store();
            tagged("/a/1", &["red", "blue"]).put(&store).unwrap();
            tagged("/a/2", &["blue"]).put(&store).unwrap();
            tagged("/b", &["red"]).put(&store).unwrap();
            assert_eq!(
                store.purge(&what, hard, 5000),
                concerned.len() as u64,
                "{what:?}"
            );
            for path in all {
                let found = stored(&store, path).map(|entry| entry.expired_at());
                let expected = match (concerned.contains(&path), hard) {
                    (false, _) => Some(None),
                    (true, false) => Some(Some(5000)),
                    (true, true) => None,
                };
                assert_eq!(found, expected, "{what:?} {path}");
            }
            let left = if hard { 3 - concerned.len() } else { 3 };
            assert_eq!(store.stats().entries, left as u64);
            // What comes after it is not concerned.
            tagged("/b", &["red"]).put(&store).unwrap();
            assert_eq!(expired(&store, "/b"), None);
        }
    }
}

#[test]
fn an_epoch_is_seen_by_lookups_before_anybody_walked() {
    let store = store();
    tagged("/soft", &["soft"]).put(&store).unwrap();
    tagged("/hard", &["hard"]).put(&store).unwrap();
    tagged("/none", &["none"]).put(&store).unwrap();
    let hash = |name: &[u8]| store.tag_hash(name);
    store.core.epochs.note(&tag("soft"), false, 5000, hash);
    store.core.epochs.note(&tag("hard"), true, 6000, hash);
    assert_eq!(expired(&store, "/soft"), Some(5000));
    assert!(stored(&store, "/hard").is_none());
    assert_eq!(expired(&store, "/none"), None);
}

#[test]
fn it_stays_stale_since_the_first_of_its_purges() {
    let store = store();
    tagged("/", &["red"]).put(&store).unwrap();
    store.purge(&Purge::All, false, 7000);
    store.purge(&tag("red"), false, 5000);
    store.purge(&tag("red"), false, 9000);
    assert_eq!(expired(&store, "/"), Some(5000));
}

#[tokio::test]
async fn what_is_purged_while_it_is_fetched_is_passed_on_but_not_stored() {
    let purges: [fn(&Store); 5] = [
        |s| assert!(s.purge(&Purge::Url((*url(s, "/")).clone()), false, 1) <= 1),
        |s| assert!(s.purge(&tag("red"), false, 1) <= 1),
        |s| assert!(s.purge(&Purge::All, true, 1) <= 1),
        |s| assert!(s.purge(&prefix(None, "/"), false, 1) <= 1),
        |s| assert!(s.invalidate(&url(s, "/")) <= 1),
    ];
    for (n, purge) in purges.into_iter().enumerate() {
        let store = store();
        let mut filler = tagged("/", &["red"]).begin(&store);
        let mut reader = filler.reader();
        filler.write("be".into()).await;
        purge(&store);
        assert!(filler.is_purged(), "{n}");
        // Who comes now fetches for itself.
        let fresh = lead(&store, &url(&store, "/"), &any());
        filler.write("fore".into()).await;
        assert_eq!(filler.finish().unwrap_err(), Why::PurgedMeanwhile);
        assert_eq!(read(&mut reader).await.unwrap(), b"before");
        assert!(stored(&store, "/").is_none());
        assert!(!fresh.is_purged());
    }
}

#[test]
fn before_its_tags_are_known_a_fetch_may_bear_any() {
    let store = store();
    let key = url(&store, "/");
    let old = lead(&store, &key, &any());
    store.purge(&tag("red"), false, 1);
    drop(lead(&store, &key, &any()));
    assert!(!old.is_purged(), "nobody knows yet");
}

#[test]
fn what_is_purged_while_it_is_validated_is_not_renewed() {
    let purges: [fn(&Store); 4] = [
        |s| assert!(s.purge(&Purge::Url((*url(s, "/")).clone()), false, 5000) <= 1),
        |s| assert!(s.purge(&tag("red"), false, 5000) <= 1),
        |s| assert!(s.purge(&tag("new"), false, 5000) <= 1),
        |s| assert!(s.invalidate(&url(s, "/")) <= 1),
    ];
    for (n, purge) in purges.into_iter().enumerate() {
        let store = store();
        let old = tagged("/", &["red"]).put(&store).unwrap();
        let begun = store.sequence();
        purge(&store);
        let tags = [store.tag_hash(b"new")].into();
        let what = (life(6000), head(10));
        let new = store.renew(&old, what.clone(), Selection::default(), tags, begun);
        let found = stored(&store, "/");
        assert!(found.is_none_or(|found| !Arc::ptr_eq(&found, &new)), "{n}");
        // A validation that begins after it is good.
        if let Some(old) = stored(&store, "/") {
            let begun = store.sequence();
            store.renew(&old, what, Selection::default(), Box::default(), begun);
            assert_eq!(expired(&store, "/"), None);
        }
    }
}

#[test]
fn full_tables_purge_more_than_asked_and_never_less() {
    let store = store();
    tagged("/walked", &["other"]).put(&store).unwrap();
    let early = tagged("/early", &["tag 0"]).begin(&store);
    let other = tagged("/other", &["other"]).begin(&store);
    for n in 0..5000 {
        store.purge(&tag(&format!("tag {n}")), true, n);
        store.purge(&prefix(None, &format!("/none/{n}")), false, n);
        store.purge(&Purge::Host(format!("host {n}").into()), true, n);
    }
    assert!(early.is_purged());
    assert!(other.is_purged(), "more than asked");
    assert!(stored(&store, "/walked").is_some(), "it was judged by then");
    tagged("/late", &["other"]).put(&store).unwrap();
    store.purge(&tag("tag 5000"), true, 1);
    assert!(stored(&store, "/late").is_some());
}

#[test]
fn purges_renewals_and_overwrites_at_once_never_bring_back_what_was_purged() {
    let store = store();
    let key = url(&store, "/");
    for _ in 0..300 {
        let old = tagged("/", &["red"]).put(&store).unwrap();
        let begun = store.sequence();
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let what = (life(6000), head(10));
                store.renew(&old, what, Selection::default(), old.tags.clone(), begun)
            });
            scope.spawn(|| store.invalidate(&key));
            scope.spawn(|| store.purge(&tag("blue"), true, 1));
        });
        assert!(stored(&store, "/").is_none());
        let filler = tagged("/", &["red"]).begin(&store);
        std::thread::scope(|scope| {
            scope.spawn(|| filler.finish().map(drop));
            scope.spawn(|| store.purge(&tag("red"), false, 5000));
        });
        let found = store.find(&key, &any()).entry;
        assert!(found.is_none_or(|(_, expired)| expired == Some(5000)));
        store.invalidate(&key);
    }
}
