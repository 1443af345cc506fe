//! Who listens hears what it wants, in order, and what it was too slow for is counted.

use super::*;

fn heard(reader: &Reader) -> Vec<Heard> {
    std::iter::from_fn(|| reader.seat.take()).collect()
}

fn filter(criteria: &[(&str, &str)]) -> Filter {
    let mut filter = Filter::default();
    for (name, value) in criteria {
        filter.add(name, value).unwrap();
    }
    filter
}

#[test]
fn nobody_listens_until_somebody_does_and_after_it_left() {
    let tap = Arc::new(Tap::default());
    assert!(!tap.is_heard(200));
    let reader = tap.listen(Filter::default()).unwrap();
    let other = tap.listen(Filter::default()).unwrap();
    drop(reader);
    assert!(tap.is_heard(200));
    drop(other);
    assert!(!tap.is_heard(200) && tap.seats.read().is_empty());
}

#[test]
fn a_line_is_that_of_the_access_log() {
    let tap = Arc::new(Tap::default());
    let reader = tap.listen(Filter::default()).unwrap();
    let finished = Finished::example("/a\nb", &["app-1"]);
    tap.tell(&finished);
    let [Heard::Line(line)] = &heard(&reader)[..] else {
        panic!("one line");
    };
    assert_eq!([line, &b"\n"[..]].concat(), access_log::line_of(&finished));
    assert!(!line.contains(&b'\n'));
}

#[test]
fn each_reader_hears_what_it_wants() {
    let tap = Arc::new(Tap::default());
    let all = tap.listen(Filter::default()).unwrap();
    let some = tap.listen(filter(&[("path", "/b")])).unwrap();
    for path in ["/a", "/b", "/bc"] {
        tap.tell(&Finished::example(path, &[]));
    }
    assert_eq!((heard(&all).len(), heard(&some).len()), (3, 2));
}

#[test]
fn a_slow_reader_is_told_in_its_place_how_many_lines_it_lost() {
    let tap = Arc::new(Tap::default());
    let reader = tap.listen(Filter::default()).unwrap();
    let tell = |many| (0..many).for_each(|_| tap.tell(&Finished::example("/", &[])));
    let line = access_log::line_of(&Finished::example("/", &[])).len() - 1;
    let room = LINES.min(BYTES / line);
    tell(room + 5);
    assert!(matches!(reader.seat.take(), Some(Heard::Line(_))));
    tell(3);
    let all = heard(&reader);
    let lost = all.iter().position(|one| matches!(one, Heard::Lost(_)));
    let lost = lost.unwrap();
    // There was room for one after the first was read, so that two more were lost after it, or none was where the
    // number of entries is the bound and the word on the loss takes a place.
    assert!(lost == room - 1, "{lost} of {room}");
    let total: u64 = all
        .iter()
        .map(|one| match one {
            Heard::Lost(lines) => *lines,
            Heard::Line(_) => 0,
        })
        .sum();
    let lines = all.iter().filter(|one| matches!(one, Heard::Line(_)));
    assert_eq!(lines.count() as u64 + total + 1, room as u64 + 8);
    tell(1);
    assert!(matches!(&heard(&reader)[..], [Heard::Line(_)]));
}

#[test]
fn what_waits_for_a_reader_is_bounded_in_bytes_too() {
    let tap = Arc::new(Tap::default());
    let reader = tap.listen(Filter::default()).unwrap();
    let path = "/x".repeat(50_000);
    for _ in 0..100 {
        tap.tell(&Finished::example(&path, &[]));
    }
    let bytes = reader.seat.waiting.lock().bytes;
    assert!(bytes <= BYTES && bytes > BYTES / 2, "{bytes}");
    let all = heard(&reader);
    assert!(matches!(all.last(), Some(Heard::Lost(lost)) if *lost as usize == 101 - all.len()));
    assert_eq!(reader.seat.waiting.lock().bytes, 0);
}

#[test]
fn no_more_readers_than_there_are_seats() {
    let tap = Arc::new(Tap::default());
    let mut readers: Vec<_> = (0..MOST_READERS)
        .map(|_| tap.listen(Filter::default()).unwrap())
        .collect();
    assert!(tap.listen(Filter::default()).is_none());
    readers.pop();
    assert!(tap.listen(Filter::default()).is_some());
}

#[tokio::test]
async fn a_reader_waits_for_what_comes() {
    let tap = Arc::new(Tap::default());
    let mut reader = tap.listen(Filter::default()).unwrap();
    let waits = tokio::spawn(async move { reader.next().await });
    let teller = tap.clone();
    std::thread::spawn(move || teller.tell(&Finished::example("/late", &[])));
    let Heard::Line(line) = waits.await.unwrap() else {
        panic!("a line");
    };
    assert!(String::from_utf8_lossy(&line).contains("/late"));
}
