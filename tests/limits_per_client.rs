//! Who may come in and how often: by port and by route, by the client's real address, without a node noticing.

use std::net::SocketAddr;

use serde_json::Value;

use crate::support::client::{Answer, Client, Request};
use crate::support::ms;
use crate::support::origin::{Origin, nodes};
use crate::support::proxy::Tidegate;

/// Two ports at most and an upstream `web` of one node; `routes` are the story's.
async fn with(top: &str, routes: &str) -> (Origin, Tidegate) {
    let app = Origin::start("app-1").await;
    let tide = Tidegate::run(file(&app, top, routes)).await;
    (app, tide)
}

fn file(app: &Origin, top: &str, routes: &str) -> String {
    let nodes = nodes([app]);
    format!("{top}\nupstreams: {{ web: {{ nodes: {nodes} }} }}\nroutes:\n{routes}\n")
}

/// A request from this address of ours.
async fn ask_from(from: &str, to: SocketAddr, request: &Request) -> Answer {
    let mut client = Client::connect_from(from.parse().unwrap(), to)
        .await
        .unwrap();
    client.ask(request).await.unwrap()
}

async fn get_from(tide: &Tidegate, from: &str, path: &str) -> u16 {
    let answer = ask_from(from, tide.addr(), &Request::get(path)).await;
    answer.status
}

/// How the stats port counts what was refused for this reason.
async fn refused(tide: &Tidegate, reason: &str, n: u32) {
    let labels = [("reason", reason)];
    tide.metric_is("tidegate_requests_refused_total", &labels, f64::from(n))
        .await;
}

async fn limited(tide: &Tidegate, route: &str, outcome: &str, n: u32) {
    let labels = [("route", route), ("outcome", outcome)];
    tide.metric_is("tidegate_rate_limited_total", &labels, f64::from(n))
        .await;
}

