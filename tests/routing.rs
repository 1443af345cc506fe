//! Which upstream a request goes to: by host, path, method and field; the most specific route wins.

use crate::support::client::{Answer, Request};
use crate::support::origin::Origin;
use crate::support::proxy::Tidegate;

/// A proxy with one upstream per origin name, and these routes.
async fn with_routes(names: &[&str], routes: &str) -> (Vec<Origin>, Tidegate) {
    let mut origins = Vec::new();
    let mut yaml = String::from("upstreams:\n");
    for name in names {
        let origin = Origin::start(name).await;
        yaml.push_str(&format!("  {name}: {{ nodes: [{origin}] }}\n"));
        origins.push(origin);
    }
    let tide = Tidegate::run(format!("{yaml}routes:\n{routes}")).await;
    (origins, tide)
}

async fn goes_to(tide: &Tidegate, host: &str, path: &str) -> String {
    let answer = tide.ask(&Request::get(path).host(host)).await;
    reached(&answer)
}

fn reached(answer: &Answer) -> String {
    match answer.status {
        200 => answer.node().to_owned(),
        status => status.to_string(),
    }
}

#[tokio::test]
async fn a_host_has_its_upstream_whatever_its_case_port_or_last_dot() {
    let routes = "
  - { match: { host: [shop.test, www.shop.test] }, upstream: shop }
  - { match: { host: \"*.shop.test\" }, upstream: tenants }
  - { upstream: other }
";
    let (_origins, tide) = with_routes(&["shop", "tenants", "other"], routes).await;
    for (host, to) in [
        ("shop.test", "shop"),
        ("SHOP.test", "shop"),
        ("shop.test:8080", "shop"),
        ("shop.test.", "shop"),
        ("www.shop.test", "shop"),
        ("a.shop.test", "tenants"),
        ("a.b.shop.test", "tenants"),
        ("notshop.test", "other"),
        ("shop.test.evil.test", "other"),
    ] {
        assert_eq!(goes_to(&tide, host, "/").await, to, "{host}");
    }
}

#[tokio::test]
async fn the_most_specific_path_wins_in_whatever_order_they_stand() {
    let routes = "
  - { upstream: rest }
  - { match: { path: /api/ }, upstream: api }
  - { match: { path_regex: \"^/api/v[0-9]+/users$\" }, upstream: regex }
  - { match: { path: /api/v1/ }, upstream: v1 }
  - { match: { path_exact: /api/v1/ping }, upstream: exact }
";
    let names = ["rest", "api", "regex", "v1", "exact"];
    let (_origins, tide) = with_routes(&names, routes).await;
    for (path, to) in [
        ("/", "rest"),
        ("/api", "rest"),
        ("/api/", "api"),
        ("/api/v2/x?y=/api/v1/", "api"),
        ("/api/v1/x", "v1"),
        ("/api/v1/ping", "exact"),
        ("/api/v1/ping?deep=1", "exact"),
        ("/api/v1/pingpong", "v1"),
        ("/api/v22/users", "regex"),
        ("/api/v22/users/1", "api"),
    ] {
        assert_eq!(goes_to(&tide, "any.test", path).await, to, "{path}");
    }
}

#[tokio::test]
async fn a_host_is_more_specific_than_a_path() {
    let routes = "
  - { match: { path: /assets/ }, upstream: assets }
  - { match: { host: shop.test }, upstream: shop }
  - { match: { host: shop.test, path: /assets/ }, upstream: both }
";
    let (_origins, tide) = with_routes(&["assets", "shop", "both"], routes).await;
    assert_eq!(goes_to(&tide, "shop.test", "/assets/a.css").await, "both");
    assert_eq!(goes_to(&tide, "shop.test", "/").await, "shop");
    assert_eq!(goes_to(&tide, "blog.test", "/assets/a.css").await, "assets");
    assert_eq!(goes_to(&tide, "blog.test", "/").await, "404");
}

#[tokio::test]
async fn methods_and_fields_choose_too() {
    let routes = "
  - { match: { methods: [GET, HEAD] }, upstream: reads }
  - { match: { headers: { X-Beta: \"1\" } }, upstream: beta }
  - { upstream: writes }
";
    let (_origins, tide) = with_routes(&["reads", "beta", "writes"], routes).await;
    let ask = async |request: Request| reached(&tide.ask(&request).await);
    assert_eq!(ask(Request::get("/")).await, "reads");
    assert_eq!(ask(Request::post("/", "x")).await, "writes");
    let beta = Request::post("/", "x");
    assert_eq!(ask(beta.clone().field("x-beta", "1")).await, "beta");
    assert_eq!(ask(beta.field("X-Beta", "2")).await, "writes");
}

#[tokio::test]
async fn a_redirect_sends_the_client_elsewhere_and_no_node_hears_of_it() {
    let routes = "
  - { match: { path: /old/ }, redirect: { to: /new/, status: 308 } }
  - { match: { host: plain.test }, redirect: { to: \"https://{host}{uri}\", status: 301 } }
  - { upstream: web }
";
    let (origins, tide) = with_routes(&["web"], routes).await;
    let answer = tide.get("/old/page?x=1").await;
    assert_eq!(answer.status, 308);
    assert_eq!(answer.head.get("location"), Some("/new/page?x=1"));
    let answer = tide.ask(&Request::get("/a?b").host("plain.test")).await;
    assert_eq!(answer.status, 301);
    assert_eq!(answer.head.get("location"), Some("https://plain.test/a?b"));
    assert_eq!(origins[0].requests(), 0);
}

#[tokio::test]
async fn a_redirect_is_no_way_to_write_fields() {
    let routes = "
  - { match: { path: /old/ }, redirect: { to: /new/, status: 302 } }
  - { upstream: web }
";
    let (_origins, tide) = with_routes(&["web"], routes).await;
    let answer = tide.get("/old/%0d%0aSet-Cookie:%20a=b").await;
    assert!(answer.head.all("set-cookie").is_empty());
    let location = answer.head.get("location").unwrap_or_default();
    assert!(!location.contains(['\r', '\n']), "{location:?}");
}

#[tokio::test]
async fn without_a_route_it_is_a_404_that_is_counted() {
    let routes = "  - { match: { host: only.test }, upstream: web }\n";
    let (origins, tide) = with_routes(&["web"], routes).await;
    let answer = tide.ask(&Request::get("/x").host("other.test")).await;
    assert_eq!(answer.status, 404);
    assert!(
        answer.text().starts_with("404 Not Found\n"),
        "{}",
        answer.text()
    );
    assert!(answer.stays_open, "the connection is fine");
    assert_eq!(origins[0].requests(), 0);
    assert_eq!(tide.told("/x").await["end"], "refused:no_route");
    let label = [("reason", "no_route")];
    tide.metric_is("tidegate_requests_refused_total", &label, 1.0)
        .await;
}
