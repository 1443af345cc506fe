//! Where the frames of a WebSocket begin and end (RFC 6455 §5.2), one direction at a time.
//!
//! A tunnel carries bytes that are nobody's business but its ends'. To say good-bye in it one has to know where a frame
//! ends, because only there may another begin. Never keeps a byte of a payload, never changes one, and never finds fault:
//! what is no WebSocket is passed on like anything else, only that nothing can be said in it any more.

/// A status that a close frame names: an end is going away (RFC 6455 §7.4.1).
const GOING_AWAY: u16 = 1001;
/// The last frame of a message, and the only one of a control frame.
const FIN: u8 = 0x80;
/// The payload is masked.
const MASKED: u8 = 0x80;
/// Control frames have this bit.
const CONTROL: u8 = 0x08;
const CLOSE: u8 = 0x08;
/// The longest payload of a control frame.
const CONTROL_AT_MOST: u8 = 125;
/// The longest head: two bytes, eight of length, four of a mask.
const HEAD_AT_MOST: usize = 14;

/// Who sends: only a client masks what it sends (§5.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sender {
    /// The end that asked for the WebSocket.
    Client,
    /// The end that agreed to it.
    Server,
}

/// How far one direction is.
#[derive(Debug)]
pub struct Frames {
    from: Sender,
    at: At,
    /// The frame under way is a close frame.
    closes: bool,
    closed: bool,
}

#[derive(Debug)]
enum At {
    /// So much of a head is there.
    Head {
        have: usize,
        bytes: [u8; HEAD_AT_MOST],
    },
    /// So much of a payload is missing; more than nothing.
    Payload(u64),
    /// Not a WebSocket, or not any more.
    Lost,
}

const BOUNDARY: At = At::Head {
    have: 0,
    bytes: [0; HEAD_AT_MOST],
};

impl Frames {
    /// What `from` sends, from its first frame on.
    pub fn new(from: Sender) -> Self {
        Frames {
            from,
            at: BOUNDARY,
            closes: false,
            closed: false,
        }
    }

    /// These bytes passed.
    pub fn follow(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            match &mut self.at {
                At::Head { have, bytes: head } => {
                    let missing = missing(&head[..*have]);
                    let n = missing.min(bytes.len());
                    head[*have..*have + n].copy_from_slice(&bytes[..n]);
                    *have += n;
                    bytes = &bytes[n..];
                    let head = &head[..*have];
                    if head.len() >= 2 && !is_fine(self.from, head) {
                        self.at = At::Lost;
                    } else if self::missing(head) == 0 {
                        let length = length(head);
                        self.closes = head[0] & 0x0f == CLOSE;
                        self.begins(length);
                    }
                }
                At::Payload(left) => {
                    let n = (*left).min(bytes.len() as u64);
                    let left = *left - n;
                    bytes = &bytes[n as usize..];
                    self.begins(left);
                }
                At::Lost => return,
            }
        }
    }

    /// So much of a payload is to come.
    fn begins(&mut self, left: u64) {
        if left > 0 {
            self.at = At::Payload(left);
        } else {
            self.at = BOUNDARY;
            self.closed |= self.closes;
        }
    }

    /// So many bytes at least belong to the frame under way; 0: another one may begin here. `None`: nobody knows.
    pub fn left(&self) -> Option<u64> {
        match &self.at {
            At::Head { have: 0, .. } => Some(0),
            At::Head { have, bytes } => Some(missing(&bytes[..*have]) as u64),
            At::Payload(left) => Some(*left),
            At::Lost => None,
        }
    }

    /// Whether a close frame passed: nothing may follow it (§5.5.1).
    pub fn is_closed(&self) -> bool {
        self.closed
    }
}

/// Whether a head may be one, as far as its first two bytes say.
fn is_fine(from: Sender, head: &[u8]) -> bool {
    let (kind, length) = (head[0] & 0x0f, head[1] & 0x7f);
    let known = matches!(kind, 0..=2 | CLOSE..=0x0a);
    let whole = kind & CONTROL == 0 || (head[0] & FIN != 0 && length <= CONTROL_AT_MOST);
    known && whole && (head[1] & MASKED != 0) == (from == Sender::Client)
}

/// So many bytes of a head are missing, as far as it can be known from what is there.
fn missing(head: &[u8]) -> usize {
    let Some(second) = head.get(1) else {
        return 2 - head.len();
    };
    let lengths = match second & 0x7f {
        126 => 2,
        127 => 8,
        _ => 0,
    };
    let mask = if second & MASKED != 0 { 4 } else { 0 };
    (2 + lengths + mask) - head.len()
}

/// The length of the payload behind a whole head.
fn length(head: &[u8]) -> u64 {
    let number = |bytes: &[u8]| bytes.iter().fold(0, |n, b| n << 8 | u64::from(*b));
    match head[1] & 0x7f {
        126 => number(&head[2..4]),
        127 => number(&head[2..10]),
        short => u64::from(short),
    }
}

