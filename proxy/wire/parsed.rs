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

/// The bit of a name in any letter case.
fn bit(name: &[u8]) -> u64 {
    let letter = |byte: Option<&u8>| byte.map_or(0, |byte| u32::from(byte | 0x20));
    let mixed = letter(name.first()) * 5 + letter(name.last()) * 3 + name.len() as u32;
    1 << (mixed % 64)
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
