//! How a node can be asked how it is, key by key; and that nodes which are asked alike are asked once.

use std::time::Instant;

use crate::support::grpc::{Grpc, Says};
use crate::support::origin::{Origin, nodes};
use crate::support::proxy::{Tidegate, complete, web};
use crate::support::reply::Reply;
use crate::support::tls::{Authority, Greeting, TlsDoor};
use crate::support::{check, eventually, ms, pattern};

/// The rest of a quick health check.
const QUICK: &str = "interval: 100ms, timeout: 500ms, rise: 1, fall: 1";

fn health(keys: &str) -> String {
    format!("health: {{ {keys}, {QUICK} }}")
}

/// Waits until the last check of `web/app-1` failed with these words in its reason.
async fn fails_with(tide: &Tidegate, words: &str) {
    eventually(words, ms(8_000), async || {
        let node = tide.node("web/app-1").await;
        let text = node["last_check"]["text"].as_str().unwrap_or_default();
        check(text.contains(words) && node["health"] == "unhealthy", &node)
    })
    .await;
}

async fn passes(tide: &Tidegate) {
    tide.node_has("web/app-1", "health", "healthy").await;
}

// -- what is sent

#[tokio::test]
async fn a_probe_is_sent_as_the_file_says() {
    let app = Origin::start("app-1").await;
    let keys = "path: \"/check?deep=1\", method: OPTIONS, host: app.internal, \
                headers: { X-Probe: \"1\", Authorization: Bearer s3cret, User-Agent: me }";
    let tide = Tidegate::run(web(&health(keys), nodes([&app]))).await;
    passes(&tide).await;
    let seen = app.seen().remove(0);
    assert_eq!(seen.head.line, "OPTIONS /check?deep=1 HTTP/1.1");
    assert_eq!(seen.head.get("host"), Some("app.internal"));
    assert_eq!(seen.head.get("x-probe"), Some("1"));
    assert_eq!(seen.head.get("authorization"), Some("Bearer s3cret"));
    assert_eq!(seen.head.get("user-agent"), Some("me"));
    assert_eq!(seen.head.get("connection"), Some("close"));
    let told = tide.json("/api/v1/config").await["effective"].to_string();
    assert!(
        told.contains("REDACTED") && !told.contains("s3cret"),
        "{told}"
    );
    assert!(!tide.log().contains("s3cret"), "{}", tide.log());
}

#[tokio::test]
async fn a_head_is_enough_where_the_file_says_so() {
    let app = Origin::start("app-1").await;
    let tide = Tidegate::run(web(&health("path: /check, method: HEAD"), nodes([&app]))).await;
    passes(&tide).await;
    assert_eq!(app.seen()[0].method(), "HEAD");
}

#[tokio::test]
async fn another_port_can_be_asked() {
    let (app, watcher) = (Origin::start("app-1").await, Origin::start("watcher").await);
    let keys = format!("path: /healthz, port: {}", watcher.addr().port());
    let tide = Tidegate::run(web(&health(&keys), nodes([&app]))).await;
    passes(&tide).await;
    assert_eq!(app.probes(), 0, "its own port is not asked");
    watcher.set_health(503);
    fails_with(&tide, "status 503").await;
    watcher.set_health(200);
    passes(&tide).await;
    assert_eq!(
        tide.get("/").await.node(),
        "app-1",
        "requests go where they went"
    );
}

// -- what is answered

#[tokio::test]
async fn the_body_must_have_what_the_file_asks_for() {
    let app = Origin::start("app-1").await;
    app.answers(|_| Reply::text("{\"db\": \"up\", \"queue\": \"up\"}"));
    let text = web(
        &health("path: /check, body: '\"db\": \"up\"'"),
        nodes([&app]),
    );
    let tide = Tidegate::run(&text).await;
    passes(&tide).await;
    app.answers(|_| Reply::chunked(["{\"db\": \"do", "wn\"}"]));
    fails_with(&tide, "status 200, but the body lacks \"\"db\": \"up\"\"").await;
    app.answers(|_| Reply::chunked(["{\"db\": ", "\"up\"}"]));
    passes(&tide).await;
    app.answers(|_| Reply::short_of(500, "\"db\": \"up\""));
    fails_with(&tide, "connection closed before the end of the answer").await;
    app.answers(|_| Reply::sized(500, "\"db\": \"up\""));
    fails_with(&tide, "status 500").await;
}

