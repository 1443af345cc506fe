//! Any order of operations: never a byte of another answer, never more than the cap, all that is counted is alive.

mod forms;

use std::collections::HashMap;

use proptest::num::u8::ANY as N;
use proptest::prelude::{Just, ProptestConfig, Strategy, prop_assert, prop_oneof, proptest};

use self::forms::Makes;
use super::*;
use crate::cache::entry::Body;

/// One thing that happens; numbers choose among what there is.
#[derive(Debug, Clone)]
enum Step {
    Join {
        path: u8,
        variant: u8,
    },
    Begin {
        fill: u8,
        tag: u8,
    },
    Write {
        fill: u8,
        size: usize,
    },
    Read {
        reader: u8,
    },
    Finish {
        fill: u8,
    },
    Drop {
        fill: u8,
    },
    Leave {
        reader: u8,
    },
    Find {
        path: u8,
        variant: u8,
    },
    Hold {
        path: u8,
    },
    Release,
    Renew,
    Invalidate {
        path: u8,
    },
    Purge {
        tag: u8,
        hard: bool,
    },
    Memory {
        mib: u64,
    },
    PutForm {
        path: u8,
        coding: u8,
        size: usize,
        is_final: bool,
    },
    Derive {
        path: u8,
        coding: u8,
    },
    DeriveFrom {
        reader: u8,
        coding: u8,
    },
    WriteForm {
        making: u8,
        size: usize,
    },
    FinishForm {
        making: u8,
    },
    DropForm {
        making: u8,
    },
}

fn step() -> impl Strategy<Value = Step> {
    use Step::*;
    let (n, small) = (|| N, || 0..6_u8);
    prop_oneof![
        6 => (small(), 0..3_u8).prop_map(|(path, variant)| Join { path, variant }),
        6 => (n(), 0..3_u8).prop_map(|(fill, tag)| Begin { fill, tag }),
        12 => (n(), 0..200_000_usize).prop_map(|(fill, size)| Write { fill, size }),
        6 => n().prop_map(|reader| Read { reader }),
        6 => n().prop_map(|fill| Finish { fill }),
        1 => n().prop_map(|fill| Drop { fill }),
        2 => n().prop_map(|reader| Leave { reader }),
        6 => (small(), 0..3_u8).prop_map(|(path, variant)| Find { path, variant }),
        2 => small().prop_map(|path| Hold { path }),
        1 => Just(Release),
        2 => Just(Renew),
        1 => small().prop_map(|path| Invalidate { path }),
        1 => (0..3_u8, proptest::bool::ANY).prop_map(|(tag, hard)| Purge { tag, hard }),
        1 => (1..6_u64).prop_map(|mib| Memory { mib }),
        4 => (small(), 1..5_u8, 0..60_000_usize, proptest::bool::ANY).prop_map(
            |(path, coding, size, is_final)| PutForm { path, coding, size, is_final }
        ),
        4 => (small(), 1..5_u8).prop_map(|(path, coding)| Derive { path, coding }),
        4 => (n(), 1..5_u8).prop_map(|(reader, coding)| DeriveFrom { reader, coding }),
        8 => (n(), 0..60_000_usize).prop_map(|(making, size)| WriteForm { making, size }),
        4 => n().prop_map(|making| FinishForm { making }),
        1 => n().prop_map(|making| DropForm { making }),
    ]
}

struct Fill {
    filler: Filler,
    id: u64,
    variant: u8,
    written: usize,
    begun: bool,
}

struct Reads {
    reader: Reader,
    id: u64,
    coding: Coding,
    at: usize,
}

/// The body of an answer says whose it is: every byte follows from the fetch, the coding and the place.
fn byte(id: u64, coding: Coding, at: usize) -> u8 {
    (id.wrapping_mul(37) as usize + coding as usize * 101 + at / 3) as u8
}

fn bytes(id: u64, coding: Coding, from: usize, size: usize) -> Bytes {
    (from..from + size).map(|at| byte(id, coding, at)).collect()
}

fn is_of(body: &Body, id: u64, coding: Coding) -> bool {
    let body = body.pieces().concat();
    (body.iter().enumerate()).all(|(at, b)| *b == byte(id, coding, at))
}