/// The close frame of a server that goes away.
pub fn going_away() -> [u8; 4] {
    let [high, low] = GOING_AWAY.to_be_bytes();
    [FIN | CLOSE, 2, high, low]
}

/// The close frame of a client that goes away. `mask` is drawn for it (§5.3).
pub fn going_away_masked(mask: [u8; 4]) -> [u8; 8] {
    let [high, low] = GOING_AWAY.to_be_bytes();
    let [a, b, c, d] = mask;
    [FIN | CLOSE, MASKED | 2, a, b, c, d, high ^ a, low ^ b]
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn frame(first: u8, length: usize, from: Sender) -> Vec<u8> {
        let mask = if from == Sender::Client { MASKED } else { 0 };
        let mut bytes = vec![first];
        match length {
            0..=125 => bytes.push(mask | length as u8),
            126..=0xffff => {
                bytes.push(mask | 126);
                bytes.extend((length as u16).to_be_bytes());
            }
            _ => {
                bytes.push(mask | 127);
                bytes.extend((length as u64).to_be_bytes());
            }
        }
        if from == Sender::Client {
            bytes.extend([1, 2, 3, 4]);
        }
        bytes.extend(vec![0x88; length]);
        bytes
    }

    fn after(from: Sender, bytes: &[u8]) -> Frames {
        let mut frames = Frames::new(from);
        frames.follow(bytes);
        frames
    }

    #[test]
    fn a_frame_ends_where_its_length_says() {
        for from in [Sender::Client, Sender::Server] {
            for length in [0, 1, 125, 126, 127, 65_535, 65_536] {
                let bytes = frame(0x82, length, from);
                assert_eq!(after(from, &bytes).left(), Some(0), "{length}");
                let part = &bytes[..bytes.len() - 1];
                assert_eq!(after(from, part).left(), Some(1), "{length}");
                assert!(!after(from, &bytes).is_closed());
            }
        }
        assert_eq!(after(Sender::Server, &[0x82]).left(), Some(1));
        assert_eq!(after(Sender::Server, &[0x82, 126]).left(), Some(2));
        assert_eq!(after(Sender::Client, &[0x82, 0xff]).left(), Some(12));
        let compressed = frame(0xc1, 3, Sender::Server); // RSV1: permessage-deflate
        assert_eq!(after(Sender::Server, &compressed).left(), Some(0));
    }

    #[test]
    fn a_close_frame_counts_once_it_is_whole() {
        let (masked, plain) = (going_away_masked([9, 8, 7, 6]), going_away());
        assert_eq!(plain, [0x88, 2, 3, 0xe9]);
        assert_eq!([masked[6] ^ masked[2], masked[7] ^ masked[3]], [3, 0xe9]);
        for (from, ours) in [(Sender::Client, &masked[..]), (Sender::Server, &plain[..])] {
            assert!(after(from, ours).is_closed());
            assert!(!after(from, &ours[..ours.len() - 1]).is_closed());
            assert_eq!(after(from, ours).left(), Some(0));
            let empty = frame(0x88, 0, from);
            assert!(after(from, &empty).is_closed());
        }
    }

    #[test]
    fn what_is_no_frame_is_no_place_to_say_anything() {
        for bytes in [
            b"later".as_slice(),
            &[0x83, 0],                // no such kind
            &[0x08, 0],                // a control frame in pieces
            &[0x89, 126, 0, 126],      // a control frame that is too long
            &[0x82, 0x80, 1, 2, 3, 4], // a server masks nothing
        ] {
            assert_eq!(after(Sender::Server, bytes).left(), None, "{bytes:?}");
        }
        assert_eq!(after(Sender::Client, &[0x82, 0]).left(), None);
        let mut lost = after(Sender::Server, b"later");
        lost.follow(&going_away());
        assert!(!lost.is_closed());
    }

    proptest! {
        #[test]
        fn how_it_is_cut_into_pieces_does_not_matter(
            frames in prop::collection::vec((0..3u8, 0..300usize), 1..6),
            cut in 0..40usize,
            sizes in prop::collection::vec(1..50usize, 1..6),
            client in any::<bool>(),
        ) {
            let from = if client { Sender::Client } else { Sender::Server };
            let mut bytes: Vec<u8> = Vec::new();
            for (kind, length) in frames {
                bytes.extend(frame(FIN | kind, length, from));
            }
            bytes.truncate(bytes.len().saturating_sub(cut));
            let whole = after(from, &bytes);
            let mut pieces = Frames::new(from);
            let mut rest = &bytes[..];
            for size in sizes.iter().cycle() {
                if rest.is_empty() {
                    break;
                }
                let (piece, later) = rest.split_at(rest.len().min(*size));
                pieces.follow(piece);
                rest = later;
            }
            prop_assert_eq!(pieces.left(), whole.left());
            prop_assert_eq!(pieces.is_closed(), whole.is_closed());
        }
    }
}