#[tokio::test]
async fn an_expression_is_looked_for_in_the_first_64_kib() {
    let app = Origin::start("app-1").await;
    let page = |before: usize| [pattern(before), b"\nqueue: 17\n".to_vec()].concat();
    app.answers(move |_| Reply::text(page(60_000)));
    let keys = health("path: /check, body_regex: '(?m)^queue: [0-9]{1,2}$'");
    let tide = Tidegate::run(web(&keys, nodes([&app]))).await;
    passes(&tide).await;
    app.answers(|_| Reply::text("queue: 171"));
    fails_with(&tide, "the body lacks what /").await;
    app.answers(move |_| Reply::text(page(10)));
    passes(&tide).await;
    app.answers(move |_| Reply::text(page(70_000)));
    fails_with(&tide, "the body lacks what /").await;
}

#[tokio::test]
async fn an_answer_that_can_be_read_in_two_ways_is_a_bad_one() {
    let app = Origin::start("app-1").await;
    let tide = Tidegate::run(web(&health("path: /check"), nodes([&app]))).await;
    passes(&tide).await;
    let twice = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nContent-Length: 1\r\n\r\n";
    app.answers(move |_| Reply::raw(twice));
    fails_with(&tide, "the answer is not HTTP: a Content-Length").await;
    app.answers(|_| Reply::raw("220 mail.internal ESMTP\r\n"));
    fails_with(&tide, "a head that is not HTTP/1").await;
}

// -- when it is asked

#[tokio::test]
async fn an_unhealthy_node_is_asked_at_its_own_interval() {
    let app = Origin::start("app-1").await;
    let keys =
        "health: { path: /healthz, interval: 60s, unhealthy_interval: 100ms, rise: 3, fall: 1 }";
    app.set_health(503);
    let tide = Tidegate::run_unready(web(keys, nodes([&app]))).await;
    fails_with(&tide, "status 503").await;
    let began = Instant::now();
    app.set_health(200);
    passes(&tide).await;
    assert!(began.elapsed() < ms(8_000), "{:?}", began.elapsed());
    // Healthy: the next is a minute away. Nothing to await here but that nothing comes.
    let probes = app.probes();
    tokio::time::sleep(ms(400)).await;
    assert_eq!(app.probes(), probes);
}

// -- gRPC

/// A node, a gRPC server that is asked for it, and the proxy.
async fn grpc(keys: &str) -> (Origin, Grpc, Tidegate) {
    let (app, server) = (Origin::start("app-1").await, Grpc::start().await);
    let keys = format!("type: grpc, port: {}{keys}", server.addr().port());
    let tide = Tidegate::run(web(&health(&keys), nodes([&app]))).await;
    passes(&tide).await;
    (app, server, tide)
}

#[tokio::test]
async fn a_grpc_check_calls_the_health_service() {
    let (_app, server, _tide) =
        grpc(", service: shop.Orders, host: shop.internal, headers: { X-Probe: \"1\" }").await;
    let call = server.last_call();
    assert_eq!(call.path, "/grpc.health.v1.Health/Check");
    assert_eq!(call.authority, "shop.internal");
    assert_eq!(call.fields["content-type"], "application/grpc");
    assert_eq!(call.fields["te"], "trailers");
    assert_eq!(call.fields["x-probe"], "1");
    let expected = [&[0, 0, 0, 0, 13, 0x0a, 11][..], b"shop.Orders"].concat();
    assert_eq!(call.message, expected);
}

