//! Who comes in at the stats port and who does not: tokens, roles, names, pages of other sites.

use serde_json::{Value, json};

use super::guarded::{ADMIN, Guarded, OPS, READ, WRONG};
use crate::support::client::{Answer, Client, Request};
use crate::support::proxy::{SOON, one_node};

const DRAIN: &str = "/api/v1/upstreams/web/nodes/app-1/drain";

/// RFC 9457 with this status; its words.
#[track_caller]
fn refused(answer: &Answer, status: u16) -> String {
    assert_eq!(answer.status, status, "{}", answer.text());
    let kind = answer.head.get("content-type").unwrap_or_default();
    assert!(kind.starts_with("application/problem+json"), "{kind}");
    let problem = answer.json();
    assert_eq!(problem["status"], status, "{problem}");
    problem["detail"].as_str().expect("words").into()
}

#[tokio::test]
async fn without_a_token_only_what_says_nothing_is_answered() {
    let here = Guarded::run().await;
    for operation in here.operations().await {
        let open = operation.told["security"].is_null();
        let request = here.request(None, &operation.method, &operation.path, "");
        let answer = here.send(&request).await;
        if open {
            assert_eq!(answer.status, 200, "{operation:?}");
            continue;
        }
        let words = refused(&answer, 401);
        assert!(words.contains("--token-file"), "{words}");
        let asks = answer.head.get("www-authenticate").unwrap_or_default();
        assert!(asks.starts_with("Bearer"), "{asks}");
        assert!(
            operation.told["responses"]["401"].is_object(),
            "{operation:?}"
        );
    }
    for (path, status) in [
        ("/", 200),
        ("/healthz", 200),
        ("/readyz", 200),
        ("/nothing", 401),
    ] {
        let answer = here.send(&here.request(None, "GET", path, "")).await;
        assert_eq!(answer.status, status, "{path}");
    }
    assert_eq!(here.state().await, "up");
    assert_eq!(here.generation().await, 1);
}

#[tokio::test]
async fn readiness_names_nothing_to_strangers() {
    let here = Guarded::run().await;
    here.ask(OPS, "POST", "/api/v1/upstreams/web/nodes/app-1/down", "")
        .await;
    for (token, words) in [
        (None, "not ready\n"),
        (Some(WRONG), "not ready\n"),
        (Some(READ), "upstream web: no usable node\n"),
    ] {
        let answer = here.send(&here.request(token, "GET", "/readyz", "")).await;
        assert_eq!((answer.status, answer.text().as_str()), (503, words));
    }
}

#[tokio::test]
async fn a_token_is_brought_in_one_way_only() {
    let here = Guarded::run().await;
    let plain = || here.request(None, "GET", "/api/v1/status", "");
    let with = |value: &str| plain().field("Authorization", value);
    for (request, why) in [
        (with(&format!("Bearer {WRONG}")), "another token"),
        (with(&format!("Bearer {}", &READ[1..])), "a part of one"),
        (with(&format!("Bearer {READ}0")), "more than one"),
        (with(&format!("Basic {READ}")), "another scheme"),
        (with(READ), "no scheme"),
        (with("Bearer"), "nothing"),
        (
            with(&format!("Bearer {READ}")).field("Authorization", &format!("Bearer {READ}")),
            "twice",
        ),
        (
            plain().field("Cookie", &format!("token={READ}")),
            "a cookie",
        ),
        (plain().field("X-Api-Key", READ), "another field"),
        (
            here.request(
                None,
                "GET",
                &format!("/api/v1/status?token={READ}&access_token={READ}"),
                "",
            ),
            "the query",
        ),
    ] {
        let answer = here.send_from("127.0.0.3", &request).await;
        assert_eq!(answer.status, 401, "{why}");
    }
    let good = here.send(&with(&format!("bearer {READ}"))).await;
    assert_eq!(good.status, 200, "the scheme's case is nobody's business");
}

