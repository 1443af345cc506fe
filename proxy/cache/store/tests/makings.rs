//! One making for many: who makes a form, who reads along, and how it ends for them.

use std::time::Duration;

use tokio::time::timeout;

use super::forms::{BR, GZIP, form, is_empty, made};
use super::*;

#[track_caller]
fn leads(store: &Store, entry: &Arc<Entry>, coding: Coding) -> Maker {
    match store.derive(entry, coding) {
        DerivingStored::Lead(maker) => maker,
        other => panic!("it is to be made: {other:?}"),
    }
}

#[track_caller]
fn follows(store: &Store, entry: &Arc<Entry>, coding: Coding) -> Reader {
    match store.derive(entry, coding) {
        DerivingStored::Follow(reader) => reader,
        other => panic!("somebody makes it: {other:?}"),
    }
}

#[track_caller]
fn leads_from(reader: Reader, coding: Coding) -> (Maker, Reader) {
    match reader.derive(coding) {
        Deriving::Lead(maker, reader) => (maker, reader),
        other => panic!("it is to be made: {other:?}"),
    }
}

#[track_caller]
fn follows_from(reader: Reader, coding: Coding) -> Reader {
    match reader.derive(coding) {
        Deriving::Follow(reader) => reader,
        other => panic!("somebody makes it: {other:?}"),
    }
}

/// A fetch whose head has come.
fn fetch(store: &Store) -> Filler {
    answer("/", 0).begin(store)
}

/// Soon, or the test fails.
async fn soon<F: Future>(future: F) -> F::Output {
    let done = timeout(Duration::from_secs(20), future).await;
    done.expect("it comes soon")
}

#[tokio::test]
async fn who_comes_while_it_is_made_reads_along_and_the_next_one_finds_it() {
    let store = store();
    let entry = answer("/", 1000).put(&store).unwrap();
    let mut maker = leads(&store, &entry, BR);
    let mut own = maker.reader();
    let mut early = follows(&store, &entry, BR);
    assert!(now(early.next()).is_none());
    maker.write("01234".into()).await;
    assert_eq!(own.next().await, Ok(Some("01234".into())));
    let mut late = follows(&store, &entry, BR);
    maker.write("56789".into()).await;
    assert_eq!((store.stats().makings, store.stats().fills), (1, 0));
    let entry = maker.finish(false).unwrap();
    assert_eq!(read(&mut own).await.unwrap(), b"56789");
    for reader in [&mut early, &mut late] {
        assert_eq!(read(reader).await.unwrap(), b"0123456789");
    }
    assert_eq!(form(&store, "/", BR).unwrap(), b"0123456789");
    let DerivingStored::Ready(found) = store.derive(&entry, BR) else {
        panic!("it is there");
    };
    assert!(found.form(BR).is_some());
    assert_eq!(store.stats().makings, 0);
}

#[test]
fn who_had_looked_before_it_was_stored_finds_it_all_the_same() {
    let store = store();
    let before = answer("/", 1000).put(&store).unwrap();
    now(async {
        let mut maker = leads(&store, &before, BR);
        maker.write("form".into()).await;
        maker.finish(false).unwrap();
    });
    assert!(before.form(BR).is_none());
    let DerivingStored::Ready(entry) = store.derive(&before, BR) else {
        panic!("it is there by now");
    };
    assert!(Arc::ptr_eq(&entry, &stored(&store, "/").unwrap()));
}

#[test]
fn each_coding_and_each_body_is_made_on_its_own() {
    let store = store();
    let old = answer("/", 1000).put(&store).unwrap();
    let new = answer("/", 1000).put(&store).unwrap();
    let other = answer("/other", 1000).put(&store).unwrap();
    let _making = [
        leads(&store, &old, BR),
        leads(&store, &old, GZIP),
        leads(&store, &new, BR),
        leads(&store, &other, BR),
    ];
    for entry in [&old, &new, &other] {
        follows(&store, entry, BR);
    }
    assert_eq!(store.stats().makings, 4);
}

#[tokio::test]
async fn a_maker_that_vanishes_or_fails_is_an_error_for_its_readers_and_the_next_one_makes_it() {
    let store = store();
    let entry = answer("/", 1000).put(&store).unwrap();
    let ends: [(fn(Maker), Why); 2] = [
        (drop, Why::Failed),
        (|maker| maker.fails(Why::Incomplete), Why::Incomplete),
    ];
    for (end, why) in ends {
        let mut maker = leads(&store, &entry, BR);
        let mut reader = follows(&store, &entry, BR);
        maker.write("half".into()).await;
        end(maker);
        assert_eq!(reader.next().await, Ok(Some("half".into())));
        assert_eq!(reader.next().await, Err(why));
        assert!(stored(&store, "/").unwrap().forms().is_empty());
    }
    drop(leads(&store, &entry, BR));
    drop(entry);
    store.invalidate(&url(&store, "/"));
    assert!(is_empty(&store));
}

