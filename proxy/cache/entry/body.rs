//! A whole body, in as many pieces as it is kept in. Never copied: whoever sends it shares its bytes.

use std::sync::Arc;

use bytes::Bytes;

/// A whole body.
#[derive(Debug, Clone)]
pub enum Body {
    /// In one.
    One(Bytes),
    /// In several, none of them empty.
    Many(Arc<[Bytes]>),
}

/// Which body it is, by where its bytes are: good for as long as somebody has them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::cache) struct BodyId(usize);

impl Body {
    /// Its pieces, in order.
    pub fn pieces(&self) -> &[Bytes] {
        match self {
            Body::One(piece) => std::slice::from_ref(piece),
            Body::Many(pieces) => pieces,
        }
    }

    /// How many bytes it has.
    pub fn len(&self) -> u64 {
        self.pieces().iter().map(|piece| piece.len() as u64).sum()
    }

    /// Whether it has none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Which it is; `None`: it is empty, and nobody can tell it from others that are.
    pub(in crate::cache) fn id(&self) -> Option<BodyId> {
        let at = match self {
            Body::One(piece) => piece.as_ptr() as usize,
            Body::Many(pieces) => pieces.as_ptr() as usize,
        };
        (!self.is_empty()).then_some(BodyId(at))
    }

    /// Whether both are the same bytes in the same memory.
    pub(in crate::cache) fn is_same(&self, other: &Body) -> bool {
        self.id().is_some_and(|id| other.id() == Some(id))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_is_the_same_as_its_copies_and_as_no_other_with_the_same_bytes() {
        let one = || Body::One(Bytes::from(b"body".to_vec()));
        let many = || Body::Many([Bytes::from_static(b"bo"), Bytes::from_static(b"dy")].into());
        let all = [one(), one(), many(), many()];
        for (n, body) in all.iter().enumerate() {
            for (other, o) in all.iter().enumerate() {
                assert_eq!(body.is_same(&o.clone()), n == other);
            }
        }
        let empty = Body::One(Bytes::new());
        assert!(
            !empty.is_same(&empty),
            "all empty ones are in the same place"
        );
    }
}