#[tokio::test]
async fn each_role_does_what_it_says_and_no_more() {
    let here = Guarded::run().await;
    let weight = "/api/v1/upstreams/web/nodes/app-1/weight";
    let undrain = "/api/v1/upstreams/web/nodes/app-1/undrain";
    for (method, path, body, least) in [
        ("GET", "/api/v1/status", "", READ),
        ("GET", "/metrics", "", READ),
        ("GET", "/api/v1/audit", "", READ),
        ("POST", DRAIN, "", OPS),
        ("POST", undrain, "", OPS),
        ("POST", weight, "{\"weight\":2}", OPS),
        ("POST", "/api/v1/reload", "", OPS),
        ("POST", "/api/v1/purge", "{\"all\":true}", OPS),
    ] {
        let mut enough = false;
        for token in [READ, OPS, ADMIN] {
            enough |= token == least;
            let answer = here.ask(token, method, path, body).await;
            let status = if enough { 200 } else { 403 };
            assert_eq!(answer.status, status, "{token} {path}: {}", answer.text());
        }
    }
    for (token, words) in [
        (READ, "`grafana` has the role read, and this needs admin"),
        (OPS, "`deploy` has the role ops"),
    ] {
        let why = refused(&here.ask(token, "POST", "/api/v1/save", "").await, 403);
        assert!(why.contains(words), "{why}");
    }
    let before = here.generation().await;
    for operation in here.operations().await.iter().filter(|o| o.changes()) {
        let answer = here.ask(READ, &operation.method, &operation.path, "").await;
        refused(&answer, 403);
        for status in ["401", "403", "412", "415", "429"] {
            let told = &operation.told["responses"][status];
            assert!(told.is_object(), "{status} {operation:?}");
        }
    }
    assert_eq!(here.generation().await, before);
}

#[tokio::test]
async fn without_tokens_this_machine_operates_and_does_not_save() {
    let (_app, tide) = one_node().await;
    assert_eq!(tide.api("POST", DRAIN, "").await.status, 200);
    let why = refused(&tide.api("POST", "/api/v1/save", "").await, 403);
    assert!(why.contains("admin.tokens"), "{why}");
    // Who came through a proxy on this machine is somewhere else.
    let mut client = Client::connect(tide.admin()).await.unwrap();
    let through = Request::get("/api/v1/status")
        .host(&tide.admin().to_string())
        .field("X-Forwarded-For", "10.0.0.1");
    let answer = client.ask(&through).await.unwrap();
    let why = refused(&answer, 401);
    assert!(why.contains("admin.tokens"), "{why}");
}

#[tokio::test]
async fn a_get_changes_nothing_wherever_it_is_sent() {
    let here = Guarded::run().await;
    let operations = here.operations().await;
    let reads = |path: &str| operations.iter().any(|o| !o.changes() && o.path == path);
    let before = (here.generation().await, here.state().await);
    for operation in operations.iter().filter(|o| o.changes()) {
        for method in ["GET", "HEAD"] {
            let answer = here.ask(ADMIN, method, &operation.path, "").await;
            let status = if reads(&operation.path) { 200 } else { 405 };
            assert_eq!(answer.status, status, "{method} {}", operation.path);
        }
    }
    assert_eq!((here.generation().await, here.state().await), before);
    let audit = here.json("/api/v1/audit").await;
    let deeds = audit["audit"].as_array().unwrap();
    assert!(!deeds.is_empty(), "who tries is seen");
    assert!(
        deeds.iter().all(|deed| deed["outcome"] == "refused"),
        "{audit}"
    );
}

