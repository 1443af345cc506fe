//! Many at once: of several variants, of those who share nothing, and of those who are slow.

use std::time::Duration;

use tokio::time::timeout;

use super::*;

/// A request of a crowd: what it knows, and what it has come to.
struct Asks {
    variant: &'static str,
    hint: Option<Selection>,
    joined: Option<Joined>,
}

/// All who take part in nothing join. Returns how many of them fetch.
fn join_all(store: &Store, key: &Arc<Key>, crowd: &mut [Asks]) -> usize {
    let mut fetches = 0;
    for asks in crowd.iter_mut().filter(|asks| asks.joined.is_none()) {
        let joined = store.join(Arc::clone(key), &wants(asks.variant), asks.hint.as_ref());
        fetches += usize::from(matches!(joined, Joined::Lead(_)));
        asks.joined = Some(joined);
    }
    fetches
}

/// The heads of all fetches come. Who took part in one for others asks again, and knows what it wants.
fn heads_come(crowd: &mut [Asks]) {
    for asks in crowd.iter_mut() {
        if let Some(Joined::Lead(filler)) = &mut asks.joined {
            let what = (head(100), life(1000));
            filler.begins(what, only(asks.variant), Box::default(), None);
        }
    }
    for asks in crowd.iter_mut() {
        let Some(Joined::Follow(reader)) = &asks.joined else {
            continue;
        };
        let Some(State::Streaming(begun)) = now(reader.state()) else {
            panic!("every head has come");
        };
        let request = wants(asks.variant);
        if !begun.selection.matches(&request) {
            asks.hint = Some(begun.selection.wants(&request));
            asks.joined = None;
        }
    }
}

#[test]
fn a_crowd_for_two_variants_of_what_nobody_knows_yet_makes_two_fetches() {
    let store = store();
    let key = url(&store, "/");
    let asks = |n: usize| Asks {
        variant: if n < 100 { "gzip" } else { "br" },
        hint: None,
        joined: None,
    };
    let mut crowd: Vec<Asks> = (0..200).map(asks).collect();
    let mut fetches = Vec::new();
    while crowd.iter().any(|asks| asks.joined.is_none()) {
        fetches.push(join_all(&store, &key, &mut crowd));
        heads_come(&mut crowd);
    }
    assert_eq!(fetches, [1, 1]);
    for asks in &mut crowd {
        if let Some(Joined::Lead(filler)) = asks.joined.take() {
            filler.finish().unwrap();
        }
    }
    assert_eq!(store.stats().entries, 2);
}

#[test]
fn those_who_share_nothing_keep_nobody_else_from_sharing_a_fetch() {
    let store = store();
    let key = url(&store, "/");
    let alone: Vec<Filler> = (0..200).map(|_| store.alone(Arc::clone(&key))).collect();
    let mut filler = lead(&store, &key, &any());
    let shared: Vec<Reader> = (0..10).map(|_| follow(&store, &key, &any())).collect();
    let what = (head(100), life(1000));
    filler.begins(what, Selection::default(), Box::default(), None);
    filler.finish().unwrap();
    assert!(stored(&store, "/").is_some());
    drop((alone, shared));
}

#[test]
fn beyond_a_thousand_who_share_nothing_their_answers_are_not_stored() {
    let store = store();
    let key = url(&store, "/");
    let alone = || store.alone(Arc::clone(&key));
    let _running: Vec<Filler> = (0..1024).map(|_| alone()).collect();
    assert_eq!(alone().degraded(), Some(Why::NoRoom));
    assert_eq!(store.stats().fills, 1024);
}

/// A body that is too large to be stored.
fn large() -> Vec<Bytes> {
    let piece = |n: u8| Bytes::from(vec![n; 65_536]);
    (0..48).map(piece).collect()
}

#[tokio::test]
async fn one_who_stands_still_does_not_hold_all_others_up_for_ever() {
    let store = store();
    let mut filler = lead(&store, &url(&store, "/"), &any());
    let (mut still, mut fast) = (filler.reader(), filler.reader());
    let what = (head(100), life(1000));
    filler.begins(what, Selection::default(), Box::default(), None);
    let body = large();
    let whole = body.concat();
    let writing = tokio::spawn(async move {
        for piece in body {
            filler.write(piece).await;
        }
        filler.finish().map(drop)
    });
    assert_eq!(still.next().await.map(|piece| piece.is_some()), Ok(true));
    let got = timeout(Duration::from_secs(20), read(&mut fast)).await;
    assert!(got.expect("it comes soon") == Ok(whole));
    assert_eq!(still.next().await, Err(Why::TooLarge));
    assert_eq!(writing.await.unwrap(), Err(Why::TooLarge));
}

#[tokio::test]
async fn what_is_purged_meanwhile_is_kept_for_the_slow_and_waits_for_nobody() {
    let store = Store::new(&rules(16 * MIB, 4 * MIB), 7);
    let mut filler = answer("/", 0).begin(&store);
    let (mut still, mut fast) = (filler.reader(), filler.reader());
    store.invalidate(&url(&store, "/"));
    let body = large();
    for piece in &body {
        now(filler.write(piece.clone())).expect("there is room: nobody is waited for");
    }
    assert_eq!((filler.is_purged(), filler.degraded()), (true, None));
    assert_eq!(filler.finish().unwrap_err(), Why::PurgedMeanwhile);
    assert!(stored(&store, "/").is_none());
    for reader in [&mut fast, &mut still] {
        assert!(read(reader).await.unwrap() == body.concat());
    }
}
