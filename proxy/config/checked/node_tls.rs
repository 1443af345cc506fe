//! What the program believes of TLS to nodes, for requests and for health checks alike.
//!
//! Files are read with the configuration: what they held is compared, so that a new certificate is a change. A key is
//! here to be used, never to be told.

use std::path::PathBuf;
use std::sync::Arc;

use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};

/// How TLS is spoken to a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeTls {
    /// Whom its certificate must name, and who is asked for (SNI); `None`: the node's host name, else its address.
    pub sni: Option<String>,
    /// Whether its certificate must be good.
    pub verify: bool,
    /// Who may have signed it; `None`: whom the system trusts.
    pub ca: Option<Ca>,
    /// What we show to a node that asks who we are; `None`: nothing.
    pub identity: Option<Identity>,
    /// The oldest version that is spoken.
    pub min_version: NodeTlsVersion,
}

impl Default for NodeTls {
    /// What `tls: true` is.
    fn default() -> Self {
        NodeTls {
            sni: None,
            verify: crate::config::defaults::NODE_TLS_VERIFY,
            ca: None,
            identity: None,
            min_version: NodeTlsVersion::default(),
        }
    }
}

/// A version of TLS.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum NodeTlsVersion {
    /// RFC 5246.
    #[default]
    V1_2,
    /// RFC 8446.
    V1_3,
}

/// How a node is told whose connection it is (PROXY protocol, HAProxy's specification of 2020).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProxyProtocol {
    /// A line of text (§2.1).
    V1,
    /// Bytes (§2.2).
    V2,
}

/// A file of authorities, read with the configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ca {
    /// Where it was read.
    pub path: PathBuf,
    /// What it holds; at least one.
    pub certs: Arc<[CertificateDer<'static>]>,
}

/// A certificate of ours, with its key: checked to fit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// Where the certificate was read.
    pub cert: PathBuf,
    /// Where its key was read.
    pub key_file: PathBuf,
    /// The certificate, and those that lead to who is trusted.
    pub chain: Arc<[CertificateDer<'static>]>,
    /// Its key, which its own `Debug` does not show.
    pub key: Arc<PrivateKeyDer<'static>>,
}