#[tokio::test]
async fn whoever_is_refused_is_in_the_audit_also_if_it_only_wanted_to_read() {
    let here = Guarded::run().await;
    let stranger = here.request(None, "GET", "/api/v1/status", "");
    assert_eq!(here.send(&stranger).await.status, 401);
    let rebound = here
        .request(Some(READ), "GET", "/api/v1/status", "")
        .host("evil.example");
    assert_eq!(here.send(&rebound).await.status, 421);
    let page = here
        .request(Some(READ), "GET", "/api/v1/status", "")
        .field("Sec-Fetch-Site", "cross-site");
    assert_eq!(here.send(&page).await.status, 403);
    let audit = here.json("/api/v1/audit").await;
    let deeds = audit["audit"].as_array().unwrap();
    for status in [401, 403, 421] {
        let is_told = deeds
            .iter()
            .any(|deed| deed["status"] == status && deed["outcome"] == "refused");
        assert!(is_told, "{status}: {audit}");
    }
    // A link on another page may lead to ours.
    let link = here
        .request(None, "GET", "/", "")
        .field("Sec-Fetch-Site", "cross-site");
    assert_eq!(here.send(&link).await.status, 200);
}

#[tokio::test]
async fn what_has_no_end_ends_with_its_token() {
    let here = Guarded::run().await;
    let mut open = Vec::new();
    for path in ["/api/v1/stream", "/api/v1/log"] {
        let mut client = Client::connect(here.tide.admin())
            .await
            .expect("the stats port");
        client
            .send(&here.request(Some(READ), "GET", path, ""))
            .await
            .expect("a request");
        let head = client.head().await.expect("a head");
        assert_eq!(
            head.get("content-type"),
            Some("text/event-stream"),
            "{path}"
        );
        open.push((path, client));
    }
    here.tide.write_file("read.token", "another-0123456789\n");
    for (path, mut client) in open {
        let ended = async { while let Ok(Some(_)) = client.chunk().await {} };
        let ended = tokio::time::timeout(SOON, ended).await;
        assert!(ended.is_ok(), "{path} goes on");
    }
}

#[tokio::test]
async fn a_look_at_what_would_be_saved_is_no_deed() {
    let here = Guarded::run().await;
    assert_eq!(here.ask(ADMIN, "POST", DRAIN, "").await.status, 200);
    let patch = here
        .ask(ADMIN, "POST", "/api/v1/save?dry_run=true", "")
        .await;
    assert_eq!(patch.status, 200, "{}", patch.text());
    let audit = here.json("/api/v1/audit").await;
    let deeds = audit["audit"].as_array().unwrap();
    assert!(deeds.iter().all(|deed| deed["action"] != "save"), "{audit}");
    assert_eq!(deeds.len(), 1, "{audit}");
}

#[tokio::test]
async fn a_page_of_another_site_changes_nothing_even_with_a_token() {
    let here = Guarded::run().await;
    let own = format!("http://{}", here.tide.admin());
    let with = |name: &str, value: &str| {
        here.request(Some(ADMIN), "POST", DRAIN, "")
            .field(name, value)
    };
    for (request, status, why) in [
        (with("Origin", "http://evil.example"), 403, "another site"),
        (with("Origin", "null"), 403, "a file, a frame"),
        (
            with("Origin", "http://127.0.0.1:3000"),
            403,
            "another port of this machine",
        ),
        (
            with("Sec-Fetch-Site", "cross-site"),
            403,
            "so says the browser",
        ),
        (with("Sec-Fetch-Site", "same-site"), 403, "a neighbour"),
        (with("Host", "evil.example"), 421, "two names"),
        (
            here.request(Some(ADMIN), "POST", DRAIN, "")
                .host("evil.example"),
            421,
            "another name",
        ),
        (
            Request::post(DRAIN, "a=b")
                .host(&here.tide.admin().to_string())
                .field("Authorization", &format!("Bearer {ADMIN}"))
                .field("Content-Type", "application/x-www-form-urlencoded"),
            415,
            "a form",
        ),
        (
            Request::post("/api/v1/purge", "{\"all\":true}")
                .host(&here.tide.admin().to_string())
                .field("Authorization", &format!("Bearer {ADMIN}"))
                .field("Content-Type", "text/plain"),
            415,
            "JSON that does not say so",
        ),
    ] {
        let answer = here.send(&request).await;
        assert_eq!(answer.status, status, "{why}: {}", answer.text());
    }
    assert_eq!(here.state().await, "up");
    let ours = [
        with("Origin", &own).field("Sec-Fetch-Site", "same-origin"),
        here.request(Some(OPS), "POST", DRAIN, "")
            .host("stats.example.com")
            .field("Origin", "https://stats.example.com"),
    ];
    for request in ours {
        assert_eq!(here.send(&request).await.status, 200);
    }
    let preflight = here
        .request(None, "OPTIONS", DRAIN, "")
        .field("Origin", "http://evil.example")
        .field("Access-Control-Request-Method", "POST");
    let answer = here.send(&preflight).await;
    assert_eq!(answer.status, 401);
    assert_eq!(answer.head.get("access-control-allow-origin"), None);
}

