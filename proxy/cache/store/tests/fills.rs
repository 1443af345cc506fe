//! One fetch for many: who joins, what they read, and how it ends for them.

use std::time::Duration;

use tokio::time::timeout;

use super::*;

fn begun(filler: &mut Filler, selection: Selection, length: Option<u64>) {
    filler.begins((head(100), life(1000)), selection, Box::default(), length);
}

fn pieces(count: usize, size: usize) -> Vec<Bytes> {
    (0..count)
        .map(|n| Bytes::from(vec![n as u8; size]))
        .collect()
}

/// Soon, or the test fails.
async fn soon<F: Future>(future: F) -> F::Output {
    timeout(Duration::from_secs(20), future)
        .await
        .expect("it comes soon")
}

#[tokio::test]
async fn who_comes_while_it_is_fetched_reads_along_and_the_next_one_finds_it() {
    let store = store();
    let key = url(&store, "/");
    let mut filler = lead(&store, &key, &any());
    let mut first = filler.reader();
    let mut second = follow(&store, &key, &any());
    assert!(now(second.state()).is_none());
    begun(&mut filler, Selection::default(), Some(20));
    let State::Streaming(head) = second.state().await else {
        panic!("it streams");
    };
    assert_eq!(head.length, Some(20));
    filler.write("0123456789".into()).await;
    assert_eq!(first.next().await, Ok(Some("0123456789".into())));
    assert!(now(first.next()).is_none());
    let mut late = follow(&store, &key, &any());
    filler.write("abcdefghij".into()).await;
    filler.finish().unwrap();
    assert_eq!(read(&mut first).await.unwrap(), b"abcdefghij");
    for reader in [&mut second, &mut late] {
        assert_eq!(read(reader).await.unwrap(), b"0123456789abcdefghij");
    }
    assert_eq!(
        body_of(&stored(&store, "/").unwrap()),
        b"0123456789abcdefghij"
    );
    assert_eq!(store.stats().fills, 0);
}

#[tokio::test]
async fn who_waits_for_the_last_piece_gets_it_when_all_is_stored() {
    let store = store();
    let mut filler = lead(&store, &url(&store, "/"), &any());
    let mut reader = filler.reader();
    begun(&mut filler, Selection::default(), Some(10));
    let waiting = tokio::spawn(async move { reader.next().await });
    tokio::task::yield_now().await;
    filler.write("0123456789".into()).await;
    tokio::task::yield_now().await;
    assert!(!waiting.is_finished());
    filler.finish().unwrap();
    assert!(stored(&store, "/").is_some());
    let last = soon(waiting).await.unwrap();
    assert_eq!(last, Ok(Some("0123456789".into())));
}

#[tokio::test]
async fn a_range_is_read_from_where_it_begins() {
    let store = store();
    let mut filler = lead(&store, &url(&store, "/"), &any());
    let (mut near, mut far) = (filler.reader(), filler.reader());
    begun(&mut filler, Selection::default(), None);
    filler.write("0123456789".into()).await;
    near.seek(7);
    far.seek(11);
    assert_eq!(near.next().await, Ok(Some("789".into())));
    assert!(now(far.next()).is_none());
    filler.write("abc".into()).await;
    assert_eq!(far.next().await, Ok(Some("bc".into())));
}

#[tokio::test]
async fn a_filler_that_vanishes_is_an_error_for_its_readers_and_never_an_end() {
    let store = store();
    let key = url(&store, "/");
    let mut filler = lead(&store, &key, &any());
    let early = follow(&store, &key, &any());
    drop(filler);
    assert!(matches!(early.state().await, State::Failed(Why::Failed)));
    filler = lead(&store, &key, &any());
    let mut reader = filler.reader();
    begun(&mut filler, Selection::default(), None);
    filler.write("half".into()).await;
    drop(filler);
    assert_eq!(reader.next().await, Ok(Some("half".into())));
    assert_eq!(reader.next().await, Err(Why::Failed));
    assert!(stored(&store, "/").is_none());
    drop((early, reader));
    let tables = store.core.shelf.tables();
    assert_eq!((store.stats().fills, store.stats().bytes), (0, tables));
}

#[tokio::test]
async fn a_body_of_another_length_than_announced_is_no_answer() {
    for length in [3, 5] {
        let store = store();
        let mut filler = lead(&store, &url(&store, "/"), &any());
        let mut reader = filler.reader();
        begun(&mut filler, Selection::default(), Some(length));
        filler.write("four".into()).await;
        assert_eq!(filler.finish().unwrap_err(), Why::Incomplete);
        assert_eq!(read(&mut reader).await, Err(Why::Incomplete));
        assert!(stored(&store, "/").is_none());
    }
}

