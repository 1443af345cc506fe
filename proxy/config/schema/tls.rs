//! `tls:` of a data port.
//!
//! Shapes only: words and files are read in `config/validate/tls`.

use serde::Deserialize;

use super::shape::{Key, Shape};

/// `tls:` of an entry of `listen:`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Tls {
    /// Certificates with their keys.
    pub certs: Option<Vec<Option<Cert>>>,
    /// The oldest version that is spoken.
    pub min_version: Option<String>,
    /// Protocols that are offered.
    pub alpn: Option<Vec<Option<String>>>,
    /// What becomes of names that no certificate is for.
    pub unknown_names: Option<String>,
    /// File of those who may have signed a client's certificate.
    pub client_ca: Option<String>,
    /// Whether a client must have one.
    pub client_auth: Option<String>,
    /// The field in which nodes are told whose it is.
    pub client_header: Option<String>,
    /// Whether sessions are resumed.
    pub tickets: Option<String>,
    /// How long a handshake may take.
    pub handshake_timeout: Option<String>,
    /// How many begin in a second at the most.
    pub handshakes: Option<String>,
    /// Names whose certificates are ordered.
    pub acme: Option<Vec<Option<String>>>,
}

/// An entry of `certs:`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Cert {
    /// File of the certificate and those that lead to its authority.
    pub cert: Option<String>,
    /// File of its key.
    pub key: Option<String>,
    /// File of an OCSP response about it.
    pub ocsp: Option<String>,
}

/// The keys of [`Tls`].
pub const TLS: Shape = Shape::Map(&[
    Key::new(
        "certs",
        Shape::List(&CERT),
        "certs: [{ cert: site.pem, key: site.key }]",
    ),
    Key::new("min_version", Shape::Word, "min_version: \"1.2\""),
    Key::new("alpn", Shape::Words, "alpn: [h2, http/1.1]"),
    Key::new("unknown_names", Shape::Word, "unknown_names: refuse"),
    Key::new("client_ca", Shape::Word, "client_ca: clients.pem"),
    Key::new("client_auth", Shape::Word, "client_auth: required"),
    Key::new(
        "client_header",
        Shape::Word,
        "client_header: X-Client-Subject",
    ),
    Key::new("tickets", Shape::Word, "tickets: true"),
    Key::new("handshake_timeout", Shape::Word, "handshake_timeout: 10s"),
    Key::new("handshakes", Shape::Word, "handshakes: 500"),
    Key::new("acme", Shape::Words, "acme: [example.com]"),
    Key::elsewhere("cert", IN_CERTS),
    Key::elsewhere("key", IN_CERTS),
    Key::elsewhere("ssl_certificate", IN_CERTS),
    Key::elsewhere("ssl_certificate_key", IN_CERTS),
    Key::elsewhere("ssl_protocols", "write `min_version: \"1.2\"`"),
    Key::elsewhere(
        "ciphers",
        "leave it out: only suites with forward secrecy and authenticated encryption are spoken",
    ),
    Key::elsewhere(
        "ssl_client_certificate",
        "write `client_ca: clients.pem`, with the authorities that sign for clients",
    ),
    Key::elsewhere(
        "ssl_verify_client",
        "write `client_auth: required` or `client_auth: optional`, beside `client_ca`",
    ),
]);

const IN_CERTS: &str = "write `certs: [{ cert: site.pem, key: site.key }]`";

/// The keys of [`Cert`].
const CERT: Shape = Shape::Map(&[
    Key::new("cert", Shape::Word, "cert: site.pem"),
    Key::new("key", Shape::Word, "key: site.key"),
    Key::new("ocsp", Shape::Word, "ocsp: site.ocsp"),
]);
