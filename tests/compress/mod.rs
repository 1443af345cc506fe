//! What a client that takes an encoding gets in it: the very bytes the origin meant.

mod strangers;

use crate::support::origin::{Origin, nodes};
use crate::support::proxy::Tidegate;
use crate::support::reply::Reply;

/// The body of a small API answer.
const SMALL: usize = 64 << 10;
/// The body of one that comes, is stored and leaves in many pieces.
const LARGE: usize = 3 << 20;

/// One origin, and the proxy in front of it. It compresses everything, except below `/as-is/`; what is below `/live/` is
/// not stored.
struct Stage {
    app: Origin,
    tide: Tidegate,
}

impl Stage {
    async fn open() -> Self {
        let app = Origin::start("app-1").await;
        let yaml = format!(
            "upstreams: {{ web: {{ nodes: {} }} }}
routes:
  - {{ match: {{ path: /as-is/ }}, upstream: web }}
  - {{ match: {{ path: /live/ }}, upstream: web, compress: true }}
  - {{ upstream: web, cache: {{ ttl: 1h }}, compress: true }}\n",
            nodes([&app])
        );
        let tide = Tidegate::run(yaml).await;
        Stage { app, tide }
    }

    /// The origin answers everything with this JSON and its length.
    fn says(&self, body: &[u8]) {
        let body = body.to_vec();
        self.app
            .answers(move |_| as_json(Reply::text(body.clone())));
    }

    /// Where somebody finds this.
    fn url(&self, target: &str) -> String {
        format!("http://{}{target}", self.tide.addr())
    }
}

/// JSON of exactly so many bytes, the same in every run: records as an API has them, no two alike.
fn json(size: usize) -> Vec<u8> {
    let mut random = fastrand::Rng::with_seed(6);
    let mut text = String::from("{\"items\":[");
    let tail = "],\"note\":\"\"}";
    for id in 0.. {
        let comma = if id == 0 { "" } else { "," };
        let record = format!(
            "{comma}{{\"id\":{id},\"key\":\"{:08x}\",\"price\":{:.2},\"in_stock\":{},\"name\":\"Größe {}\"}}",
            random.u32(..),
            random.f64() * 400.0,
            random.bool(),
            random.u8(36..48),
        );
        if text.len() + record.len() + tail.len() > size {
            break;
        }
        text.push_str(&record);
    }
    let rest = size - text.len() - tail.len();
    let note = ".".repeat(rest);
    format!("{text}],\"note\":\"{note}\"}}").into_bytes()
}

/// An answer that says it is JSON, of this version.
fn as_json(reply: Reply) -> Reply {
    reply
        .field("Content-Type", "application/json")
        .field("ETag", "\"v1\"")
}
