//! Who is given up when patience ends, and who is not; no time passes here.

use super::*;
use crate::cache::key::Target;
use crate::cache::store::room::Room;

const PIECE: u64 = 64 * 1024;

/// A flight that will not be stored, with so many readers; they have as much before them as is kept.
struct Full {
    flight: Flight,
    room: Arc<Room>,
    until: u64,
}

impl Full {
    fn new(readers: usize, cap: u64) -> Full {
        let target = Target {
            scheme: "http",
            host: "a.example",
            path: "/",
            query: None,
        };
        let (key, room) = (Arc::new(Key::new(target, 7)), Room::new(cap));
        let flight = Flight::new(key, 0, Kind::Alone, Charge::none(&room));
        flight.with(|flow| {
            flow.degraded = Some(Why::TooLarge);
            (0..readers).for_each(|n| assert_eq!(flow.enter(), n));
        });
        let mut full = Full {
            flight,
            room,
            until: 0,
        };
        full.fill();
        full
    }

    /// Pieces come until readers have to be waited for.
    fn fill(&mut self) {
        self.until = loop {
            if let Passing::Wait(until) = self.pass() {
                break until;
            }
        };
    }

    fn pass(&self) -> Passing {
        let piece = Bytes::from(vec![1; PIECE as usize]);
        let take = |bytes| Charge::take(&self.room, bytes);
        self.flight.with(|flow| flow.pass(&piece, take))
    }

    /// Reads at most so many pieces. Returns how many there were, or why there are none any more.
    fn read(&self, reader: usize, most: usize) -> Result<usize, Why> {
        for n in 0..most {
            match self.flight.with(|flow| flow.next(reader)).0 {
                Some(next) => drop(next?),
                None => return Ok(n),
            }
        }
        Ok(most)
    }

    fn be_patient(&self) {
        self.flight.with(|flow| flow.be_patient());
    }

    fn give_up_slow(&self) {
        self.flight.with(|flow| flow.give_up_slow(self.until));
    }

    fn kept(&self) -> u64 {
        self.flight.with(|flow| {
            let lengths = flow.pieces.iter().map(|piece| piece.bytes.len() as u64);
            lengths.sum()
        })
    }
}

const ALL: usize = usize::MAX;
const ROOMY: u64 = 16 * WINDOW;

#[test]
fn who_stands_still_while_another_one_waits_is_given_up_and_what_it_held_is_dropped() {
    let full = Full::new(2, ROOMY);
    assert_eq!(full.read(0, ALL), Ok((WINDOW / PIECE) as usize));
    full.be_patient();
    full.give_up_slow();
    assert_eq!(full.read(1, 1), Err(Why::TooLarge));
    assert_eq!(full.kept(), 0);
    assert!(matches!(full.pass(), Passing::Done));
    assert_eq!(full.read(0, ALL), Ok(1));
}

#[test]
fn who_moves_is_waited_for() {
    let mut full = Full::new(2, ROOMY);
    for _ in 0..100 {
        full.read(0, ALL).unwrap();
        full.be_patient();
        assert_eq!(full.read(1, 1), Ok(1));
        full.fill();
        full.read(0, ALL).unwrap();
        full.give_up_slow();
    }
    assert_eq!(full.read(1, ALL), Ok((WINDOW / PIECE) as usize));
}

#[test]
fn nobody_is_given_up_while_nobody_waits_for_more() {
    let full = Full::new(2, ROOMY);
    full.be_patient();
    full.give_up_slow();
    // One has read something, but not all there is.
    full.read(0, 3).unwrap();
    full.be_patient();
    full.give_up_slow();
    for reader in 0..2 {
        assert!(full.read(reader, ALL).is_ok());
    }
    let alone = Full::new(1, ROOMY);
    alone.be_patient();
    alone.give_up_slow();
    assert!(alone.read(0, ALL).is_ok());
}

#[test]
fn who_is_behind_but_in_nobodys_way_is_left_alone() {
    let full = Full::new(3, ROOMY);
    full.read(0, ALL).unwrap();
    full.read(1, 1).unwrap();
    full.be_patient();
    full.give_up_slow();
    assert_eq!(full.read(1, ALL), Ok((WINDOW / PIECE) as usize - 1));
    assert_eq!(full.read(2, 1), Err(Why::TooLarge));
}

#[test]
fn without_room_who_has_read_all_there_was_is_not_late() {
    // A piece at a time: nobody can come on by more than that.
    let mut full = Full::new(3, 0);
    full.read(0, ALL).unwrap();
    full.be_patient();
    assert_eq!((full.read(1, ALL), full.read(2, ALL)), (Ok(1), Ok(1)));
    full.fill();
    full.read(0, ALL).unwrap();
    full.give_up_slow();
    full.be_patient();
    assert_eq!(full.read(1, ALL), Ok(1));
    full.give_up_slow();
    assert_eq!(full.read(2, ALL), Err(Why::TooLarge));
    full.fill();
    assert_eq!((full.read(0, ALL), full.read(1, ALL)), (Ok(1), Ok(1)));
}

#[test]
fn who_is_given_up_does_not_count_as_a_reader() {
    let full = Full::new(2, ROOMY);
    full.read(0, ALL).unwrap();
    full.be_patient();
    full.give_up_slow();
    full.flight.exit(0);
    assert!(!full.flight.with(|flow| flow.has_readers()));
    full.flight.exit(1);
}
