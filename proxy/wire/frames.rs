//! Frames of HTTP/2 as they pass: where each begins and what its head says (RFC 9113 §4.1).
//!
//! Takes bytes in whatever pieces they come, and keeps the head under way alone. Never changes or withholds a byte, and
//! judges nothing: a frame that is wrong is for who reads it.

/// `DATA`
pub const DATA: u8 = 0;
/// `HEADERS`
pub const HEADERS: u8 = 1;
/// `PRIORITY`
pub const PRIORITY: u8 = 2;
/// `RST_STREAM`
pub const RST_STREAM: u8 = 3;
/// `SETTINGS`
pub const SETTINGS: u8 = 4;
/// `PUSH_PROMISE`
pub const PUSH_PROMISE: u8 = 5;
/// `PING`
pub const PING: u8 = 6;
/// `GOAWAY`
pub const GOAWAY: u8 = 7;
/// `WINDOW_UPDATE`
pub const WINDOW_UPDATE: u8 = 8;
/// `CONTINUATION`
pub const CONTINUATION: u8 = 9;

/// Flag of `DATA` and `HEADERS`: the last of its stream.
pub const END_STREAM: u8 = 0x1;
/// Flag of `SETTINGS` and `PING`: an answer to one.
pub const ACK: u8 = 0x1;
/// Flag of `DATA` and `HEADERS`: a length of padding comes first.
pub const PADDED: u8 = 0x8;

/// What a connection of a client begins with (RFC 9113 §3.4).
pub const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Bytes of a head.
const HEAD: usize = 9;
/// Bytes of a payload that are looked at, at most.
const PEEK: usize = 8;

/// The head of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Frame {
    /// Bytes of its payload.
    pub length: u32,
    /// Its type.
    pub kind: u8,
    /// Its flags.
    pub flags: u8,
    /// Its stream; 0: the connection.
    pub stream: u32,
    /// What its payload begins with, as far as that is looked at: an error code, a length of padding.
    begins: [u8; PEEK],
}

impl Frame {
    /// The error code of a `RST_STREAM` or `GOAWAY`; 0 of any other.
    pub fn code(&self) -> u32 {
        let [a, b, c, d, code @ ..] = self.begins;
        match self.kind {
            RST_STREAM => u32::from_be_bytes([a, b, c, d]),
            GOAWAY => u32::from_be_bytes(code),
            _ => 0,
        }
    }

    /// Bytes of a body that a `DATA` frame brings: its payload without padding (RFC 9113 §6.1).
    pub fn body(&self) -> u32 {
        match self.flags & PADDED {
            0 => self.length,
            _ => self.length.saturating_sub(1 + u32::from(self.begins[0])),
        }
    }
}

/// The frames of one direction of a connection.
#[derive(Debug, Default)]
pub struct Frames {
    /// Bytes that are left of what is not looked at.
    skip: u32,
    head: [u8; HEAD + PEEK],
    /// Bytes of `head` that are there.
    have: usize,
}

impl Frames {
    /// Those of a client, which come behind the preface.
    pub fn of_client() -> Frames {
        Frames {
            skip: PREFACE.len() as u32,
            ..Frames::default()
        }
    }

    /// Whether the last frame is complete and the next one has not begun.
    pub fn is_between(&self) -> bool {
        self.skip == 0 && self.have == 0
    }

    /// The next frame that begins in `bytes`, which are used up on the way. `None`: they are, and the rest of them was
    /// noted.
    pub fn next(&mut self, bytes: &mut &[u8]) -> Option<Frame> {
        let over = bytes.len().min(self.skip as usize);
        self.skip -= over as u32;
        *bytes = &bytes[over..];
        loop {
            let missing = self.wanted() - self.have;
            if missing == 0 {
                return Some(self.whole());
            }
            let part = missing.min(bytes.len());
            if part == 0 {
                return None;
            }
            self.head[self.have..self.have + part].copy_from_slice(&bytes[..part]);
            self.have += part;
            *bytes = &bytes[part..];
        }
    }

    fn length(&self) -> u32 {
        u32::from_be_bytes([0, self.head[0], self.head[1], self.head[2]])
    }