#[tokio::test]
async fn every_answer_tells_browsers_to_be_careful() {
    let here = Guarded::run().await;
    let mut requests = vec![
        here.request(None, "GET", "/", ""),
        here.request(None, "GET", "/api/v1/status", ""),
        here.request(Some(READ), "GET", "/api/v1/status", ""),
        here.request(Some(READ), "GET", "/nothing", ""),
        here.request(Some(READ), "POST", DRAIN, ""),
    ];
    requests.push(
        here.request(Some(READ), "GET", "/", "")
            .host("evil.example"),
    );
    for request in requests {
        let answer = here.send(&request).await;
        for (name, value) in [
            (
                "content-security-policy",
                "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
            ),
            ("x-content-type-options", "nosniff"),
            ("x-frame-options", "DENY"),
            ("referrer-policy", "no-referrer"),
            ("cross-origin-resource-policy", "same-origin"),
            ("cross-origin-opener-policy", "same-origin"),
        ] {
            assert_eq!(
                answer.head.get(name),
                Some(value),
                "{name} of {}",
                answer.status
            );
        }
        assert_eq!(answer.head.get("set-cookie"), None);
        // The page has no data in it: it may be kept, if it is asked for again.
        let kept = answer
            .head
            .get("content-type")
            .is_some_and(|kind| kind.starts_with("text/html"));
        let kept = if kept { "no-cache" } else { "no-store" };
        assert_eq!(answer.head.get("cache-control"), Some(kept));
    }
}

#[tokio::test]
async fn a_change_is_refused_when_something_else_is_in_use_than_was_seen() {
    let here = Guarded::run().await;
    let seen = here.ask(READ, "GET", "/api/v1/upstreams", "").await;
    let tag = seen.head.get("etag").expect("a tag").to_string();
    assert_eq!(tag, "\"1\"");
    for path in ["/api/v1/status", "/api/v1/config", "/api/v1/upstreams/web"] {
        let answer = here.ask(READ, "GET", path, "").await;
        assert_eq!(answer.head.get("etag"), Some("\"1\""), "{path}");
    }
    let drain = |tag: &str| {
        here.request(Some(OPS), "POST", DRAIN, "")
            .field("If-Match", tag)
    };
    assert_eq!(here.send(&drain(&tag)).await.status, 200);
    let undrain = here
        .request(
            Some(OPS),
            "POST",
            "/api/v1/upstreams/web/nodes/app-1/undrain",
            "",
        )
        .field("If-Match", &tag);
    let answer = here.send(&undrain).await;
    let why = refused(&answer, 412);
    assert!(why.contains("\"1\"") && why.contains("\"2\""), "{why}");
    assert_eq!(answer.head.get("etag"), Some("\"2\""));
    assert_eq!(here.state().await, "drain");
    for (tag, status) in [
        ("*", 200),
        ("\"1\", \"2\"", 200),
        ("W/\"2\"", 412),
        ("2", 412),
    ] {
        assert_eq!(here.send(&drain(tag)).await.status, status, "{tag}");
    }
    assert_eq!(
        here.generation().await,
        2,
        "what is so already spoils nobody's tag"
    );
}

