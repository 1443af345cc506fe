//! Compression: paid once, served for ever. What a client gets is what it takes, byte for byte what the origin said.

mod accepted;
mod awry;
mod behind;
mod clients;
mod decoding;
mod encoded;
mod kinds;
mod live;
mod minified;
mod options;
mod reloaded;
mod reviewed;
mod stored;
mod strangers;
mod tags;
mod together;
mod told;

use std::io::Read;
use std::time::Duration;

use crate::support::client::{Answer, Request};
use crate::support::origin::{Origin, nodes};
use crate::support::proxy::{Tidegate, web};
use crate::support::reply::{Reply, Seen};
use crate::support::{check, eventually};

/// Longer than a busy machine leaves waiting what is done behind the answers.
const PATIENCE: Duration = Duration::from_secs(150);

/// One origin, and the proxy that compresses in front of it.
struct Stage {
    app: Origin,
    tide: Tidegate,
}

impl Stage {
    /// Its one route has these keys, a line each.
    async fn open(keys: &str) -> Self {
        Stage::under("", keys).await
    }

    /// The same, with further sections at the top of the file.
    async fn under(top: &str, keys: &str) -> Self {
        let app = Origin::start("app-1").await;
        let tide = Tidegate::run_with_faults(yaml(top, keys, &app)).await;
        Stage { app, tide }
    }

    /// With these routes, a mapping a line without its `upstream`.
    async fn routed(top: &str, routes: &str) -> Self {
        let app = Origin::start("app-1").await;
        let nodes = nodes([&app]);
        let mut yaml = format!("{top}upstreams: {{ web: {{ nodes: {nodes} }} }}\nroutes:\n");
        for route in routes.lines().map(str::trim).filter(|r| !r.is_empty()) {
            yaml.push_str(&format!("  - {{ upstream: web, {route} }}\n"));
        }
        let tide = Tidegate::run_with_faults(yaml).await;
        Stage { app, tide }
    }

    /// The same process goes on with these sections and keys.
    async fn reloads(&self, top: &str, keys: &str) {
        self.tide.apply(&yaml(top, keys, &self.app)).await;
    }

    /// Asks for it so often and is answered in this encoding, which makes it popular.
    async fn hits(&self, target: &str, takes: &str, times: usize) {
        for _ in 0..times {
            let answer = self.get(target, takes).await;
            assert_eq!((answer.status, encoding(&answer)), (200, takes), "{target}");
        }
    }

    /// How often the origin was asked for this.
    fn asked(&self, target: &str) -> usize {
        let seen = self.app.seen();
        seen.iter().filter(|seen| seen.target() == target).count()
    }

    /// How many forms were kept so far, by whom.
    async fn kept(&self, encoding: &str, by: &str) -> f64 {
        let labels = [("encoding", encoding), ("by", by)];
        let name = "tidegate_compression_stored_total";
        self.tide.metric(name, &labels).await.unwrap_or_default()
    }

    /// The origin answers everything with this, and these lines, `Name: value` each.
    fn says(&self, body: Vec<u8>, lines: &'static str) {
        self.answers(move |_| with(Reply::text(body.clone()), lines));
    }

    /// The origin answers so.
    fn answers(&self, script: impl Fn(&Seen) -> Reply + Send + Sync + 'static) {
        self.app.answers(script);
    }

    /// The answer to a GET that takes these encodings.
    async fn get(&self, target: &str, takes: &str) -> Answer {
        self.get_with(target, takes, "").await
    }

    /// The same with further lines, `Name: value` each.
    async fn get_with(&self, target: &str, takes: &str, lines: &str) -> Answer {
        let request = Request::get(target).field("Accept-Encoding", takes);
        self.tide.ask(&lined(request, lines)).await
    }

    /// Waits until so many forms were kept beside stored bodies, by whom. Those behind the answers take their time: whatever
    /// else the machine does comes first.
    async fn keeps(&self, encoding: &str, by: &str, forms: f64) {
        let what = format!("{forms} forms in {encoding} were kept, {by}");
        eventually(&what, PATIENCE, async || {
            let kept = self.kept(encoding, by).await;
            check(kept == forms, kept)
        })
        .await;
    }

    /// How many answers were not compressed for this reason.
    async fn skipped(&self, reason: &str) -> f64 {
        let name = "tidegate_compression_skipped_total";
        let found = self.tide.metric(name, &[("reason", reason)]).await;
        found.unwrap_or_default()
    }
}

/// The file of a [`Stage`]: its one route has these keys, a line each.
fn yaml(top: &str, keys: &str, app: &Origin) -> String {
    let mut yaml = format!("{top}{}", web("health: off", nodes([app])));
    for key in keys.lines().map(str::trim).filter(|key| !key.is_empty()) {
        yaml.push_str(&format!("    {key}\n"));
    }
    yaml
}

/// A request with these lines, `Name: value` each.
fn lined(request: Request, lines: &str) -> Request {
    let lines = lines
        .lines()
        .filter_map(|line| line.trim().split_once(": "));
    lines.fold(request, |request, (name, value)| request.field(name, value))
}

/// An answer with these lines.
fn with(reply: Reply, lines: &str) -> Reply {
    let lines = lines
        .lines()
        .filter_map(|line| line.trim().split_once(": "));
    lines.fold(reply, |reply, (name, value)| reply.field(name, value))
}

/// JSON of about so many bytes that compresses about as well as an app's.
fn json(bytes: usize) -> Vec<u8> {
    let mut random = fastrand::Rng::with_seed(bytes as u64);
    let mut text = String::from("[");
    while text.len() < bytes {
        let (id, price) = (random.u32(..1_000_000), random.u32(..100_000));
        text.push_str(&format!(
            "{{\"id\": {id}, \"name\": \"article {}\", \"price\": {}.{:02}, \"tags\": [\"new\", \"sale\"]}},\n",
            id % 997,
            price / 100,
            price % 100
        ));
    }
    text.push_str("{}]");
    text.into_bytes()
}

/// The encoding of an answer.
fn encoding(answer: &Answer) -> &str {
    answer.head.get("content-encoding").unwrap_or("identity")
}

/// The body as a client that knows the encoding reads it.
fn decoded(answer: &Answer) -> Vec<u8> {
    decode(encoding(answer), &answer.body)
}

/// What these bytes are in this encoding.
pub fn decode(encoding: &str, bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    let read = match encoding {
        "identity" => return bytes.to_vec(),
        "gzip" => flate2::read::GzDecoder::new(bytes).read_to_end(&mut out),
        "deflate" => flate2::read::ZlibDecoder::new(bytes).read_to_end(&mut out),
        "br" => brotli::Decompressor::new(bytes, 4096).read_to_end(&mut out),
        "zstd" => return zstd::stream::decode_all(bytes).expect("zstd"),
        other => panic!("an unknown encoding {other}"),
    };
    read.unwrap_or_else(|why| panic!("not {encoding}: {why}"));
    out
}

/// These bytes in an encoding.
fn encode(encoding: &str, bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    match encoding {
        "gzip" => {
            let mut read = flate2::read::GzEncoder::new(bytes, flate2::Compression::fast());
            read.read_to_end(&mut out).expect("gzip");
        }
        "br" => {
            let mut read = brotli::CompressorReader::new(bytes, 4096, 3, 20);
            read.read_to_end(&mut out).expect("br");
        }
        other => panic!("an unknown encoding {other}"),
    }
    out
}

const JSON: &str = "Content-Type: application/json\nCache-Control: max-age=600\nETag: \"x\"";