#[tokio::test]
async fn readers_are_told_when_there_is_nothing_for_them() {
    let store = store();
    let key = url(&store, "/");
    let confirmed = answer("/", 5).put(&store).unwrap();
    type End = fn(Filler, Arc<Entry>);
    let ends: [(End, &str); 3] = [
        (|filler, _| filler.give_up(Why::Private), "GaveUp(Private)"),
        (|filler, _| filler.fails(Why::Failed), "Failed(Failed)"),
        (|filler, entry| filler.confirmed(entry), "Stored"),
    ];
    for (end, expected) in ends {
        let filler = lead(&store, &key, &any());
        let reader = follow(&store, &key, &any());
        end(filler, Arc::clone(&confirmed));
        let state = format!("{:?}", reader.state().await);
        assert!(state.starts_with(expected), "{state}");
        assert_eq!(store.stats().fills, 0);
    }
}

#[tokio::test]
async fn requests_join_what_may_be_for_them_and_nothing_else() {
    let store = store();
    let key = url(&store, "/");
    let knowing = |variant: &str| {
        let hint = only(variant);
        store.join(Arc::clone(&key), &wants(variant), Some(&hint))
    };
    // Nothing is known yet: everybody hopes.
    let mut a = lead(&store, &key, &wants("a"));
    let hopeful = follow(&store, &key, &wants("b"));
    assert!(
        matches!(knowing("b"), Joined::Lead(_)),
        "who hoped once does not again"
    );
    begun(&mut a, only("a"), None);
    let State::Streaming(head) = hopeful.state().await else {
        panic!("it streams");
    };
    assert!(!head.selection.matches(&wants("b")));
    assert!(matches!(knowing("a"), Joined::Follow(_)));
    let mut b = lead(&store, &key, &wants("b"));
    begun(&mut b, only("b"), None);
    // Two variants at once.
    a.finish().unwrap();
    b.finish().unwrap();
    assert_eq!(store.stats().entries, 2);
    // By now it is known what selects.
    let c = lead(&store, &key, &wants("c"));
    let _d = lead(&store, &key, &wants("d"));
    let _also_c = follow(&store, &key, &wants("c"));
    assert_eq!(store.stats().fills, 2);
    drop(c);
}