#[tokio::test]
async fn only_serving_is_healthy_and_everything_else_has_its_name() {
    let (app, server, tide) = grpc("").await;
    assert_eq!(server.last_call().message, [0; 5], "the server as a whole");
    for (says, words) in [
        (Says::Health(2), "it says NOT_SERVING"),
        (Says::Health(0), "it says UNKNOWN"),
        (Says::Health(3), "it says SERVICE_UNKNOWN"),
        (Says::Fails("12"), "grpc-status 12 (UNIMPLEMENTED)"),
        (Says::Fails("5"), "grpc-status 5 (NOT_FOUND)"),
        (
            Says::Http(404),
            "it speaks HTTP/2 but not gRPC (status 404)",
        ),
        (Says::Resets, "it reset the call: refused stream"),
        (Says::Nothing, "no answer within 500ms"),
    ] {
        server.says(says);
        fails_with(&tide, words).await;
        server.says(Says::Health(1));
        passes(&tide).await;
    }
    assert_eq!(tide.get("/").await.status, 200);
    assert_eq!(app.probes(), 0);
}

#[tokio::test]
async fn a_node_that_speaks_no_http2_fails_a_grpc_check() {
    let app = Origin::start("app-1").await;
    let tide = Tidegate::run_unready(web(&health("type: grpc"), nodes([&app]))).await;
    tide.node_has("web/app-1", "health", "unhealthy").await;
    let text = tide.node("web/app-1").await["last_check"]["text"].to_string();
    assert!(
        text.contains("HTTP/2") || text.contains("connection closed"),
        "{text}"
    );
    app.refuse().await;
    fails_with(&tide, "connection refused").await;
}

// -- TLS

#[tokio::test]
async fn a_tls_check_believes_only_a_good_certificate() {
    let (app, authority) = (Origin::start("app-1").await, Authority::new());
    let door = TlsDoor::open(app.addr(), &authority, "app.internal").await;
    let with = |keys: &str| {
        let keys = format!("path: /healthz, port: {}, {keys}", door.port());
        web(&health(&keys), nodes([&app]))
    };
    let tide = Tidegate::run_unready(with("type: https, host: app.internal")).await;
    fails_with(&tide, "signed by nobody we trust").await;
    assert_eq!(app.probes(), 0, "nothing was asked of somebody unknown");

    authority.write(&tide.dir().join("ca.pem"));
    tide.apply(&with("type: https, host: app.internal, ca: ca.pem"))
        .await;
    passes(&tide).await;
    let greeting = Greeting {
        name: Some("app.internal".into()),
        protocol: Some("http/1.1".into()),
    };
    assert_eq!(door.last_greeting(), Some(greeting));

    tide.apply(&with("tls: true, host: other.internal, ca: ca.pem"))
        .await;
    fails_with(
        &tide,
        "its certificate is not good: certificate not valid for name",
    )
    .await;
    tide.apply(&with("tls: true, ca: ca.pem")).await;
    fails_with(&tide, "its certificate is not good").await;
    tide.apply(&with("tls: true, verify: false")).await;
    passes(&tide).await;
    let name = door.last_greeting().unwrap().name;
    assert_eq!(name, None, "an address is no name to ask for");
}

#[tokio::test]
async fn a_changed_file_of_authorities_is_a_changed_configuration() {
    let (app, authority) = (Origin::start("app-1").await, Authority::new());
    let door = TlsDoor::open(app.addr(), &authority, "127.0.0.1").await;
    let keys = format!(
        "type: https, path: /healthz, port: {}, ca: ca.pem",
        door.port()
    );
    let dir = tempfile::TempDir::new().unwrap();
    Authority::new().write(&dir.path().join("ca.pem"));
    let yaml = complete(&web(&health(&keys), nodes([&app])));
    std::fs::write(dir.path().join("tidegate.yaml"), yaml).unwrap();
    let tide = Tidegate::run_in(dir).await;
    fails_with(&tide, "signed by nobody we trust").await;
    authority.write(&tide.dir().join("ca.pem"));
    passes(&tide).await;
}

#[tokio::test]
async fn a_node_without_tls_fails_a_tls_check_whatever_its_kind() {
    let app = Origin::start("app-1").await;
    let tide = Tidegate::run_unready(web(&health("type: tcp, tls: true"), nodes([&app]))).await;
    // It takes the greeting for a request and waits for its end.
    fails_with(&tide, "no answer within 500ms").await;
    let authority = Authority::new();
    let door = TlsDoor::open(app.addr(), &authority, "127.0.0.1").await;
    authority.write(&tide.dir().join("ca.pem"));
    let keys = format!("type: tcp, tls: true, ca: ca.pem, port: {}", door.port());
    tide.apply(&web(&health(&keys), nodes([&app]))).await;
    passes(&tide).await;
    assert_eq!(app.probes(), 0);
}

