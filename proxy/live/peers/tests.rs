//! What a proxy says of itself, and what tells configurations apart.

use super::*;

fn peer() -> Peer {
    Peer {
        id: "0123456789abcdef".into(),
        name: "web-1".into(),
        listen: vec!["0.0.0.0:80".into()],
        admin: Some("127.0.0.1:9100".into()),
        version: "1.2.3".into(),
        generation: 7,
        config: "fedcba9876543210".into(),
        started: UNIX_EPOCH + Duration::from_secs(1_700_000_000),
    }
}

#[test]
fn what_a_proxy_says_is_read_and_what_is_nonsense_is_not() {
    assert_eq!(Peer::read(peer().said().as_bytes()), Some(peer()));
    let long = Peer {
        name: "x".repeat(WORD + 1),
        ..peer()
    };
    for nonsense in ["", "{}", "[]", "{\"id\": 1}", &long.said()] {
        assert_eq!(Peer::read(nonsense.as_bytes()), None, "{nonsense}");
    }
}

const ONE: &str = "listen:\n  - addr: 10.0.0.1:80 # a.yaml:1\n    h2c: false # default\n\
    admin:\n  addr: 10.0.0.1:9100 # a.yaml:2\n  token_file: /one/t # a.yaml:2\nthreads: 8 # default\n\
    access_log:\n  path: /var/log/one # a.yaml:3\nupstreams:\n  web:\n    nodes:\n      - addr: 10.0.0.9:80 # a.yaml:4\n";

#[test]
fn where_a_machine_listens_and_has_its_files_makes_no_other_configuration() {
    let other = ONE.replace("10.0.0.1", "10.0.0.2").replace("one", "two");
    let other = other
        .replace("a.yaml", "/etc/b.yaml")
        .replace(": 8 #", ": 4 #");
    assert_ne!(ONE, other);
    assert_eq!(hash_of(ONE), hash_of(&other));
}

#[test]
fn anything_else_does() {
    for (was, is) in [
        ("10.0.0.9", "10.0.0.8"),
        ("h2c: false", "h2c: true"),
        ("web", "shop"),
        ("threads: 8 # default", "threads: 9 # a.yaml:9"),
        ("  path: /var/log/one # a.yaml:3\n", ""),
    ] {
        assert_ne!(hash_of(ONE), hash_of(&ONE.replace(was, is)), "{was}");
    }
}
