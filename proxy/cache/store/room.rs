//! The accountant: how many bytes are alive, and how many may be.
//!
//! Who takes memory holds a [`Charge`] for as long as it lives, wherever that is: in an entry, in a fetch in flight, or
//! inside of bytes that are still being sent when their entry is long gone. Nothing is ever counted that is not given
//! back, and nothing is granted beyond the cap.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use bytes::Bytes;

/// Bytes taken and bytes that may be.
#[derive(Debug)]
pub(super) struct Room {
    used: AtomicU64,
    cap: AtomicU64,
}

impl Room {
    pub(super) fn new(cap: u64) -> Arc<Room> {
        Arc::new(Room {
            used: AtomicU64::new(0),
            cap: AtomicU64::new(cap),
        })
    }

    pub(super) fn used(&self) -> u64 {
        self.used.load(Relaxed)
    }

    pub(super) fn cap(&self) -> u64 {
        self.cap.load(Relaxed)
    }

    pub(super) fn set_cap(&self, cap: u64) {
        self.cap.store(cap, Relaxed);
    }

    /// How many bytes must go before so many fit.
    pub(super) fn missing(&self, bytes: u64) -> u64 {
        (self.used().saturating_add(bytes)).saturating_sub(self.cap())
    }

    fn grant(&self, bytes: u64) -> bool {
        let cap = self.cap();
        let more = |used: u64| used.checked_add(bytes).filter(|all| *all <= cap);
        self.used.fetch_update(Relaxed, Relaxed, more).is_ok()
    }
}

/// Bytes that somebody has; given back when dropped.
#[derive(Debug)]
pub(in crate::cache) struct Charge {
    room: Arc<Room>,
    bytes: u64,
}

impl Charge {
    /// A charge of nothing yet.
    pub(super) fn none(room: &Arc<Room>) -> Charge {
        Charge {
            room: Arc::clone(room),
            bytes: 0,
        }
    }

    /// A charge of so many bytes, if they fit.
    pub(super) fn take(room: &Arc<Room>, bytes: u64) -> Option<Charge> {
        room.grant(bytes).then(|| Charge {
            room: Arc::clone(room),
            bytes,
        })
    }

    /// So many bytes more, if they fit.
    pub(super) fn grow(&mut self, bytes: u64) -> bool {
        let granted = self.room.grant(bytes);
        if granted {
            self.bytes += bytes;
        }
        granted
    }

    /// One charge for what were two.
    pub(super) fn merge(&mut self, mut other: Charge) {
        self.bytes += std::mem::take(&mut other.bytes);
    }

    pub(in crate::cache) fn bytes(&self) -> u64 {
        self.bytes
    }
}

impl Drop for Charge {
    fn drop(&mut self) {
        self.room.used.fetch_sub(self.bytes, Relaxed);
    }
}

/// Bytes and what they are charged; alive as long as anybody sends them.
struct Charged<B> {
    data: B,
    _charge: Charge,
}

impl<B: AsRef<[u8]>> AsRef<[u8]> for Charged<B> {
    fn as_ref(&self) -> &[u8] {
        self.data.as_ref()
    }
}

/// The box of [`Charged`] and a reference count.
const HANDLE: usize = size_of::<usize>() + size_of::<Charged<Box<[u8]>>>();

/// What [`charged`] bytes of this length take.
pub(super) fn cost(length: usize) -> u64 {
    allocated(length) + allocated(HANDLE)
}

/// These bytes, which give their charge back when the last one who has them drops them.
pub(super) fn charged<B: AsRef<[u8]> + Send + 'static>(data: B, charge: Charge) -> Bytes {
    Bytes::from_owner(Charged {
        data,
        _charge: charge,
    })
}

/// What the allocator takes for so many bytes: it has four sizes between a power of two and the next, and what is large
/// comes in whole pages.
pub(super) fn allocated(bytes: usize) -> u64 {
    const PAGE: usize = 4096;
    let step = match bytes {
        0..=128 => 16,
        _ => (bytes.next_power_of_two() / 8).min(PAGE),
    };
    bytes.next_multiple_of(step) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_granted_beyond_the_cap_and_all_comes_back() {
        let room = Room::new(1000);
        let mut one = Charge::take(&room, 600).unwrap();
        assert!(Charge::take(&room, 401).is_none());
        assert!(one.grow(300) && !one.grow(101));
        one.merge(Charge::take(&room, 100).unwrap());
        assert_eq!((one.bytes(), room.used(), room.missing(1)), (1000, 1000, 1));
        drop(one);
        assert_eq!(room.used(), 0);
    }

    #[test]
    fn bytes_stay_charged_until_the_last_of_their_copies_is_gone() {
        let room = Room::new(1000);
        let bytes = charged(vec![7; 100], Charge::take(&room, 200).unwrap());
        let slice = bytes.slice(50..60);
        drop(bytes);
        assert_eq!((room.used(), &slice[..]), (200, &[7; 10][..]));
        drop(slice);
        assert_eq!(room.used(), 0);
    }

    #[test]
    fn an_allocation_is_never_smaller_than_what_was_asked_for_nor_a_quarter_larger() {
        for bytes in 1..300_000 {
            let real = allocated(bytes);
            assert!(real >= bytes as u64);
            assert!(real <= bytes as u64 + (bytes as u64 / 4).max(16), "{bytes}");
        }
    }
}
