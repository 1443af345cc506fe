//! The configuration file: read → parse → fit → validate → checked.
//!
//! | step | file | what it knows |
//! |---|---|---|
//! | bytes become text | `source` | limits, encoding, the fingerprint |
//! | text becomes values with places | `parse`, `index`, `lines` | YAML, line and column of everything |
//! | values take their shape | `fit`, `expand`, `schema/` | known keys, kinds of values, `${VAR}` |
//! | files are joined | `files` | `include`, `nodes_file` |
//! | words get a meaning | `validate/`, `defaults` | what is right, what is missing |
//! | what the program believes | `checked` | nothing invalid any more |
//! | changes go back into the files | `edit` | where a line may be edited, and where not |
//!
//! `problem` is how all of them speak to the operator; `effective` and `diff` tell a checked configuration again.
//! Nothing here may panic, block on the network, or use more than a few times the memory of the files it reads.

pub mod checked;
/// What holds when the file says nothing.
pub mod defaults;
/// Two configurations, told apart in words.
pub mod diff;
/// Changes of nodes, written into the files.
pub mod edit;
/// The configuration in force, as a file that loads again.
pub mod effective;
mod expand;
mod files;
mod fit;
mod index;
/// The shape of the file as other programs read it.
pub mod json_schema;
mod lines;
mod parse;
/// What the configuration has to say to an operator.
pub mod problem;
mod schema;
mod source;
/// What a route matches, in words.
pub mod told;
/// What was written becomes what the program believes.
pub(crate) mod validate;

use std::path::{Path, PathBuf};
use std::time::SystemTime;

use checked::Config;
use files::Gather;
use problem::{Place, Problem, Problems, Severity};
use source::Sources;
use validate::Origins;

/// What came of reading a configuration.
#[derive(Debug)]
pub struct Loaded {
    /// The configuration; `None` when there is any error.
    pub config: Option<Config>,
    /// Errors, warnings and notes, in this order, each by file and line.
    pub problems: Vec<Problem>,
    /// Every file read.
    pub files: Vec<PathBuf>,
    /// Every file or directory whose change may change the outcome.
    pub watch: Vec<PathBuf>,
    /// One number for everything read: the same when no content changed.
    pub fingerprint: u64,
    /// Where the parts of `config` were written.
    origins: Option<Origins>,
}

impl Loaded {
    /// What makes the configuration unusable.
    pub fn errors(&self) -> impl Iterator<Item = &Problem> {
        self.of(Severity::Error)
    }

    /// What was probably not meant.
    pub fn warnings(&self) -> impl Iterator<Item = &Problem> {
        self.of(Severity::Warning)
    }

    /// Where `cache.redis` says this; the key of the section where it does not say it.
    pub fn place_of_redis(&self, key: &str) -> Option<Place> {
        let redis = self.origins.as_ref()?.root.key("cache").key("redis");
        let at = redis.key(key);
        Some(if at.given() {
            at.place()
        } else {
            redis.key_place()
        })
    }

    /// Adds what there is to say of certificates that have expired at `now`, or soon will.
    pub fn warn_of_expiry(&mut self, now: SystemTime) {
        let (Some(config), Some(origins)) = (&self.config, &self.origins) else {
            return;
        };
        let listen = origins.root.key("listen");
        for (i, port) in config.listen.iter().enumerate() {
            let at = listen.item(i).key("tls").key("certs");
            for (j, cert) in port.tls.iter().flat_map(|tls| &tls.certs).enumerate() {
                let at = at.item(j).key("cert");
                self.problems.extend(validate::tls::expiry(cert, &at, now));
            }
        }
        self.problems.sort_by_key(|problem| problem.severity);
    }

    /// Where a node of an upstream was written, both by their place in the configuration.
    pub fn place_of_node(&self, upstream: usize, node: usize) -> Option<Place> {
        let (_, nodes) = self.origins.as_ref()?.upstreams.get(upstream)?;
        Some(nodes.get(node)?.place())
    }

    fn of(&self, severity: Severity) -> impl Iterator<Item = &Problem> {
        self.problems.iter().filter(move |p| p.severity == severity)
    }
}

/// Loads a configuration from a file and all that it names.
pub fn load(path: &Path, env: &dyn Fn(&str) -> Option<String>) -> Loaded {
    load_from(path, Sources::default(), env)
}

/// Loads a configuration as [`load`] would after these files had these contents.
pub fn load_with(
    path: &Path,
    contents: Vec<(PathBuf, Vec<u8>)>,
    env: &dyn Fn(&str) -> Option<String>,
) -> Loaded {
    let mut sources = Sources::default();
    sources.instead = contents;
    load_from(path, sources, env)
}

fn load_from(path: &Path, mut sources: Sources, env: &dyn Fn(&str) -> Option<String>) -> Loaded {
    match sources.read(path, None) {
        Ok(text) => from_text(path, &path.display().to_string(), &text, env, sources),
        Err(problem) => {
            let mut problems = Problems::default();
            problems.push(*problem);
            finish(None, problems, sources, path)
        }
    }
}

/// Reads one entry of `nodes:` that stands in no file, as JSON; `name` stands for the file in messages.
///
/// # Errors
/// What is wrong with it.
pub fn entry(json: &str, name: &str) -> Result<checked::Node, Vec<Problem>> {
    let mut problems = Problems::default();
    let none = |_: &str| None;
    let node = files::entry(json, name, &none, &mut problems)
        .and_then(|(entry, at)| validate::node::check_one(&entry?, &at, &mut problems));
    match node {
        Some(node) if !problems.any_error() => Ok(node),
        _ => Err(problems.into_sorted(name)),
    }
}

/// Loads a configuration that is in no file; `name` stands for the file in messages, and what it names is looked
/// for from the working directory.
pub fn load_text(text: &str, name: &str, env: &dyn Fn(&str) -> Option<String>) -> Loaded {
    let mut sources = Sources::default();
    sources.took(name, text.as_bytes());
    match source::text(text.as_bytes().to_vec()) {
        Ok(text) => from_text(Path::new(name), name, &text, env, sources),
        Err(no) => {
            let mut problems = Problems::default();
            problems.push(no.problem(name, None));
            finish(None, problems, sources, Path::new(name))
        }
    }
}

fn from_text(
    path: &Path,
    name: &str,
    text: &str,
    env: &dyn Fn(&str) -> Option<String>,
    mut sources: Sources,
) -> Loaded {
    let mut problems = Problems::default();
    let mut gather = Gather {
        env,
        sources: &mut sources,
        problems: &mut problems,
    };
    let checked = gather
        .gather(path, name, text)
        .map(|all| validate::validate(all, &mut problems));
    finish(checked, problems, sources, path)
}

fn finish(
    checked: Option<(Config, Origins)>,
    problems: Problems,
    sources: Sources,
    main: &Path,
) -> Loaded {
    let usable = checked.filter(|_| !problems.any_error());
    let (config, origins) = usable.unzip();
    let fingerprint = sources.fingerprint();
    Loaded {
        config,
        problems: problems.into_sorted(&main.display().to_string()),
        files: sources.files,
        watch: sources.watch,
        fingerprint,
        origins,
    }
}

#[cfg(test)]
mod tests;
