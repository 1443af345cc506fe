//! Gathers everything a configuration is made of: the main file, what it includes, the files of nodes.
//!
//! Each upstream, node and route keeps the place it came from, whichever file that was. Nothing here may judge a
//! value; only that a name given twice cannot be merged is decided here, because only here both places are known.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use serde_yaml::Value;

use super::checked::KeyFile;
use super::expand::Env;
use super::index::At;
use super::parse::Document;
use super::problem::{Problem, Problems};
use super::schema::failure::WordOr;
use super::schema::health::Health;
use super::schema::node::{NODES, NODES_FILE, Node, NodesFile};
use super::schema::route::Route;
use super::schema::upstream::Upstream;
use super::schema::{FILE, File, INCLUDED, Included, Named};
use super::source::Sources;

mod secrets;
mod tls;

pub use tls::{Bytes, CertFiles, PortFiles};

/// How to make a key.
const MAKE_KEY: &str =
    "make one with `head -c 32 /dev/urandom > FILE`, and give every proxy the same";
/// How to make a token.
pub const MAKE_TOKEN: &str = "make one with `head -c 24 /dev/urandom | base64 > FILE`";
/// What a collector of spans asks for.
const ASK_FOR_FIELDS: &str = "put into it what the collector asks for, one `Name: value` a line";
/// Where the password of Redis comes from.
pub const ASK_FOR_PASSWORD: &str =
    "put into it what `requirepass` or the user's ACL says on the server, on one line";

/// Where the key of an account comes from.
pub const ASK_FOR_EAB: &str =
    "put into it the HMAC key that the CA gave you, in base64url, on one line";

/// An upstream as written, its nodes gathered from everywhere.
pub struct RawUpstream {
    /// Its name.
    pub name: String,
    /// Where it stands.
    pub at: At,
    /// Its keys.
    pub keys: Upstream,
    /// Its nodes with their places, those of `nodes_file` last; `None` for one that did not fit.
    pub nodes: Vec<Placed<Node>>,
    /// What its `sticky.key_file` holds, if that could be read.
    pub sticky_key: Option<KeyFile>,
    /// Whether all its nodes could be read; else the reason has been told.
    pub complete: bool,
    /// The file that `health.ca` names; `None`: it names none, or why it cannot be read has been told.
    pub health_ca: Option<TextFile>,
    /// The files that `tls` names.
    pub tls_files: TlsFiles,
}

/// The files that `tls` of an upstream names, as far as they could be read; why one could not has been told.
#[derive(Default)]
pub struct TlsFiles {
    /// Those who may have signed the nodes' certificates.
    pub ca: Option<TextFile>,
    /// Our own certificate.
    pub cert: Option<TextFile>,
    /// Its key.
    pub key: Option<TextFile>,
}

/// A file that was read as it is.
pub struct TextFile {
    /// Where it is.
    pub path: PathBuf,
    /// What it holds.
    pub text: String,
}

/// Everything as written.
pub struct Gathered {
    /// The main file; its upstreams and routes are taken out.
    pub file: File,
    /// The root of the main file.
    pub at: At,
    /// What its `cache.purge_token_file` holds, if that could be read.
    pub purge_token: Option<KeyFile>,
    /// What its `cache.redis.password_file` holds, if that could be read.
    pub redis_password: Option<KeyFile>,
    /// The file that its `cache.redis.ca` names, if that could be read.
    pub redis_ca: Option<TextFile>,
    /// The file that its `acme.ca` names, if that could be read.
    pub acme_ca: Option<TextFile>,
    /// What its `acme.eab.key_file` holds, if that could be read.
    pub acme_eab: Option<KeyFile>,
    /// The folder of the main file.
    pub base: PathBuf,
    /// What its `tracing.otlp.headers_file` holds, if that could be read.
    pub otlp_headers: Option<KeyFile>,
    /// What the files of `admin.tokens` hold, in their order; `None` for one that could not be read.
    pub admin_tokens: Vec<Option<KeyFile>>,
    /// The files that each entry of `listen` names for its TLS.
    pub tls: Vec<PortFiles>,
    /// Upstreams of all files.
    pub upstreams: Vec<RawUpstream>,
    /// Routes of all files with their places; `None` for one that did not fit.
    pub routes: Vec<Placed<Route>>,
}

/// Gathers.
pub struct Gather<'a> {
    /// Where variables come from.
    pub env: Env<'a>,
    /// Where files come from.
    pub sources: &'a mut Sources,
    /// Where mistakes go.
    pub problems: &'a mut Problems,
}

