//! The metrics as Prometheus meets them: well-formed, true to the README, and enough for the board and the rules.

mod lint;
mod queries;
mod readme;
mod text;

use std::time::Duration;

use tempfile::TempDir;

use crate::support::client::Request;
use crate::support::dns::Dns;
use crate::support::origin::{Origin, nodes};
use crate::support::proxy::{Tidegate, complete};
use crate::support::redis::Redis;
use crate::support::reply::Reply;
use crate::support::tls::Authority;
use crate::support::{Gate, check, eventually, ms};

use text::Exposition;

/// A proxy of which every part has something to tell.
struct Busy {
    tide: Tidegate,
    apps: Vec<Origin>,
    dns: Dns,
    redis: Redis,
}

/// How long it may take until all of it was told.
const PATIENCE: Duration = Duration::from_secs(30);

impl Busy {
    /// Starts it and lets all of it happen.
    async fn proxy() -> Self {
        let apps = Origin::several(4).await;
        let dns = Dns::start().await;
        dns.has("app.internal", &["127.0.0.1"]);
        let redis = Redis::run().await;
        let dir = TempDir::new().expect("a temporary folder");
        Authority::new()
            .issue(&["site.test"])
            .write(dir.path(), "site");
        let whole = complete(&file(&apps, &dns, &redis, ""));
        std::fs::write(dir.path().join("tidegate.yaml"), whole).expect("a writable folder");
        let tide = Tidegate::run_in(dir).await;
        let busy = Busy {
            tide,
            apps,
            dns,
            redis,
        };
        busy.serves().await;
        busy.fails().await;
        busy.is_told_to().await;
        busy
    }

    /// The same file, with further routes.
    fn with_routes(&self, more: &str) -> String {
        file(&self.apps, &self.dns, &self.redis, more)
    }

    /// Hits, sessions, compression, limits.
    async fn serves(&self) {
        let page = "<p>a page that is worth compressing</p>".repeat(200);
        for app in &self.apps {
            let page = page.clone();
            app.answers(move |seen| {
                let kind = Reply::text(page.clone()).field("Content-Type", "text/html");
                match seen.target() {
                    "/private" => kind.field("Cache-Control", "private"),
                    "/fails" => Reply::sized(503, "no"),
                    "/slow" => kind.after(ms(400)),
                    _ => kind.field("Cache-Control", "max-age=60"),
                }
            });
        }
        for target in [
            "/shop/a",
            "/shop/a",
            "/shop/private",
            "/other",
            "/other",
            "/slow",
        ] {
            let request = Request::get(target).field("Accept-Encoding", "gzip");
            assert_eq!(self.tide.ask(&request).await.status, 200, "{target}");
        }
        self.tide.ask(&Request::post("/other", "a body")).await;
        self.tide.ask(&Request::new("BREW", "/other")).await;
        let _ = self
            .tide
            .ask(&Request::get("/nobody").host("nobody.test"))
            .await;
    }

    /// One node refuses connections, one answers 503, one opens its breaker, and a client leaves.
    async fn fails(&self) {
        self.apps[1].kill().await;
        for _ in 0..12 {
            self.tide.get("/fails").await;
            self.tide.get("/other").await;
        }
        let mut leaves = self.tide.connect().await;
        let gate = Gate::closed();
        let waits = gate.clone();
        self.apps[3].answers(move |seen| Reply::usual(seen).when(&waits));
        leaves.send(&Request::get("/alone")).await.unwrap();
        self.apps[3].holds(1).await;
        leaves.reset();
        gate.open();
    }

    /// A drain that is not over, a purge, a file with a mistake.
    async fn is_told_to(&self) {
        self.tide.verb("web/app-3", "drain").await;
        let purge = r#"{"url":"http://shop.test/shop/a"}"#;
        assert_eq!(
            self.tide.api("POST", "/api/v1/purge", purge).await.status,
            200
        );
        self.tide.write("routes: [{ upstream: nobody }]\n");
        let labels = [("result", "refused")];
        self.tide
            .metric_is("tidegate_config_reloads_total", &labels, 1.0)
            .await;
        let good = self.with_routes("");
        self.tide.write(&good);
    }

    /// What it tells, once each of these families has a series.
    async fn tells(&self, families: &[&str]) -> Exposition {
        eventually("everything is told", PATIENCE, async || {
            let text = self.tide.api("GET", "/metrics", "").await.text();
            let told = Exposition::parse(&text)?;
            let silent = families.iter().find(|name| !told.has_series(name));
            check(silent.is_none(), format!("{silent:?} has no series"))?;
            Ok::<_, String>(told)
        })
        .await
    }
}

fn file(apps: &[Origin], dns: &Dns, redis: &Redis, more: &str) -> String {
    let web = nodes(&apps[..3]);
    let (dns, port) = (dns.addr(), apps[0].addr().port());
    let alone = nodes(&apps[3..]);
    let redis = redis.url();
    format!(
        "listen:
  - {{ addr: \"127.0.0.1:0\" }}
  - {{ addr: \"127.0.0.1:0\", tls: {{ certs: [{{ cert: site.pem, key: site.key }}], acme: [away.test] }} }}
acme: {{ agree: true, directory: \"https://127.0.0.1:9/\", state: acme }}
dns: {{ servers: [\"{dns}\"] }}
cache: {{ redis: {{ url: \"{redis}\", timeout: 500ms }} }}
upstreams:
  web:
    nodes: {web}
    sticky: {{ cookie: tg_node }}
    health: {{ path: /healthz, interval: 100ms }}
    breaker: {{ failure_rate: 90%, min_requests: 1000 }}
    retry: {{ hedge: {{ after: 100ms }} }}
  alone: {{ nodes: {alone}, sticky: {{ learn: {{ cookie: sid, store: redis }} }} }}
  named: {{ nodes: [{{ addr: \"app.internal:{port}\", id: app }}], health: off }}
routes:
  - {{ name: shop, match: {{ path: /shop/ }}, upstream: web, cache: {{ ttl: 1m }}, compress: true }}
  - {{ name: alone, match: {{ path: /alone }}, upstream: alone }}
  - {{ name: named, match: {{ path: /named }}, upstream: named }}
  - {{ name: other, match: {{ path: / }}, upstream: web, slow: 100ms, rate_limit: {{ rate: 1/h, scope: cluster, dry_run: true }} }}
{more}"
    )
}
