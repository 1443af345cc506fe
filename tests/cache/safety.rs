//! What one client does must not be what another one sees: poisoned answers, provoked errors, pages of somebody else.

mod connection;

use super::{Stage, is_hit, reply, told};
use crate::support::client::Request;
use crate::support::reply::{Reply, Seen};

/// What an attacker writes.
const MARK: &str = "evil.example";

/// Request fields that attacks on real sites used, or that applications of these years believe.
const UNKEYED: &[&str] = &[
    "X-Forwarded-Host",
    "X-Forwarded-Proto",
    "X-Forwarded-Port",
    "X-Forwarded-Prefix",
    "X-Forwarded-Scheme",
    "X-Forwarded-Server",
    "X-Forwarded-For",
    "X-Forwarded-Path",
    "X-Forwarded-Uri",
    "X-Forwarded-Ssl",
    "X-Forwarded-By",
    "X-Forwarded",
    "X-Forward-For",
    "X-Forwarder-For",
    "Forwarded",
    "Forwarded-For",
    "X-Original-Url",
    "X-Original-Uri",
    "X-Original-Host",
    "X-Original-Method",
    "X-Original-Path",
    "X-Rewrite-Url",
    "X-Rewrite-Uri",
    "X-Host",
    "X-Hostname",
    "X-Host-Override",
    "X-HTTP-Host-Override",
    "X-HTTP-Destinationurl",
    "X-HTTP-DestinationURL",
    "X-HTTP-Path-Override",
    "X-HTTP-Url",
    "X-Proxy-Url",
    "X-Proxy-Host",
    "Proxy-Host",
    "Proxy-Url",
    "Proxy",
    "Base-Url",
    "Request-Uri",
    "Redirect",
    "Uri",
    "Url",
    "Destination-Url",
    "Http-Url",
    "X-Url",
    "X-Uri",
    "X-Path",
    "X-Backend",
    "X-Backend-Host",
    "X-Server",
    "X-Server-Name",
    "X-Origin-Host",
    "X-Real-Host",
    "X-Vhost",
    "X-Scheme",
    "X-Url-Scheme",
    "X-Port",
    "X-Proto",
    "X-Ssl",
    "Front-End-Https",
    "X-Real-Ip",
    "True-Client-Ip",
    "Client-Ip",
    "X-Client-Ip",
    "X-Cluster-Client-Ip",
    "Cf-Connecting-Ip",
    "Cf-Visitor",
    "Fastly-Client-Ip",
    "Fastly-Ssl",
    "Akamai-Origin-Hop",
    "X-Originating-Ip",
    "X-Originating-Url",
    "X-Remote-Ip",
    "X-Remote-Addr",
    "X-Azure-Clientip",
    "X-Envoy-Original-Path",
    "X-Envoy-Original-Host",
    "X-Arr-Ssl",
    "X-Waws-Unencoded-Url",
    "Cloudfront-Forwarded-Proto",
    "X-Amz-Website-Redirect-Location",
    "X-Middleware-Prefetch",
    "X-Middleware-Subrequest",
    "X-Middleware-Rewrite",
    "X-Invoke-Path",
    "X-Invoke-Status",
    "X-Invoke-Error",
    "X-Nextjs-Data",
    "X-Now-Route-Matches",
    "X-Matched-Path",
    "X-Accel-Redirect",
    "X-Accel-Expires",
    "X-Sendfile",
    "X-Wap-Profile",
    "X-Prefix",
    "X-Script-Name",
    "X-Context-Path",
    "X-Gateway-Host",
    "X-Zuul-Host",
    "Via",
    "Max-Forwards",
    "X-HTTP-Method-Override",
    "X-HTTP-Method",
    "X-Method-Override",
];

/// An origin that believes all it is told and shows it.
fn reflects(seen: &Seen) -> Reply {
    let body = String::from_utf8_lossy(&seen.head.raw).into_owned();
    Reply::text(body).field("Cache-Control", "max-age=600")
}

#[tokio::test]
async fn what_no_key_knows_does_not_come_into_an_answer_for_others() {
    // Nor what the front takes away by default.
    let stage = Stage::under("requests: { drop: [] }\n", "true").await;
    stage.app.answers(reflects);
    let (mut seen, mut shared) = (Vec::new(), 0);
    for (n, name) in UNKEYED.iter().enumerate() {
        for value in [MARK, &format!("https://{MARK}/x"), "443"] {
            let path = format!("/{n}/{}", value.len());
            stage.ask(&Request::get(&path).field(name, value)).await;
            let plain = stage.get(&path).await;
            let reflected = format!("{}: ", name.to_lowercase());
            let text = plain.text().to_lowercase();
            if text.contains(MARK) || text.contains(&format!("{reflected}{value}\r\n")) {
                seen.push(*name);
            }
            shared += usize::from(is_hit(&plain));
        }
    }
    assert!(
        seen.is_empty(),
        "a plain client sees {} of {}: {seen:?}",
        seen.len(),
        UNKEYED.len()
    );
    let all = 3 * UNKEYED.len();
    assert!(
        shared > all / 2,
        "{shared} of {all} were stored: the others proved nothing"
    );
}

