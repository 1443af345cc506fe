//! Sessions stay on their node as long as it can be used, and go on elsewhere when it cannot.

mod learned;
mod nodes;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use crate::support::client::{Answer, Request};
use crate::support::cookies::{get_with, set, set_field};
use crate::support::h2::{H2, request};
use crate::support::origin::{Origin, nodes};
use crate::support::proxy::{SOON, Tidegate, one_node_with, web};
use crate::support::reply::Reply;
use crate::support::{check, eventually, ms};

const COOKIE: &str = "tg_node";
const STICKY: &str = "sticky: { cookie: tg_node }";

/// A session: its cookie, and the node that has it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Session {
    node: String,
    cookie: String,
}

impl Session {
    /// A new one.
    async fn begin(tide: &Tidegate) -> Self {
        Session::of(&tide.get("/").await).expect("a new client gets a cookie")
    }

    /// A new one on this node.
    async fn begin_on(tide: &Tidegate, node: &str) -> Self {
        for _ in 0..100 {
            let session = Session::begin(tide).await;
            if session.node == node {
                return session;
            }
        }
        panic!("no new session comes to {node}");
    }

    /// That which an answer begins.
    fn of(answer: &Answer) -> Option<Self> {
        assert_eq!(answer.status, 200, "{}", answer.text());
        Some(Session {
            node: answer.node().into(),
            cookie: set(answer, COOKIE)?,
        })
    }

    /// Its next request.
    async fn goes_on(&self, tide: &Tidegate) -> Answer {
        let answer = tide
            .ask(&get_with(&format!("{COOKIE}={}", self.cookie)))
            .await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        answer
    }

    /// Its next requests go to its node and need no new cookie.
    async fn stays(&self, tide: &Tidegate) {
        for _ in 0..6 {
            let answer = self.goes_on(tide).await;
            let set = set_field(&answer, COOKIE);
            assert_eq!((answer.node(), set), (self.node.as_str(), None));
        }
    }
}

/// Sessions of all these nodes, by node.
async fn one_each(tide: &Tidegate, apps: &[Origin]) -> BTreeMap<String, Session> {
    let mut all = BTreeMap::new();
    for app in apps {
        all.insert(app.name().into(), Session::begin_on(tide, app.name()).await);
    }
    all
}

/// Waits until so many requests had this end for their session.
async fn counted(tide: &Tidegate, result: &str, n: f64) {
    let labels = [("upstream", "web"), ("result", result)];
    tide.metric_is("tidegate_sticky_requests_total", &labels, n)
        .await;
}

#[tokio::test]
async fn a_session_stays_on_its_node_whatever_the_method_of_balancing() {
    let apps = Origin::several(3).await;
    let tide = Tidegate::run(web(STICKY, nodes(&apps))).await;
    let sessions = one_each(&tide, &apps).await;
    for balance in [
        "least_conn",
        "weighted_random",
        "random",
        "ip_hash",
        "hash",
        "p2c",
        "peak_ewma",
    ] {
        let keys = format!("balance: {balance}\n{STICKY}");
        tide.apply(&web(&keys, nodes(&apps))).await;
        for session in sessions.values() {
            session.stays(&tide).await;
        }
    }
    let kept = (7 * 3 * 6) as f64;
    counted(&tide, "kept", kept).await;
    counted(&tide, "lost", 0.0).await;
}

