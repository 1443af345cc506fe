//! The same body in another coding, beside the one that came.
//!
//! Almost no entry has any, so that a list costs nothing where there is none. Forms never change: one more, or a better
//! one, is a new list in a new entry.

use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

use super::body::Body;
use crate::base::coding::Coding;
use crate::cache::store::room::Charge;

/// An entry's body in another coding.
#[derive(Debug)]
pub struct Form {
    /// Which.
    pub coding: Coding,
    /// The body. `None`: it was made and is no smaller than the entry's own, which is sent instead.
    pub body: Option<Body>,
    /// It was made with all the effort that is ever spent on it.
    pub is_final: bool,
    hits: AtomicU32,
}

impl Form {
    /// One that nobody has asked for yet.
    pub(in crate::cache) fn new(coding: Coding, body: Option<Body>, is_final: bool) -> Form {
        Form {
            coding,
            body,
            is_final,
            hits: AtomicU32::new(0),
        }
    }

    /// Counts a use and returns how many there have been. Worth asking of one that is not final: a popular one is made
    /// better.
    pub fn hit(&self) -> u32 {
        // Beyond four billion it begins anew, which makes nothing worse than unpopular.
        self.hits.fetch_add(1, Relaxed).wrapping_add(1)
    }

    /// How often it was used.
    pub fn hits(&self) -> u32 {
        self.hits.load(Relaxed)
    }

    /// The same for another list.
    fn again(&self) -> Form {
        Form {
            hits: AtomicU32::new(self.hits()),
            ..Form::new(self.coding, self.body.clone(), self.is_final)
        }
    }

    /// What is kept when this was made where there is `old`: the smaller body, and that it is final once it was. `None`:
    /// what there is. One that is final gives way to none that is not.
    fn instead_of(self, old: &Form) -> Option<Form> {
        let is_smaller = match (&self.body, &old.body) {
            (Some(new), Some(old)) => new.len() < old.len(),
            (new, old) => new.is_some() && old.is_none(),
        };
        if old.is_final && !self.is_final {
            return None;
        }
        let mut kept = old.again();
        if is_smaller {
            kept.body = self.body;
        } else if old.is_final == self.is_final {
            return None;
        }
        kept.is_final = self.is_final;
        Some(kept)
    }
}

/// The forms of an entry, and the memory they take. Entries that were confirmed share them.
#[derive(Debug)]
pub(in crate::cache) struct Forms {
    list: Box<[Form]>,
    own: Charge,
    bodies: u64,
}

impl Forms {
    /// A list in memory that is charged; `bodies` are the bytes that their bodies take.
    pub(in crate::cache) fn new(list: Box<[Form]>, own: Charge, bodies: u64) -> Forms {
        Forms { list, own, bodies }
    }

    /// Them.
    pub(in crate::cache) fn list(&self) -> &[Form] {
        &self.list
    }

    /// Bytes they take, all in all.
    pub(in crate::cache) fn weight(&self) -> u64 {
        self.own.bytes() + self.bodies
    }
}

/// These forms with one that was made. `None`: it changes nothing.
pub(in crate::cache) fn with(forms: &[Form], made: Form) -> Option<Box<[Form]>> {
    let is_other = |form: &&Form| form.coding != made.coding;
    let others: Vec<Form> = forms.iter().filter(is_other).map(Form::again).collect();
    let old = forms.iter().find(|form| form.coding == made.coding);
    let made = match old {
        Some(old) => made.instead_of(old)?,
        None => made,
    };
    Some(others.into_iter().chain([made]).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn form(length: Option<usize>, is_final: bool) -> Form {
        let body = length.map(|length| Body::One(vec![1; length].into()));
        Form::new(Coding::Brotli, body, is_final)
    }

    fn told(form: &Form) -> (Option<u64>, bool) {
        (form.body.as_ref().map(Body::len), form.is_final)
    }

    #[test]
    fn the_smaller_body_is_kept_and_final_is_what_was_final_once() {
        type Told = (Option<usize>, bool);
        let cases: [(Told, Told, Option<Told>); 10] = [
            ((Some(5), false), (Some(4), false), Some((Some(4), false))),
            ((Some(5), false), (Some(5), false), None),
            ((Some(5), false), (None, false), None),
            ((None, false), (Some(5), false), Some((Some(5), false))),
            ((Some(5), false), (Some(4), true), Some((Some(4), true))),
            ((Some(5), false), (Some(6), true), Some((Some(5), true))),
            ((Some(5), false), (None, true), Some((Some(5), true))),
            ((Some(5), true), (Some(4), false), None),
            ((Some(5), true), (Some(4), true), Some((Some(4), true))),
            ((None, true), (Some(4), false), None),
        ];
        for (old, new, expected) in cases {
            let old = [form(old.0, old.1)];
            old[0].hit();
            let list = with(&old, form(new.0, new.1));
            let kept = list.as_ref().map(|list| told(&list[0]));
            let expected = expected.map(|(length, is_final)| (length.map(|n| n as u64), is_final));
            assert_eq!(kept, expected, "{old:?} {new:?}");
            if let Some(list) = list {
                assert_eq!((list.len(), list[0].hits()), (1, 1));
            }
        }
    }

    #[test]
    fn forms_of_other_codings_stay_beside_it() {
        let forms = [Form::new(Coding::Gzip, None, false), form(Some(9), false)];
        forms[0].hit();
        let list = with(&forms, form(Some(8), false)).unwrap();
        let all: Vec<_> = list.iter().map(|form| (form.coding, form.hits())).collect();
        assert_eq!(all, [(Coding::Gzip, 1), (Coding::Brotli, 0)]);
    }
}