#[tokio::test]
async fn what_a_trusted_proxy_says_of_its_client_is_in_the_key_or_not_in_the_answer() {
    let stage = Stage::under("trusted_proxies: 127.0.0.1\n", "true").await;
    // What is told of the client itself is nobody's to cache by; an application must not print it.
    stage.app.answers(|seen| {
        let said =
            ["x-forwarded-host", "x-forwarded-proto"].map(|name| seen.head.all(name).join(","));
        Reply::text(said.join(" ")).field("Cache-Control", "max-age=600")
    });
    for (name, value) in [("X-Forwarded-Host", MARK), ("X-Forwarded-Proto", "https")] {
        let one = stage.ask(&Request::get("/").field(name, value)).await;
        assert!(one.text().contains(value), "{name}: {}", one.text());
        let other = stage.get("/").await;
        assert!(!other.text().contains(value), "{name}: {}", other.text());
    }
}

/// An origin that fails on whatever an attacker can send, with statuses that a route's `ttl` is for and such as it is
/// not for.
fn is_touchy(seen: &Seen) -> Reply {
    let has = |name: &str| !seen.head.all(name).is_empty();
    let is = |name: &str, value: &str| seen.head.all(name).contains(&value);
    let longest = seen.head.fields.iter().map(|(_, value)| value.len()).max();
    let status = match () {
        () if longest > Some(4_000) => [400, 413, 431, 500][seen.serial % 4],
        () if has("range") => [400, 416][seen.serial % 2],
        () if has("x-http-method-override") || has("x-method-override") => 405,
        () if !is("x-forwarded-host", "tide.test") => 404,
        () if has("x-original-url") || has("x-rewrite-url") => 404,
        () if has("x-forwarded-proto") && !is("x-forwarded-proto", "http") => 501,
        () if has("expect") => 417,
        () if has("if-match") => 412,
        () if is("accept", "nonsense") => 406,
        () if has("authorization") => 401,
        () if seen
            .head
            .all("user-agent")
            .iter()
            .any(|agent| agent.contains("sqlmap")) =>
        {
            403
        }
        () if has("content-type") => 415,
        () if has("upgrade") => 426,
        () if !seen.body.is_empty() => 400,
        () if !seen.method().starts_with("GET") => 405,
        () => 200,
    };
    reply(seen, status, "")
}

#[tokio::test]
async fn an_error_that_one_client_provokes_is_never_anothers_answer() {
    let stage = Stage::under("requests: { drop: [] }\n", "{ ttl: 600s }").await;
    stage.app.answers(is_touchy);
    let large = "x".repeat(6_000);
    let get = |n: usize| Request::get(&format!("/{n}"));
    type Attack<'a> = Box<dyn Fn(Request) -> Request + 'a>;
    let field = |name: &'static str, value: &'static str| -> Attack<'_> {
        Box::new(move |r| r.field(name, value))
    };
    let oversize = |name: &'static str| -> Attack<'_> {
        let large = &large;
        Box::new(move |r| r.field(name, large))
    };
    let attacks: Vec<Attack<'_>> = vec![
        oversize("X-Oversize"),
        oversize("Cookie"),
        oversize("Referer"),
        oversize("User-Agent"),
        oversize("Accept-Language"),
        field("Range", "bytes=9-1"),
        field("Range", "bytes=cow"),
        field("Range", "bytes=99999-"),
        field("Range", "bytes=0-0,1-1,2-2"),
        field("If-Range", "\"x\""),
        field("X-HTTP-Method-Override", "DELETE"),
        field("X-HTTP-Method-Override", "HEAD"),
        field("X-HTTP-Method-Override", "NONSENSE"),
        field("X-HTTP-Method", "PUT"),
        field("X-Method-Override", "POST"),
        field("X-Forwarded-Host", "none.example"),
        field("X-Forwarded-Proto", "gopher"),
        field("X-Forwarded-Scheme", "nothttps"),
        field("X-Original-Url", "/nowhere"),
        field("X-Rewrite-Url", "/nowhere"),
        field("X-Meta", "a\tb\u{7f}c"),
        field("X-Meta", "\u{1}"),
        field("Accept", "nonsense"),
        field("Accept-Encoding", "identity;q=0"),
        field("Expect", "nonsense"),
        field("If-Match", "\"x\""),
        field("Authorization", "nonsense"),
        field("User-Agent", "sqlmap/1.0"),
        field("Content-Type", "nonsense"),
        field("Upgrade", "nonsense"),
        field("Transfer-Encoding", "nonsense"),
        field("Content-Length", "nonsense"),
        Box::new(|r| r.method("HEAD")),
        Box::new(|r| r.method("NONSENSE")),
    ];
    let mut provoked = 0;
    for (n, attack) in attacks.iter().enumerate() {
        let request = attack(get(n));
        // Whoever is refused at the door may see the connection closed.
        let answer = stage.tide.try_ask(&request).await;
        provoked += usize::from(answer.is_ok_and(|answer| answer.status >= 400));
        let clean = stage.ask(&get(n)).await;
        assert_eq!(clean.status, 200, "after {request:?}: {}", told(&clean));
        // What was not storable for the attacker may be fetched once more before it is stored.
        stage.ask(&get(n)).await;
        let stored = stage.ask(&get(n)).await;
        assert!(is_hit(&stored) && stored.status == 200, "{}", told(&stored));
    }
    assert!(
        provoked > 15,
        "{provoked} errors: the others proved nothing"
    );
}

