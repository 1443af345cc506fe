//! When the writer wakes and sleeps, and that nobody waits for a disk that is stuck.

use super::super::tests::{eventually, log_to};
use super::*;
use crate::telemetry::finished::Finished;

#[test]
fn a_writer_that_sleeps_is_woken_once_and_one_that_is_awake_never() {
    let desk = Desk::default();
    assert!(!desk.line_waits());
    desk.wishes.lock().asleep = true;
    assert!(desk.line_waits());
    assert!((0..50).all(|_| !desk.line_waits()));
}

#[test]
fn a_writer_with_nothing_to_write_sleeps_until_something_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("access.log");
    let (log, _) = log_to(&path);
    let desk = log.desk.as_ref().unwrap();
    let asleep = || eventually(|| desk.rest().0);
    asleep();
    let (_, rounds) = desk.rest();
    pause(GATHER * 10);
    assert_eq!(desk.rest(), (true, rounds), "it slept on");
    log.tell(&Finished::example("/", &[]));
    eventually(|| std::fs::metadata(&path).unwrap().len() > 0);
    asleep();
    let (_, rounds) = desk.rest();
    pause(GATHER * 10);
    assert_eq!(desk.rest(), (true, rounds), "and does so again");
}

#[expect(
    clippy::disallowed_methods,
    reason = "that nothing happens cannot be awaited"
)]
fn pause(time: Duration) {
    std::thread::sleep(time);
}

#[test]
fn a_disk_that_is_stuck_stops_neither_who_tells_nor_a_flush_nor_the_end() {
    let dir = tempfile::tempdir().unwrap();
    // A pipe that nobody reads: it takes 64 KiB and then nothing.
    let path = dir.path().join("pipe");
    let made = std::process::Command::new("mkfifo").arg(&path).status();
    assert!(made.unwrap().success());
    let reader = std::fs::File::options()
        .read(true)
        .write(true)
        .open(&path)
        .unwrap();
    let (log, dropped) = log_to(&path);
    let mut told = 0;
    while dropped.get() == 0 {
        log.tell(&Finished::example("/", &[]));
        told += 1;
    }
    assert!(told > 1_000, "{told}");
    log.flush();
    let desk = Arc::downgrade(log.desk.as_ref().unwrap());
    drop(log);
    assert!(desk.upgrade().is_some(), "the writer is stuck");
    // Nobody reads, nobody writes: what waits fails, and the writer ends.
    drop(reader);
    eventually(|| desk.upgrade().is_none());
}
