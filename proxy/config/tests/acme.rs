//! `acme:` as the file has it: defaults, what is told of it, and never a key.

use std::time::Duration;

use super::*;
use crate::config::checked::{AcmeKey, Challenge};

/// A configuration with this `acme:`, whose port asks for a name.
fn loaded(acme: &str) -> Loaded {
    let text = format!(
        "listen: [{{ addr: 127.0.0.1:8443, tls: {{ acme: [example.com] }} }}]\nacme: {acme}\n\
         upstreams: {{ web: {{ health: off, nodes: [10.0.0.1:80, 10.0.0.2:80] }} }}\nroutes: [{{ upstream: web }}]\n"
    );
    load_text(&text, "tidegate.yaml", &no_env)
}

#[test]
fn to_agree_is_all_that_is_needed() {
    let plain = loaded("{ agree: true }");
    let acme = good(&plain).acme.as_ref().expect("a section");
    assert_eq!(acme.directory, defaults::ACME_DIRECTORY);
    assert_eq!(acme.challenge, Challenge::Http01);
    assert_eq!(acme.key, AcmeKey::EcdsaP256);
    assert_eq!(acme.renew_before, None);
    assert!(!acme.share && acme.emails.is_empty() && acme.eab.is_none());
    let staging = loaded("{ agree: true, staging: true }");
    let acme = good(&staging).acme.as_ref().expect("a section");
    assert_eq!(acme.directory, defaults::ACME_STAGING);
}

#[test]
fn every_key_is_what_the_file_says_and_loads_again_as_it_is_told() {
    let full = loaded(
        "{ email: [a@b.test, \"mailto:c@d.test\"], agree: yes, directory: \"https://ca.test/dir\", challenge: tls-alpn-01, \
         state: /s, renew_before: 20d, key: ecdsa-p384, profile: short }",
    );
    let acme = good(&full).acme.as_ref().expect("a section");
    assert_eq!(acme.emails, ["a@b.test", "c@d.test"]);
    assert_eq!(acme.challenge, Challenge::TlsAlpn01);
    assert_eq!(acme.renew_before, Some(Duration::from_secs(20 * 86_400)));
    assert_eq!(acme.state, Path::new("/s"));
    let told = effective::effective(&full).expect("no error");
    let again = load_text(&told, "told.yaml", &no_env);
    assert_eq!(good(&again).acme, good(&full).acme, "{told}");
    let changes = diff::diff(good(&loaded("{ agree: true }")), good(&full));
    let changes: Vec<String> = changes.iter().map(ToString::to_string).collect();
    for key in [
        "email",
        "directory",
        "challenge",
        "state",
        "renew_before",
        "key",
        "profile",
    ] {
        let told = changes.iter().any(|c| c.contains(&format!("acme.{key} ")));
        assert!(told, "{key}: {changes:?}");
    }
}

#[test]
fn a_section_that_nobody_needs_is_told_of() {
    let loaded = with(
        "acme: { agree: true }\nupstreams: { web: { health: off, nodes: [10.0.0.1:80, 10.0.0.2:80] } }\nroutes: [{ upstream: web }]\n",
    );
    good(&loaded);
    assert!(
        rendered(&loaded).contains("no port asks for one"),
        "{}",
        rendered(&loaded)
    );
}
