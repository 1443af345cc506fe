//! A good head as its bytes are: what of a request can be asked before it is copied into anything.
//!
//! Fields are found by a walk over them. Whether there is one at all is mostly said by a filter of one word.

use http::HeaderName;

use crate::base::fields::Fields;

/// A head that was found good.
#[derive(Debug)]
pub struct Parsed<'h, 'b> {
    /// Its method.
    pub method: &'b str,
    /// Its target as it is forwarded.
    pub target: &'b str,
    /// Its version: HTTP/1 and this.
    pub minor: u8,
    /// The value of `Host`.
    pub host: Option<&'b [u8]>,
    fields: &'h [httparse::Header<'b>],
    /// A bit for each name; of names that share one, any may be there.
    names: u64,
}

impl<'h, 'b> Parsed<'h, 'b> {
    pub(super) fn new(
        (method, target, minor): (&'b str, &'b str, u8),
        host: Option<&'b [u8]>,
        fields: &'h [httparse::Header<'b>],
    ) -> Self {
        let bits = fields.iter().map(|field| bit(field.name.as_bytes()));
        Parsed {
            method,
            target,
            minor,
            host,
            names: bits.fold(0, |all, bit| all | bit),
            fields,
        }
    }

    /// Whether it may have one of the rare fields: then they are asked for here, else of [`NoRare`].
    pub fn may_have_rare(&self) -> bool {
        self.names & RARE_BITS != 0
    }

    fn all(&self, name: &HeaderName) -> impl DoubleEndedIterator<Item = &'b [u8]> + use<'h, 'b> {
        let may_be = self.names & bit(name.as_str().as_bytes()) != 0;
        let fields = if may_be { self.fields } else { &[] };
        let name = name.clone();
        let is_it = move |field: &&httparse::Header<'b>| {
            let (one, other) = (field.name.as_bytes(), name.as_str().as_bytes());
            one.len() == other.len() && one.eq_ignore_ascii_case(other)
        };
        fields.iter().filter(is_it).map(|field| field.value)
    }
}

/// The bit of a name in any letter case, and whether it has `-` or `_`.
const fn bit(name: &[u8]) -> u64 {
    let length = name.len();
    if length == 0 {
        return 1;
    }
    let (first, last) = (name[0] | 0x20, name[length - 1] | 0x20);
    // By these factors what browsers send and what is rare have no bit in common.
    1 << ((first as usize * 2 + last as usize * 40 + length * 25) % 64)
}

/// Fields that few requests have and that decide much, in lower case.
const RARE: [&str; 16] = [
    "cache-control",
    "if-match",
    "if-modified-since",
    "if-none-match",
    "if-unmodified-since",
    "method-override",
    "pragma",
    "range",
    "upgrade",
    "x-clock",
    "x-fault",
    "x-forwarded-host",
    "x-forwarded-proto",
    "x-http-method",
    "x-http-method-override",
    "x-method-override",
];

/// The bits of all of those.
const RARE_BITS: u64 = {
    let (mut bits, mut at) = (0, 0);
    while at < RARE.len() {
        bits |= bit(RARE[at].as_bytes());
        at += 1;
    }
    bits
};

/// The rare fields of a request, where it has none of them: every question is answered when it is compiled. Whoever asks
/// for another field is told by a debug build.
#[derive(Debug, Clone, Copy)]
pub struct NoRare;

impl Fields for NoRare {
    fn lines<'a>(&'a self, name: &HeaderName) -> impl DoubleEndedIterator<Item = &'a [u8]> {
        debug_assert!(RARE.contains(&name.as_str()), "{name} is asked for");
        std::iter::empty()
    }

    fn first(&self, name: &HeaderName) -> Option<&[u8]> {
        debug_assert!(RARE.contains(&name.as_str()), "{name} is asked for");
        None
    }

    /// Of names that override the method, and no others.
    fn any_name(&self, _: impl Fn(&str) -> bool) -> bool {
        false
    }
}

impl Fields for Parsed<'_, '_> {
    fn lines<'a>(&'a self, name: &HeaderName) -> impl DoubleEndedIterator<Item = &'a [u8]> {
        self.all(name)
    }

    fn first(&self, name: &HeaderName) -> Option<&[u8]> {
        self.all(name).next()
    }

    fn any_name(&self, looked_for: impl Fn(&str) -> bool) -> bool {
        self.fields.iter().any(|field| looked_for(field.name))
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn what_browsers_and_tools_send_is_not_taken_for_rare() {
        let usual = [
            "host",
            "user-agent",
            "accept",
            "accept-encoding",
            "accept-language",
            "connection",
            "cookie",
            "referer",
            "origin",
            "dnt",
            "priority",
            "te",
            "sec-fetch-site",
            "sec-fetch-mode",
            "sec-fetch-dest",
            "sec-fetch-user",
            "sec-ch-ua",
            "sec-ch-ua-mobile",
            "sec-ch-ua-platform",
            "upgrade-insecure-requests",
            "x-requested-with",
            "authorization",
            "x-forwarded-for",
            "x-real-ip",
            "traceparent",
        ];
        let mistaken = usual
            .iter()
            .filter(|name| bit(name.as_bytes()) & RARE_BITS != 0);
        assert_eq!(mistaken.collect::<Vec<_>>(), Vec::<&&str>::new());
    }

    use http::{HeaderMap, HeaderValue};
    use proptest::prelude::*;

    use super::*;

    fn header<'b>(field: &'b (String, String)) -> httparse::Header<'b> {
        httparse::Header {
            name: &field.0,
            value: field.1.as_bytes(),
        }
    }

    proptest! {
        #[test]
        fn fields_are_the_same_as_in_a_map(
            sent in prop::collection::vec(("[aAbB][cC-]{0,2}|[aA]ccept|HOST|x-Host", "[a-c]{0,3}"), 0..12),
            asked in prop::collection::vec("[ab][c-]{0,2}|accept|host|x-host|via", 1..6),
        ) {
            let all: Vec<_> = sent.iter().map(header).collect();
            let parsed = Parsed::new(("GET", "/", 1), None, &all);
            let mut map = HeaderMap::new();
            for (name, value) in &sent {
                let name: HeaderName = name.parse().unwrap();
                map.append(name, HeaderValue::from_str(value).unwrap());
            }
            for name in asked {
                let name: HeaderName = name.parse().unwrap();
                prop_assert!(parsed.lines(&name).eq(map.lines(&name)));
                prop_assert!(parsed.lines(&name).rev().eq(map.lines(&name).rev()));
                prop_assert_eq!(parsed.first(&name), map.first(&name));
                prop_assert_eq!(parsed.has(&name), map.has(&name));
                let is_it = |other: &str| other.eq_ignore_ascii_case(name.as_str());
                prop_assert_eq!(parsed.any_name(is_it), map.any_name(is_it));
            }
        }
    }
}
