//! Whose lines wait where, and how much memory that may take.

use super::*;

fn told(buffers: &Buffers, path: &str) -> Told {
    buffers.tell(&Finished::example(path, &["app-1"]))
}

fn taken(buffers: &Buffers, spares: &mut Spares) -> Vec<u8> {
    let mut all = Vec::new();
    let any = buffers.take_all(spares, |lines| all.extend_from_slice(lines));
    assert_eq!(any, !all.is_empty());
    all
}

fn lines(bytes: &[u8]) -> usize {
    bytes.iter().filter(|b| **b == b'\n').count()
}

#[test]
fn only_the_first_line_after_the_writer_was_there_has_to_be_said() {
    let (buffers, mut spares) = (Buffers::default(), Spares::default());
    for _ in 0..2 {
        assert!(buffers.are_empty());
        assert_eq!(told(&buffers, "/"), Told::WaitsFirst);
        assert!((0..50).all(|_| told(&buffers, "/") == Told::Waits));
        assert!(!buffers.are_empty());
        assert_eq!(lines(&taken(&buffers, &mut spares)), 51);
    }
    assert_eq!(lines(&taken(&buffers, &mut spares)), 0);
}

#[test]
fn where_there_is_no_memory_left_a_line_is_dropped_and_those_before_it_are_whole() {
    let (buffers, mut spares) = (Buffers::default(), Spares::default());
    let mut waiting = 0;
    while told(&buffers, "/") != Told::Dropped {
        waiting += 1;
        assert!(buffers.held() <= MEMORY);
    }
    let all = taken(&buffers, &mut spares);
    assert_eq!(lines(&all), waiting);
    assert!(all.ends_with(b"}\n"));
    assert!(all.len() > SHARE - 2 * BLOCK, "{} bytes waited", all.len());
    // And then there is some again.
    assert_ne!(told(&buffers, "/"), Told::Dropped);
}

#[test]
fn memory_that_others_lack_is_theirs_once_its_lines_are_written() {
    let (buffers, mut spares) = (Buffers::default(), Spares::default());
    let fill = || while told(&buffers, "/") != Told::Dropped {};
    std::thread::scope(|scope| {
        let threads = [scope.spawn(fill), scope.spawn(fill)];
        threads.into_iter().for_each(|t| t.join().unwrap());
    });
    assert!(buffers.held() > MEMORY - BLOCK, "{}", buffers.held());
    assert_eq!(
        told(&buffers, "/"),
        Told::Dropped,
        "nothing is left for a third"
    );
    taken(&buffers, &mut spares);
    assert!(buffers.held() <= SHARE, "{}", buffers.held());
    assert_eq!(told(&buffers, "/"), Told::WaitsFirst);
}

#[test]
fn a_line_longer_than_the_memory_is_dropped_and_one_of_many_blocks_is_told() {
    let (buffers, mut spares) = (Buffers::default(), Spares::default());
    let long = "x".repeat(BLOCK);
    assert_eq!(told(&buffers, &long), Told::WaitsFirst);
    assert_eq!(told(&buffers, &"x".repeat(MEMORY)), Told::Dropped);
    let all = taken(&buffers, &mut spares);
    assert_eq!(lines(&all), 1);
    assert!(all.len() > BLOCK);
}

#[test]
fn the_memory_of_a_burst_goes_back() {
    let (buffers, mut spares) = (Buffers::default(), Spares::default());
    // Both of the shard's buffers become large.
    for _ in 0..2 {
        for _ in 0..5_000 {
            assert_ne!(told(&buffers, "/"), Told::Dropped);
        }
        taken(&buffers, &mut spares);
    }
    let burst = buffers.held();
    assert!(burst > 16 * BLOCK, "{burst}");
    let idle = |buffers: &Buffers| {
        let memory = |b: &Buffer| b.bytes.capacity();
        let shards = buffers.shards.iter().map(|s| memory(&s.0.lock().lines));
        shards.sum::<usize>()
    };
    // Once while nothing is told at all.
    taken(&buffers, &mut spares);
    assert!(buffers.held() <= 2 * BLOCK, "{}", buffers.held());
    let spare: usize = spares.iter().map(|s| s.bytes.capacity()).sum();
    assert_eq!(idle(&buffers) + spare, buffers.held());
}

#[test]
fn the_memory_of_a_burst_goes_back_while_a_little_is_told() {
    let (buffers, mut spares) = (Buffers::default(), Spares::default());
    for many in [5_000, 5_000, 1, 1] {
        for _ in 0..many {
            assert_ne!(told(&buffers, "/"), Told::Dropped);
        }
        taken(&buffers, &mut spares);
    }
    assert!(buffers.held() <= 2 * BLOCK, "{}", buffers.held());
}

#[test]
fn memory_that_is_used_stays() {
    let (buffers, mut spares) = (Buffers::default(), Spares::default());
    let mut held = Vec::new();
    for _ in 0..6 {
        for _ in 0..2_000 {
            assert_ne!(told(&buffers, "/"), Told::Dropped);
        }
        taken(&buffers, &mut spares);
        held.push(buffers.held());
    }
    // From when both buffers have been filled once.
    assert!(held[1..].iter().all(|h| *h == held[1]), "{held:?}");
}

#[test]
fn lines_of_many_threads_are_whole_all_there_and_each_thread_s_in_its_order() {
    const THREADS: usize = 2 * SHARDS + 3;
    const LINES: usize = 200;
    let (buffers, mut spares) = (Buffers::default(), Spares::default());
    let mut all = Vec::new();
    std::thread::scope(|scope| {
        let tell = |thread: usize| {
            let buffers = &buffers;
            move || {
                for n in 0..LINES {
                    while told(buffers, &format!("/{thread}/{n}")) == Told::Dropped {
                        std::thread::yield_now();
                    }
                }
            }
        };
        let threads: Vec<_> = (0..THREADS).map(|t| scope.spawn(tell(t))).collect();
        while threads.iter().any(|t| !t.is_finished()) {
            all.extend(taken(&buffers, &mut spares));
        }
    });
    all.extend(taken(&buffers, &mut spares));
    let mut next = [0; THREADS];
    for line in String::from_utf8(all).unwrap().lines() {
        let line: serde_json::Value = serde_json::from_str(line).unwrap();
        let (thread, n) = line["path"].as_str().unwrap()[1..].split_once('/').unwrap();
        let next = &mut next[thread.parse::<usize>().unwrap()];
        assert_eq!(n.parse::<usize>().unwrap(), *next, "of thread {thread}");
        *next += 1;
    }
    assert_eq!(next, [LINES; THREADS]);
}