#[tokio::test]
async fn what_is_forged_foreign_or_garbage_is_ignored_and_a_new_session_begins() {
    let apps = Origin::several(2).await;
    let twice = web(STICKY, nodes(&apps)).replace(
        "routes:\n",
        &format!("  other:\n    {STICKY}\n    nodes: {}\nroutes:\n  - {{ match: {{ path: /other/ }}, upstream: other }}\n", nodes(&apps)),
    );
    let tide = Tidegate::run(twice).await;
    let session = Session::begin_on(&tide, "app-1").await;
    session.stays(&tide).await;
    let of_another_upstream = set(&tide.get("/other/").await, COOKIE).unwrap();
    let good = &session.cookie;
    let mut bad = vec![
        "x".to_owned(),
        String::new(),
        "app-1".into(),
        apps[0].addr().to_string(),
        good[1..].to_owned(),
        format!("{good}A"),
        format!("A{}", &good[1..]).replace(good, "B"),
        of_another_upstream,
        "=".repeat(64),
        "-".repeat(20_000),
    ];
    // One letter changed in each part: node, time, signature.
    for at in [2, 15, 40] {
        let other = if &good[at..=at] == "A" { "B" } else { "A" };
        bad.push(format!("{}{other}{}", &good[..at], &good[at + 1..]));
    }
    for (n, value) in bad.iter().enumerate() {
        let answer = tide.ask(&get_with(&format!("{COOKIE}={value}"))).await;
        let begun = Session::of(&answer);
        let begun = begun.unwrap_or_else(|| panic!("no new session instead of {value}"));
        assert_ne!(&begun.cookie, value);
        counted(&tide, "invalid", (n + 1) as f64).await;
    }
    let among = tide
        .ask(&get_with(&format!(
            "{COOKIE}=bad; a=1; {COOKIE}=\"{good}\""
        )))
        .await;
    assert_eq!(
        (among.node(), set(&among, COOKIE)),
        ("app-1", None),
        "the good one counts"
    );
}

#[tokio::test]
async fn a_cookie_says_nothing_of_the_node_and_has_the_attributes_of_the_file() {
    let (app, tide) = one_node_with(STICKY).await;
    let answer = tide.get("/").await;
    let field = set_field(&answer, COOKIE).unwrap();
    let (value, attributes) = field.split_once("; ").unwrap();
    assert_eq!(attributes, "Path=/; Max-Age=3600; SameSite=Lax; HttpOnly");
    assert_eq!(value.len(), "tg_node=".len() + 64);
    let opaque = |c: char| c.is_ascii_alphanumeric() || "-_".contains(c);
    assert!(value["tg_node=".len()..].chars().all(opaque), "{value}");
    let again = tide.get("/").await;
    assert!(set(&again, COOKIE).is_some(), "another client's");

    let more = "sticky: { cookie: s, ttl: 0s, path: /app, domain: .Example.com, same_site: strict, secure: true, http_only: false }";
    tide.apply(&web(more, nodes([&app]))).await;
    let answer = tide.get("/").await;
    let field = set_field(&answer, "s").unwrap();
    let (_, attributes) = field.split_once("; ").unwrap();
    assert_eq!(
        attributes,
        "Path=/app; Domain=example.com; SameSite=Strict; Secure"
    );
}

#[tokio::test]
async fn it_is_secure_where_the_client_came_by_tls_to_a_proxy_we_trust() {
    let app = Origin::start("app-1").await;
    let short = web("sticky: tg_node", nodes([&app]));
    let tide = Tidegate::run(format!("trusted_proxies: 127.0.0.1\n{short}")).await;
    let secure = async |tide: &Tidegate, proto: &str| {
        let answer = tide
            .ask(&Request::get("/").field("X-Forwarded-Proto", proto))
            .await;
        set_field(&answer, COOKIE).unwrap().ends_with("; Secure")
    };
    assert!(secure(&tide, "https").await);
    assert!(!secure(&tide, "http").await);
    tide.apply(&short).await;
    assert!(!secure(&tide, "https").await, "anybody can say so");
}

#[tokio::test]
async fn the_node_sees_the_other_cookies_byte_for_byte_and_never_ours() {
    let (app, tide) = one_node_with(STICKY).await;
    let session = Session::begin(&tide).await;
    let ours = format!("{COOKIE}={}", session.cookie);
    let cases: Vec<(Vec<String>, Vec<&str>)> = vec![
        (vec![ours.clone()], vec![]),
        (
            vec![format!("a=1; {ours}; b=\"2 3\"; c==; d")],
            vec!["a=1; b=\"2 3\"; c==; d"],
        ),
        (vec![format!("{ours};a=1")], vec!["a=1"]),
        (vec!["tg_nodes=1;  x;;".into()], vec!["tg_nodes=1;  x;;"]),
        (
            vec!["a=1".into(), ours.clone(), format!("b=2; {COOKIE}=forged")],
            vec!["a=1", "b=2"],
        ),
    ];
    for (sent, arrives) in cases {
        let before = app.requests();
        let fields = |request: Request, line: &String| request.field("Cookie", line);
        tide.ask(&sent.iter().fold(Request::get("/"), fields)).await;
        let seen = &app.seen()[before];
        assert_eq!(seen.head.all("cookie"), arrives, "of {sent:?}");
    }
}