#[tokio::test]
async fn a_port_lets_in_whom_it_allows_and_deny_wins() {
    let top = "listen:
  - { addr: \"127.0.0.1:0\", allow: [127.0.1.0/24], deny: [127.0.1.13] }
  - { addr: \"127.0.0.2:0\" }";
    let (app, tide) = with(top, "  - upstream: web").await;
    let guarded = tide.addrs()[0];
    let open = tide.addrs()[1];
    for (from, status) in [("127.0.1.1", 200), ("127.0.1.13", 403), ("127.0.2.1", 403)] {
        let answer = ask_from(from, guarded, &Request::get("/in")).await;
        assert_eq!(answer.status, status, "{from}: {}", answer.text());
        let answer = ask_from(from, open, &Request::get("/in")).await;
        assert_eq!(answer.status, 200, "{from} by the other port");
    }
    assert_eq!(app.requests(), 4, "no node saw those refused");
    refused(&tide, "acl", 2).await;
}

#[tokio::test]
async fn a_guarded_path_is_guarded_however_it_is_written() {
    let routes =
        "  - { match: { path: /admin }, upstream: web, deny: 127.0.0.0/8 }\n  - upstream: web";
    let (app, tide) = with("", routes).await;
    for path in [
        "/admin/x",
        "/%61dmin/x",
        "/%61%64%6D%69%6e/x",
        "//admin/x",
        "/./admin/x",
        "/b/../%61dmin/x",
        "http://tide.test/%61dmin/x",
    ] {
        assert_eq!(get_from(&tide, "127.0.0.1", path).await, 403, "{path}");
    }
    assert_eq!(app.requests(), 0);
    assert_eq!(get_from(&tide, "127.0.0.1", "/%62%2F?%61").await, 200);
    assert_eq!(app.only().target(), "/b%2F?%61");
}

#[tokio::test]
async fn a_rule_about_an_escape_holds_in_both_letter_cases() {
    let routes = "  - { match: { path: /caf%c3%A9 }, upstream: web, deny: 127.0.0.0/8 }
  - { match: { path_exact: /a%2Fb }, upstream: web, deny: 127.0.0.0/8 }
  - { match: { path: /%7Ejoe/../%7ejim }, upstream: web, deny: 127.0.0.0/8 }
  - upstream: web";
    let (app, tide) = with("", routes).await;
    for path in [
        "/caf%C3%A9",
        "/caf%c3%a9/x",
        "/a%2fb",
        "/a%2Fb",
        "/~jim",
        "/%7Ejim",
    ] {
        assert_eq!(get_from(&tide, "127.0.0.1", path).await, 403, "{path}");
    }
    assert_eq!(app.requests(), 0);
    assert_eq!(get_from(&tide, "127.0.0.1", "/b%2fc").await, 200);
    assert_eq!(
        app.only().target(),
        "/b%2fc",
        "what is sent on stays as it was"
    );
}

#[tokio::test]
async fn a_refused_request_is_told_and_its_connection_serves_on() {
    let routes = "  - upstream: web\n  - { match: { path: /admin/ }, upstream: web, deny: 127.0.0.0/8 }\n  - { match: { path: /old/ }, redirect: { to: /new/ }, deny: 127.0.0.0/8 }";
    let (app, tide) = with("", routes).await;
    let mut client = tide.connect().await;
    for request in [
        Request::get("/admin/x"),
        Request::post("/admin/x", "body"),
        Request::get("/old/x"),
    ] {
        let answer = client.ask(&request).await.unwrap();
        assert_eq!(answer.status, 403, "{}", answer.text());
        assert!(
            answer.text().starts_with("403 Forbidden\nrequest "),
            "{}",
            answer.text()
        );
    }
    assert_eq!(client.ask(&Request::get("/")).await.unwrap().status, 200);
    assert_eq!(app.requests(), 1);
    let line = tide.told("/old/x").await;
    assert_eq!(
        (&line["end"], &line["route"]),
        (&"refused:acl".into(), &"/old/".into())
    );
    assert_eq!(line["nodes"], serde_json::json!([]), "{line}");
    refused(&tide, "acl", 3).await;
}

#[tokio::test]
async fn a_changed_rule_of_a_port_takes_effect_without_a_restart() {
    let top = |deny: &str| format!("listen: [{{ addr: \"127.0.0.1:0\"{deny} }}]");
    let (app, tide) = with(&top(""), "  - upstream: web").await;
    let mut client = tide.connect().await;
    assert_eq!(client.ask(&Request::get("/")).await.unwrap().status, 200);
    tide.apply(&file(&app, &top(", deny: 127.0.0.1"), "  - upstream: web"))
        .await;
    assert_eq!(client.ask(&Request::get("/")).await.unwrap().status, 403);
    assert_eq!(get_from(&tide, "127.0.1.1", "/").await, 200);
    let waits = &tide.status().await["waits_for_restart"];
    assert_eq!(waits, &serde_json::json!([]), "nothing waits for a restart");
    tide.apply(&file(&app, &top(""), "  - upstream: web")).await;
    assert_eq!(client.ask(&Request::get("/")).await.unwrap().status, 200);
}

#[tokio::test]
async fn nobody_dodges_a_rule_by_what_it_says_of_itself() {
    let routes = "  - { upstream: web, deny: 127.0.1.1, rate_limit: { rate: 2/h } }";
    let (app, tide) = with("", routes).await;
    for (name, value) in [
        ("X-Forwarded-For", "10.0.0.1"),
        ("Forwarded", "for=10.0.0.1"),
        ("X-Real-IP", "10.0.0.1"),
    ] {
        let request = Request::get("/").field(name, value);
        let answer = ask_from("127.0.1.1", tide.addr(), &request).await;
        assert_eq!(answer.status, 403, "{name}");
    }
    assert_eq!(app.requests(), 0);
    for n in 0..6 {
        let claim = format!("10.0.0.{n}");
        let request = Request::get("/").field("X-Forwarded-For", &claim);
        let answer = ask_from("127.0.1.2", tide.addr(), &request).await;
        assert_eq!(answer.status, if n < 2 { 200 } else { 429 }, "{claim}");
    }
    assert_eq!(app.requests(), 2);
}

#[tokio::test]
async fn behind_a_trusted_proxy_the_last_address_that_it_did_not_write_itself_counts() {
    let top = "trusted_proxies: [127.0.0.0/8]";
    let routes = "  - { upstream: web, deny: 198.51.100.13, rate_limit: { rate: 2/h } }";
    let (app, tide) = with(top, routes).await;
    let from = async |client: &str| {
        let request = Request::get("/").field("X-Forwarded-For", client);
        tide.ask(&request).await.status
    };
    assert_eq!(from("198.51.100.13").await, 403);
    assert_eq!(
        from("198.51.100.7, 198.51.100.13, 127.0.0.9").await,
        403,
        "what it wrote is not believed"
    );
    // Two clients behind one proxy, each with its own limit; the second makes up more hops.
    assert_eq!(from("198.51.100.1").await, 200);
    assert_eq!(from("198.51.100.2").await, 200);
    assert_eq!(from("10.9.9.9, 198.51.100.1").await, 200);
    assert_eq!(from("10.8.8.8, 198.51.100.1, 127.0.0.8").await, 429);
    assert_eq!(from("198.51.100.2").await, 200);
    assert_eq!(from("198.51.100.2").await, 429);
    assert_eq!(app.requests(), 4);
}

#[tokio::test]
async fn whoever_asks_too_often_is_told_when_to_come_again() {
    let routes = "  - upstream: web\n  - { match: { path: /slow/ }, name: slow, upstream: web, rate_limit: { rate: 6/m, burst: 3 } }";
    let (app, tide) = with("", routes).await;
    limited(&tide, "slow", "refused", 0).await;
    limited(&tide, "slow", "dry_run", 0).await;
    let mut client = tide.connect().await;
    for _ in 0..3 {
        assert_eq!(
            client.ask(&Request::get("/slow/")).await.unwrap().status,
            200
        );
    }
    let answer = client.ask(&Request::post("/slow/", "body")).await.unwrap();
    assert_eq!(answer.status, 429, "{}", answer.text());
    for (name, value) in [
        ("ratelimit-policy", "\"default\";q=3;w=30"),
        ("ratelimit-limit", "3"),
        ("ratelimit-remaining", "0"),
        ("cache-control", "no-store"),
    ] {
        assert_eq!(answer.head.get(name), Some(value), "{name}");
    }
    let wait = answer.head.get("retry-after").unwrap().to_owned();
    assert!((1..=10).contains(&wait.parse::<u32>().unwrap()), "{wait}");
    assert_eq!(answer.head.get("ratelimit-reset"), Some(&*wait));
    let now = format!("\"default\";r=0;t={wait}");
    assert_eq!(answer.head.get("ratelimit"), Some(&*now));
    // Its other requests and other clients are served on.
    assert_eq!(client.ask(&Request::get("/")).await.unwrap().status, 200);
    assert_eq!(get_from(&tide, "127.0.1.2", "/slow/").await, 200);
    assert_eq!(app.requests(), 5);
    let line = told(&tide, "/slow/", 429).await;
    assert_eq!(line["end"], "refused:rate_limit", "{line}");
    limited(&tide, "slow", "refused", 1).await;
    refused(&tide, "rate_limit", 1).await;
    let none = tide.metric("tidegate_rate_limited_total", &[("route", "default")]);
    assert_eq!(none.await, None, "a route without a limit has no series");
}

/// The line of the access log of the request to this path that was answered so.
async fn told(tide: &Tidegate, path: &str, status: u16) -> Value {
    crate::support::eventually("its line", ms(5_000), async || {
        let lines = tide.access_log();
        let fits = |l: &&Value| l["path"] == path && l["status"] == status;
        lines.iter().find(fits).cloned().ok_or(lines.len())
    })
    .await
}

#[tokio::test]
async fn a_limit_holds_over_a_time_and_gives_back_as_time_goes_by() {
    let routes = "  - { upstream: web, rate_limit: { rate: 20/s, burst: 5 } }";
    // A quick machine asks more than ten thousand times in a second.
    let (app, tide) = with("limits: { requests_per_connection: 1000000 }", routes).await;
    let began = std::time::Instant::now();
    let mut client = tide.connect().await;
    let mut served = 0;
    while began.elapsed() < ms(1_000) {
        served += u32::from(client.ask(&Request::get("/")).await.unwrap().status == 200);
    }
    // Measured on this side, where time is a little longer.
    let most = 5.0 + 20.0 * began.elapsed().as_secs_f64();
    assert!(f64::from(served) <= most, "{served} of at most {most}");
    assert!(
        served > 8,
        "only {served}: more than the burst comes back in a second"
    );
    assert_eq!(app.requests(), served as usize);
}

#[tokio::test]
async fn a_dry_run_counts_and_tells_and_lets_through() {
    let routes = "  - { name: soft, upstream: web, rate_limit: { rate: 1/h, dry_run: true } }";
    let (app, tide) = with("", routes).await;
    for path in ["/first", "/second", "/third"] {
        assert_eq!(tide.get(path).await.status, 200, "{path}");
    }
    assert_eq!(app.requests(), 3);
    limited(&tide, "soft", "dry_run", 2).await;
    limited(&tide, "soft", "refused", 0).await;
    refused(&tide, "rate_limit", 0).await;
    let line = tide.told("/third").await;
    assert_eq!(
        (&line["dry_run"], &line["end"]),
        (&"rate_limit".into(), &"ok".into())
    );
    assert_eq!(tide.told("/first").await["dry_run"], Value::Null);
}

#[tokio::test]
async fn a_reload_hands_out_no_new_burst_unless_the_limit_changed() {
    let limit = |limit: &str| {
        format!(
            "  - {{ name: all, upstream: web, rate_limit: {{ {limit} }} }}\n  - {{ match: {{ path: /r }}, redirect: {{ to: /x }}, rate_limit: {{ rate: 1/h }} }}"
        )
    };
    let (app, tide) = with("", &limit("rate: 2/h")).await;
    for status in [200, 200, 429] {
        assert_eq!(get_from(&tide, "127.0.1.1", "/").await, status);
    }
    for status in [302, 429] {
        assert_eq!(
            get_from(&tide, "127.0.1.1", "/r").await,
            status,
            "a redirect too"
        );
    }
    // Something else changes, then the limit is only counted, then it is in force again.
    let top = "timeouts: { idle: 59s }";
    tide.apply(&file(&app, top, &limit("rate: 2/h"))).await;
    assert_eq!(get_from(&tide, "127.0.1.1", "/").await, 429);
    assert_eq!(get_from(&tide, "127.0.1.1", "/r").await, 429);
    tide.apply(&file(&app, top, &limit("rate: 2/h, dry_run: true")))
        .await;
    assert_eq!(get_from(&tide, "127.0.1.1", "/").await, 200);
    tide.apply(&file(&app, top, &limit("rate: 2/h"))).await;
    assert_eq!(get_from(&tide, "127.0.1.1", "/").await, 429);
    tide.apply(&file(&app, top, &limit("rate: 3/h"))).await;
    for status in [200, 200, 200, 429] {
        assert_eq!(
            get_from(&tide, "127.0.1.1", "/").await,
            status,
            "a new limit"
        );
    }
}

#[tokio::test]
async fn every_client_has_a_limit_of_its_own() {
    let routes = "  - { upstream: web, rate_limit: { rate: 2/h } }";
    let (app, tide) = with("", routes).await;
    for n in 1..=20 {
        let from = format!("127.0.1.{n}");
        for status in [200, 200, 429] {
            assert_eq!(get_from(&tide, &from, "/").await, status, "{from}");
        }
    }
    assert_eq!(app.requests(), 40);
}

#[tokio::test]
async fn a_limit_by_a_field_follows_the_field_and_without_it_the_address() {
    let limit = "rate_limit: { rate: 1/h, key: \"header:X-Api-Key\" }";
    let (app, tide) = with("", &format!("  - {{ upstream: web, {limit} }}")).await;
    let status = async |from: &str, keys: &[&str]| {
        let request = keys
            .iter()
            .fold(Request::get("/"), |r, key| r.field("X-Api-Key", key));
        ask_from(from, tide.addr(), &request).await.status
    };
    assert_eq!(status("127.0.1.1", &["one"]).await, 200);
    assert_eq!(
        status("127.0.1.2", &["one"]).await,
        429,
        "the same key from elsewhere"
    );
    assert_eq!(status("127.0.1.1", &["two"]).await, 200);
    assert_eq!(status("127.0.1.1", &[]).await, 200);
    assert_eq!(status("127.0.1.1", &[]).await, 429);
    assert_eq!(status("127.0.1.2", &[]).await, 200);
    // Two keys could be read in two ways: the address counts, and it has had its turn.
    assert_eq!(status("127.0.1.1", &["three", "one"]).await, 429);
    assert_eq!(app.requests(), 4);
}
