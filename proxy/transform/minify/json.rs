//! JSON without the whitespace that says nothing (RFC 8259 §2), as it streams through.
//!
//! Follows the grammar byte by byte, and drops whitespace only between two tokens that it understood on both sides. Everything
//! else stays as it came: numbers, escapes, the order of members, names that appear twice. At the first byte that is not
//! JSON (a comment, a second value, a byte order mark, a nesting too deep to remember) it steps aside: that byte, the
//! whitespace before it and all that follows go on untouched. So it can never join two tokens or change a meaning,
//! whatever it is given, and never holds more than [`MOST_HELD`] bytes.

use super::Minifier;

/// Levels of arrays and objects that are followed; what is nested deeper goes on as it is.
const MOST_DEEP: usize = 512;

/// Bytes of whitespace in a row that are held until it is clear what follows: the deepest line of [`MOST_DEEP`] levels,
/// indented by eight.
const MOST_HELD: usize = 8 * MOST_DEEP;

/// What the grammar awaits.
#[derive(Debug, Clone, Copy)]
enum At {
    /// A value.
    Value,
    /// A value, or the end of an array that is empty.
    FirstElement,
    /// A name, or the end of an object that is empty.
    FirstName,
    /// A name.
    Name,
    /// The colon behind a name.
    Colon,
    /// What may follow a value: a comma, an end, or at the top nothing.
    After,
    /// More of a string.
    Text { is_name: bool },
    /// What is escaped.
    Escape { is_name: bool },
    /// So many hexadecimal digits.
    Hex { is_name: bool, left: u8 },
    /// The rest of `true`, `false` or `null`.
    Word(&'static [u8]),
    /// More of a number.
    Number(Number),
}

/// How much of a number there is (RFC 8259 §6).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Number {
    Minus,
    Zero,
    Whole,
    Point,
    Fraction,
    E,
    Sign,
    Exponent,
}

/// What becomes of a byte.
enum Verdict {
    Token,
    Space,
    Foreign,
}

/// See the module.
pub(super) struct Stripper {
    at: At,
    /// Whether each open level is an object, one bit for each.
    objects: [u64; MOST_DEEP / 64],
    depth: usize,
    /// Whitespace of which it is not clear yet whether it goes.
    held: Vec<u8>,
    is_verbatim: bool,
}

impl Stripper {
    pub(super) fn new() -> Stripper {
        Stripper {
            at: At::Value,
            objects: [0; MOST_DEEP / 64],
            depth: 0,
            held: Vec::new(),
            is_verbatim: false,
        }
    }

    /// Reads one byte.
    fn read(&mut self, byte: u8) -> Verdict {
        if let At::Number(number) = self.at {
            if let Some(next) = number.with(byte) {
                return self.token(At::Number(next));
            }
            if !number.may_end() {
                return Verdict::Foreign;
            }
            self.at = At::After;
        }
        let is_space = matches!(byte, b' ' | b'\t' | b'\n' | b'\r');
        match self.at {
            At::Text { is_name } => match byte {
                b'"' if is_name => self.token(At::Colon),
                b'"' => self.token(At::After),
                b'\\' => self.token(At::Escape { is_name }),
                0..0x20 => Verdict::Foreign,
                _ => Verdict::Token,
            },
            At::Escape { is_name } => match byte {
                b'u' => self.token(At::Hex { is_name, left: 4 }),
                b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => {
                    self.token(At::Text { is_name })
                }
                _ => Verdict::Foreign,
            },
            At::Hex { .. } if !byte.is_ascii_hexdigit() => Verdict::Foreign,
            At::Hex { is_name, left: 1 } => self.token(At::Text { is_name }),
            At::Hex { is_name, left } => self.token(At::Hex {
                is_name,
                left: left - 1,
            }),
            At::Word([first, rest @ ..]) if *first == byte => match rest {
                [] => self.token(At::After),
                _ => self.token(At::Word(rest)),
            },
            At::Word(_) => Verdict::Foreign,
            _ if is_space => Verdict::Space,
            At::FirstElement if byte == b']' => self.close(),
            At::Value | At::FirstElement => self.value(byte),
            At::FirstName if byte == b'}' => self.close(),
            At::Name | At::FirstName if byte == b'"' => self.token(At::Text { is_name: true }),
            At::Colon if byte == b':' => self.token(At::Value),
            At::After => self.after(byte),
            At::Name | At::FirstName | At::Colon | At::Number(_) => Verdict::Foreign,
        }
    }