const IDENTITY: Coding = Coding::Identity;

struct World {
    store: Store,
    fills: Vec<Fill>,
    readers: Vec<Reads>,
    makings: Vec<Makes>,
    held: Vec<Arc<Entry>>,
    /// The key and the variant of every fetch.
    of: HashMap<u64, (String, u8)>,
    ids: u64,
    time: Millis,
}

fn path(n: u8) -> String {
    format!("/{n}")
}

fn variant(n: u8) -> String {
    n.to_string()
}

impl World {
    fn new() -> World {
        World {
            store: Store::new(&rules(2 * MIB, MIB / 2), 7),
            fills: Vec::new(),
            readers: Vec::new(),
            makings: Vec::new(),
            held: Vec::new(),
            of: HashMap::new(),
            ids: 0,
            time: 1,
        }
    }

    fn fill(&mut self, n: u8) -> Option<&mut Fill> {
        let at = usize::from(n).checked_rem(self.fills.len())?;
        self.fills.get_mut(at)
    }

    fn take(&mut self, n: u8) -> Option<Fill> {
        let at = usize::from(n).checked_rem(self.fills.len())?;
        Some(self.fills.swap_remove(at))
    }

    fn join(&mut self, at: u8, wanted: u8) {
        let key = url(&self.store, &path(at));
        match self.store.join(key, &wants(&variant(wanted)), None) {
            Joined::Lead(filler) => {
                self.ids += 1;
                self.of.insert(self.ids, (path(at), wanted));
                let (id, reader) = (self.ids, filler.reader());
                self.reads(reader, id, IDENTITY);
                self.fills.push(Fill {
                    filler,
                    id,
                    variant: wanted,
                    written: 0,
                    begun: false,
                });
            }
            // Whose it is shows when the head is known.
            Joined::Follow(reader) => {
                if let Some(State::Streaming(begun)) = now(reader.state()) {
                    assert!(begun.selection.matches(&wants(&variant(wanted))));
                    let id = begun.life.received;
                    assert_eq!(self.of[&id], (path(at), wanted));
                    self.reads(reader, id, IDENTITY);
                }
            }
        }
    }

    fn reads(&mut self, reader: Reader, id: u64, coding: Coding) {
        let at = 0;
        self.readers.push(Reads {
            reader,
            id,
            coding,
            at,
        });
    }

    fn begin(&mut self, n: u8, tag: u8) {
        let tag = self.store.tag_hash(&[tag]);
        if let Some(fill) = self.fill(n).filter(|fill| !fill.begun) {
            fill.begun = true;
            let what = (head(100), life(fill.id));
            let selection = only(&variant(fill.variant));
            fill.filler.begins(what, selection, [tag].into(), None);
        }
    }

    fn write(&mut self, n: u8, size: usize) {
        if let Some(fill) = self.fill(n).filter(|fill| fill.begun) {
            let from = fill.written;
            let body = bytes(fill.id, IDENTITY, from, size);
            if now(fill.filler.write(body)).is_some() {
                fill.written += size;
            }
        }
    }

    fn read(&mut self, n: u8) {
        let Some(at) = usize::from(n).checked_rem(self.readers.len()) else {
            return;
        };
        let reads = &mut self.readers[at];
        if let Some(Ok(Some(piece))) = now(reads.reader.next()) {
            assert!(piece == bytes(reads.id, reads.coding, reads.at, piece.len()));
            reads.at += piece.len();
        }
    }

    fn finish(&mut self, n: u8) {
        let Some(fill) = self.take(n) else { return };
        let (id, written) = (fill.id, fill.written);
        if let Ok(entry) = fill.filler.finish() {
            assert_eq!(entry.body.len(), written as u64);
            self.check(&entry, self.of[&id].clone());
        }
    }

    fn check(&self, entry: &Entry, of: (String, u8)) {
        let id = entry.life.received;
        assert_eq!(self.of[&id], of, "it is of this key and for these requests");
        assert!(is_of(&entry.body, id, IDENTITY));
        for form in entry.forms() {
            let Some(body) = &form.body else { continue };
            assert!(is_of(body, id, form.coding) && body.len() < entry.body.len());
        }
    }

