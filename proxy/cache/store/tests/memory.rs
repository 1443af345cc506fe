//! What an entry takes beside its body, and that all of it together is what was counted.

use super::*;

/// As the program has it, or what is measured here would not be what it takes.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[test]
fn a_kibibyte_takes_less_than_five_hundred_bytes_beside_it() {
    const OBJECTS: u64 = 100_000;
    let store = Store::new(&rules(256 * MIB, MIB), 7);
    let base = resident();
    let mut beside = 0;
    for n in 0..OBJECTS {
        let entry = answer(&format!("/objects/{n:08}"), 1024)
            .put(&store)
            .unwrap();
        beside += (entry.key.size() + entry.head.lines().len()) as u64;
    }
    let Stats { entries, bytes, .. } = store.stats();
    assert_eq!(entries, OBJECTS);
    let each = (bytes - OBJECTS * 1024) / OBJECTS;
    let own = each - beside / OBJECTS;
    println!("{} bytes of memory each", (resident() - base) / OBJECTS);
    println!("{each} bytes beside the body, {own} beside key and head too");
    assert!(own <= 500, "{own}");
    assert!(each <= 700, "{each}");
}

#[test]
fn forms_take_their_bytes_and_little_else_and_never_more_than_the_cap() {
    let store = Store::new(&rules(256 * MIB, MIB), 7);
    let without = |n: u32| answer(&format!("/objects/{n:08}"), 1024).put(&store);
    let entries: Vec<_> = (0..10_000).map(|n| without(n).unwrap()).collect();
    let before = store.stats().bytes;
    for entry in entries {
        let form = Bytes::from_static(&[7; 256]);
        let done = store.put_form(&entry, Coding::Brotli, &[form], false);
        assert!(done.is_some());
    }
    let Stats {
        bytes,
        form_bytes,
        forms,
        ..
    } = store.stats();
    assert_eq!((forms, bytes - before), (10_000, form_bytes));
    let beside = form_bytes / forms - 256;
    println!("{beside} bytes beside a form");
    assert!(beside <= 256, "{beside}");
}

#[test]
fn a_flood_of_forms_never_exceeds_the_cap_and_evicts_whole_answers() {
    let source = Bytes::from(vec![b'b'; MIB as usize]);
    let store = Store::new(&rules(8 * MIB, MIB), 7);
    let mut dice = fastrand::Rng::with_seed(1);
    let mut held = std::collections::VecDeque::new();
    for n in 0..3000 {
        let path = format!("/{}", dice.u32(..400));
        let mut answer = answer(&path, 0);
        answer.body = source.slice(..dice.usize(1..100_000));
        let Ok(entry) = answer.put(&store) else {
            continue;
        };
        for coding in Coding::ALL {
            let half = source.slice(..answer.body.len() / dice.usize(1..4));
            drop(store.put_form(&entry, coding, &[half], dice.bool()));
        }
        // Some of it is being sent.
        held.push_back(stored(&store, &path));
        held.truncate(if n % 100 == 0 { 0 } else { 20 });
        let Stats {
            bytes, capacity, ..
        } = store.stats();
        assert!(bytes <= capacity, "{bytes} of {capacity}");
    }
    let Stats { entries, forms, .. } = store.stats();
    assert!(entries > 20 && forms > entries, "{entries} {forms}");
    held.clear();
    store.purge(&Purge::All, true, 1);
    assert_eq!(store.stats().bytes, store.core.shelf.tables());
}

/// Bytes of this process in memory; 0 where nobody tells.
fn resident() -> u64 {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap_or("0 0".into());
    let pages: u64 = statm.split(' ').nth(1).unwrap().parse().unwrap();
    pages * 4096
}

/// Ten times the cap in distinct URLs from 200 B to 1 MiB, variants without end, large heads: the process does not grow
/// by more than the cap and a quarter. In most of a minute: the allocator keeps for a second what is given back.
#[tokio::test]
#[ignore = "a measurement, to be read: cargo nextest run --lib storm --run-ignored only --no-capture"]
async fn a_storm_of_urls_grows_the_process_by_the_cap_and_a_quarter_at_most() {
    let source = Bytes::from(vec![b'b'; MIB as usize]);
    let base = resident();
    let cap = 64 * MIB;
    let store = Store::new(&rules(cap, 4 * MIB), 7);
    let mut dice = fastrand::Rng::with_seed(1);
    let (mut total, mut most) = (0, 0);
    let mut n = 0;
    while total < 10 * cap {
        let size = (200.0 * (1_048_576_f64 / 200.0).powf(dice.f64())) as usize;
        let path = format!("/{n}");
        let mut answer = answer(&path, 0);
        answer.body = source.slice(..size);
        match n % 10 {
            0 => answer.head = 8192,
            1 => (answer.path, answer.variant) = ("/", Some(path.as_str())),
            _ => {}
        }
        if let Ok(entry) = answer.put(&store) {
            let half = source.slice(..size / 2);
            drop(store.put_form(&entry, Coding::Brotli, &[half], false));
        }
        total += size as u64;
        n += 1;
        tokio::time::sleep(std::time::Duration::from_millis(8)).await;
        if n % 64 == 0 {
            most = most.max(resident() - base);
            assert!(store.stats().bytes <= cap);
        }
    }
    println!(
        "{n} objects, {} MiB at most of {} MiB, {:?}",
        most / MIB,
        cap / MIB,
        store.stats()
    );
    assert!(most <= cap + cap / 4, "{} MiB", most / MIB);
}
