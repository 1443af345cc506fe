//! The fields of a request, in whatever form they are at hand: as they were parsed, or in a map.
//!
//! A request that is answered in the front door is never copied into a map, and one that is handed on is. What is
//! decided by its fields is decided by one function for both.

use http::{HeaderMap, HeaderName};

/// The fields of a request.
pub trait Fields {
    /// The values of the fields of this name, in the order they came.
    fn lines<'a>(&'a self, name: &HeaderName) -> impl DoubleEndedIterator<Item = &'a [u8]>;

    /// The value of the first field of this name.
    fn first(&self, name: &HeaderName) -> Option<&[u8]>;

    /// Whether there is a field of this name.
    fn has(&self, name: &HeaderName) -> bool {
        self.first(name).is_some()
    }

    /// Whether any of the names, as it is written, is one that is `looked_for`.
    fn any_name(&self, looked_for: impl Fn(&str) -> bool) -> bool;
}

impl Fields for HeaderMap {
    fn lines<'a>(&'a self, name: &HeaderName) -> impl DoubleEndedIterator<Item = &'a [u8]> {
        self.get_all(name).iter().map(|value| value.as_bytes())
    }

    fn first(&self, name: &HeaderName) -> Option<&[u8]> {
        self.get(name).map(|value| value.as_bytes())
    }

    fn any_name(&self, looked_for: impl Fn(&str) -> bool) -> bool {
        self.keys().any(|name| looked_for(name.as_str()))
    }
}
