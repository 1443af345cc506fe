//! What of deeds can be told without a proxy.

use super::*;

fn line(method: &str, path: &str) -> (String, String) {
    let method = method.parse().expect("a method");
    verb_and_target(&method, path)
}

#[test]
fn a_request_that_no_handler_saw_is_named_by_its_line() {
    let both = |action: &str, target: &str| (action.to_string(), target.to_string());
    let node = "/api/v1/upstreams/web/nodes/app-1";
    assert_eq!(
        line("POST", &format!("{node}/drain")),
        both("drain", "web/app-1")
    );
    assert_eq!(line("DELETE", node), both("remove", "web/app-1"));
    assert_eq!(line("PATCH", node), both("change", "web/app-1"));
    let add = "/api/v1/upstreams/web/nodes";
    assert_eq!(line("POST", add), both("add", "web"));
    assert_eq!(line("POST", "/api/v1/reload"), both("reload", ""));
    assert_eq!(line("DELETE", "/metrics"), both("DELETE", "/metrics"));
    assert_eq!(line("POST", "/api/v1/"), both("POST", "/api/v1/"));
}

#[test]
fn what_a_caller_sends_is_cut_and_stays_in_its_line() {
    let (action, target) = line("POST", &format!("/{}", "a".repeat(10_000)));
    assert_eq!(action, "POST");
    assert_eq!(target.chars().count(), LONGEST + 1);
    assert_eq!(short("a\nb\u{1b}c".into()), "a b c");
}

#[test]
fn a_deed_reads_as_a_sentence() {
    let mut deed = Deed {
        at: SystemTime::UNIX_EPOCH,
        who: None,
        from: String::new(),
        action: "drain".into(),
        target: "web/app-1".into(),
        before: "up".into(),
        after: "drain".into(),
        status: 200,
    };
    assert_eq!(
        in_words("deploy", &deed),
        "deploy: drain web/app-1: up -> drain"
    );
    deed.before.clear();
    assert_eq!(in_words("deploy", &deed), "deploy: drain web/app-1: drain");
    deed.after.clear();
    deed.target.clear();
    assert_eq!(in_words("deploy", &deed), "deploy: drain");
}
