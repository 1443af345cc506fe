//! Header fields that the file names, with their values.
//!
//! One reader for those that a request must have and those that a probe sends. Nothing here may judge which fields
//! make sense where.

use std::collections::HashSet;

use http::{HeaderName, HeaderValue};

use crate::config::fit::shorten;
use crate::config::index::At;
use crate::config::problem::{Problem, Problems};
use crate::config::schema::Named;

/// Reads names and their values, in the order of the file.
pub fn read(
    named: Option<&Named<Option<String>>>,
    at: &At,
    problems: &mut Problems,
) -> Vec<(HeaderName, HeaderValue)> {
    let mut seen = HashSet::new();
    let mut out = Vec::new();
    for (name, word) in named.iter().flat_map(|h| &h.0) {
        let here = at.key(name);
        let Ok(field) = HeaderName::from_bytes(name.as_bytes()) else {
            let problem = Problem::error(
                here.key_place(),
                format!("\"{}\" is not the name of a header field", shorten(name)),
            );
            problems.push(problem.help("write it as X-Beta: letters, digits and -"));
            continue;
        };
        if !seen.insert(field.clone()) {
            let problem = Problem::error(
                here.key_place(),
                format!("the header field \"{field}\" is given twice"),
            );
            problems.push(problem.help("names of header fields ignore case: keep one"));
            continue;
        }
        let Some(word) = word else { continue };
        match HeaderValue::from_str(word) {
            Ok(value) => out.push((field, value)),
            Err(_) => {
                let problem =
                    Problem::error(here.place(), "this value cannot be sent in a header field");
                problems.push(problem.help("use printable characters on one line"));
            }
        }
    }
    out
}
