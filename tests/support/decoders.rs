//! Clients that nobody here wrote and that decode on their own: curl, Python and Node's `fetch`.
//!
//! What one of them makes of an answer is what a user has in the end, whatever was on the wire. All belong to a
//! development machine (`scripts/setup.sh` installs them); without them a story fails and says so. Each is a process of
//! its own that is given ten seconds.

use std::path::Path;
use std::process::Command;
use std::sync::OnceLock;

use serde::Deserialize;
use tempfile::TempDir;

use super::process::{Done, finish};
use super::wire::Head;

/// Seconds that a client may take for one answer.
const PATIENCE: &str = "10";

/// A foreign client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decoder {
    /// `curl --compressed`: libraries of C.
    Curl,
    /// Python's `urllib` with the decoders of its standard library, `brotli` and `zstandard`. The strictest of them: a body
    /// that ends too soon or goes on behind its end is an error.
    Python,
    /// `fetch` of Node, which is that of a browser as far as bodies go.
    Node,
}

/// What a client made of an answer.
#[derive(Debug)]
pub struct Decoded {
    /// Status code.
    pub status: u16,
    /// Its fields; the line is empty.
    pub head: Head,
    /// The body, decoded; nothing for HEAD.
    pub body: Vec<u8>,
}

impl Decoder {
    /// Every one.
    pub const ALL: [Decoder; 3] = [Decoder::Curl, Decoder::Python, Decoder::Node];

    /// The encodings it decodes, on every machine that the stories are told on. Node learned zstd with 22.15.
    pub fn takes(self) -> &'static [&'static str] {
        match self {
            Decoder::Curl | Decoder::Python => &["zstd", "br", "gzip", "deflate"],
            Decoder::Node => &["br", "gzip", "deflate"],
        }
    }

    /// GETs a URL with this `Accept-Encoding` and these further fields.
    pub async fn get(self, url: &str, accept: &str, fields: &[(&str, &str)]) -> Decoded {
        self.ask("GET", url, accept, fields).await
    }

    /// Asks for the head alone, with this `Accept-Encoding`.
    pub async fn head(self, url: &str, accept: &str) -> Decoded {
        self.ask("HEAD", url, accept, &[]).await
    }

    async fn ask(self, method: &str, url: &str, accept: &str, more: &[(&str, &str)]) -> Decoded {
        let dir = TempDir::new().expect("a temporary folder");
        let mut fields = vec![format!("Accept-Encoding: {accept}")];
        fields.extend(more.iter().map(|(name, value)| format!("{name}: {value}")));
        let body = dir.path().join("body");
        let (mut command, reads): (_, fn(&Done) -> Told) = match self {
            Decoder::Curl => (curl(method, url, &body), told_by_curl),
            Decoder::Python => (script(python(), PYTHON, method, url, &body), told_in_json),
            Decoder::Node => (script("node", NODE, method, url, &body), told_in_json),
        };
        for field in &fields {
            if self == Decoder::Curl {
                command.arg("-H");
            }
            command.arg(field);
        }
        let done = finish(&mut command).await;
        let asked = format!("{self:?} {method} {url} {fields:?}");
        assert_eq!(done.code, 0, "{asked}: {}", done.all());
        let told = reads(&done);
        Decoded {
            status: told.status,
            head: Head {
                fields: told.fields,
                ..Head::default()
            },
            body: read(&body, method),
        }
    }
}

impl Decoded {
    /// The encoding in which the body was on the wire.
    pub fn encoding(&self) -> Option<&str> {
        self.head.get("content-encoding")
    }

    /// The body is these very bytes; `what` says whose they are. Says where they part instead of printing them all.
    #[track_caller]
    pub fn is(&self, wanted: &[u8], what: &str) {
        assert_eq!(self.status, 200, "{what}");
        if self.body != wanted {
            let mut pairs = self.body.iter().zip(wanted);
            let parts = pairs.position(|(got, wanted)| got != wanted);
            let (got, all) = (self.body.len(), wanted.len());
            panic!("{what}: {got} bytes of {all}, the first wrong one at {parts:?}");
        }
    }
}

/// These bytes in an encoding, as somebody else's program writes them.
pub async fn encode(encoding: &str, body: &[u8]) -> Vec<u8> {
    let dir = TempDir::new().expect("a temporary folder");
    let [from, to] = ["plain", "encoded"].map(|name| dir.path().join(name));
    std::fs::write(&from, body).expect("a writable folder");
    let mut command = program(python());
    command.args(["-c", ENCODE, encoding]).args([&from, &to]);
    let done = finish(&mut command).await;
    assert_eq!(done.code, 0, "{encoding}: {}", done.all());
    std::fs::read(&to).expect("what it wrote")
}

/// What the programs print of a head.
#[derive(Deserialize)]
struct Told {
    status: u16,
    fields: Vec<(String, String)>,
}

/// The body file; curl writes the head into it when only that was asked for.
fn read(body: &Path, method: &str) -> Vec<u8> {
    match std::fs::read(body) {
        Ok(bytes) if method != "HEAD" => bytes,
        _ => Vec::new(), // curl makes no file when nothing comes
    }
}

