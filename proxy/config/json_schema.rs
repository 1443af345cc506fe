//! The shape of the configuration file as a JSON Schema (2020-12), for editors and deploy tools.
//!
//! Made of the one table of shapes that files are read by, so that it can neither know more than the program nor less.
//! It says which keys there are and what kind of value each has; what a word means is for `check` to say.

use serde_json::{Map, Value, json};

use super::schema::FILE;
use super::schema::shape::{Key, Shape};

/// The schema of the main file.
pub fn json_schema() -> Value {
    let mut schema = of(&FILE);
    schema["$schema"] = "https://json-schema.org/draft/2020-12/schema".into();
    schema["title"] = "Tidegate configuration file".into();
    schema
}

/// What a value of this shape may be.
fn of(shape: &Shape) -> Value {
    match shape {
        Shape::Word => json!({ "type": ["string", "number", "boolean"] }),
        Shape::Words => json!({ "anyOf": [of(&Shape::Word), list(&Shape::Word)] }),
        Shape::List(inner) => list(inner),
        Shape::WordOr(inner) => json!({ "anyOf": [of(&Shape::Word), of(inner)] }),
        Shape::Named(inner) => json!({ "type": "object", "additionalProperties": of(inner) }),
        Shape::Map(keys) => {
            let mut known = Map::new();
            for key in keys.iter().filter(|key| key.supported()) {
                known.insert(key.name.into(), property(key));
                if let Some(aka) = key.aka {
                    let mut other = property(key);
                    other["deprecated"] = true.into();
                    other["description"] = format!("write `{}`", key.name).into();
                    known.insert(aka.into(), other);
                }
            }
            json!({ "type": "object", "properties": known, "additionalProperties": false })
        }
        Shape::Elsewhere(_) => json!(false),
    }
}

fn list(of_these: &Shape) -> Value {
    json!({ "type": "array", "items": of(of_these) })
}

/// A key of a mapping. A section without a value is one whose keys are all commented out; a word needs its value.
fn property(key: &Key) -> Value {
    let mut schema = match key.shape {
        Shape::Word => of(&key.shape),
        _ => json!({ "anyOf": [of(&key.shape), { "type": "null" }] }),
    };
    schema["description"] = format!("for example `{}`", key.example).into();
    if let Some(example) = example(key) {
        schema["examples"] = json!([example]);
    }
    schema
}

/// The value of a key in its example.
fn example(key: &Key) -> Option<Value> {
    let written: Map<String, Value> = serde_yaml::from_str(key.example).ok()?;
    written.get(key.name).cloned()
}

#[cfg(test)]
mod tests;
