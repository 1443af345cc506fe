//! What the express lane is asked in its benchmarks: a site with a cache, and requests that come again and again.
//!
//! Both who measures time (`hot_path`) and who counts instructions (`guard`) put the same requests to the same site. The
//! same numbers are drawn in every run. Each answer is checked to be what its name says before anything is measured.

mod stream;

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use tidegate::base::coding::Coding;
use tidegate::cache::entry::Head;
use tidegate::cache::key::Target;
use tidegate::cache::policy::life::{Life, Source as Lifetime};
use tidegate::cache::policy::vary::Selection;
use tidegate::cache::store::Joined;
use tidegate::gateway::conn::Port;
use tidegate::gateway::rehearsal::{Rehearsed, rehearse};
use tidegate::live::control::Control;
use tidegate::live::doors::OpenPort;
use tidegate::live::source::Source;
use tidegate::telemetry::metrics::Metrics;
use tokio::runtime::{Builder, Runtime};

use stream::{Script, Taken};

/// The configuration of the site.
const SITE: &str = "
listen: [{ addr: \"127.0.0.1:0\" }]
access_log: { format: \"off\" }
limits: { requests_per_connection: 0 }
upstreams:
  web: { nodes: [\"127.0.0.1:1\"] }
routes:
  - { match: { path: /data/ }, upstream: web, cache: { ttl: 1h }, compress: true }
  - { upstream: web, cache: { ttl: 1h } }
";
const HOST: &str = "shop.example.com";
/// How old what is stored is, in milliseconds: its `Age` has three digits, now and in ten minutes.
const AGE: u64 = 200_000;
/// As a file server writes it.
const TAG: &str = "\"6711a2f3-400\"";

/// 16 fields, as a browser sends them.
const BROWSER: &str = "\
    Connection: keep-alive\n\
    DNT: 1\n\
    sec-ch-ua: \"Chromium\";v=\"126\", \"Google Chrome\";v=\"126\", \"Not-A.Brand\";v=\"8\"\n\
    sec-ch-ua-mobile: ?0\n\
    sec-ch-ua-platform: \"Linux\"\n\
    Upgrade-Insecure-Requests: 1\n\
    User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Safari/537.36\n\
    Accept: text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8\n\
    Sec-Fetch-Site: same-origin\n\
    Sec-Fetch-Mode: navigate\n\
    Sec-Fetch-Dest: document\n\
    Referer: https://shop.example.com/\n\
    Accept-Encoding: gzip, deflate, br, zstd\n\
    Accept-Language: en-US,en;q=0.9\n\
    Cookie: session=9f86d081884c7d659a2feaa0c55ad015; theme=dark\n";

/// Requests that come together, and what they are answered.
pub struct Scene {
    /// Its name, in tables.
    pub name: &'static str,
    /// How many requests come together.
    pub together: u64,
    requests: Bytes,
    /// What the answer of one begins with; `None`: the lane hands it on.
    status: Option<&'static str>,
    /// Bytes of its body.
    body: usize,
}

impl Scene {
    /// All there are.
    pub fn all() -> Vec<Scene> {
        let gets = |name, path: &str, fields: &str, status, body| Scene {
            name,
            together: 1,
            requests: format!("GET {path} HTTP/1.1\nHost: {HOST}\n{fields}\n")
                .replace('\n', "\r\n")
                .into(),
            status,
            body,
        };
        let (ok, not_modified) = (Some("HTTP/1.1 200 OK"), Some("HTTP/1.1 304 "));
        let hit = gets("hit_1k", "/1k", "", ok, 1024);
        let eight = Scene {
            name: "hit_1k_8_together",
            together: 8,
            requests: hit.requests.repeat(8).into(),
            ..hit
        };
        let has_it = format!("If-None-Match: {TAG}\n");
        vec![
            gets("hit_1k", "/1k", "", ok, 1024),
            gets("hit_1k_browser", "/1k", BROWSER, ok, 1024),
            gets("not_modified", "/1k", &has_it, not_modified, 0),
            gets("hit_br", "/data/1k", "Accept-Encoding: gzip, br\n", ok, 300),
            eight,
            gets("handed_on", "/not-stored", "", None, 0),
        ]
    }

    /// What an answer to one of its requests lacks, if it is not what it should be.
    fn lacks(&self, answers: &[u8]) -> Option<&'static str> {
        let Some(status) = self.status else {
            return (!answers.is_empty()).then_some("silence");
        };
        let text = String::from_utf8_lossy(answers);
        let of_each = answers.len() / self.together as usize;
        let head = text.find("\r\n\r\n").map_or(0, |end| end + 4);
        match () {
            () if !text.starts_with(status) => Some("its status"),
            () if !text.contains("; hit;") => Some("a hit"),
            () if of_each != head + self.body => Some("its length"),
            () => None,
        }
    }
}

/// A site that is asked.
pub struct Site {
    control: Arc<Control>,
    port: Arc<Port>,
    runtime: Runtime,
}

impl Site {
    /// One that has stored what is asked for. All of it, and all that asks, is on this thread.
    pub fn open() -> Site {
        fastrand::seed(7);
        let source = Source::Text {
            name: "site".into(),
            text: SITE.into(),
        };
        let loaded = source.load();
        let config = loaded.config.clone();
        let config = config.unwrap_or_else(|| panic!("the site is wrong: {:?}", loaded.problems));
        let open = OpenPort::new(0, &config.listen[0]);
        let metrics = Metrics::new("bench");
        let control = Control::start(source, config, &loaded, metrics, true, Instant::now())
            .expect("a log that is off opens");
        let label = String::from("127.0.0.1:8080");
        let port = Port {
            metrics: control.metrics.listener(&label),
            label,
            open,
            tls: Default::default(),
            begun: Default::default(),
        };
        let runtime = Builder::new_current_thread().build();
        let site = Site {
            control: Arc::new(control),
            port: Arc::new(port),
            runtime: runtime.expect("a runtime without a driver starts"),
        };
        site.store("/1k", "text/plain", None);
        site.store("/data/1k", "application/json", Some(300));
        site
    }

    /// Stores an answer of 1 KiB as a file server gives it, and a form in br of so many bytes.
    fn store(&self, path: &str, media_type: &str, br: Option<usize>) {
        let key = Arc::new(self.control.cache.key(Target {
            scheme: "http",
            host: HOST,
            path,
            query: None,
        }));
        let Joined::Lead(mut filler) = self.control.cache.join(key, &HeaderMap::new(), None) else {
            panic!("nobody else fetches {path}");
        };
        let fields = [
            ("Server", "nginx/1.22.1"),
            ("Date", "Sun, 22 Nov 2026 10:00:00 GMT"),
            ("Content-Type", media_type),
            ("Last-Modified", "Fri, 18 Oct 2024 00:48:03 GMT"),
            ("ETag", TAG),
            ("Accept-Ranges", "bytes"),
        ];
        let fields = fields.map(|(name, value)| (name.as_bytes(), value.as_bytes()));
        let life = Life {
            received: self.control.clock.now() - AGE,
            initial_age: 0,
            lifetime: 10_000_000,
            source: Lifetime::Route,
            stale_while_revalidate: 0,
            stale_if_error: None,
            no_cache: false,
            must_revalidate: false,
            has_validator: true,
        };
        let head = Head::new(StatusCode::OK, fields);
        filler.begins(
            (head, life),
            Selection::default(),
            Box::default(),
            Some(1024),
        );
        let body = Bytes::from(vec![b'b'; 1024]);
        self.runtime.block_on(filler.write(body));
        let entry = filler.finish().expect("there is room for it");
        if let Some(length) = br {
            let form = [Bytes::from(vec![b'f'; length])];
            let put = self
                .control
                .cache
                .put_form(&entry, Coding::Brotli, &form, true);
            put.expect("there is room for it");
        }
    }

    /// Lets the requests of `scene` come so many times, and checks that each was answered as it should be.
    pub fn is_asked(&self, scene: &Scene, times: u64) {
        let taken = Arc::new(Taken::default());
        let script = Script::new(scene.requests.clone(), times, taken.clone());
        let client = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 7));
        let served = rehearse(&self.control, &self.port, Box::new(script), client);
        let done = self.runtime.block_on(served);
        let first = taken.first();
        let expected = match scene.status {
            Some(_) => (times, 0),
            None => (0, times),
        };
        let name = scene.name;
        let told = |done: Rehearsed| (done.answers, done.handed_on);
        assert_eq!(done.map(told), Ok(expected), "{name}");
        let said = String::from_utf8_lossy(&first);
        assert_eq!(scene.lacks(&first), None, "{name}: {said}");
        assert_eq!(taken.bytes(), first.len() as u64 * times, "{name}");
    }
}
