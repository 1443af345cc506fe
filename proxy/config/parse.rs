//! A text becomes values, each with its place.
//!
//! `serde_yaml` says what the values are, the index says where they stand, `fit` takes out what cannot be read, and
//! serde turns the rest into the shapes of `schema/`. All problems of a text are told in one go, except that a text
//! which is not YAML has nothing further to say. Nothing here may read a file.

use serde_yaml::Value;

use super::expand::Env;
use super::fit::{Called, Fit};
use super::index::{At, Index, syntax_problem};
use super::problem::{Place, Problem, Problems};
use super::schema::shape::Shape;
use super::schema::{self, Section};

/// The values of a text and the place of their root.
pub struct Document {
    /// The values.
    pub value: Value,
    /// Where they stand.
    pub at: At,
}

impl Document {
    /// Parses a text. `None`: it is not usable, and `problems` says why.
    pub fn parse(name: &str, text: &str, problems: &mut Problems) -> Option<Document> {
        let blank =
            |line: &str| matches!(line.trim(), "" | "---" | "...") || line.trim().starts_with('#');
        if text.lines().all(blank) {
            let place = Place {
                line: 1,
                column: 1,
                length: 1,
                ..Place::file(name)
            };
            let problem = Problem::error(place, "the file is empty")
                .help("start from conf/quickstart.yaml, or restore the file");
            problems.push(problem);
            return None;
        }
        let at = Index::build(name, text, problems)?;
        let mut value: Value = match serde_yaml::from_str(text) {
            Ok(value) => value,
            Err(error) => {
                let place = error
                    .location()
                    .map_or_else(|| at.place(), |l| at.point(l.line(), l.column()));
                problems.push(syntax_problem(place, &error.to_string()));
                return None;
            }
        };
        if let Err(error) = value.apply_merge() {
            let problem = Problem::error(at.place(), format!("`<<` cannot be merged: {error}"))
                .help("`<<` takes an alias of a mapping, or a list of such aliases");
            problems.push(problem);
            return None;
        }
        Some(Document { value, at })
    }

    /// The values in the shape they should have; a default where nothing is left.
    pub fn read<T: Section>(
        self,
        shape: &Shape,
        called: &str,
        env: Env<'_>,
        problems: &mut Problems,
    ) -> T {
        let called = Called {
            name: called,
            example: "upstreams: { web: { nodes: [127.0.0.1:3000] } }",
            entry: false,
        };
        let fitted = Fit { env, problems }.fit(self.value, &self.at, shape, called);
        let Some(fitted) = fitted else {
            return T::default();
        };
        schema::read(fitted).unwrap_or_else(|error| {
            // Shapes and structs agree, a test says; should they not, the operator hears of it rather than of a panic.
            let problem = Problem::error(self.at.place(), format!("cannot be read: {error}"));
            problems.push(problem.help("please report this with the file"));
            T::default()
        })
    }
}
