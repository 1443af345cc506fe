//! What a data port that speaks TLS answers with, as the program believes it.
//!
//! Keys are ready to sign with, and their bytes are nowhere to be read: neither `Debug` nor a comparison tells them.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use http::HeaderName;
use tokio_rustls::rustls::sign::CertifiedKey;

use super::Ca;
use crate::base::certificate::Facts;

/// `tls:` of a data port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListenTls {
    /// Certificates in the order of the file; the first is for names that nobody has. Empty only beside `acme`.
    pub certs: Vec<Arc<Certificate>>,
    /// The oldest version that is spoken.
    pub min_version: TlsVersion,
    /// Protocols that are offered, the most wanted first; at least one.
    pub alpn: Vec<Alpn>,
    /// What becomes of names that no certificate is for.
    pub unknown_names: UnknownNames,
    /// Whose certificate clients must or may have; `None`: they are not asked for one.
    pub clients: Option<ClientAuth>,
    /// The field that tells nodes whose certificate it was. Nobody else may send it.
    pub client_header: Option<HeaderName>,
    /// Whether sessions are resumed. Never beside `clients`: who resumes is not asked for a certificate again.
    pub tickets: bool,
    /// From accepted to spoken with, at the most.
    pub handshake_timeout: Duration,
    /// How many begin in a second at the most; `None`: as many as come.
    pub handshakes: Option<u32>,
    /// Names whose certificates are ordered, in lower case.
    pub acme: Vec<String>,
}

/// A certificate with its key.
#[derive(Clone)]
pub struct Certificate {
    /// Where it was read.
    pub path: PathBuf,
    /// Where its key was read.
    pub key_path: PathBuf,
    /// Where the OCSP response about it was read.
    pub ocsp_path: Option<PathBuf>,
    /// What it says.
    pub facts: Facts,
    /// It, those that lead to its authority, its key, and the response.
    pub key: Arc<CertifiedKey>,
    /// The same number for the same bytes in all its files.
    pub print: u128,
}

impl fmt::Debug for Certificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} for {:?}", self.path.display(), self.facts.names)
    }
}

impl PartialEq for Certificate {
    fn eq(&self, other: &Self) -> bool {
        let paths = |c: &Self| (c.path.clone(), c.key_path.clone(), c.ocsp_path.clone());
        self.print == other.print && paths(self) == paths(other)
    }
}

impl Eq for Certificate {}

/// Versions of TLS.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TlsVersion {
    /// 1.2 (RFC 5246).
    V12,
    /// 1.3 (RFC 8446).
    V13,
}

/// Protocols that clients may choose from (RFC 7301).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Alpn {
    /// HTTP/2.
    H2,
    /// HTTP/1.1.
    H1,
}

impl Alpn {
    /// Its name on the wire and in the file.
    pub fn as_str(self) -> &'static str {
        match self {
            Alpn::H2 => "h2",
            Alpn::H1 => "http/1.1",
        }
    }
}

/// What becomes of a client that asks for a name no certificate is for, or for none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UnknownNames {
    /// It gets the first certificate.
    Default,
    /// It is refused (`unrecognized_name`, RFC 6066 §3).
    Refuse,
}

/// Certificates of clients.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientAuth {
    /// Who may have signed them.
    pub ca: Ca,
    /// Whether who has none is refused.
    pub required: bool,
}