#[tokio::test]
async fn only_a_nodes_own_final_answer_begins_a_session() {
    let app = Origin::start("app-1").await;
    let yaml = web(STICKY, nodes([&app]))
        + "    match: { path: /a }\n  - { match: { path: /go }, redirect: { to: /a } }\n";
    let tide = Tidegate::run(yaml).await;
    for (path, status) in [("/none", 404), ("/go", 302), ("/a/%2e%2e/b", 400)] {
        let answer = tide.get(path).await;
        assert_eq!((answer.status, set(&answer, COOKIE)), (status, None));
    }
    app.answers(|seen| match seen.target() {
        "/a/early" => Reply::raw(
            "HTTP/1.1 103 Early Hints\r\nlink: </x>\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n",
        ),
        "/a/chat" => Reply::websocket(),
        "/a/own" => Reply::text("x").field("set-cookie", "sid=1; Path=/"),
        _ => Reply::sized(500, "no"),
    });
    let mut client = tide.connect().await;
    client.send(&Request::get("/a/early")).await.unwrap();
    let early = client.head().await.unwrap();
    assert!(
        early.line.contains("103") && early.all("set-cookie").is_empty(),
        "{early:?}"
    );
    assert_eq!(client.head().await.unwrap().all("set-cookie").len(), 1);
    let mut client = tide.connect().await;
    let chat = client.ask(&Request::websocket("/a/chat")).await.unwrap();
    assert_eq!((chat.status, set(&chat, COOKIE).is_some()), (101, true));
    let own = tide.get("/a/own").await;
    assert_eq!(
        set_field(&own, "sid"),
        Some("sid=1; Path=/"),
        "the app's own stays"
    );
    assert!(set(&own, COOKIE).is_some());
    let failed = tide.get("/a/fails").await;
    assert_eq!((failed.status, set(&failed, COOKIE).is_some()), (500, true));
    app.kill().await;
    let nobody = tide.get("/a").await;
    assert_eq!((nobody.status, set(&nobody, COOKIE)), (503, None));
}

#[tokio::test]
async fn over_http2_a_session_stays_too_though_its_cookies_are_cut_up() {
    let apps = Origin::several(3).await;
    let yaml =
        "listen: [{ addr: \"127.0.0.1:0\", h2c: true }]\n".to_owned() + &web(STICKY, nodes(&apps));
    let tide = Tidegate::run(yaml).await;
    let mut client = H2::connect(tide.addr()).await;
    let first = client.ask(request("GET", "/"), b"").await.unwrap();
    let node = first.fields["x-node"].clone();
    let field = first.fields["set-cookie"].to_str().unwrap().to_owned();
    let ours = field.split(';').next().unwrap();
    for _ in 0..6 {
        let next = request("GET", "/")
            .header("cookie", "a=1")
            .header("cookie", ours)
            .header("cookie", "b=2");
        let next = client.ask(next, b"").await.unwrap();
        assert_eq!((next.status, &next.fields["x-node"]), (200, &node));
        assert!(!next.fields.contains_key("set-cookie"));
    }
    let app = apps.iter().find(|app| node == app.name()).unwrap();
    assert_eq!(app.seen()[1].head.all("cookie"), ["a=1; b=2"]);
}

#[tokio::test]
async fn a_cookie_is_renewed_in_the_second_half_of_its_time_and_then_ends() {
    let apps = Origin::several(2).await;
    let tide = Tidegate::run(web("sticky: { cookie: tg_node, ttl: 3s }", nodes(&apps))).await;
    let began = Instant::now();
    let session = Session::begin(&tide).await;
    session.stays(&tide).await;
    assert!(
        began.elapsed() < ms(1_500),
        "this machine is too busy to tell"
    );
    let renewed = eventually("a new cookie", SOON, async || {
        let answer = session.goes_on(&tide).await;
        Session::of(&answer).ok_or("none yet")
    })
    .await;
    let took = began.elapsed();
    assert!(took > ms(1_500), "after {took:?} of 3 s");
    assert_eq!(renewed.node, session.node, "for the same node");
    eventually("the old one ends", SOON, async || {
        session.goes_on(&tide).await;
        let labels = [("result", "invalid")];
        let invalid = tide.metric("tidegate_sticky_requests_total", &labels).await;
        check(invalid > Some(0.0), "not yet")
    })
    .await;
    assert!(began.elapsed() > ms(2_900), "after {:?}", began.elapsed());
}