fn curl(method: &str, url: &str, body: &Path) -> Command {
    let mut command = program("curl");
    // `-q`: whoever runs the tests may have a ~/.curlrc. `-D -`: the head goes to standard output.
    command.args(["-q", "-sS", "--noproxy", "*", "--compressed"]);
    command.args(["--max-time", PATIENCE, "-D", "-", "-o"]);
    command.arg(body);
    if method == "HEAD" {
        command.arg("-I");
    }
    command.arg(url);
    command
}

/// `program script METHOD URL BODY SECONDS FIELD…`; the script prints [`Told`].
fn script(name: &str, text: &str, method: &str, url: &str, body: &Path) -> Command {
    let mut command = program(name);
    match name {
        "node" => command.args(["--input-type=module", "-e"]),
        _ => command.arg("-c"),
    };
    command
        .args([text, method, url])
        .arg(body)
        .args([PATIENCE])
        .env("no_proxy", "*");
    command
}

fn told_by_curl(done: &Done) -> Told {
    let mut lines = done.out.lines();
    let line = lines.next().unwrap_or_default();
    let status = line.split(' ').nth(1).and_then(|word| word.parse().ok());
    let fields = lines.filter_map(|line| line.trim_end().split_once(": "));
    Told {
        status: status.unwrap_or_else(|| panic!("no status line: {}", done.all())),
        fields: fields.map(|(n, v)| (n.to_owned(), v.to_owned())).collect(),
    }
}

fn told_in_json(done: &Done) -> Told {
    serde_json::from_str(&done.out).unwrap_or_else(|e| panic!("not JSON ({e}): {}", done.all()))
}

/// The Python that has the decoders: Debian's packages are for Debian's own, which need not be the first on the path.
fn python() -> &'static str {
    static FOUND: OnceLock<&str> = OnceLock::new();
    FOUND.get_or_init(|| {
        let decodes = |python: &&str| {
            let mut command = Command::new(python);
            let asked = command.args(["-c", "import brotli, zstandard"]).output();
            asked.is_ok_and(|done| done.status.success())
        };
        let found = ["python3", "/usr/bin/python3"].into_iter().find(decodes);
        found.unwrap_or_else(|| missing("python3 with brotli and zstandard"))
    })
}

fn program(name: &str) -> Command {
    let mut known = Command::new("sh");
    let known = known.args(["-c", "command -v \"$0\"", name]).output();
    if !known.is_ok_and(|done| done.status.success()) {
        missing(name);
    }
    Command::new(name)
}

fn missing(what: &str) -> ! {
    panic!("{what} is missing: scripts/setup.sh installs what the stories need")
}

const PYTHON: &str = r#"
import gzip, json, sys, urllib.error, urllib.request, zlib
import brotli, zstandard

def zstd(body):
    decoder = zstandard.ZstdDecompressor().decompressobj()
    plain = decoder.decompress(body)
    if not decoder.eof or decoder.unused_data:
        sys.exit(f"not one whole zstd frame: {decoder.eof=} {len(decoder.unused_data)=}")
    return plain

def deflate(body):
    decoder = zlib.decompressobj()
    plain = decoder.decompress(body) + decoder.flush()
    if not decoder.eof or decoder.unused_data:
        sys.exit(f"not one whole zlib stream: {decoder.eof=} {len(decoder.unused_data)=}")
    return plain

DECODE = {None: bytes, "gzip": gzip.decompress, "deflate": deflate, "br": brotli.decompress, "zstd": zstd}
method, url, to, seconds, *fields = sys.argv[1:]
headers = dict(field.split(": ", 1) for field in fields)
try:
    answer = urllib.request.urlopen(urllib.request.Request(url, headers=headers, method=method), timeout=int(seconds))
except urllib.error.HTTPError as error:
    answer = error
with answer:
    body = answer.read()
if body:
    body = DECODE[answer.headers["Content-Encoding"]](body)
with open(to, "wb") as file:
    file.write(body)
json.dump({"status": answer.status, "fields": answer.headers.items()}, sys.stdout)
"#;

const ENCODE: &str = r#"
import gzip, sys, zlib
import brotli, zstandard

ENCODE = {
    "gzip": gzip.compress,
    "deflate": zlib.compress,
    "br": lambda body: brotli.compress(body, quality=5),
    "zstd": zstandard.ZstdCompressor().compress,
}
encoding, plain, encoded = sys.argv[1:]
with open(plain, "rb") as file:
    body = file.read()
with open(encoded, "wb") as file:
    file.write(ENCODE[encoding](body))
"#;

const NODE: &str = r#"
import { writeFileSync } from "node:fs";

const [method, url, to, seconds, ...fields] = process.argv.slice(1);
const headers = fields.map((field) => [field.split(": ", 1)[0], field.slice(field.indexOf(": ") + 2)]);
const signal = AbortSignal.timeout(1000 * seconds);
const answer = await fetch(url, { method, headers, signal, redirect: "manual" });
writeFileSync(to, Buffer.from(await answer.arrayBuffer()));
console.log(JSON.stringify({ status: answer.status, fields: [...answer.headers] }));
"#;