    /// The first byte of a value.
    fn value(&mut self, byte: u8) -> Verdict {
        match byte {
            b'"' => self.token(At::Text { is_name: false }),
            b'{' => self.open(true),
            b'[' => self.open(false),
            b't' => self.token(At::Word(b"rue")),
            b'f' => self.token(At::Word(b"alse")),
            b'n' => self.token(At::Word(b"ull")),
            b'-' => self.token(At::Number(Number::Minus)),
            b'0' => self.token(At::Number(Number::Zero)),
            b'1'..=b'9' => self.token(At::Number(Number::Whole)),
            _ => Verdict::Foreign,
        }
    }

    /// The byte behind a value.
    fn after(&mut self, byte: u8) -> Verdict {
        match (self.is_in_object(), byte) {
            (Some(true), b',') => self.token(At::Name),
            (Some(false), b',') => self.token(At::Value),
            (Some(true), b'}') | (Some(false), b']') => self.close(),
            _ => Verdict::Foreign,
        }
    }

    fn token(&mut self, next: At) -> Verdict {
        self.at = next;
        Verdict::Token
    }

    fn open(&mut self, is_object: bool) -> Verdict {
        let (word, bit) = (self.depth / 64, self.depth % 64);
        let Some(word) = self.objects.get_mut(word) else {
            return Verdict::Foreign;
        };
        *word = *word & !(1 << bit) | u64::from(is_object) << bit;
        self.depth += 1;
        self.token(if is_object {
            At::FirstName
        } else {
            At::FirstElement
        })
    }

    /// The end of the innermost level, of which there is one: nothing else awaits this byte.
    fn close(&mut self) -> Verdict {
        self.depth -= 1;
        self.token(At::After)
    }

    /// What the innermost level is; `None` at the top.
    fn is_in_object(&self) -> Option<bool> {
        let at = self.depth.checked_sub(1)?;
        Some(self.objects[at / 64] >> (at % 64) & 1 == 1)
    }

    /// Whether the text could end here.
    fn is_whole(&self) -> bool {
        let is_value_over = match self.at {
            At::After => true,
            At::Number(number) => number.may_end(),
            _ => false,
        };
        is_value_over && self.depth == 0
    }

    /// Steps aside: from here on everything stays.
    fn give_up(&mut self, rest: &[u8], out: &mut Vec<u8>) {
        self.is_verbatim = true;
        out.append(&mut self.held);
        out.extend_from_slice(rest);
    }
}

impl Minifier for Stripper {
    fn write(&mut self, piece: &[u8], out: &mut Vec<u8>) {
        if self.is_verbatim {
            return out.extend_from_slice(piece);
        }
        // Tokens go out in runs: `piece[from..at]` is understood and not out yet, empty while whitespace is held.
        let (mut from, mut at) = (0, 0);
        while at < piece.len() {
            match self.read(piece[at]) {
                Verdict::Token => {
                    self.held.clear();
                    at += 1;
                    if matches!(self.at, At::Text { .. }) {
                        at += plain(&piece[at..]);
                    }
                }
                Verdict::Space if self.held.len() < MOST_HELD => {
                    out.extend_from_slice(&piece[from..at]);
                    self.held.push(piece[at]);
                    at += 1;
                    from = at;
                }
                Verdict::Space | Verdict::Foreign => {
                    out.extend_from_slice(&piece[from..at]);
                    return self.give_up(&piece[at..], out);
                }
            }
        }
        out.extend_from_slice(&piece[from..]);
    }

    fn finish(mut self: Box<Self>, out: &mut Vec<u8>) {
        // A text that breaks off is not JSON: its end stays too.
        if !self.is_whole() {
            self.give_up(&[], out);
        }
    }
}

/// How many bytes from here on are nothing special within a string.
fn plain(text: &[u8]) -> usize {
    let special = |&byte: &u8| byte < 0x20 || byte == b'"' || byte == b'\\';
    text.iter().position(special).unwrap_or(text.len())
}

impl Number {
    /// The number with one byte more; `None`: it does not belong to it.
    fn with(self, byte: u8) -> Option<Number> {
        use Number::{E, Exponent, Fraction, Minus, Point, Sign, Whole, Zero};
        Some(match (self, byte) {
            (Minus, b'0') => Zero,
            (Minus, b'1'..=b'9') | (Whole, b'0'..=b'9') => Whole,
            (Zero | Whole, b'.') => Point,
            (Point | Fraction, b'0'..=b'9') => Fraction,
            (Zero | Whole | Fraction, b'e' | b'E') => E,
            (E, b'+' | b'-') => Sign,
            (E | Sign | Exponent, b'0'..=b'9') => Exponent,
            _ => return None,
        })
    }

    fn may_end(self) -> bool {
        use Number::{Exponent, Fraction, Whole, Zero};
        matches!(self, Zero | Whole | Fraction | Exponent)
    }
}

#[cfg(test)]
mod tests;
