//! What is told arrives: at a flush, over a rotation, and when the log goes.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, Instant};

use super::*;
use crate::config::checked::LogPath;

/// A log to this file, and how many of its lines were dropped.
pub(super) fn log_to(path: &Path) -> (AccessLog, IntCounter) {
    let config = checked::AccessLog {
        path: LogPath::File(path.into()),
        format: LogFormat::Json,
        sample: 1.0,
    };
    let dropped = IntCounter::new("d", "d").unwrap();
    (AccessLog::open(&config, dropped.clone()).unwrap(), dropped)
}

pub(super) fn eventually(holds: impl Fn() -> bool) {
    let begun = Instant::now();
    while !holds() {
        assert!(begun.elapsed() < Duration::from_secs(20), "not in time");
        std::thread::park_timeout(Duration::from_millis(1));
    }
}

fn lines_of(path: &Path) -> Vec<serde_json::Value> {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    assert!(text.is_empty() || text.ends_with('\n'));
    let lines = text.lines().map(serde_json::from_str);
    lines.collect::<Result<_, _>>().unwrap()
}

#[test]
fn lines_reach_the_file_and_a_flush_waits_for_them() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("access.log");
    let (log, _) = log_to(&path);
    for _ in 0..100 {
        log.tell(&Finished::example("/", &[]));
    }
    log.flush();
    assert_eq!(lines_of(&path).len(), 100);
    std::fs::rename(&path, dir.path().join("access.log.1")).unwrap();
    log.reopen();
    log.tell(&Finished::example("/", &[]));
    log.flush();
    assert_eq!(lines_of(&path).len(), 1);
}

#[test]
fn failures_are_told_whatever_the_sample() {
    let config = checked::AccessLog {
        path: LogPath::Stdout,
        format: LogFormat::Json,
        sample: 0.25,
    };
    let log = AccessLog::open(&config, IntCounter::new("d", "d").unwrap()).unwrap();
    assert!(log.wants(true, || 0.99));
    assert!(!log.wants(false, || 0.99));
    assert!(log.wants(false, || 0.2));
}

#[test]
fn a_log_that_goes_writes_its_last_lines() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("access.log");
    let (log, dropped) = log_to(&path);
    for _ in 0..1_000 {
        log.tell(&Finished::example("/", &[]));
    }
    drop(log);
    eventually(|| {
        std::fs::read(&path)
            .unwrap()
            .iter()
            .filter(|b| **b == b'\n')
            .count()
            == 1_000
    });
    assert_eq!((lines_of(&path).len(), dropped.get()), (1_000, 0));
}

#[test]
fn rotations_under_load_lose_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("access.log");
    let (log, dropped) = log_to(&path);
    let done = AtomicBool::new(false);
    let told = std::thread::scope(|scope| {
        let tell = || {
            let mut told = 0;
            while !done.load(Relaxed) {
                log.tell(&Finished::example("/", &["app-1"]));
                told += 1;
                if told % 100 == 0 {
                    std::thread::yield_now();
                }
            }
            told
        };
        let threads = [scope.spawn(tell), scope.spawn(tell)];
        for n in 0..8 {
            eventually(|| std::fs::metadata(&path).is_ok_and(|file| file.len() > 0));
            std::fs::rename(&path, dir.path().join(format!("access.log.{n}"))).unwrap();
            log.reopen();
        }
        done.store(true, Relaxed);
        threads.map(|t| t.join().unwrap()).iter().sum::<u64>()
    });
    log.flush();
    let files = std::fs::read_dir(dir.path()).unwrap();
    let lines = files.map(|file| lines_of(&file.unwrap().path()).len() as u64);
    assert_eq!(lines.sum::<u64>() + dropped.get(), told);
}

#[test]
fn lines_that_a_full_disk_does_not_take_are_counted() {
    let (log, dropped) = log_to(Path::new("/dev/full"));
    for _ in 0..500 {
        log.tell(&Finished::example("/", &[]));
    }
    log.flush();
    assert_eq!(dropped.get(), 500);
}