impl Gather<'_> {
    /// Gathers what a main file says and names. `None`: it is not usable.
    pub fn gather(&mut self, path: &Path, name: &str, text: &str) -> Option<Gathered> {
        let document = Document::parse(name, text, self.problems)?;
        let at = document.at.clone();
        if !matches!(document.value, Value::Mapping(_)) {
            let problem = Problem::error(
                at.place(),
                "a configuration is a mapping (`key: value` lines)",
            )
            .help("it begins with `listen:`; see conf/quickstart.yaml");
            self.problems.push(problem);
            return None;
        }
        let mut file: File = document.read(&FILE, "the file", self.env, self.problems);
        let base = path.parent().unwrap_or(Path::new(""));
        let mut all = Gathered {
            upstreams: Vec::new(),
            routes: Vec::new(),
            at,
            file: File::default(),
            purge_token: None,
            redis_password: None,
            redis_ca: None,
            acme_ca: None,
            acme_eab: None,
            base: base.to_path_buf(),
            otlp_headers: None,
            admin_tokens: Vec::new(),
            tls: Vec::new(),
        };
        let at = all.at.clone();
        self.add(
            &mut all,
            &at,
            base,
            file.upstreams.take(),
            file.routes.take(),
        );
        for (i, pattern) in file.include.take().into_iter().flatten().enumerate() {
            if let Some(pattern) = pattern {
                let at = all.at.key("include").item_or_self(i);
                self.include(&mut all, path, &pattern, &at);
            }
        }
        let token = file
            .cache
            .as_ref()
            .and_then(|c| c.purge_token_file.as_ref());
        let named = all.at.key("cache").key("purge_token_file");
        all.purge_token = token.and_then(|token| self.secret(token, &named, base, MAKE_TOKEN));
        if let Some(redis) = file.cache.as_ref().and_then(|cache| cache.redis.as_ref()) {
            let at = all.at.key("cache").key("redis");
            let (password, ca) = (redis.password_file.as_ref(), redis.ca.as_ref());
            all.redis_password = password.and_then(|password| {
                self.secret(password, &at.key("password_file"), base, ASK_FOR_PASSWORD)
            });
            all.redis_ca = ca.and_then(|ca| self.text_file(ca, &at.key("ca"), base));
        }
        if let Some(acme) = &file.acme {
            let at = all.at.key("acme");
            let ca = acme.ca.as_ref();
            all.acme_ca = ca.and_then(|ca| self.text_file(ca, &at.key("ca"), base));
            let key = acme.eab.as_ref().and_then(|eab| eab.key_file.as_ref());
            let at = at.key("eab").key("key_file");
            all.acme_eab = key.and_then(|key| self.secret(key, &at, base, ASK_FOR_EAB));
        }
        if let Some(otlp) = file.tracing.as_ref().and_then(|t| t.otlp.as_ref()) {
            let at = all.at.key("tracing").key("otlp").key("headers_file");
            let headers = otlp.headers_file.as_ref();
            all.otlp_headers =
                headers.and_then(|file| self.secret(file, &at, base, ASK_FOR_FIELDS));
        }
        all.admin_tokens = self.admin_tokens(&file, &all.at.key("admin").key("tokens"), base);
        all.tls = self.ports_files(&file, &all.at.key("listen"), base);
        all.file = file;
        Some(all)
    }

    /// Includes every file a pattern matches.
    fn include(&mut self, all: &mut Gathered, main: &Path, pattern: &str, at: &At) {
        let base = main.parent().unwrap_or(Path::new(""));
        let full = base.join(pattern);
        let wild = pattern.contains(['*', '?', '[']);
        if let (true, Some(dir)) = (wild, fixed_part(&full)) {
            self.sources.watch(dir);
        }
        let found = match wild {
            true => self.matches(&full, at),
            false => vec![full],
        };
        for path in found {
            // `*.yaml` beside the main file matches the main file too.
            if path == main || (wild && self.sources.files.contains(&path)) {
                continue;
            }
            let Some((document, root)) = self.document(&path, at) else {
                continue;
            };
            let name = path.display().to_string();
            let included: Included = document.read(&INCLUDED, &name, self.env, self.problems);
            let base = path.parent().unwrap_or(Path::new("")).to_path_buf();
            self.add(all, &root, &base, included.upstreams, included.routes);
        }
    }

    /// The files a pattern matches, in the order of their names.
    fn matches(&mut self, pattern: &Path, at: &At) -> Vec<PathBuf> {
        let pattern = pattern.to_string_lossy();
        match glob::glob(&pattern) {
            // More than can be read is reported when it is read.
            Ok(paths) => {
                let mut paths: Vec<PathBuf> =
                    paths.flatten().take(super::source::MAX_FILES + 1).collect();
                paths.sort();
                paths
            }
            Err(error) => {
                let problem = Problem::error(at.place(), format!("not a file pattern: {}", error.msg))
                    .help("write `conf.d/*.yaml`; `*` is any text, `?` one character, `[ab]` one of these");
                self.problems.push(problem);
                Vec::new()
            }
        }
    }

    /// Reads and parses a file that another one names.
    fn document(&mut self, path: &Path, named: &At) -> Option<(Document, At)> {
        let name = path.display().to_string();
        let text = match self.sources.read(path, Some(&named.place())) {
            Ok(text) => text,
            Err(problem) => {
                self.problems.push(*problem);
                return None;
            }
        };
        let document = Document::parse(&name, &text, self.problems)?;
        let root = document.at.clone();
        Some((document, root))
    }

    /// Adds the upstreams and routes of one file.
    fn add(
        &mut self,
        all: &mut Gathered,
        root: &At,
        base: &Path,
        upstreams: Option<Named<Option<Upstream>>>,
        routes: Option<Vec<Option<Route>>>,
    ) {
        let mut seen: HashMap<String, At> = all
            .upstreams
            .iter()
            .map(|u| (u.name.clone(), u.at.clone()))
            .collect();
        for (name, keys) in upstreams.map(|u| u.0).unwrap_or_default() {
            let at = root.key("upstreams").key(&name);
            if let Some(first) = seen.insert(name.clone(), at.clone()) {
                let problem = Problem::error(
                    at.key_place(),
                    format!("upstream `{name}` is given twice"),
                )
                .also(first.key_place(), "first given here")
                .help(
                    "included files add upstreams; they cannot change one. Rename one of the two",
                );
                self.problems.push(problem);
                continue;
            }
            // One that did not fit is kept: routes may name it, and its mistake is told already.
            let mut keys = keys.unwrap_or_default();
            let own = at.either("nodes", "servers");
            let own_fit = !own.given() || own.is_blank() || keys.nodes.is_some();
            let sticky_key = self.sticky_key(&keys, &at, base);
            let (nodes, file_fit) = self.nodes(&mut keys, &at, base);
            let health_ca = keys.health.as_ref().and_then(|health| match health {
                Health::Keys(health) => {
                    self.text_file(health.ca.as_ref()?, &at.key("health").key("ca"), base)
                }
                Health::Word(_) => None,
            });
            let tls_files = self.tls_files(&keys, &at.key("tls"), base);
            all.upstreams.push(RawUpstream {
                health_ca,
                tls_files,
                complete: at.is_mapping() && own_fit && file_fit,
                name,
                at,
                keys,
                nodes,
                sticky_key,
            });
        }
        let list = root.key("routes");
        all.routes.extend(placed(routes.unwrap_or_default(), &list));
    }

    /// The files that an upstream's `tls` names.
    fn tls_files(&mut self, keys: &Upstream, at: &At, base: &Path) -> TlsFiles {
        let Some(WordOr::Keys(tls)) = &keys.tls else {
            return TlsFiles::default();
        };
        let mut file = |named: &Option<String>, key| {
            let named = named.as_ref()?;
            self.text_file(named, &at.key(key), base)
        };
        TlsFiles {
            ca: file(&tls.ca, "ca"),
            cert: file(&tls.cert, "cert"),
            key: file(&tls.key, "key"),
        }
    }

    /// The nodes of an upstream, its own and those of its file; and whether that file could be read.
    fn nodes(&mut self, keys: &mut Upstream, at: &At, base: &Path) -> (Vec<Placed<Node>>, bool) {
        let list = at.either("nodes", "servers");
        let mut nodes = placed(keys.nodes.take().unwrap_or_default(), &list);
        let Some(file) = &keys.nodes_file else {
            let fit = !at.key("nodes_file").given();
            return (nodes, fit);
        };
        let Some((document, root)) = self.document(&base.join(file), &at.key("nodes_file")) else {
            return (nodes, false);
        };
        match document.value {
            Value::Sequence(_) => {
                let entries = document.read(&NODES, "nodes", self.env, self.problems);
                nodes.extend(placed(entries, &root));
                (nodes, true)
            }
            _ => {
                let called = "the file of nodes";
                let file: NodesFile = document.read(&NODES_FILE, called, self.env, self.problems);
                let list = root.either("nodes", "servers");
                let fit = file.nodes.is_some() || list.is_blank();
                if !list.given() && root.is_mapping() {
                    let problem = Problem::error(root.place(), "this file of nodes has no `nodes`")
                        .help("write `nodes: [10.0.0.11:3000]`, or the list alone");
                    self.problems.push(problem);
                }
                nodes.extend(placed(file.nodes.unwrap_or_default(), &list));
                (nodes, fit)
            }
        }
    }
}

/// An entry of a list with its place; `None` for one that did not fit.
pub type Placed<T> = (Option<T>, At);

/// One entry of `nodes:` that stands in no file.
pub fn entry(
    json: &str,
    name: &str,
    env: Env<'_>,
    problems: &mut Problems,
) -> Option<Placed<Node>> {
    let document = Document::parse(name, &format!("[{json}]"), problems)?;
    let root = document.at.clone();
    let entries = document.read(&NODES, "nodes", env, problems);
    placed(entries, &root).into_iter().next()
}

/// The entries of a list with their places.
fn placed<T>(entries: Vec<Option<T>>, list: &At) -> Vec<Placed<T>> {
    let places = (0..).map(|i| list.item(i));
    entries.into_iter().zip(places).collect()
}

/// The directory before the first wildcard of a pattern: a file that appears there may match.
fn fixed_part(pattern: &Path) -> Option<PathBuf> {
    let plain =
        |c: &std::path::Component<'_>| !c.as_os_str().to_string_lossy().contains(['*', '?', '[']);
    let parent: PathBuf = pattern.components().take_while(plain).collect();
    Some(match parent.as_os_str().is_empty() {
        true => PathBuf::from("."),
        false => parent,
    })
}
