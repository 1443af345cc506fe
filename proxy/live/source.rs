//! Where the configuration comes from: a file, or a text made of command line arguments.

use std::path::PathBuf;
use std::time::SystemTime;

use crate::config::{self, Loaded};

/// Where the configuration comes from.
#[derive(Debug, Clone)]
pub enum Source {
    /// A file, with what it includes.
    File(PathBuf),
    /// A text nobody can change while the process runs.
    Text {
        /// What diagnostics call it.
        name: String,
        /// The configuration.
        text: String,
    },
}

impl Source {
    /// Reads it, with the variables of the environment.
    pub fn load(&self) -> Loaded {
        let env = |name: &str| std::env::var(name).ok();
        let mut loaded = match self {
            Source::File(path) => config::load(path, &env),
            Source::Text { name, text } => config::load_text(text, name, &env),
        };
        loaded.warn_of_expiry(SystemTime::now());
        loaded
    }

    /// Reads it as it would be with these contents of files.
    pub fn load_with(&self, contents: Vec<(PathBuf, Vec<u8>)>) -> Loaded {
        let env = |name: &str| std::env::var(name).ok();
        match self {
            Source::File(path) => config::load_with(path, contents, &env),
            Source::Text { .. } => self.load(),
        }
    }

    /// What the operator calls it.
    pub fn name(&self) -> String {
        match self {
            Source::File(path) => path.display().to_string(),
            Source::Text { name, .. } => name.clone(),
        }
    }
}
