//! The stats port: where it listens, and who may come in.

use std::net::SocketAddr;
use std::sync::Arc;

use super::KeyFile;
use crate::base::role::Role;

/// The stats port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Admin {
    /// Address to bind.
    pub addr: SocketAddr,
    /// Who may come in; none: callers on this machine.
    pub tokens: Vec<AdminToken>,
    /// Names it may be called by, besides addresses and `localhost`; in lower case, without a dot at the end.
    pub hosts: Vec<String>,
}

/// A token that lets in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AdminToken {
    /// Whose it is, for the audit.
    pub name: Arc<str>,
    /// What it is good for.
    pub role: Role,
    /// The token, and the file it is in.
    pub file: KeyFile,
}
