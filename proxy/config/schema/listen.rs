//! `listen:` the data ports.
//!
//! Shapes only: addresses are read in `config/validate`.

use serde::Deserialize;

use super::access::{ALLOW, DENY};
use super::shape::{Key, Shape};
use super::tls::{TLS, Tls};

/// An entry of `listen:`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Listen {
    /// Address to bind.
    pub addr: Option<String>,
    /// Whose connections begin with a PROXY protocol prelude.
    pub proxy_protocol: Option<ProxyProtocol>,
    /// Whether a connection may begin with the HTTP/2 preface.
    pub h2c: Option<String>,
    /// Only these clients.
    pub allow: Option<Vec<Option<String>>>,
    /// Not these clients.
    pub deny: Option<Vec<Option<String>>>,
    /// How it speaks TLS.
    pub tls: Option<Tls>,
}

/// `proxy_protocol:` of a port.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ProxyProtocol {
    /// The peers that send one.
    pub from: Option<Vec<Option<String>>>,
}

/// The keys of [`Listen`].
pub const LISTEN: Shape = Shape::Map(&[
    Key::new("addr", Shape::Word, "addr: \"0.0.0.0:8080\""),
    Key::new(
        "proxy_protocol",
        PROXY_PROTOCOL,
        "proxy_protocol: { from: [10.0.0.0/8] }",
    ),
    Key::new("h2c", Shape::Word, "h2c: true"),
    ALLOW,
    DENY,
    Key::new(
        "tls",
        TLS,
        "tls: { certs: [{ cert: site.pem, key: site.key }] }",
    ),
]);

/// The keys of [`ProxyProtocol`].
const PROXY_PROTOCOL: Shape = Shape::Map(&[Key::new("from", Shape::Words, "from: [10.0.0.0/8]")]);
