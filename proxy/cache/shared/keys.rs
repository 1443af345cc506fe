//! Where things are in Redis. The same on every machine and in every version.
//!
//! What stands in braces decides on which node of a Redis Cluster a key is: all that is of one URL is on one.

use std::ops::Deref;

use xxhash_rust::xxh3::xxh3_128;

use crate::cache::key::Key;

/// The names of what a cluster of proxies keeps.
#[derive(Debug, Clone)]
pub struct Keys {
    prefix: Box<str>,
    /// Read with every look: written once.
    head: Box<str>,
}

impl Keys {
    /// Names that begin with `prefix`.
    pub fn new(prefix: &str) -> Keys {
        Keys {
            prefix: prefix.into(),
            head: format!("{prefix}:{{feed}}:head").into(),
        }
    }

    /// The place of a URL: its answer, or what its answers vary by, or that it was purged.
    pub fn place(&self, url: u128) -> String {
        format!("{}:e:{{{url:032x}}}", self.prefix)
    }

    /// The place of one of a URL's variants.
    pub fn variant(&self, url: u128, variant: u128) -> String {
        format!("{}:e:{{{url:032x}}}:{variant:032x}", self.prefix)
    }

    /// The lease on fetching a URL, or one of its variants.
    pub fn lease(&self, url: u128, variant: Option<u128>) -> String {
        let prefix = &self.prefix;
        match variant {
            None => format!("{prefix}:l:{{{url:032x}}}"),
            Some(variant) => format!("{prefix}:l:{{{url:032x}}}:{variant:032x}"),
        }
    }

    /// The position of the last purge.
    pub fn head(&self) -> &str {
        &self.head
    }

    /// The stream of purges.
    pub fn log(&self) -> String {
        format!("{}:{{feed}}:log", self.prefix)
    }
}

/// What a URL is found by, wherever it is asked for. The hash in memory is the process's own; this one is not.
pub fn url_hash(key: &Key<impl Deref<Target = [u8]>>) -> u128 {
    xxh3_128(key.bytes())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cache::key::Target;

    #[test]
    fn a_url_has_one_place_whatever_the_process() {
        let target = Target {
            scheme: "http",
            host: "shop.example",
            path: "/a",
            query: Some("b=c"),
        };
        let (one, two) = (Key::new(target, 1), Key::new(target, 2));
        assert_eq!(url_hash(&one), url_hash(&two));
        // Written down: another version of the proxy must find it.
        let keys = Keys::new("tg");
        assert_eq!(keys.place(1), format!("tg:e:{{{:032x}}}", 1));
        assert_eq!(
            keys.place(url_hash(&one)),
            "tg:e:{ca6059f6350ccdf2ba01d2238a8bc3d9}"
        );
        let (lease, variant) = (keys.lease(1, Some(2)), keys.variant(1, 2));
        let tag = |key: &str| key.split(['{', '}']).nth(1).map(String::from);
        assert_eq!(tag(&lease), tag(&variant));
        assert_eq!(tag(&lease), tag(&keys.lease(1, None)));
    }
}