    fn find(&self, at: u8, wanted: u8) -> Option<Arc<Entry>> {
        let key = url(&self.store, &path(at));
        let (entry, _) = self.store.find(&key, &wants(&variant(wanted))).entry?;
        self.check(&entry, (path(at), wanted));
        Some(entry)
    }

    fn renew(&mut self) {
        let Some(old) = self.held.last() else { return };
        let (begun, what) = (self.store.sequence(), (old.life, head(200)));
        let (selection, tags) = (old.selection.clone(), old.tags.clone());
        let new = self.store.renew(old, what, selection, tags, begun);
        assert_eq!(body_of(&new), body_of(old));
    }

    fn apply(&mut self, step: Step) {
        self.time += 1;
        match step {
            Step::Join { path, variant } => self.join(path, variant),
            Step::Begin { fill, tag } => self.begin(fill, tag),
            Step::Write { fill, size } => self.write(fill, size),
            Step::Read { reader } => self.read(reader),
            Step::Finish { fill } => self.finish(fill),
            Step::Drop { fill } => drop(self.take(fill)),
            Step::Leave { reader } => {
                if let Some(at) = usize::from(reader).checked_rem(self.readers.len()) {
                    self.readers.swap_remove(at);
                }
            }
            Step::Find { path, variant } => drop(self.find(path, variant)),
            Step::Hold { path } => self.held.extend(self.find(path, 0)),
            Step::Release => self.held.clear(),
            Step::Renew => self.renew(),
            Step::Invalidate { path: at } => {
                let key = url(&self.store, &path(at));
                self.store.invalidate(&key);
                assert!((0..3).all(|variant| self.find(at, variant).is_none()));
            }
            Step::Purge { tag, hard } => {
                let hash = self.store.tag_hash(&[tag]);
                let what = Purge::Tag([tag].into());
                self.store.purge(&what, hard, self.time);
                self.store.for_each(|entry| {
                    let is_stale = entry.expired_at().is_some_and(|at| at <= self.time);
                    assert!(!entry.tags.contains(&hash) || (is_stale && !hard));
                });
            }
            Step::Memory { mib } => self.store.set_rules(&rules(mib * MIB, MIB / 2)),
            Step::PutForm {
                path,
                coding,
                size,
                is_final,
            } => {
                self.put_form(path, Coding::ALL[usize::from(coding)], size, is_final);
            }
            Step::Derive { path, coding } => self.derive(path, Coding::ALL[usize::from(coding)]),
            Step::DeriveFrom { reader, coding } => {
                self.derive_from(reader, Coding::ALL[usize::from(coding)]);
            }
            Step::WriteForm { making, size } => self.write_form(making, size),
            Step::FinishForm { making } => self.finish_form(making),
            Step::DropForm { making } => {
                if let Some(at) = usize::from(making).checked_rem(self.makings.len()) {
                    self.makings.swap_remove(at);
                }
            }
        }
    }

    /// Entries, their tables and nothing else is counted once nobody fetches, reads or sends.
    fn settle(mut self) {
        self.fills.clear();
        self.readers.clear();
        self.makings.clear();
        self.held.clear();
        let mut alive = self.store.core.shelf.tables();
        self.store.for_each(|entry| alive += entry.weight());
        let stats = self.store.stats();
        assert_eq!((stats.bytes, stats.fills, stats.makings), (alive, 0, 0));
        self.store.purge(&Purge::All, true, self.time);
        assert_eq!(self.store.stats().bytes, self.store.core.shelf.tables());
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn whatever_happens_bytes_are_their_owners_and_all_of_them_are_counted(
        steps in proptest::collection::vec(step(), 1..200),
    ) {
        let mut world = World::new();
        // A fetch that waits for a reader sets a timer.
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
        let runtime = runtime.expect("a runtime without threads");
        let _entered = runtime.enter();
        for step in steps {
            // What is in use when the cap shrinks cannot be taken back, but it is not added to.
            let before = world.store.stats().bytes;
            world.apply(step);
            let Stats { bytes, capacity, .. } = world.store.stats();
            prop_assert!(bytes <= capacity.max(before), "{bytes} of {capacity}");
        }
        world.settle();
    }
}
