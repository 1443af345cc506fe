//! `tls:` of an upstream: TLS to its nodes.
//!
//! Shapes only: the words are read in `config/validate/node_tls`.

use serde::Deserialize;

use super::shape::{Key, Shape};

/// `tls:` of an upstream, where it is more than a word.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct NodeTls {
    /// Whom the certificate must name.
    #[serde(alias = "server_name")]
    pub sni: Option<String>,
    /// File of those who may have signed it.
    pub ca: Option<String>,
    /// File of our own certificate.
    pub cert: Option<String>,
    /// File of its key.
    pub key: Option<String>,
    /// Whether the node's certificate must be good.
    pub verify: Option<String>,
    /// The oldest version that is spoken.
    pub min_version: Option<String>,
}

/// The keys of [`NodeTls`].
pub const NODE_TLS: Shape = Shape::WordOr(&Shape::Map(&[
    Key::new("sni", Shape::Word, "sni: app.internal").aka("server_name"),
    Key::new("ca", Shape::Word, "ca: ca.pem"),
    Key::new("cert", Shape::Word, "cert: client.pem"),
    Key::new("key", Shape::Word, "key: client.key"),
    Key::new("verify", Shape::Word, "verify: true"),
    Key::new("min_version", Shape::Word, "min_version: \"1.2\""),
    Key::elsewhere(
        "insecure_skip_verify",
        "write `verify: false`; `ca: FILE`, with who signed the nodes' certificates, is better",
    ),
]));

/// What HAProxy calls `proxy_protocol: v1`.
pub const SEND_PROXY: Key = Key::elsewhere(
    "send_proxy",
    "write `proxy_protocol: v1`, or `proxy_protocol: v2`, which is read faster",
);
