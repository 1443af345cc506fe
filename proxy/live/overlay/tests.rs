//! Laws of what is changed at run time.

use super::*;
use crate::config::checked::NodeAddr;

fn entry() -> Node {
    Node {
        id: "a".into(),
        addr: NodeAddr::Socket("127.0.0.1:1".parse().unwrap()),
        weight: 1,
        state: Intent::Up,
        backup: false,
        priority: 0,
        max_conns: None,
    }
}

#[test]
fn saying_what_the_file_says_is_no_drift() {
    let mut overlay = Overlay::default();
    overlay.set("web", "a", &entry(), Change::Intent(Intent::Drain));
    overlay.set("web", "a", &entry(), Change::Weight(5));
    assert_eq!(overlay.len(), 1);
    assert_eq!(overlay.of("web", "a").weight, Some(5));
    overlay.set("web", "a", &entry(), Change::Weight(1));
    overlay.set("web", "a", &entry(), Change::Intent(Intent::Up));
    assert!(overlay.is_empty());
}

#[test]
fn one_address_of_a_name_is_changed_alone_and_the_name_for_all() {
    let mut overlay = Overlay::default();
    let drain = Some(Intent::Drain);
    overlay.set("web", "a@10.0.0.1", &entry(), Change::Intent(Intent::Drain));
    assert_eq!(overlay.of("web", "a@10.0.0.1").intent, drain);
    assert_eq!(overlay.of("web", "a@10.0.0.2").intent, None);
    overlay.set("web", "a", &entry(), Change::Intent(Intent::Drain));
    assert_eq!(overlay.of("web", "a@10.0.0.2").intent, drain);
    overlay.set("web", "a@10.0.0.1", &entry(), Change::Intent(Intent::Up));
    assert_eq!(
        overlay.of("web", "a@10.0.0.1").intent,
        None,
        "as the file says"
    );
    assert_eq!(overlay.of("web", "a@10.0.0.2").intent, drain);
    overlay.set("web", "a", &entry(), Change::Intent(Intent::Up));
    assert!(overlay.is_empty());
}
