//! Frames of a WebSocket: one verdict however they are cut, and the same as that of who reads them at leisure.

use tidegate::wire::websocket::{Frames, Sender};

use super::cuts;

/// Who sends, and bytes of the tunnel.
pub fn run(bytes: &[u8]) {
    let Some((who, bytes)) = bytes.split_first() else {
        return;
    };
    let from = match who % 2 {
        0 => Sender::Client,
        _ => Sender::Server,
    };
    let wanted = at_leisure(bytes, from == Sender::Client);
    for pieces in cuts(bytes) {
        let mut frames = Frames::new(from);
        pieces.into_iter().for_each(|piece| frames.follow(piece));
        assert_eq!((frames.left(), frames.is_closed()), wanted);
    }
}

/// Reads all of it: so many bytes at least are missing of the last frame (RFC 6455 §5.2), and whether one was a close frame.
fn at_leisure(mut bytes: &[u8], masked: bool) -> (Option<u64>, bool) {
    let mut closed = false;
    loop {
        let &[first, second, ..] = bytes else {
            let left = if bytes.is_empty() { 0 } else { 1 };
            return (Some(left), closed);
        };
        let (kind, short) = (first & 15, second & 127);
        let is_control = kind >= 8;
        let odd = [3, 4, 5, 6, 7, 11, 12, 13, 14, 15].contains(&kind)
            || (is_control && (first < 128 || short > 125))
            || (second >= 128) != masked;
        if odd {
            return (None, closed);
        }
        let lengths = match short {
            126 => 2,
            127 => 8,
            _ => 0,
        };
        let head = 2 + lengths + if masked { 4 } else { 0 };
        if bytes.len() < head {
            return (Some((head - bytes.len()) as u64), closed);
        }
        let mut number = [0; 8];
        number[8 - lengths..].copy_from_slice(&bytes[2..2 + lengths]);
        let length = match lengths {
            0 => u64::from(short),
            _ => u64::from_be_bytes(number),
        };
        let there = (bytes.len() - head) as u64;
        if there < length {
            return (Some(length - there), closed);
        }
        closed |= kind == 8;
        bytes = &bytes[head + length as usize..];
    }
}
