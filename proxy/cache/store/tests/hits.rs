//! How often it is found: better than the least recently used going first, with popular things among scans.

use std::collections::{BTreeMap, HashMap};

use super::*;

const OBJECTS: usize = 20_000;
const REQUESTS: usize = 300_000;
/// Requests between two scans, and how many things each asks for that nobody asks for again.
const SCAN: (usize, usize) = (10_000, 1_000);

/// What is asked for, and how large it is.
struct Asked {
    object: u64,
    size: usize,
}

/// Popularity by Zipf's law with exponent 0.9; nine in ten objects up to 4 KiB, the others up to 64 KiB; a scan now and
/// then.
fn requests(seed: u64) -> impl Iterator<Item = Asked> {
    let mut dice = fastrand::Rng::with_seed(seed);
    let mut sum = 0.0;
    let sums = (1..=OBJECTS).map(|rank| {
        sum += (rank as f64).powf(-0.9);
        sum
    });
    let sums: Vec<f64> = sums.collect();
    let mut sizes = vec![0; OBJECTS];
    sizes
        .iter_mut()
        .for_each(|size| *size = size_of_one(&mut dice));
    (0..REQUESTS).map(move |n| {
        if n % SCAN.0 < SCAN.1 {
            let object = (OBJECTS + n) as u64;
            let size = size_of_one(&mut dice);
            return Asked { object, size };
        }
        let at = dice.f64() * sum;
        let object = sums.partition_point(|sum| *sum < at).min(OBJECTS - 1);
        let size = sizes[object];
        Asked {
            object: object as u64,
            size,
        }
    })
}

fn size_of_one(dice: &mut fastrand::Rng) -> usize {
    match dice.u8(..10) {
        0 => dice.usize(4_096..65_536),
        _ => dice.usize(200..4_096),
    }
}

/// The least recently used goes first. It is given an advantage: an entry takes the bytes of its body alone.
#[derive(Default)]
struct Lru {
    clock: u64,
    bytes: u64,
    at: HashMap<u64, (u64, u64)>,
    order: BTreeMap<u64, u64>,
}

impl Lru {
    fn ask(&mut self, object: u64, bytes: u64, cap: u64) -> bool {
        self.clock += 1;
        let hit = self.at.remove(&object);
        if let Some((used, bytes)) = hit {
            self.order.remove(&used);
            self.bytes -= bytes;
        }
        while self.bytes + bytes > cap {
            let (_, oldest) = self.order.pop_first().expect("one is smaller than the cap");
            self.bytes -= self.at.remove(&oldest).unwrap().1;
        }
        self.bytes += bytes;
        self.at.insert(object, (self.clock, bytes));
        self.order.insert(self.clock, object);
        hit.is_some()
    }
}

#[test]
fn popular_things_among_scans_are_found_five_points_more_often_than_by_lru() {
    for seed in [1, 2] {
        let mut sizes = HashMap::new();
        sizes.extend(requests(seed).map(|asked| (asked.object, asked.size as u64)));
        let cap = sizes.values().sum::<u64>() / 10;
        let store = Store::new(&rules(cap, MIB / 8), 7);
        let mut lru = Lru::default();
        let (mut hits, mut lru_hits) = (0, 0);
        for Asked { object, size } in requests(seed) {
            let path = format!("/{object}");
            let found = stored(&store, &path);
            hits += u32::from(found.is_some());
            let entry = found.unwrap_or_else(|| answer(&path, size).put(&store).unwrap());
            assert_eq!(entry.body.len(), size as u64);
            lru_hits += u32::from(lru.ask(object, size as u64, cap));
        }
        let percent = |hits: u32| 100.0 * f64::from(hits) / REQUESTS as f64;
        let (ours, theirs) = (percent(hits), percent(lru_hits));
        println!("seed {seed}: {ours:.2} %, LRU {theirs:.2} %");
        assert!(ours >= theirs + 5.0, "{ours:.2} % and LRU {theirs:.2} %");
    }
}
