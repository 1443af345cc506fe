//! What is purged.

use crate::cache::key::Key;

/// What is purged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Purge {
    /// All variants of one URL.
    Url(Key),
    /// All answers with this tag (`Cache-Tag`, `Surrogate-Key`, `xkey`).
    Tag(Box<[u8]>),
    /// All answers whose path begins so, byte by byte, of one host or of all.
    Prefix {
        /// The host as in keys; its letter case makes no difference.
        host: Option<Box<str>>,
        /// How the path begins.
        path: Box<str>,
    },
    /// All answers of this host, as in keys; its letter case makes no difference.
    Host(Box<str>),
    /// Everything.
    All,
}