#[tokio::test]
async fn commands_bring_a_token_and_say_when_one_is_missing() {
    let here = Guarded::run().await;
    let file = here.tide.dir().join("ops.token").display().to_string();
    let done = here.command(&["drain", "web/app-1"], &[]).await;
    assert_eq!(done.code, 1, "{}", done.all());
    assert!(done.err.contains("TIDEGATE_TOKEN"), "{}", done.all());
    let done = here
        .command(&["drain", "web/app-1"], &[("TIDEGATE_TOKEN", READ)])
        .await;
    assert!(
        done.code == 1 && done.err.contains("role"),
        "{}",
        done.all()
    );
    let done = here.command(&["status"], &[("TIDEGATE_TOKEN", READ)]).await;
    assert_eq!(done.code, 0, "{}", done.all());
    // The file is said, the variable is only there.
    let variables = [("TIDEGATE_TOKEN", WRONG)];
    let done = here
        .command(&["drain", "web/app-1", "--token-file", &file], &variables)
        .await;
    assert_eq!(done.code, 0, "{}", done.all());
    let done = here.command(&["status"], &variables).await;
    assert!(
        done.code == 1 && done.err.contains("admin.tokens"),
        "{}",
        done.all()
    );
    let none = here
        .command(&["status", "--token-file", "/nowhere"], &[])
        .await;
    assert!(
        none.code == 1 && none.err.contains("/nowhere"),
        "{}",
        none.all()
    );
}

#[tokio::test]
async fn the_audit_says_who_changed_what_from_where_and_what_it_was() {
    let here = Guarded::run().await;
    here.ask(OPS, "POST", DRAIN, "").await;
    here.ask(ADMIN, "POST", "/api/v1/purge", "{\"tag\":\"news\"}")
        .await;
    here.ask(READ, "POST", DRAIN, "").await;
    here.ask(OPS, "POST", "/api/v1/upstreams/web/nodes/app-9/drain", "")
        .await;
    here.ask(
        OPS,
        "POST",
        "/api/v1/upstreams/web/nodes/app-1/weight",
        "{}",
    )
    .await;
    let list = here.json("/api/v1/audit").await;
    let line = |deed: &Value| {
        let word = |key: &str| deed[key].as_str().unwrap_or_default().to_string();
        assert!(word("from").starts_with("127.0.0.1:"), "{deed}");
        ["who", "action", "target", "before", "after", "outcome"]
            .map(word)
            .join("|")
    };
    let all: Vec<String> = list["audit"].as_array().unwrap().iter().map(line).collect();
    let expected = [
        "deploy|weight|web/app-1||send {\"weight\": N} with a whole number N from 0 to 65535|refused",
        "deploy|drain|web/app-9||there is no node \"web/app-9\"|refused",
        "grafana|drain|web/app-1||the token `grafana` has the role read, and this needs ops: use another one, or change its role in the configuration (`admin.tokens`)|refused",
        "boss|purge|{\"tag\":\"news\"}||0 answers, soft|ok",
        "deploy|drain|web/app-1|up weight 1|drain weight 1|ok",
    ];
    assert_eq!(all, expected);
    let log = here.tide.log();
    assert!(
        log.contains("drain web/app-1: up weight 1 -> drain weight 1"),
        "{log}"
    );
    let events = here.json("/api/v1/events?kind=admin").await;
    let drained = &events["events"][1];
    assert_eq!(
        (&drained["upstream"], &drained["node"]),
        (&json!("web"), &json!("app-1")),
        "{events}"
    );
    assert!(
        drained["text"]
            .as_str()
            .unwrap()
            .starts_with("deploy (127.0.0.1:"),
        "{events}"
    );
}
