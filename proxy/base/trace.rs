//! W3C Trace Context (level 2): which trace a request belongs to, in the fields that carry it.
//!
//! What is not exactly as the standard has it is no context: half of one would tie requests together that have nothing
//! to do with each other. Draws no number: ids and dice are passed in.

use http::HeaderName;

use super::fields::Fields;

/// The field that names the trace and the span of who sent it.
pub const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
/// What others keep with it.
pub const TRACESTATE: HeaderName = HeaderName::from_static("tracestate");

/// Bytes of `00-<trace>-<span>-<flags>`.
pub const LENGTH: usize = 55;
/// Members of a `tracestate` at the most (§3.3.1.1).
const MEMBERS: usize = 32;
/// Bytes of a key or a value of one, at the most (§3.3.1.3).
const LONGEST: usize = 256;
/// The trace is recorded (§3.2.2.5.1).
const SAMPLED: u8 = 1;
/// The id of the trace is random (level 2, §3.2.2.5.2).
const RANDOM: u8 = 2;

/// The trace a request belongs to, and its place there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Trace {
    /// The trace; not all zeros.
    pub id: [u8; 16],
    /// The span the request is: ours, or, where we make none, that of who sent it. Not all zeros.
    pub span: [u8; 8],
    /// The span that ours is a part of.
    pub parent: Option<[u8; 8]>,
    /// Flags, of those that are known.
    flags: u8,
}

/// What a request says of its trace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Said {
    /// Its trace; `None`: it says nothing, or nothing that is right.
    pub trace: Option<Trace>,
    /// Whether it says anything in `traceparent` or `tracestate`.
    pub any: bool,
    /// Whether `tracestate` may go on: it has its form, and there is a trace that it belongs to.
    pub state: bool,
}

/// What becomes of the two fields on their way to a node.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Onward {
    /// What the client sent as `traceparent` does not go on.
    pub drops_parent: bool,
    /// What it sent as `tracestate` does not.
    pub drops_state: bool,
    /// Our place in the trace goes there.
    pub ours: Option<Trace>,
}

/// Reads what a request says of its trace.
pub fn said(fields: &impl Fields) -> Said {
    let (parent, state) = (TRACEPARENT, TRACESTATE);
    let mut lines = fields.lines(&parent);
    let (first, second) = (lines.next(), lines.next());
    // Two of them contradict each other (§3.2).
    let trace = first.filter(|_| second.is_none()).and_then(read);
    let has_state = fields.has(&state);
    Said {
        trace,
        any: first.is_some() || has_state,
        state: trace.is_some() && has_state && is_state(fields.lines(&state)),
    }
}

/// Reads a `traceparent`. One of a later version is read as far as this one goes (§3.2.4).
fn read(value: &[u8]) -> Option<Trace> {
    let (head, rest) = value.split_at_checked(LENGTH)?;
    let dashes = [2, 35, 52].iter().all(|at| head[*at] == b'-');
    let version = hex::<1>(&head[..2])?[0];
    let ends = match version {
        0xff => return None,
        0 => rest.is_empty(),
        _ => rest.first().is_none_or(|b| *b == b'-'),
    };
    let (id, span) = (hex(&head[3..35])?, hex(&head[36..52])?);
    let flags = hex::<1>(&head[53..])?[0];
    let fine = dashes && ends && id != [0; 16] && span != [0; 8];
    fine.then_some(Trace {
        id,
        span,
        parent: None,
        flags: flags & (SAMPLED | RANDOM),
    })
}

/// Bytes in lower-case hexadecimal digits; upper case is wrong (§3.2.2).
fn hex<const N: usize>(text: &[u8]) -> Option<[u8; N]> {
    let digit = |b: u8| match b {
        b'0'..=b'9' => Some(b - b'0'),
        b'a'..=b'f' => Some(b - b'a' + 10),
        _ => None,
    };
    let mut bytes = [0; N];
    for (at, byte) in bytes.iter_mut().enumerate() {
        *byte = digit(*text.get(2 * at)?)? << 4 | digit(*text.get(2 * at + 1)?)?;
    }
    Some(bytes)
}

/// Whether the lines of a `tracestate` have the form of one (§3.3.1).
fn is_state<'a>(lines: impl Iterator<Item = &'a [u8]>) -> bool {
    let members = lines.flat_map(|line| line.split(|b| *b == b','));
    let members = members.map(<[u8]>::trim_ascii).filter(|m| !m.is_empty());
    let mut count = 0;
    for member in members {
        count += 1;
        let Some(at) = member.iter().position(|b| *b == b'=') else {
            return false;
        };
        let (key, value) = (&member[..at], &member[at + 1..]);
        let of_key = |b: &u8| {
            b.is_ascii_lowercase()
                || b.is_ascii_digit()
                || matches!(b, b'_' | b'-' | b'*' | b'/' | b'@')
        };
        let of_value = |b: &u8| matches!(b, b' '..=b'~') && *b != b'=';
        let begins = key
            .first()
            .is_some_and(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
        let fits = key.len() <= LONGEST && value.len() <= LONGEST && !value.is_empty();
        if count > MEMBERS
            || !begins
            || !fits
            || !key.iter().all(of_key)
            || !value.iter().all(of_value)
        {
            return false;
        }
    }
    count > 0
}

impl Trace {
    /// A trace that begins here. Its numbers are random; the few that may not be are taken for the next ones.
    pub fn begins(id: u128, span: u64, sampled: bool) -> Trace {
        Trace {
            id: id.max(1).to_be_bytes(),
            span: span.max(1).to_be_bytes(),
            parent: None,
            flags: RANDOM | u8::from(sampled),
        }
    }

    /// Our part of this trace: `span` is the random number of ours.
    pub fn goes_on(self, span: u64, sampled: bool) -> Trace {
        Trace {
            span: span.max(1).to_be_bytes(),
            parent: Some(self.span),
            flags: self.flags & RANDOM | u8::from(sampled),
            ..self
        }
    }

    /// Whether it is recorded.
    pub fn is_sampled(self) -> bool {
        self.flags & SAMPLED != 0
    }

    /// Its flags, as the field has them.
    pub fn flags(self) -> u8 {
        self.flags
    }

    /// The value of `traceparent` for who is asked next.
    pub fn traceparent(self) -> [u8; LENGTH] {
        let mut value = *b"00-00000000000000000000000000000000-0000000000000000-00";
        digits(&self.id, &mut value[3..35]);
        digits(&self.span, &mut value[36..52]);
        digits(&[self.flags], &mut value[53..]);
        value
    }

    /// Its ids in digits, as the log shows them: the trace, and the span.
    pub fn shown(self) -> ([u8; 32], [u8; 16]) {
        let (mut trace, mut span) = ([0; 32], [0; 16]);
        digits(&self.id, &mut trace);
        digits(&self.span, &mut span);
        (trace, span)
    }
}

/// Writes bytes as hexadecimal digits, into twice as much room.
fn digits(bytes: &[u8], to: &mut [u8]) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    for (byte, pair) in bytes.iter().zip(to.chunks_exact_mut(2)) {
        pair[0] = DIGITS[usize::from(byte >> 4)];
        pair[1] = DIGITS[usize::from(byte & 15)];
    }
}

#[cfg(test)]
mod tests;