#[tokio::test]
async fn beyond_so_many_fetches_of_one_key_each_is_on_its_own_and_is_not_stored() {
    let store = store();
    let key = url(&store, "/");
    let other = |n: usize| {
        let (request, hint) = (wants(&n.to_string()), only(&n.to_string()));
        store.join(Arc::clone(&key), &request, Some(&hint))
    };
    let running: Vec<Joined> = (0..64).map(other).collect();
    let Joined::Lead(mut last) = other(64) else {
        panic!("it joins nobody who wants another variant");
    };
    assert_eq!(store.stats().fills, 64);
    let mut reader = last.reader();
    begun(&mut last, Selection::default(), None);
    last.write("whole".into()).await;
    assert_eq!(last.finish().unwrap_err(), Why::NoRoom);
    assert_eq!(read(&mut reader).await.unwrap(), b"whole");
    drop(running);
    assert_eq!(store.stats().fills, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_read_one_fetch_and_all_of_them_get_all_of_it() {
    let store = store();
    let key = url(&store, "/");
    let mut filler = lead(&store, &key, &any());
    let readers: Vec<_> = (0..1000)
        .map(|_| {
            let mut reader = follow(&store, &key, &any());
            tokio::spawn(async move { read(&mut reader).await })
        })
        .collect();
    begun(&mut filler, Selection::default(), None);
    let body = pieces(50, 10_000);
    for piece in &body {
        filler.write(piece.clone()).await;
        tokio::task::yield_now().await;
    }
    filler.finish().unwrap();
    for reader in readers {
        assert_eq!(soon(reader).await.unwrap().unwrap(), body.concat());
    }
}

#[tokio::test]
async fn pieces_of_a_byte_become_a_body_of_few() {
    let store = store();
    let mut filler = lead(&store, &url(&store, "/"), &any());
    let mut reader = filler.reader();
    begun(&mut filler, Selection::default(), None);
    let body: Vec<u8> = (0..200_000_u32).map(|n| (n / 3) as u8).collect();
    for byte in &body {
        filler.write(Bytes::copy_from_slice(&[*byte])).await;
    }
    assert!(store.stats().bytes < 400_000, "{:?}", store.stats());
    let entry = filler.finish().unwrap();
    assert!(
        entry.body.pieces().len() < 24,
        "{}",
        entry.body.pieces().len()
    );
    assert_eq!(read(&mut reader).await.unwrap(), body);
    assert_eq!(body_of(&entry), body);
}

#[tokio::test]
async fn what_is_too_large_goes_on_for_its_readers_as_fast_as_the_slowest() {
    let store = store();
    let key = url(&store, "/");
    let mut filler = lead(&store, &key, &any());
    let (mut fast, mut slow, idle) = (filler.reader(), filler.reader(), filler.reader());
    begun(&mut filler, Selection::default(), None);
    let body = pieces(120, 65_536);
    let whole = body.concat();
    let writing = tokio::spawn(async move {
        for piece in body {
            filler.write(piece).await;
        }
        let degraded = filler.degraded();
        (degraded, filler.finish().map(drop))
    });
    let mut got = Vec::new();
    while got.len() < MIB as usize {
        got.extend_from_slice(&soon(fast.next()).await.unwrap().unwrap());
    }
    // Those who have read nothing hold it up; nobody else joins it.
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    assert!(now(fast.next()).is_none() && !writing.is_finished());
    let held = store.stats().bytes;
    assert!(held < 2 * MIB, "{held}");
    drop(lead(&store, &key, &any()));
    drop(idle);
    let (rest, all) = soon(async { tokio::join!(read(&mut fast), read(&mut slow)) }).await;
    got.extend(rest.unwrap());
    assert!(got == whole && all.unwrap() == whole);
    let (degraded, end) = writing.await.unwrap();
    assert_eq!((degraded, end), (Some(Why::TooLarge), Err(Why::TooLarge)));
    assert!(stored(&store, "/").is_none());
}

#[tokio::test]
async fn what_is_too_large_and_read_by_nobody_is_let_go() {
    let store = store();
    let mut filler = lead(&store, &url(&store, "/"), &any());
    begun(&mut filler, Selection::default(), Some(9 * MIB));
    assert_eq!(filler.degraded(), Some(Why::TooLarge));
    assert!(!filler.has_readers());
    let before = store.stats().bytes;
    for piece in pieces(144, 65_536) {
        soon(filler.write(piece)).await;
    }
    assert_eq!(store.stats().bytes, before);
}

#[tokio::test]
async fn without_room_a_piece_at_a_time_is_passed_on() {
    // All the room is taken by answers that are being sent.
    let store = store();
    let mut sent = Vec::new();
    for n in 0.. {
        match answer(&format!("/{n}"), 900_000).put(&store) {
            Ok(entry) => sent.push(entry),
            Err(why) => {
                assert_eq!(why, Why::NoRoom);
                break;
            }
        }
    }
    let mut filler = lead(&store, &url(&store, "/late"), &any());
    let mut reader = filler.reader();
    begun(&mut filler, Selection::default(), None);
    let body = pieces(40, 60_000);
    let expected = body.concat();
    let writing = tokio::spawn(async move {
        for piece in body {
            filler.write(piece).await;
        }
        filler.finish().map(drop)
    });
    assert_eq!(soon(read(&mut reader)).await.unwrap(), expected);
    assert_eq!(writing.await.unwrap(), Err(Why::NoRoom));
    assert!(store.stats().bytes <= 16 * MIB);
    drop((sent, reader));
    answer("/again", 900_000).put(&store).unwrap();
}

#[tokio::test]
async fn a_write_that_is_cancelled_has_not_happened() {
    let store = store();
    let mut filler = lead(&store, &url(&store, "/"), &any());
    let mut reader = filler.reader();
    begun(&mut filler, Selection::default(), Some(9 * MIB));
    let full = pieces(16, 65_536);
    for piece in &full {
        soon(filler.write(piece.clone())).await;
    }
    assert!(now(filler.write("lost".into())).is_none());
    drop(filler);
    let mut all = Vec::new();
    while let Ok(Some(piece)) = reader.next().await {
        all.extend_from_slice(&piece);
    }
    assert_eq!(all, full.concat());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn other_rules_while_something_is_fetched_change_nothing_for_its_readers() {
    let store = store();
    let key = url(&store, "/");
    let mut filler = lead(&store, &key, &any());
    let mut reader = follow(&store, &key, &any());
    let reading = tokio::spawn(async move { read(&mut reader).await });
    begun(&mut filler, Selection::default(), None);
    let body = pieces(60, 10_000);
    for (n, piece) in body.iter().enumerate() {
        soon(filler.write(piece.clone())).await;
        let memory = if n % 2 == 0 { 2 } else { 16 };
        store.set_rules(&rules(memory * MIB, MIB));
    }
    filler.finish().unwrap();
    assert_eq!(soon(reading).await.unwrap().unwrap(), body.concat());
    assert_eq!(body_of(&stored(&store, "/").unwrap()), body.concat());
}