/// A configuration whose cookies are signed with the key in `sticky.key` of its folder.
fn with_key(nodes: String) -> String {
    web("sticky: { cookie: tg_node, key_file: sticky.key }", nodes)
}

/// A proxy with this key.
async fn keyed(key: &str, nodes: String) -> Tidegate {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("sticky.key"), key).unwrap();
    let yaml = crate::support::proxy::complete(&with_key(nodes));
    std::fs::write(dir.path().join("tidegate.yaml"), yaml).unwrap();
    Tidegate::run_in(dir).await
}

#[tokio::test]
async fn proxies_with_one_key_agree_and_the_key_is_shown_nowhere() {
    let apps = Origin::several(3).await;
    let key = "0123456789abcdef-not-a-real-secret";
    let (one, two) = (
        keyed(key, nodes(&apps)).await,
        keyed(key, nodes(&apps)).await,
    );
    let stranger = keyed(&key.replace('0', "1"), nodes(&apps)).await;
    for session in one_each(&one, &apps).await.values() {
        session.stays(&one).await;
        session.stays(&two).await;
        let there = session.goes_on(&stranger).await;
        assert!(
            set(&there, COOKIE).is_some(),
            "a new session for a stranger"
        );
    }
    let sessions = one_each(&two, &apps).await;
    let generation = two.generation().await;
    two.write_file("sticky.key", "another key that is as long as it has to be");
    two.reaches_generation(generation + 1).await;
    let lost = sessions.values().next().unwrap().goes_on(&two).await;
    assert!(set(&lost, COOKIE).is_some(), "the key is read again");
    assert!(
        two.log().contains("key of its cookies changed"),
        "{}",
        two.log()
    );

    let shown = one
        .command(&["config", "--effective", "-c", one.path().to_str().unwrap()])
        .await;
    assert!(shown.out.contains("key_file:"), "{}", shown.all());
    let mut told = vec![shown.all(), one.log(), two.log()];
    for target in [
        "/api/v1/config",
        "/api/v1/status",
        "/api/v1/upstreams",
        "/metrics",
        "/",
    ] {
        told.push(one.api("GET", target, "").await.text());
    }
    for text in told {
        assert!(
            !text.contains("not-a-real") && !text.contains("as long as it has"),
            "{text}"
        );
    }
}

#[tokio::test]
async fn check_says_what_it_means_to_have_no_key() {
    let apps = Origin::several(1).await;
    let tide = Tidegate::run(web(STICKY, nodes(&apps))).await;
    let said = tide
        .command(&["check", "-c", tide.path().to_str().unwrap()])
        .await;
    assert_eq!(said.code, 0, "{}", said.all());
    assert!(
        said.all().contains("sessions are lost on a restart"),
        "{}",
        said.all()
    );
}

#[tokio::test]
async fn sessions_survive_a_reload_that_moves_and_weighs_their_nodes_anew() {
    let apps = Origin::several(3).await;
    let tide = Tidegate::run(web(STICKY, nodes(&apps))).await;
    let sessions = one_each(&tide, &apps).await;
    let list = format!(
        "[{}, {}, {}]",
        apps[2].with("weight: 9"),
        apps[0].with("weight: 0"),
        apps[1]
    );
    tide.apply(&web(&format!("balance: least_conn\n{STICKY}"), list))
        .await;
    for session in sessions.values() {
        session.stays(&tide).await;
    }
    let mut new = BTreeSet::new();
    for _ in 0..30 {
        new.insert(Session::begin(&tide).await.node);
    }
    assert!(
        !new.contains("app-1"),
        "weight 0 takes no new sessions: {new:?}"
    );
}
