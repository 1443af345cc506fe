//! Lists in pieces: how many, and where to go on.
//!
//! Latest first. A cursor is opaque to callers; here it is the number of the last one that was given, so that what
//! happens meanwhile moves nothing.

use axum::extract::Query;
use axum::extract::rejection::QueryRejection;
use axum::http::StatusCode;
use serde::Deserialize;

use super::problem::Problem;
use crate::telemetry::ring::Ring;

/// Ones in an answer, unless another number is asked for.
pub const USUAL: usize = 100;
/// Ones in an answer, at most.
pub const MOST: usize = 1_000;

/// What is asked of a list.
#[derive(Debug, Default, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields, default)]
pub struct Page {
    /// At most so many, 1 to 1000; 100 unless said.
    #[param(value_type = Option<u64>)]
    pub limit: Option<String>,
    /// Go on after the piece that had this as its `next_cursor`.
    pub cursor: Option<String>,
    /// Only those that are newer than the one with this id.
    #[param(value_type = Option<u64>)]
    pub after: Option<String>,
    /// Only these kinds, with commas between them; only lists that have kinds know it.
    #[param(ignore)]
    pub kind: Option<String>,
}

/// What is asked of a list that is ordered by names.
#[derive(Debug, Default, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields, default)]
pub struct ByName {
    /// At most so many, 1 to 1000, in the order of their names; without it all of them, in the order of the file.
    #[param(value_type = Option<u64>)]
    pub limit: Option<String>,
    /// Go on after the piece that had this as its `next_cursor`.
    pub cursor: Option<String>,
}

impl ByName {
    /// What is asked by a query.
    ///
    /// # Errors
    /// When it has words that no list knows.
    pub fn asked(query: Result<Query<ByName>, QueryRejection>) -> Result<ByName, Problem> {
        let Query(asked) = query.map_err(|e| wrong(e.body_text()))?;
        Ok(asked)
    }

    /// Its piece of `all`, and where to go on.
    ///
    /// # Errors
    /// When the limit is no number.
    pub fn of<T>(
        self,
        mut all: Vec<T>,
        name: impl Fn(&T) -> &String,
    ) -> Result<(Vec<T>, Option<String>), Problem> {
        let limit = match &self.limit {
            Some(limit) => number(limit)?,
            None => usize::MAX,
        };
        if self.limit.is_some() || self.cursor.is_some() {
            all.sort_by(|a, b| name(a).cmp(name(b)));
        }
        if let Some(cursor) = &self.cursor {
            all.retain(|one| name(one) > cursor);
        }
        let more = all.len() > limit;
        all.truncate(limit);
        let last = all.last().filter(|_| more).map(|one| name(one).clone());
        Ok((all, last))
    }
}

/// A piece of a list.
#[derive(Debug)]
pub struct Piece<T> {
    /// The ones in it, each with its number.
    pub ones: Vec<(u64, T)>,
    /// Where to go on; none: that was all.
    pub next: Option<String>,
}

impl Page {
    /// What is asked by a query.
    ///
    /// # Errors
    /// When it has words that no list knows.
    pub fn asked(query: Result<Query<Page>, QueryRejection>) -> Result<Page, Problem> {
        let Query(page) = query.map_err(|e| wrong(e.body_text()))?;
        Ok(page)
    }

    /// How many are asked for.
    ///
    /// # Errors
    /// When that is no number from 1 to [`MOST`].
    pub fn limit(&self) -> Result<usize, Problem> {
        let Some(limit) = &self.limit else {
            return Ok(USUAL);
        };
        number(limit)
    }

    /// Its piece of a ring.
    ///
    /// # Errors
    /// When what is asked is no number, or nothing that was given.
    pub fn of<T: Clone>(
        &self,
        ring: &Ring<T>,
        wanted: impl Fn(&T) -> bool,
    ) -> Result<Piece<T>, Problem> {
        let limit = self.limit()?;
        let number = |text: &Option<String>, what, none| match text {
            None => Ok(none),
            Some(text) => text.parse().map_err(|_| wrong(what)),
        };
        let after = number(
            &self.after,
            "`after` is the id of one of the list".into(),
            0,
        )?;
        let cursor = "`cursor` is what an answer gave as `next_cursor`".into();
        let before = number(&self.cursor, cursor, u64::MAX)?;
        // One more than is given tells whether there are more.
        let mut ones = ring.latest(limit + 1, (after, before), wanted);
        let more = ones.len() > limit;
        ones.truncate(limit);
        let last = ones.last().map(|(id, _)| id.to_string());
        Ok(Piece {
            ones,
            next: last.filter(|_| more),
        })
    }
}

fn number(limit: &str) -> Result<usize, Problem> {
    let limit = limit.parse().ok().filter(|n| (1..=MOST).contains(n));
    limit.ok_or_else(|| wrong(format!("`limit` is a number from 1 to {MOST}")))
}

fn wrong(detail: String) -> Problem {
    Problem::new(StatusCode::BAD_REQUEST, detail)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_is_read_piece_by_piece_to_its_end() {
        let ring = Ring::new(9);
        for n in 0..5 {
            ring.note(n);
        }
        let mut page = Page {
            limit: Some("2".into()),
            ..Page::default()
        };
        let mut pieces = Vec::new();
        loop {
            let piece = page.of(&ring, |_| true).expect("a page");
            pieces.push(piece.ones.iter().map(|x| x.0).collect::<Vec<_>>());
            ring.note(9); // what happens meanwhile
            match piece.next {
                Some(next) => page.cursor = Some(next),
                None => break,
            }
        }
        assert_eq!(pieces, [vec![5, 4], vec![3, 2], vec![1]]);
    }

    #[test]
    fn a_list_of_names_is_read_in_their_order_once_it_is_read_in_pieces() {
        let all = || ["web", "api", "shop"].map(String::from).to_vec();
        let piece = |limit: Option<&str>, cursor: Option<&str>| {
            let asked = ByName {
                limit: limit.map(Into::into),
                cursor: cursor.map(Into::into),
            };
            asked.of(all(), |name| name)
        };
        assert_eq!(piece(None, None).expect("all"), (all(), None));
        let first = piece(Some("2"), None).expect("two");
        assert_eq!(
            first,
            (vec!["api".into(), "shop".into()], Some("shop".into()))
        );
        let second = piece(Some("2"), Some("shop")).expect("one");
        assert_eq!(second, (vec!["web".into()], None));
        assert!(piece(Some("0"), None).is_err());
    }

    #[test]
    fn what_is_no_number_is_refused() {
        let ring = Ring::<u8>::new(1);
        let page = |limit: &str, cursor: &str| Page {
            limit: Some(limit.into()),
            cursor: Some(cursor.into()),
            ..Page::default()
        };
        for (limit, cursor, ok) in [
            ("1", "1", true),
            ("1000", "0", true),
            ("0", "1", false),
            ("1001", "1", false),
            ("x", "1", false),
            ("1", "-1", false),
        ] {
            let piece = page(limit, cursor).of(&ring, |_| true);
            assert_eq!(piece.is_ok(), ok, "{limit} {cursor}");
        }
    }
}
