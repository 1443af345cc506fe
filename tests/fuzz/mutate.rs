//! Bytes that are nearly right: seeds with words of the protocols put in, doubled, taken out or exchanged.
//!
//! Uniformly random bytes are refused at the first of them; what breaks parsers is a good message with one thing
//! wrong. The same seed makes the same bytes.

/// Where words meet, and the words that decide something.
const WORDS: &[&[u8]] = &[
    b"\r",
    b"\n",
    b"\r\n",
    b"\r\n\r\n",
    b" ",
    b"\t",
    b"\0",
    b":",
    b",",
    b";",
    b"=",
    b"\"",
    b"\\",
    b"/",
    b"//",
    b".",
    b"..",
    b"/../",
    b"%",
    b"%2e",
    b"%2F",
    b"%00",
    b"?",
    b"#",
    b"*",
    b"[",
    b"]",
    b"_",
    b"\x0b",
    b"\x7f",
    b"\x80",
    b"\xff",
    b"0",
    b"00",
    b"1",
    b"5",
    b"a",
    b"ffffffffffffffff",
    b"18446744073709551616",
    b"-1",
    b"+1",
    b"Host: a\r\n",
    b"Content-Length: 5\r\n",
    b"Content-Length: 0\r\n",
    b"Transfer-Encoding: chunked\r\n",
    b"Connection: close, upgrade\r\n",
    b"Connection: keep-alive\r\n",
    b"Upgrade: websocket\r\n",
    b"Expect: 100-continue\r\n",
    b"X-Forwarded-For: 1.2.3.4\r\n",
    b"Forwarded: for=\"[::1]:80\"\r\n",
    b"A: b\r\n",
    b"0\r\n\r\n",
    b"http://",
    b"HTTP/1.1",
    b"HTTP/1.0",
    b"OPTIONS",
    b"HEAD",
    b"1.2.3.4",
    b"::1",
    b"for=",
    b"unknown",
];

/// Makes bytes.
pub struct Mutator<'a> {
    seeds: Vec<&'a [u8]>,
    rng: fastrand::Rng,
}

impl<'a> Mutator<'a> {
    /// From these seeds.
    pub fn new(seeds: Vec<&'a [u8]>, seed: u64) -> Self {
        let rng = fastrand::Rng::with_seed(seed);
        Mutator { seeds, rng }
    }

    /// The next ones.
    pub fn make(&mut self) -> Vec<u8> {
        let mut bytes = self.seed().to_vec();
        for _ in 0..self.rng.usize(1..=4) {
            self.change(&mut bytes);
        }
        bytes
    }

    fn seed(&mut self) -> &'a [u8] {
        self.seeds[self.rng.usize(..self.seeds.len())]
    }

    fn change(&mut self, bytes: &mut Vec<u8>) {
        let (from, to) = self.part(bytes.len());
        match self.rng.u8(..8) {
            0 | 1 => {
                let word = WORDS[self.rng.usize(..WORDS.len())];
                bytes.splice(from..from, word.iter().copied());
            }
            2 => {
                let word = WORDS[self.rng.usize(..WORDS.len())];
                bytes.splice(from..to, word.iter().copied());
            }
            3 => drop(bytes.drain(from..to)),
            4 => {
                let part = bytes[from..to].to_vec();
                let at = self.rng.usize(..=bytes.len());
                bytes.splice(at..at, part);
            }
            5 => {
                let other = self.seed();
                let (a, b) = self.part(other.len());
                bytes.splice(from..to, other[a..b].iter().copied());
            }
            6 => bytes.truncate(to),
            _ => {
                if let Some(byte) = bytes.get_mut(from) {
                    *byte = match self.rng.u8(..3) {
                        0 => self.rng.u8(..),
                        1 => *byte ^ (1 << self.rng.u8(..8)),
                        _ => byte.wrapping_add(1),
                    };
                }
            }
        }
    }

    /// A part of so many bytes, mostly a short one.
    fn part(&mut self, len: usize) -> (usize, usize) {
        let from = self.rng.usize(..=len);
        let most = if self.rng.u8(..4) == 0 { len } else { 12 };
        (from, (from + self.rng.usize(..=most)).min(len))
    }
}