#[tokio::test]
async fn a_page_of_somebody_is_not_stored_under_the_name_of_a_file() {
    let mut paths = Vec::new();
    for extension in ["css", "js", "png", "jpg", "svg", "woff2", "pdf", "json"] {
        for between in [
            "/x.",
            "/nothing/there.",
            ";x.",
            "%3bx.",
            "%0ax.",
            "%3fx.",
            "%23x.",
            "%2fx.",
        ] {
            paths.push(format!("/account{between}{extension}"));
        }
    }
    for path in [
        "/static/..%2faccount.css",
        "/static/%2e%2e%2faccount.js",
        "/account%00.css",
        "/account%09x.css",
        "/account/%5cx.css",
    ] {
        paths.push(path.into());
    }
    // The origin says private, or nothing; the route gives everything a time.
    for (rules, lines) in [
        ("{ ttl: 600s }", "Content-Type: text/html; charset=utf-8"),
        (
            "{ ttl: 600s }",
            "Content-Type: text/html\nCache-Control: private",
        ),
        ("{ override_ttl: 600s }", "Content-Type: text/html"),
        ("true", "Content-Type: text/html"),
    ] {
        let stage = Stage::open(rules).await;
        stage.says(lines);
        for path in &paths {
            let victim = stage.get_with(path, "Cookie: session=victim").await;
            let attacker = stage.get(path).await;
            assert!(
                !is_hit(&attacker),
                "{rules} {lines}: {path}: {}",
                told(&attacker)
            );
            assert!(
                victim.status >= 400 || victim.body != attacker.body,
                "{path}"
            );
        }
    }
    // What is a file is stored.
    let stage = Stage::open("{ ttl: 600s }").await;
    stage.says("Content-Type: text/css");
    stage.get("/style.css").await;
    assert!(is_hit(&stage.get("/style.css").await));
}

#[tokio::test]
async fn what_comes_from_the_store_is_what_the_origin_would_say_to_the_same_bytes() {
    let stage = Stage::open("true").await;
    stage.app.answers(|seen| {
        let host = seen.head.get("host").unwrap_or_default();
        let body = format!("{host} {}", seen.target());
        Reply::text(body).field("Cache-Control", "max-age=600")
    });
    let hosts = [
        "a.test",
        "a.test.",
        "A.test",
        "a.test:80",
        "a.test:8080",
        "b.test",
        "xn--a.test",
    ];
    let targets = [
        "/",
        "//",
        "/a/b",
        "/a//b",
        "/a%2fb",
        "/a%2Fb",
        "/a%252fb",
        "/a|b",
        "/a%7cb",
        "/a?",
        "/a",
        "/a?b",
        "/a?b&c",
        "/a?c&b",
        "/a?b|c",
        "/a%3fb",
        "/a;b",
        "/a%20b",
        "/a+b",
        "/A",
        "/a/",
        "/a/.",
        "/a/./b",
        "/a/../b",
        "/a/%2e%2e/b",
        "/a?b=%26c",
        "/a?b=&c",
        "/~a",
        "/%7ea",
    ];
    let mut compared = 0;
    for host in hosts {
        for target in targets {
            let request = Request::get(target).host(host);
            let Ok(stored) = stage.tide.try_ask(&request).await else {
                continue;
            };
            let direct = stage
                .tide
                .try_ask(&request.field("Cache-Control", "no-store, max-age=0"))
                .await;
            let direct = direct.unwrap();
            assert_eq!(stored.status, direct.status, "{host} {target}");
            if stored.status == 200 {
                let (stored, direct) = (stored.text(), direct.text());
                // Letter case and the usual port of a host say the same.
                let same = |text: &str| text.to_lowercase().replacen(":80 ", " ", 1);
                assert!(
                    stored == direct || same(&stored) == same(&direct),
                    "{stored} instead of {direct}"
                );
                assert_eq!(
                    stored.split_once(' ').unwrap().1,
                    direct.split_once(' ').unwrap().1
                );
                compared += 1;
            }
        }
    }
    assert!(
        compared > hosts.len() * targets.len() / 2,
        "{compared} compared"
    );
}
