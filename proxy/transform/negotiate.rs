//! Which coding a client is sent (RFC 9110 §12.5.3): what it takes, in the order that the route prefers.
//!
//! Never chooses what the client refused while anything else is left, never answers 406, and never allocates.

use http::header::ACCEPT_ENCODING;

use crate::base::coding::Coding;
use crate::base::fields::Fields;

/// Members that are read; a client that lists more is no client that reads what it gets.
const MEMBERS: usize = 64;

/// How much a coding is wanted, in thousandths; 0: refused.
type Weight = u16;

/// What a client takes, as its `Accept-Encoding` lines say.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Accepted {
    /// For what was named, in the order of [`Coding::ALL`].
    named: [Option<Weight>; Coding::ALL.len()],
    /// For all that was not named: `*`.
    others: Option<Weight>,
}

impl Accepted {
    /// Reads all `Accept-Encoding` lines. None, or nothing in them: identity alone.
    ///
    /// A member that is not the grammar (RFC 9110 §12.4.2) makes nothing acceptable: what it names is refused, for it may
    /// have been meant so, all but identity, which every client reads. Of what is named twice the lowest weight counts. A list of more than 64 members is not
    /// read to its end, where anything might be refused: it stands for identity alone. Infallible.
    pub fn of(request: &impl Fields) -> Accepted {
        let mut accepted = Accepted::default();
        let lines = request.lines(&ACCEPT_ENCODING);
        let members = lines.flat_map(|line| line.split(|byte| *byte == b','));
        for (at, (name, weight)) in members.filter_map(member).enumerate() {
            if at == MEMBERS {
                return Accepted::default();
            }
            let slot = match name {
                b"*" => &mut accepted.others,
                _ => match Coding::of(name) {
                    Some(coding) => &mut accepted.named[coding as usize],
                    None => continue,
                },
            };
            *slot = Some(slot.map_or(weight, |before| before.min(weight)));
        }
        accepted
    }

    /// Whether this coding may be sent: it is named or covered by `*`, with a weight; identity also if it is neither.
    pub fn takes(&self, coding: Coding) -> bool {
        match coding {
            Coding::Identity => !self.refuses(coding),
            _ => self.weight(coding).is_some_and(|weight| weight > 0),
        }
    }

    /// Whether the client said in so many words that it does not take this coding: `q=0`, by name or by `*`.
    pub fn refuses(&self, coding: Coding) -> bool {
        self.weight(coding) == Some(0)
    }

    /// What is sent of `offered` (the route's preference, without identity), or identity.
    ///
    /// The highest weight wins, among equals the order of `offered`. Identity wins over a coding only if the client named
    /// it with a higher weight. If nothing is left: identity unless refused, then what of `offered` is not refused, gzip
    /// first, then identity all the same: never 406 (RFC 9110 §12.5.3 lets a server do so).
    pub fn choose(&self, offered: &[Coding]) -> Coding {
        let plain = self.named[Coding::Identity as usize].unwrap_or(0);
        let mut best = (Coding::Identity, 0);
        for coding in codings(offered) {
            let weight = self.weight(coding).unwrap_or(0);
            if weight > best.1 {
                best = (coding, weight);
            }
        }
        match best {
            (coding, weight) if weight > 0 && weight >= plain => coding,
            _ if self.refuses(Coding::Identity) => self.least_bad(offered),
            _ => Coding::Identity,
        }
    }

    /// What may be a surprise, but was not refused.
    fn least_bad(&self, offered: &[Coding]) -> Coding {
        let left = |coding: &Coding| !self.refuses(*coding);
        let gzip = codings(offered).find(|coding| *coding == Coding::Gzip && left(coding));
        let any = gzip.or_else(|| codings(offered).find(left));
        any.unwrap_or(Coding::Identity)
    }

    fn weight(&self, coding: Coding) -> Option<Weight> {
        self.named[coding as usize].or(self.others)
    }
}

/// What is offered beside identity, which always is.
fn codings(offered: &[Coding]) -> impl Iterator<Item = Coding> {
    let offered = offered.iter().copied();
    offered.filter(|coding| *coding != Coding::Identity)
}

/// Name and weight of a member: `codings [ OWS ";" OWS "q=" qvalue ]`, the weight 0 where it is none. `None`: it says
/// nothing.
fn member(member: &[u8]) -> Option<(&[u8], Weight)> {
    let mut parts = member.splitn(2, |byte| *byte == b';').map(blanks_off);
    let name = parts.next().filter(|name| is_token(name))?;
    let weight = match parts.next() {
        None => Some(1_000),
        Some([b'q' | b'Q', b'=', value @ ..]) => qvalue(value),
        Some(_) => None,
    };
    let is_plain = Coding::of(name) == Some(Coding::Identity);
    match weight {
        None if is_plain => None,
        weight => Some((name, weight.unwrap_or(0))),
    }
}

/// `0`, `0.`, `0.7`, `0.123`, `1`, `1.000`: at most three digits (RFC 9110 §12.4.2).
fn qvalue(value: &[u8]) -> Option<Weight> {
    let (whole, digits) = match value {
        [whole] => (whole, &[][..]),
        [whole, b'.', digits @ ..] if digits.len() <= 3 => (whole, digits),
        _ => return None,
    };
    if !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let digit = |at: usize| digits.get(at).map_or(0, |digit| Weight::from(digit - b'0'));
    let thousandths = digit(0) * 100 + digit(1) * 10 + digit(2);
    match (whole, thousandths) {
        (b'0', _) => Some(thousandths),
        (b'1', 0) => Some(1_000),
        _ => None,
    }
}

/// Without the blanks that may stand around it (RFC 9110 §5.6.3): no others.
fn blanks_off(mut part: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] | [rest @ .., b' ' | b'\t'] = part {
        part = rest;
    }
    part
}

/// RFC 9110 §5.6.2.
fn is_token(name: &[u8]) -> bool {
    let is_tchar = |byte: &u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(byte);
    !name.is_empty() && name.iter().all(is_tchar)
}

#[cfg(test)]
mod tests;
