//! The schema says of a file what the program says of its keys.

use std::fs;
use std::path::Path;

use jsonschema::Validator;

use super::*;

fn validator() -> Validator {
    let schema = json_schema();
    assert!(jsonschema::meta::is_valid(&schema), "a schema of 2020-12");
    jsonschema::validator_for(&schema).expect("a schema")
}

fn values(text: &str) -> Option<Value> {
    let yaml: serde_yaml::Value = serde_yaml::from_str(text).ok()?;
    serde_json::to_value(yaml).ok()
}

fn errors(validator: &Validator, text: &str) -> Vec<String> {
    let values = values(text).expect("values that JSON has too");
    validator
        .iter_errors(&values)
        .map(|e| e.to_string())
        .collect()
}

#[test]
fn the_files_that_come_with_the_program_fit() {
    let validator = validator();
    for file in ["quickstart.yaml", "cluster.yaml", "tidegate.example.yaml"] {
        let text =
            fs::read_to_string(Path::new("conf").join(file)).expect("a file of the repository");
        let errors = errors(&validator, &text);
        assert!(errors.is_empty(), "{file}: {errors:#?}");
    }
}

#[test]
fn broken_files_fit_only_where_their_keys_and_kinds_are_right() {
    let validator = validator();
    let (mut refused, mut fine) = (0, 0);
    for entry in fs::read_dir("tests/broken").expect("a folder of the repository") {
        let path = entry.expect("an entry of it").path();
        let Some(values) = fs::read_to_string(&path)
            .ok()
            .and_then(|text| values(&text))
        else {
            continue; // not YAML, or not JSON's kind of values: another tool says so
        };
        let said: Vec<String> = crate::config::load(&path, &|_| None)
            .errors()
            .filter(|e| e.place.file.ends_with(&*path.to_string_lossy()))
            .map(ToString::to_string)
            .collect();
        let about_a_key = |said: &String| {
            let first = said.lines().next().unwrap_or_default();
            first.starts_with("error: unknown key")
                || (first.starts_with("error: `") && first.ends_with("` is not supported yet"))
        };
        let fits = validator.is_valid(&values);
        if said.iter().any(about_a_key) {
            assert!(!fits, "{}: {said:#?}", path.display());
        }
        match fits {
            true => fine += 1,
            false => refused += 1,
        }
    }
    assert!(refused > 10 && fine > 10, "{refused} refused, {fine} fit");
}

#[test]
fn forms_that_the_program_takes_fit() {
    let validator = validator();
    for good in [
        "listen: [{ addr: \"0.0.0.0:80\" }]\nadmin: off\nthreads: 2\ntrusted_proxies: 10.0.0.0/8\n",
        "upstreams: { web: { nodes: [10.0.0.1:80, { addr: 10.0.0.2:80, weight: 2 }], outlier: off, health: { expect: 200 } } }",
        "upstreams: { web: { servers: [10.0.0.1:80] } }\nroutes: [{ upstream: web, cache: true, compression: true }]",
        "limits:\ntimeouts:\n",
        "upstreams: { web: { tls: {} } }",
    ] {
        let errors = errors(&validator, good);
        assert!(errors.is_empty(), "{good}: {errors:#?}");
    }
    for wrong in [
        "threads: [2]",
        "threads:",
        "listen: { addr: x }",
        "upstreams: { web: }",
        "routes: [{ upstraem: web }]",
        "gzip: true",
        "upstreams: { web: { send_proxy: true } }",
    ] {
        assert!(!errors(&validator, wrong).is_empty(), "{wrong}");
    }
}

#[test]
fn examples_are_values_of_their_key() {
    let schema = json_schema();
    let memory = &schema["properties"]["cache"]["anyOf"][0]["properties"]["memory"];
    assert_eq!(memory["examples"], json!(["256MiB"]));
    fn walk(schema: &Value, seen: &mut usize) {
        if let Some([example]) = schema["examples"].as_array().map(Vec::as_slice) {
            *seen += 1;
            let valid = jsonschema::is_valid(schema, example);
            assert!(valid, "{example} of {}", schema["description"]);
        }
        let below = schema.as_object().into_iter().flat_map(Map::values);
        let items = schema.as_array().into_iter().flatten();
        below.chain(items).for_each(|inner| walk(inner, seen));
    }
    let mut seen = 0;
    walk(&schema, &mut seen);
    assert!(seen > 100, "only {seen} examples");
}
