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

/// As if it had been compressed.
fn halved(piece: &[u8]) -> Bytes {
    piece.chunks(2).map(|pair| pair[0]).collect()
}

fn form_of(entry: &Entry) -> Vec<u8> {
    let body = entry.form(Coding::Brotli).unwrap().body.as_ref();
    body.unwrap().pieces().concat()
}

/// What one of a crowd gets of a form, and whether it made it.
type Got = (Result<Vec<u8>, Why>, bool);

async fn makes(mut maker: Maker, piece: &[u8]) -> Maker {
    maker.write(halved(piece)).await;
    tokio::task::yield_now().await;
    maker
}

async fn reads_fetch(reader: Reader) -> Got {
    match reader.derive(Coding::Brotli) {
        Deriving::Ready(entry) => (Ok(form_of(&entry)), false),
        Deriving::Follow(mut reader) => (read(&mut reader).await, false),
        Deriving::Lead(mut maker, mut source) => {
            let mut own = maker.reader();
            while let Some(piece) = source.next().await.unwrap() {
                maker = makes(maker, &piece).await;
            }
            maker.finish(false).unwrap();
            (read(&mut own).await, true)
        }
    }
}

async fn finds_entry(store: &Store) -> Got {
    let entry = loop {
        match stored(store, "/") {
            Some(entry) => break entry,
            None => tokio::task::yield_now().await,
        }
    };
    match store.derive(&entry, Coding::Brotli) {
        DerivingStored::Ready(entry) => (Ok(form_of(&entry)), false),
        DerivingStored::Follow(mut reader) => (read(&mut reader).await, false),
        DerivingStored::Lead(mut maker) => {
            let mut own = maker.reader();
            for piece in entry.body.pieces() {
                maker = makes(maker, piece).await;
            }
            maker.finish(false).unwrap();
            (read(&mut own).await, true)
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_crowd_that_comes_while_something_is_fetched_and_after_that_makes_a_form_of_it_once() {
    let store = Arc::new(store());
    for round in 0..40 {
        let mut filler = answer("/", 0).begin(&store);
        let body: Vec<Bytes> = (0..40).map(|n: u8| vec![n ^ round; 5_000].into()).collect();
        let (whole, last) = (halved(&body.concat()), filler.reader());
        // In every other round those who read the fetch come late too.
        let is_late = round % 2 == 0;
        let one = |n: u32| {
            let (store, reader) = (Arc::clone(&store), filler.reader());
            tokio::spawn(async move {
                while is_late && stored(&store, "/").is_none() {
                    tokio::task::yield_now().await;
                }
                match n % 2 {
                    0 => reads_fetch(reader).await,
                    _ => finds_entry(&store).await,
                }
            })
        };
        let crowd: Vec<_> = (0..60).map(one).collect();
        for piece in body {
            filler.write(piece).await;
            tokio::task::yield_now().await;
        }
        drop(filler.finish().unwrap());
        let mut makers = 0;
        for one in crowd {
            let got = timeout(Duration::from_secs(20), one).await;
            let (got, made) = got.expect("it comes soon").unwrap();
            assert!(got.unwrap() == whole);
            makers += u32::from(made);
        }
        assert_eq!(makers, 1, "round {round}");
        assert!(matches!(last.derive(Coding::Brotli), Deriving::Ready(_)));
        assert_eq!(store.stats().makings, 0);
        assert_eq!(store.invalidate(&url(&store, "/")), 1);
    }
}
