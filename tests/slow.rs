//! Requests that were slow are at hand, with where their time went.

use crate::support::client::Request;
use crate::support::origin::{Origin, nodes};
use crate::support::proxy::Tidegate;
use crate::support::reply::Reply;
use crate::support::{check, eventually, ms};

#[tokio::test]
async fn slow_requests_say_where_their_time_went() {
    let apps = Origin::several(2).await;
    apps[0].answers(|_| Reply::sized(503, "not now"));
    apps[1].answers(|seen| match seen.target() {
        "/quick" | "/none/quick" => Reply::usual(seen),
        _ => Reply::usual(seen).after(ms(300)),
    });
    let yaml = format!(
        "upstreams:\n  web:\n    balance: round_robin\n    retry: {{ backoff: 0s }}\n    nodes: {}\n\
         routes:\n  - {{ name: all, upstream: web, slow: 250ms }}\n\
         \x20 - {{ name: none, match: {{ path: /none/ }}, upstream: web, slow: 0s }}\n",
        nodes(&apps)
    );
    let tide = Tidegate::run(yaml).await;
    for target in ["/first?q=1", "/quick", "/none/slow", "/second"] {
        assert_eq!(tide.get(target).await.status, 200);
    }
    tide.ask(&Request::websocket("/tunnel")).await;
    let slow = eventually("the slow ones are there", ms(3_000), async || {
        let slow = tide.json("/api/v1/slow").await["slow"].clone();
        check(slow.as_array().is_some_and(|s| s.len() >= 2), &slow).map(|()| slow)
    })
    .await;
    let targets: Vec<_> = slow
        .as_array()
        .unwrap()
        .iter()
        .map(|s| s["target"].as_str().unwrap())
        .collect();
    let known = ["/second", "/first?q=1"];
    let slow_only: Vec<_> = targets.iter().filter(|t| known.contains(t)).collect();
    assert_eq!(slow_only, [&"/second", &"/first?q=1"], "the latest first");
    let first = slow.as_array().unwrap().last().unwrap();
    assert_eq!(
        first["nodes"],
        serde_json::json!(["app-1", "app-2"]),
        "{first}"
    );
    assert_eq!(
        (&first["route"], &first["upstream"]),
        (&"all".into(), &"web".into())
    );
    assert_eq!(
        (&first["end"], &first["status"]),
        (&"ok".into(), &200.into())
    );
    let seconds = |key: &str| first["t"][key].as_f64();
    assert!(
        seconds("connect").is_some() && seconds("queue").is_none(),
        "{first}"
    );
    assert!(
        seconds("ttfb") >= Some(0.29) && seconds("total") >= seconds("ttfb"),
        "{first}"
    );
    let logged = tide.told("/first").await;
    assert_eq!(first["id"], logged["id"]);
    // Others may be slow on a busy machine: what is shown is what is counted.
    eventually("all are counted", ms(3_000), async || {
        let shown = tide.json("/api/v1/slow?route=all").await["slow"].clone();
        let counted = tide
            .metric("tidegate_slow_requests_total", &[("route", "all")])
            .await;
        let shown = shown.as_array().unwrap().len() as f64;
        check(counted == Some(shown), format!("{counted:?}, not {shown}"))
    })
    .await;
    let none = tide.json("/api/v1/slow?route=none").await;
    assert_eq!(none["slow"], serde_json::json!([]));
    let one = tide.json("/api/v1/slow?limit=1").await;
    assert_eq!(one["slow"].as_array().unwrap().len(), 1);
    assert_eq!(
        tide.api("GET", "/api/v1/slow?limit=many", "").await.status,
        400
    );
}
