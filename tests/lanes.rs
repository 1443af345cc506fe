//! The express lane: what is stored is answered at the front door, and nobody can tell but by how little it costs.
//!
//! A story of the lane says how many of its answers came that way: it must fail where the lane does nothing. Where it
//! can be told alike, it is told twice, with the lane off and on, and both must say the same.

mod alike;
mod answered;
mod changes;
mod guarded;
mod made;
mod pipelined;
mod readers;
mod side;
mod world;

use serde_json::Value;

use crate::support::client::{Answer, Client, Request};
use crate::support::origin::{Origin, nodes};
use crate::support::proxy::{SOON, Tidegate};
use crate::support::reply::{Reply, Seen};
use crate::support::{check, eventually, pattern};

/// The variable that turns the lane off.
const SWITCH: &str = "TIDEGATE_EXPRESS_LANE";
/// Both of its values; what is told alike is told with the first, then with the second.
const LANES: [&str; 2] = ["off", "on"];
/// Requests answered in the lane.
const EXPRESS: &str = "tidegate_express_requests_total";
const MIB: usize = 1 << 20;
/// The tag and the date of everything that [`sized`] answers.
const TAG: &str = "\"v1\"";
const MODIFIED: &str = "Sun, 01 Mar 2026 00:00:00 GMT";

/// One origin, and the proxy with a cache in front of it.
struct Stage {
    app: Origin,
    tide: Tidegate,
}

impl Stage {
    /// With the lane on, and a route that stores.
    async fn open() -> Stage {
        Stage::with("on", "", "cache: true").await
    }

    /// With the lane `on` or `off`, further sections at the top of the file, and these keys of its route.
    async fn with(lane: &str, top: &str, keys: &str) -> Stage {
        let app = Origin::start("app-1").await;
        app.answers(sized);
        let tide = Tidegate::run_with_faults_and(&[(SWITCH, lane)], yaml(&app, top, keys)).await;
        Stage { app, tide }
    }

    /// The same process goes on with these sections and keys.
    async fn reloads(&self, top: &str, keys: &str) {
        self.tide.apply(&yaml(&self.app, top, keys)).await;
    }

    /// Has these fetched and stored, each of them once.
    async fn stores(&self, targets: &[&str]) {
        for target in targets {
            let answer = self.tide.get(target).await;
            assert!(answer.status < 500, "{target}: {}", answer.text());
        }
        eventually("all are stored", SOON, async || {
            let cache = self.tide.json("/api/v1/cache").await;
            check(cache["fills"] == 0, cache)
        })
        .await;
    }

    /// Exactly so many requests were answered in the lane.
    async fn express(&self, requests: usize) {
        let what = [("route", "shop")];
        self.tide.metric_is(EXPRESS, &what, requests as f64).await;
    }

    /// How many requests were answered in the lane so far.
    async fn so_far(&self) -> f64 {
        let found = self.tide.metric(EXPRESS, &[]).await;
        found.unwrap_or_default()
    }
}

/// The configuration of a [`Stage`].
fn yaml(app: &Origin, top: &str, keys: &str) -> String {
    let nodes = nodes([app]);
    format!(
        "{top}upstreams: {{ web: {{ nodes: {nodes}, health: off }} }}
routes:
  - {{ name: clock, match: {{ path: /clock }}, redirect: {{ to: / }} }}
  - {{ name: shop, upstream: web, {keys} }}\n"
    )
}

/// Answers that are fresh for ten minutes: `/sized/N` has N bytes, everything else its target and its serial.
fn sized(seen: &Seen) -> Reply {
    let length = seen.target().strip_prefix("/sized/");
    let body = match length.and_then(|n| n.parse().ok()) {
        Some(length) => pattern(length),
        None => format!("{} {}\n", seen.target(), seen.serial).into_bytes(),
    };
    Reply::text(body)
        .field("Cache-Control", "max-age=600")
        .field("ETag", TAG)
        .field("Last-Modified", MODIFIED)
}

/// Whether it came from the store, fresh.
fn is_hit(answer: &Answer) -> bool {
    let said = answer.head.get("cache-status").unwrap_or_default();
    said.starts_with("tidegate; hit;") && said.contains("detail=fresh")
}

/// The bytes of several requests.
fn at_once(requests: &[Request]) -> Vec<u8> {
    let bytes = |r: &Request| [r.head_bytes(), r.body_bytes()].concat();
    requests.iter().flat_map(bytes).collect()
}

/// Sends all of it at once and reads answers until there are as many, or the connection is closed; then, whether it was
/// closed in good order.
async fn answers(client: &mut Client, requests: &[Request]) -> (Vec<Answer>, bool) {
    client.send_bytes(&at_once(requests)).await.unwrap();
    let mut answers = Vec::new();
    for request in requests {
        let answer = client.answer(request.its_method()).await;
        let answer = answer.unwrap_or_else(|why| panic!("{request:?}: {why}"));
        let stays = answer.stays_open;
        answers.push(answer);
        if !stays {
            assert_eq!(client.until_closed(SOON).await, Ok(vec![]));
            return (answers, true);
        }
    }
    (answers, false)
}

/// A line of the access log without what no two requests have in common. Of times, which there are.
fn alike(mut line: Value) -> Value {
    let fields = line.as_object_mut().expect("a line is an object");
    for name in ["ts", "id", "listener"] {
        fields.remove(name).expect("every line has it");
    }
    let times = fields["t"].as_object().expect("times are an object");
    let times: Vec<Value> = times.keys().map(|name| name.as_str().into()).collect();
    fields.insert("t".into(), times.into());
    line
}
