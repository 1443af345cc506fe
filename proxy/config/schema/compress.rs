//! `compress:` and `minify:` of a route, and `recompress:` of the cache.
//!
//! Shapes only: the words are read in `config/validate/compress`, `config/validate/minify` and
//! `config/validate/cache/recompress`.

use serde::Deserialize;

use super::failure::WordOr;
use super::shape::{Key, Shape};

/// The mapping of `compress:` of a route.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Compress {
    /// What is offered.
    pub encodings: Option<Vec<Option<String>>>,
    /// Media types that are compressed.
    pub types: Option<Vec<Option<String>>>,
    /// Bytes of the smallest body that is compressed.
    pub min_size: Option<String>,
    /// Levels while a client waits.
    pub level: Option<Levels>,
    /// Levels behind the answers.
    pub stored_level: Option<Levels>,
    /// What nodes are told of what is taken.
    pub accept_encoding: Option<String>,
    /// Whether answers that are not stored are compressed.
    pub dynamic: Option<String>,
    /// Whether answers that set cookies are compressed.
    pub set_cookie: Option<String>,
    /// What becomes of encoded answers for who does not take their encoding.
    pub decode: Option<WordOr<Decode>>,
    /// How busy a worker may be for it.
    pub max_cpu: Option<String>,
}

/// `level:` and `stored_level:`, a number for each encoding.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Levels {
    /// Of `zstd`.
    pub zstd: Option<String>,
    /// Of `br`.
    pub br: Option<String>,
    /// Of `gzip`.
    pub gzip: Option<String>,
    /// Of `deflate`.
    pub deflate: Option<String>,
}

/// The mapping of `decode:`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Decode {
    /// Bytes that come out at most.
    pub max_size: Option<String>,
    /// Times the bytes that went in, at most.
    pub max_ratio: Option<String>,
}

/// The mapping of `recompress:` of the cache.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Recompress {
    /// Threads that do it.
    pub threads: Option<String>,
    /// Answers that may wait for it.
    pub queue: Option<String>,
    /// How often an answer is asked for before it is worth it.
    pub after: Option<String>,
    /// Bytes of the largest body it is done for.
    pub max_size: Option<String>,
    /// Share of a core that each thread takes at most.
    pub cpu: Option<String>,
    /// Time that one body may take.
    pub time: Option<String>,
}

/// `compress:` of a route.
pub const COMPRESS: Key = Key::new(
    "compress",
    Shape::WordOr(&Shape::Map(&[
        Key::new("encodings", Shape::Words, "encodings: [br, gzip]"),
        Key::new(
            "types",
            Shape::Words,
            "types: [\"text/*\", application/json]",
        ),
        Key::new("min_size", Shape::Word, "min_size: 1KiB"),
        Key::new("level", LEVELS, "level: { br: 4, gzip: 5 }"),
        Key::new("stored_level", LEVELS, "stored_level: { br: 11, gzip: 9 }"),
        Key::new("accept_encoding", Shape::Word, "accept_encoding: auto"),
        Key::new("dynamic", Shape::Word, "dynamic: true"),
        Key::new("set_cookie", Shape::Word, "set_cookie: true"),
        Key::new("decode", DECODE, "decode: { max_size: 256MiB }"),
        Key::new("max_cpu", Shape::Word, "max_cpu: 80%"),
    ])),
    "compress: { encodings: [br, gzip] }",
)
.aka("compression");

/// `minify:` of a route.
pub const MINIFY: Key = Key::new("minify", Shape::Words, "minify: [json]");

/// `recompress:` of the cache.
pub const RECOMPRESS: Key = Key::new(
    "recompress",
    Shape::WordOr(&Shape::Map(&[
        Key::new("threads", Shape::Word, "threads: 1"),
        Key::new("queue", Shape::Word, "queue: 256"),
        Key::new("after", Shape::Word, "after: 3"),
        Key::new("max_size", Shape::Word, "max_size: 2MiB"),
        Key::new("cpu", Shape::Word, "cpu: 50%"),
        Key::new("time", Shape::Word, "time: 20s"),
    ])),
    "recompress: { cpu: 50% }",
);

/// What others call it: nginx, and modules for it.
pub const GZIP: Key = Key::elsewhere(
    "gzip",
    "write `compress: true` in the routes whose answers are to be compressed; `compress: { encodings: [gzip] }` for gzip alone",
);

/// The same for its younger sibling.
pub const BROTLI: Key = Key::elsewhere(
    "brotli",
    "write `compress: true` in the routes whose answers are to be compressed; `compress: { encodings: [br] }` for Brotli alone",
);

/// What Caddy calls it.
pub const ENCODE: Key = Key::elsewhere(
    "encode",
    "write `compress: true` in the routes whose answers are to be compressed; `compress: { encodings: [zstd, gzip] }` chooses the encodings",
);

/// The keys of [`Levels`].
const LEVELS: Shape = Shape::Map(&[
    Key::new("zstd", Shape::Word, "zstd: 3"),
    Key::new("br", Shape::Word, "br: 4").aka("brotli"),
    Key::new("gzip", Shape::Word, "gzip: 5"),
    Key::new("deflate", Shape::Word, "deflate: 5"),
]);

/// The keys of [`Decode`], or a word for yes or no.
const DECODE: Shape = Shape::WordOr(&Shape::Map(&[
    Key::new("max_size", Shape::Word, "max_size: 256MiB"),
    Key::new("max_ratio", Shape::Word, "max_ratio: 100"),
]));