#[tokio::test]
async fn a_form_of_what_is_fetched_is_made_while_it_comes_and_put_beside_it() {
    let store = store();
    let mut filler = fetch(&store);
    let (one, two, three) = (filler.reader(), filler.reader(), filler.reader());
    let (mut maker, mut source) = leads_from(one, BR);
    let mut second = follows_from(two, BR);
    let (gzip, _) = leads_from(three, GZIP);
    filler.write(vec![b'b'; 1000].into()).await;
    assert_eq!(source.next().await.unwrap().unwrap().len(), 1000);
    maker.write("form".into()).await;
    let mut third = follows_from(follow(&store, &url(&store, "/"), &any()), BR);
    let slow = follow(&store, &url(&store, "/"), &any());
    let entry = filler.finish().unwrap();
    // By now it is a stored answer, whose form is made already.
    let mut fourth = follows(&store, &entry, BR);
    let renewed = {
        let (begun, what) = (store.sequence(), (life(5000), head(50)));
        store.renew(&entry, what, Selection::default(), Box::default(), begun)
    };
    drop(entry);
    let mut fifth = follows(&store, &renewed, BR);
    assert_eq!(source.next().await, Ok(None));
    drop(source);
    let whole = maker.finish(false).unwrap();
    assert_eq!((whole.life.received, whole.forms().len()), (5000, 1));
    for reader in [&mut second, &mut third, &mut fourth, &mut fifth] {
        assert_eq!(read(reader).await.unwrap(), b"form");
    }
    assert!(matches!(slow.derive(BR), Deriving::Ready(entry) if entry.form(BR).is_some()));
    // The other one is still being made.
    follows(&store, &whole, GZIP);
    drop(gzip);
    leads(&store, &whole, GZIP);
}

#[tokio::test]
async fn a_form_that_is_made_of_what_is_stored_is_followed_by_those_who_read_the_fetch() {
    let store = store();
    let filler = answer("/", 0).begin(&store);
    let slow = filler.reader();
    let mut filler = filler;
    filler.write(vec![b'b'; 1000].into()).await;
    let entry = filler.finish().unwrap();
    let _maker = leads(&store, &entry, BR);
    follows_from(slow, BR);
}

#[tokio::test]
async fn of_a_fetch_that_fails_there_is_no_form() {
    let store = store();
    let mut filler = fetch(&store);
    let (one, two) = (filler.reader(), filler.reader());
    let (mut maker, mut source) = leads_from(one, BR);
    let mut second = follows_from(two, BR);
    filler.write(vec![b'b'; 1000].into()).await;
    maker.write("form".into()).await;
    drop(filler);
    assert!(source.next().await.unwrap().is_some());
    assert_eq!(source.next().await, Err(Why::Failed));
    // Even if the maker does not listen.
    assert!(maker.finish(false).is_none());
    assert_eq!(second.next().await, Ok(Some("form".into())));
    assert_eq!(second.next().await, Err(Why::Incomplete));
    drop((source, second));
    assert!(is_empty(&store));
}

#[tokio::test]
async fn what_is_purged_while_its_form_is_made_is_sent_and_not_stored() {
    let store = store();
    let entry = answer("/", 1000).put(&store).unwrap();
    let mut maker = leads(&store, &entry, BR);
    let mut reader = maker.reader();
    store.purge(&Purge::All, true, 1);
    maker.write("form".into()).await;
    assert!(maker.finish(false).is_none());
    assert_eq!(read(&mut reader).await.unwrap(), b"form");
    assert!(stored(&store, "/").is_none());
    let mut filler = fetch(&store);
    let (mut maker, _source) = leads_from(filler.reader(), BR);
    let mut reader = maker.reader();
    store.invalidate(&url(&store, "/"));
    filler.write(vec![b'b'; 1000].into()).await;
    maker.write("form".into()).await;
    assert_eq!(filler.finish().unwrap_err(), Why::PurgedMeanwhile);
    assert!(maker.finish(false).is_none());
    assert_eq!(read(&mut reader).await.unwrap(), b"form");
}

#[tokio::test]
async fn a_form_no_smaller_than_its_body_is_sent_to_who_waits_and_remembered() {
    let store = store();
    let entry = answer("/", 3).put(&store).unwrap();
    let mut maker = leads(&store, &entry, BR);
    let mut reader = maker.reader();
    maker.write("form".into()).await;
    let entry = maker.finish(false).unwrap();
    assert!(entry.form(BR).unwrap().body.is_none());
    assert_eq!(read(&mut reader).await.unwrap(), b"form");
    assert!(matches!(store.derive(&entry, BR), DerivingStored::Ready(_)));
}