    /// Bytes that are wanted of the frame under way, as far as it is known.
    fn wanted(&self) -> usize {
        if self.have < HEAD {
            return HEAD;
        }
        let peek = match (self.head[3], self.head[4]) {
            (RST_STREAM, _) => 4,
            (GOAWAY, _) => 8,
            (DATA, flags) if flags & PADDED != 0 => 1,
            _ => 0,
        };
        HEAD + peek.min(self.length() as usize)
    }

    /// The frame under way, whose head is there; the rest of its payload is not looked at.
    fn whole(&mut self) -> Frame {
        let length = self.length();
        let [_, _, _, kind, flags, a, b, c, d, begins @ ..] = self.head;
        self.skip = length - (self.have - HEAD) as u32;
        self.have = 0;
        self.head = [0; HEAD + PEEK];
        Frame {
            length,
            kind,
            flags,
            // The first bit means nothing and is to be ignored.
            stream: u32::from_be_bytes([a & 0x7f, b, c, d]),
            begins,
        }
    }
}

/// The bytes of a `GOAWAY` (RFC 9113 §6.8): streams up to `last` may have been served.
pub fn goaway(last: u32, code: u32) -> [u8; HEAD + PEEK] {
    let mut bytes = [0; HEAD + PEEK];
    bytes[2] = PEEK as u8;
    bytes[3] = GOAWAY;
    bytes[HEAD..HEAD + 4].copy_from_slice(&last.to_be_bytes());
    bytes[HEAD + 4..].copy_from_slice(&code.to_be_bytes());
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
        let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
        let stream = stream.to_be_bytes();
        [&length[1..], &[kind, flags], &stream, payload].concat()
    }

    /// Type, stream, body and code of each frame, of bytes that come in pieces of this size.
    fn seen(frames: &mut Frames, bytes: &[u8], size: usize) -> Vec<(u8, u32, u32, u32)> {
        let mut seen = Vec::new();
        for mut piece in bytes.chunks(size) {
            while let Some(frame) = frames.next(&mut piece) {
                seen.push((frame.kind, frame.stream, frame.body(), frame.code()));
            }
            assert!(piece.is_empty(), "all of it is used");
        }
        seen
    }

    #[test]
    fn frames_are_found_in_whatever_pieces_they_come() {
        let bytes = [
            PREFACE,
            &frame(SETTINGS, 0, 0, b""),
            &frame(HEADERS, 4, 1, &[b'x'; 300]),
            &frame(DATA, PADDED, 1, &[&[3][..], b"body", &[0; 3]].concat()),
            &frame(DATA, PADDED, 1, &[9]), // more padding than there is: for who reads it
            &frame(DATA, PADDED, 1, b""),
            &frame(RST_STREAM, 0, 0x8000_0003, &8_u32.to_be_bytes()),
            &frame(
                GOAWAY,
                0,
                0,
                &[&[0; 4][..], &11_u32.to_be_bytes(), b"why"].concat(),
            ),
            &frame(GOAWAY, 0, 0, b"short"),
            &frame(0xee, 0, 0, b"12345678"),
        ]
        .concat();
        let all = [
            (SETTINGS, 0, 0, 0),
            (HEADERS, 1, 300, 0),
            (DATA, 1, 4, 0),
            (DATA, 1, 0, 0),
            (DATA, 1, 0, 0),
            (RST_STREAM, 3, 4, 8),
            (GOAWAY, 0, 11, 11),
            (GOAWAY, 0, 5, u32::from_be_bytes([b't', 0, 0, 0])),
            (0xee, 0, 8, 0),
        ];
        for size in 1..=bytes.len() {
            let mut frames = Frames::of_client();
            assert_eq!(seen(&mut frames, &bytes, size), all, "{size}");
            assert!(frames.is_between());
        }
    }

    #[test]
    fn a_frame_that_has_begun_is_no_place_for_another() {
        let bytes = frame(RST_STREAM, 0, 1, &[0; 4]);
        for cut in 1..bytes.len() {
            let mut frames = Frames::default();
            seen(&mut frames, &bytes[..cut], cut);
            assert!(!frames.is_between(), "{cut}");
        }
    }

    #[test]
    fn a_goaway_is_read_as_it_is_written() {
        let mut frames = Frames::default();
        let bytes = goaway(7, 11);
        assert_eq!(seen(&mut frames, &bytes, 17), [(GOAWAY, 0, 8, 11)]);
        assert_eq!(bytes[9..13], 7_u32.to_be_bytes());
    }
}