#[tokio::test]
async fn a_grpc_check_goes_over_tls_too() {
    let (app, server, authority) = (
        Origin::start("app-1").await,
        Grpc::start().await,
        Authority::new(),
    );
    let door = TlsDoor::open(server.addr(), &authority, "app.internal").await;
    let keys = format!(
        "type: grpc, tls: true, verify: false, host: app.internal, port: {}",
        door.port()
    );
    let tide = Tidegate::run(web(&health(&keys), nodes([&app]))).await;
    passes(&tide).await;
    let protocol = door.last_greeting().unwrap().protocol;
    assert_eq!(protocol.as_deref(), Some("h2"));
}

// -- shared probes

/// Two upstreams with the same node; `b` is what the second one's health check has more.
fn two(app: &Origin, b: &str) -> String {
    let a = "path: /healthz, interval: 300ms, fall: 1";
    let list = nodes([app]);
    format!(
        "upstreams:\n  a:\n    health: {{ {a}, rise: 1 }}\n    nodes: {list}\n  \
           b:\n    health: {{ {a}, {b} }}\n    nodes: {list}\n\
         routes:\n  - upstream: a\n  - match: {{ path: /b/ }}\n    upstream: b\n"
    )
}

async fn probes_of(tide: &Tidegate, upstream: &str) -> f64 {
    let labels = [("upstream", upstream)];
    let counted = tide
        .metric("tidegate_node_health_checks_total", &labels)
        .await;
    counted.unwrap_or_default()
}

#[tokio::test]
async fn nodes_that_are_asked_alike_share_a_probe_and_count_for_themselves() {
    let app = Origin::start("app-1").await;
    let tide = Tidegate::run(two(&app, "rise: 4")).await;
    eventually("six probes", ms(8_000), async || {
        check(app.probes() >= 6, app.probes())
    })
    .await;
    let (a, b) = (probes_of(&tide, "a").await, probes_of(&tide, "b").await);
    let asked = app.probes() as f64;
    assert!(
        (a - asked).abs() <= 1.0 && (b - asked).abs() <= 1.0,
        "{a} {b} {asked}"
    );

    app.set_health(503);
    tide.node_has("a/app-1", "health", "unhealthy").await;
    tide.node_has("b/app-1", "health", "unhealthy").await;
    app.set_health(200);
    tide.node_has("a/app-1", "health", "healthy").await;
    let early = tide.node("b/app-1").await;
    assert_eq!(early["health"], "unhealthy", "b wants four: {early}");
    tide.node_has("b/app-1", "health", "healthy").await;
}

#[tokio::test]
async fn a_reload_that_removes_one_of_them_keeps_the_probe_of_the_other() {
    let app = Origin::start("app-1").await;
    let slow = |rest: &str| two(&app, rest).replace("interval: 300ms", "interval: 60s");
    let tide = Tidegate::run(slow("rise: 1")).await;
    tide.node_has("b/app-1", "health", "healthy").await;
    assert_eq!(app.probes(), 1, "one for both");
    let both = slow("rise: 1");
    let (only_a, _) = both.split_once("  b:\n").unwrap();
    tide.apply(&format!("{only_a}routes:\n  - upstream: a\n"))
        .await;
    assert_eq!(app.probes(), 1, "a task that goes on does not begin anew");
    let with_c = both
        .replace("  b:\n", "  c:\n")
        .replace("upstream: b", "upstream: c");
    tide.apply(&with_c).await;
    tide.node_has("c/app-1", "health", "healthy").await;
    assert_eq!(app.probes(), 2, "a newcomer is asked for at once");
    tide.apply(&with_c.replace("rise: 1", "rise: 1, timeout: 1s"))
        .await;
    eventually("asked in another way", ms(8_000), async || {
        check(app.probes() == 3, app.probes())
    })
    .await;
}
