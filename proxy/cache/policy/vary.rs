//! Which requests a stored answer may be used for, beyond its key (`Vary`, RFC 9111 §4.1).

use std::sync::Arc;

use http::{HeaderMap, HeaderName};

use crate::base::cached::Why;

/// The request fields that selected an answer, with the values they had.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Selection(Option<Arc<[Selected]>>);

#[derive(Debug, PartialEq, Eq)]
struct Selected {
    name: HeaderName,
    /// `None`: the request had no such field.
    value: Option<Box<[u8]>>,
}

impl Selection {
    /// What selected an answer with these `answer` fields to a request with these `request` fields.
    ///
    /// # Errors
    /// [`Why::VaryAny`] for `*`.
    pub fn of(answer: &HeaderMap, request: &HeaderMap) -> Result<Selection, Why> {
        let names = answer.get_all(http::header::VARY);
        let names = names.iter().filter_map(|v| v.to_str().ok());
        let names = names.flat_map(|v| v.split(',')).map(str::trim);
        let mut all = Vec::new();
        for name in names.filter(|name| !name.is_empty()) {
            let name: HeaderName = name.parse().map_err(|_| Why::VaryAny)?;
            let value = request.get(&name).map(|v| v.as_bytes().into());
            all.push(Selected { name, value });
        }
        Ok(Selection((!all.is_empty()).then(|| all.into())))
    }

    /// Whether a request with these fields is given what this selected.
    pub fn matches(&self, request: &HeaderMap) -> bool {
        *self == self.wants(request)
    }

    /// What a request with these fields would be selected by, where this was what selected: the place of a variant
    /// that is not stored yet.
    pub fn wants(&self, request: &HeaderMap) -> Selection {
        let one = |s: &Selected| Selected {
            name: s.name.clone(),
            value: request.get(&s.name).map(|v| v.as_bytes().into()),
        };
        Selection(self.0.as_ref().map(|all| all.iter().map(one).collect()))
    }

    /// Whether every request is.
    pub fn is_any(&self) -> bool {
        self.0.is_none()
    }

    /// Bytes it takes.
    pub fn size(&self) -> usize {
        self.0.as_ref().map_or(0, |all| {
            let one =
                |s: &Selected| size_of::<Selected>() + s.value.as_ref().map_or(0, |v| v.len());
            all.iter().map(one).sum()
        })
    }
}
