//! What a route does to bodies, as the program believes it: compression and minification.

use std::ops::RangeInclusive;
use std::time::Duration;

use crate::base::coding::{Coding, PerCoding};
use crate::config::defaults;

/// `compress:` of a route.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Compress {
    /// What is offered, the most wanted first; never [`Coding::Identity`], none twice, at least one.
    pub encodings: Vec<Coding>,
    /// Media types that are compressed, in lower case without parameters: `text/html`, or `text/*`, or `*/*+json` for a
    /// suffix, or `*/*` for everything.
    pub types: Vec<String>,
    /// Bytes of the smallest body that is compressed, as far as its length is known.
    pub min_size: u64,
    /// Levels while a client waits.
    pub level: PerCoding<u32>,
    /// Levels behind the answers, for what is stored and asked for again and again.
    pub stored_level: PerCoding<u32>,
    /// What nodes are told of what is taken.
    pub accept_encoding: AcceptEncoding,
    /// Whether answers that are not stored are compressed.
    pub dynamic: bool,
    /// Whether answers that set cookies are compressed.
    pub set_cookie: bool,
    /// What becomes of an encoded answer for a client that does not take its encoding.
    pub decode: Option<Decode>,
    /// Hundredths of its time that a worker may be busy for answers to be compressed at their level; `100`: always.
    pub max_cpu: u32,
}

/// The levels that each encoding has. For zstd those that every client can read (RFC 9659).
pub const LEVELS: PerCoding<RangeInclusive<u32>> = PerCoding {
    zstd: 1..=19,
    br: 0..=11,
    gzip: 1..=9,
    deflate: 1..=9,
};

/// What nodes are told of the encodings that are taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum AcceptEncoding {
    /// For what may be stored: none, so that one body serves all. Else what the client says.
    #[default]
    Auto,
    /// None: only Tidegate compresses.
    Identity,
    /// What the client says, always.
    Client,
}

/// How far an encoded answer is decoded. What is beyond is broken off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Decode {
    /// Bytes that come out at most.
    pub max_size: u64,
    /// Times the bytes that went in last, at most; 1 MiB more is free.
    pub max_ratio: u64,
}

/// `minify:` of a route: what is stored smaller than it came.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Minify {
    /// JSON.
    pub json: bool,
    /// HTML.
    pub html: bool,
    /// Style sheets.
    pub css: bool,
    /// Scripts.
    pub js: bool,
}

/// `cache.recompress:` what is asked for again and again is compressed better behind the answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Recompress {
    /// Threads, of the lowest priority; set when the process starts.
    pub threads: usize,
    /// Answers that wait for it, at most; set when the process starts.
    pub queue: usize,
    /// An answer is asked for this often in one encoding before it is worth it.
    pub after: u32,
    /// Bytes of the largest body it is done for.
    pub max_size: u64,
    /// Hundredths of a core that each thread takes at most.
    pub cpu: u32,
    /// Time that one body may take; then it stays as it is.
    pub time: Duration,
}

impl Default for Compress {
    /// `compress: true`.
    fn default() -> Self {
        Compress {
            encodings: defaults::ENCODINGS.to_vec(),
            types: defaults::COMPRESSED_TYPES.map(String::from).to_vec(),
            min_size: defaults::COMPRESS_MIN_SIZE,
            level: defaults::LEVEL,
            stored_level: defaults::STORED_LEVEL,
            accept_encoding: AcceptEncoding::Auto,
            dynamic: true,
            set_cookie: true,
            decode: Some(Decode::default()),
            max_cpu: defaults::COMPRESS_MAX_CPU,
        }
    }
}

impl Default for Decode {
    fn default() -> Self {
        Decode {
            max_size: defaults::DECODE_MAX_SIZE,
            max_ratio: defaults::DECODE_MAX_RATIO,
        }
    }
}

impl Minify {
    /// What this build can: the crates of all but JSON come with features of cargo.
    pub const AVAILABLE: Minify = Minify {
        json: true,
        html: cfg!(feature = "minify-html"),
        css: cfg!(feature = "minify-css"),
        js: cfg!(feature = "minify-js"),
    };

    /// Whether there is anything to do.
    pub fn is_off(self) -> bool {
        self == Minify::default()
    }
}