#[tokio::test]
async fn a_better_form_that_was_put_meanwhile_changes_nothing_for_who_reads_this_one() {
    let store = store();
    let entry = answer("/", 900_000).put(&store).unwrap();
    let mut maker = leads(&store, &entry, BR);
    let (mut reader, body) = (maker.reader(), vec![9; 200_000]);
    for piece in body.chunks(10_000) {
        maker.write(Bytes::copy_from_slice(piece)).await;
    }
    store.put_form(&entry, BR, &made(100_000), true).unwrap();
    let entry = maker.finish(false).unwrap();
    assert!(entry.form(BR).unwrap().is_final);
    assert!(read(&mut reader).await.unwrap() == body);
    assert_eq!(form(&store, "/", BR).unwrap(), made(100_000).concat());
}

#[tokio::test]
async fn a_form_of_what_will_not_be_stored_goes_on_as_fast_as_its_slowest_reader() {
    let store = store();
    let mut filler = fetch(&store);
    let (one, two) = (filler.reader(), filler.reader());
    let (mut maker, mut source) = leads_from(one, BR);
    let (mut fast, mut slow) = (maker.reader(), follows_from(two, BR));
    let body: Vec<Bytes> = (0..80).map(|n: u8| vec![n; 65_536].into()).collect();
    let whole = body.concat();
    let fetching = tokio::spawn(async move {
        for piece in body {
            filler.write(piece).await;
        }
        filler.finish().map(drop)
    });
    let making = tokio::spawn(async move {
        while let Some(piece) = source.next().await.unwrap() {
            maker.write(piece).await;
        }
        let why = maker.degraded();
        (why, maker.finish(false).is_some())
    });
    let (one, other) = soon(async { tokio::join!(read(&mut fast), read(&mut slow)) }).await;
    assert!(one.unwrap() == whole && other.unwrap() == whole);
    assert_eq!(soon(making).await.unwrap(), (Some(Why::TooLarge), false));
    assert_eq!(soon(fetching).await.unwrap(), Err(Why::TooLarge));
    drop((fast, slow));
    assert!(is_empty(&store));
}

#[tokio::test]
async fn what_is_too_large_decoded_is_passed_on_to_who_was_there_from_the_beginning() {
    let store = Store::new(&rules(16 * MIB, 100_000), 7);
    let mut filler = lead(&store, &url(&store, "/"), &any());
    let head = Head::new(StatusCode::OK, [(&b"content-encoding"[..], &b"br"[..])]);
    filler.begins((head, life(1)), Selection::default(), Box::default(), None);
    filler.write("small".into()).await;
    let entry = filler.finish().unwrap();
    let mut maker = leads(&store, &entry, Coding::Identity);
    let mut reader = maker.reader();
    for _ in 0..4 {
        maker.write(vec![1; 60_000].into()).await;
        assert_eq!(reader.next().await.unwrap().unwrap().len(), 60_000);
    }
    assert_eq!(maker.degraded(), Some(Why::TooLarge));
    // The beginning is gone: who comes now makes it for itself.
    let other = leads(&store, &entry, Coding::Identity);
    assert!(maker.finish(true).is_none());
    assert_eq!(reader.next().await, Ok(None));
    follows(&store, &entry, Coding::Identity);
    drop(other);
}

#[tokio::test]
async fn beyond_so_many_makings_of_one_key_each_is_on_its_own() {
    let store = store();
    let put = |n: usize| {
        let name = n.to_string();
        let variant = Answer {
            variant: Some(&name),
            ..answer("/", 100)
        };
        variant.put(&store).unwrap()
    };
    let entries: Vec<_> = (0..40).map(put).collect();
    let mut makers: Vec<Maker> = Vec::new();
    for coding in [BR, GZIP] {
        makers.extend(entries.iter().map(|entry| leads(&store, entry, coding)));
    }
    assert_eq!(store.stats().makings, 64);
    assert_eq!(makers[79].degraded(), Some(Why::NoRoom));
    drop(makers);
    assert_eq!(store.stats().makings, 0);
}

#[tokio::test]
async fn a_making_holds_the_fetch_it_is_of_no_longer_than_it_lasts() {
    let store = Store::new(&rules(16 * MIB, 4 * MIB), 7);
    let mut filler = fetch(&store);
    let (maker, source) = leads_from(filler.reader(), BR);
    let mut reader = maker.reader();
    for _ in 0..20 {
        filler.write(vec![b'b'; 65_536].into()).await;
    }
    drop(filler.finish().unwrap());
    assert!(store.stats().bytes > MIB);
    store.invalidate(&url(&store, "/"));
    drop(source);
    let mut maker = maker;
    maker.write("form".into()).await;
    assert!(maker.finish(false).is_none());
    let held = store.stats().bytes - store.core.shelf.tables();
    assert!(
        held < 4096,
        "a slow reader of a form holds the form: {held}"
    );
    assert_eq!(read(&mut reader).await.unwrap(), b"form");
}
