//! The shapes of the configuration file, one file a section.
//!
//! The only place that knows how serde reads the file. Every leaf is the word as written, or `None` when the key is
//! absent: numbers, durations and choices are read in `config/validate`, where a mistake has a place and a remedy.
//! An entry that does not fit is `None` in its list, so that positions of the others stay true. These types must not
//! be used beyond `config/`.

use std::fmt;
use std::marker::PhantomData;

use serde::de::{Deserialize, DeserializeOwned, Deserializer, MapAccess, Visitor};

/// `allow` and `deny`.
pub mod access;
/// `access_log:`
pub mod access_log;
/// `acme:`
pub mod acme;
/// `admin:`
pub mod admin;
/// `cache:`
pub mod cache;
/// `compress:`, `minify:` and `recompress:`
pub mod compress;
/// `dns:`
pub mod dns;
/// What an upstream does about nodes that fail.
pub mod failure;
/// `health:`
pub mod health;
/// `limits:`
pub mod limits;
/// `listen:`
pub mod listen;
/// `nodes:`
pub mod node;
/// `tls:` of an upstream
pub mod node_tls;
/// `requests:`
pub mod requests;
/// `routes:`
pub mod route;
/// Shapes as data.
pub mod shape;
/// `shutdown:`
pub mod shutdown;
/// `split:`
pub mod split;
/// `sticky:`
pub mod sticky;
/// `timeouts:`
pub mod timeouts;
/// `tls:` of a data port
pub mod tls;
/// `tracing:`
pub mod tracing;
/// `upstreams:`
pub mod upstream;

use shape::{Key, Shape};

/// Something that values of a file can be read into.
pub trait Section: DeserializeOwned + Default {}

impl<T: DeserializeOwned + Default> Section for T {}

/// Reads values that have the shape of a section.
pub fn read<T: Section>(values: serde_yaml::Value) -> Result<T, serde_yaml::Error> {
    serde_yaml::from_value(values)
}

/// The main file.
#[derive(Debug, Default, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct File {
    /// Data ports.
    pub listen: Option<Vec<Option<listen::Listen>>>,
    /// The stats port.
    pub admin: Option<admin::Admin>,
    /// Whom certificates are got from.
    pub acme: Option<acme::Acme>,
    /// Worker threads.
    pub threads: Option<String>,
    /// Peers that are believed.
    pub trusted_proxies: Option<Vec<Option<String>>>,
    /// How much a client may take.
    pub limits: Option<limits::Limits>,
    /// What is done to requests first.
    pub requests: Option<requests::Requests>,
    /// Limits towards clients.
    pub timeouts: Option<timeouts::Timeouts>,
    /// How the process ends.
    pub shutdown: Option<shutdown::Shutdown>,
    /// Where requests are told.
    pub access_log: Option<access_log::AccessLog>,
    /// Which trace requests belong to.
    pub tracing: Option<tracing::Tracing>,
    /// How names of nodes are resolved.
    pub dns: Option<dns::Dns>,
    /// What is stored of answers.
    pub cache: Option<cache::Cache>,
    /// Pools of nodes.
    pub upstreams: Option<Named<Option<upstream::Upstream>>>,
    /// Which request goes where.
    pub routes: Option<Vec<Option<route::Route>>>,
    /// Further files.
    pub include: Option<Vec<Option<String>>>,
}

/// `upstreams:` in the main file and in included ones.
const UPSTREAMS: Key = Key::new(
    "upstreams",
    Shape::Named(&upstream::UPSTREAM),
    "upstreams: { web: { nodes: [127.0.0.1:3000] } }",
);

/// `routes:` in the main file and in included ones.
const ROUTES: Key = Key::new(
    "routes",
    Shape::List(&route::ROUTE),
    "routes: [{ upstream: web }]",
);

/// The keys of [`File`].
pub const FILE: Shape = Shape::Map(&[
    Key::new(
        "listen",
        Shape::List(&listen::LISTEN),
        "listen: [{ addr: \"0.0.0.0:8080\" }]",
    ),
    Key::new("admin", admin::ADMIN, "admin: { addr: 127.0.0.1:9900 }"),
    Key::new("acme", acme::ACME, "acme: { agree: true }"),
    Key::new("threads", Shape::Word, "threads: 2"),
    Key::new(
        "trusted_proxies",
        Shape::Words,
        "trusted_proxies: [10.0.0.0/8]",
    ),
    Key::new("timeouts", timeouts::TIMEOUTS, "timeouts: { header: 10s }"),
    Key::new("shutdown", shutdown::SHUTDOWN, "shutdown: { grace: 30s }"),
    Key::new(
        "access_log",
        access_log::ACCESS_LOG,
        "access_log: { path: \"-\" }",
    ),
    Key::new("dns", dns::DNS, "dns: { interval: 10s }"),
    UPSTREAMS,
    ROUTES,
    Key::new("limits", limits::LIMITS, "limits: { body: 100MiB }"),
    Key::new(
        "requests",
        requests::REQUESTS,
        "requests: { merge_slashes: true }",
    ),
    Key::new("tracing", tracing::TRACING, "tracing: { context: create }"),
    Key::new("include", Shape::Words, "include: conf.d/*.yaml"),
    Key::new("cache", cache::CACHE, "cache: { memory: 256MiB }"),
    compress::GZIP,
    compress::BROTLI,
    compress::ENCODE,
]);

/// An included file.
#[derive(Debug, Default, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Included {
    /// Pools of nodes.
    pub upstreams: Option<Named<Option<upstream::Upstream>>>,
    /// Which request goes where.
    pub routes: Option<Vec<Option<route::Route>>>,
}

/// The keys of [`Included`].
pub const INCLUDED: Shape = Shape::Map(&[UPSTREAMS, ROUTES]);

/// A mapping whose keys are names, in the order of the file.
#[derive(Debug)]
pub struct Named<T>(pub Vec<(String, T)>);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Named<T> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Entries<T>(PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for Entries<T> {
            type Value = Named<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("names and what they stand for")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Named<T>, A::Error> {
                let mut entries = Vec::new();
                while let Some(entry) = map.next_entry()? {
                    entries.push(entry);
                }
                Ok(Named(entries))
            }
        }
        from.deserialize_map(Entries(PhantomData))
    }
}
