//! What the program believes of getting certificates (ACME, RFC 8555).
//!
//! Values with a meaning, whatever was written. Nothing here may show a key.

use std::path::PathBuf;
use std::time::Duration;

use super::{Ca, KeyFile};

/// Whom certificates are got from, and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Acme {
    /// Addresses that the CA writes to.
    pub emails: Vec<String>,
    /// Where the CA says what it offers; an `https` address.
    pub directory: String,
    /// Whom to trust as the CA's server, where that is not whom the system trusts.
    pub ca: Option<Ca>,
    /// How names are proven to be ours.
    pub challenge: Challenge,
    /// Where account, keys and certificates are kept.
    pub state: PathBuf,
    /// How long before its end a certificate is renewed; `None`: after two thirds of its life.
    pub renew_before: Option<Duration>,
    /// The kind of key that certificates are for.
    pub key: AcmeKey,
    /// What kind of certificate the CA shall make, where it offers several.
    pub profile: Option<String>,
    /// The account that the CA knows already (RFC 8555 §7.3.4).
    pub eab: Option<Eab>,
    /// Certificates with their keys are given to the proxies that share the Redis.
    pub share: bool,
}

/// How names are proven to be ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Challenge {
    /// By a request to port 80 (RFC 8555 §8.3).
    Http01,
    /// By a handshake with port 443 (RFC 8737).
    TlsAlpn01,
}

/// The kind of key that certificates are for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AcmeKey {
    /// ECDSA over P-256.
    EcdsaP256,
    /// ECDSA over P-384.
    EcdsaP384,
}

/// An account that the CA knows already.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Eab {
    /// The name of the key.
    pub kid: String,
    /// The key itself, decoded.
    pub key: KeyFile,
}
