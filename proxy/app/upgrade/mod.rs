//! One process takes over from another: what they say to each other.
//!
//! The one that runs starts the binary on the disk, gives it every port that is open and one end of a socket, and says
//! [`Hello`]. The new one reads its file, takes the ports it wants and answers [`Said::Ready`]; or it answers
//! [`Said::Failed`], or ends, or is silent for too long, and then the one that runs goes on as if nothing had been. Only at
//! the word [`Go`], with what was changed at run time until then, the new one accepts, and answers [`Said::Serves`]: nobody is ever
//! accepted by a process that is put an end to. A line of JSON each way. The two may be of different versions: a field that is not known is not read, one that is missing is
//! none. Nothing secret goes by the environment or the command line, where others of this machine can read it.

use std::io;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

/// Which file is started.
mod binary;
/// The side of the process that takes over.
mod heir;
/// The side of the process that is replaced.
mod parent;

pub use heir::Predecessor;
pub use parent::{Estate, Fledgling, Replaces};

use crate::config::checked::Secret;

/// The longest line that is read: thousands of nodes that were added at run time fit.
const LONGEST: usize = 8 << 20;

/// What the process that runs says to the next one.
#[derive(Debug)]
pub struct Hello {
    /// Its id.
    pub pid: u32,
    /// Its version.
    pub version: String,
    /// The key that it made for itself.
    pub key: Option<Secret>,
    /// What was changed at run time until now: of use where this process ends before it says [`Go`].
    pub changes: Value,
}

impl Hello {
    fn line(&self) -> String {
        let key = self.key.as_ref().map(|key| STANDARD.encode(key.bytes()));
        let line = json!({ "pid": self.pid, "version": self.version, "key": key, "changes": self.changes });
        format!("{line}\n")
    }

    fn read(line: &str) -> Option<Self> {
        let said: Value = serde_json::from_str(line).ok()?;
        let key = said["key"]
            .as_str()
            .and_then(|key| STANDARD.decode(key).ok());
        Some(Hello {
            pid: u32::try_from(said["pid"].as_u64()?).ok()?,
            version: said["version"].as_str().unwrap_or("unknown").into(),
            key: key
                .filter(|key| key.len() >= Secret::LEAST)
                .map(Secret::new),
            changes: said["changes"].clone(),
        })
    }
}

/// The new process may accept: what was changed at run time until now.
#[derive(Debug, PartialEq)]
pub struct Go(pub Value);

impl Go {
    fn line(&self) -> String {
        format!("{}\n", json!({ "go": self.0 }))
    }

    fn read(line: &str) -> Option<Self> {
        let mut said: Value = serde_json::from_str(line).ok()?;
        said.get_mut("go").map(|changes| Go(changes.take()))
    }
}

/// What the new process answers.
#[derive(Debug, PartialEq, Eq)]
pub enum Said {
    /// It could accept, and waits for the word.
    Ready,
    /// It accepts on these ports, by where they are really open.
    Serves {
        /// Its version.
        version: String,
        /// The ports.
        ports: Vec<String>,
    },
    /// It cannot, and ends.
    Failed(String),
}

impl Said {
    fn line(&self) -> String {
        let line = match self {
            Said::Ready => json!({ "ready": true }),
            Said::Serves { version, ports } => json!({ "serves": ports, "version": version }),
            Said::Failed(why) => json!({ "failed": why }),
        };
        format!("{line}\n")
    }

    fn read(line: &str) -> Option<Self> {
        let said: Value = serde_json::from_str(line).ok()?;
        if let Some(why) = said["failed"].as_str() {
            return Some(Said::Failed(why.into()));
        }
        if said["ready"] == true {
            return Some(Said::Ready);
        }
        let ports = said["serves"].as_array()?.iter();
        Some(Said::Serves {
            version: said["version"].as_str().unwrap_or("unknown").into(),
            ports: ports.filter_map(Value::as_str).map(String::from).collect(),
        })
    }
}

fn too_long() -> io::Error {
    io::Error::other("a line that is too long")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_is_understood_and_no_key_is_shown() {
        let hello = Hello {
            pid: 7,
            version: "1".into(),
            key: Some(Secret::new([9; 32])),
            changes: json!({ "set": [] }),
        };
        let read = Hello::read(&hello.line()).unwrap();
        assert_eq!((read.pid, &read.changes), (7, &hello.changes));
        assert_eq!(read.key.as_ref().unwrap().bytes(), [9; 32]);
        assert!(!format!("{read:?}").contains('9'), "{read:?}");
        let go = Go(json!({ "set": [] }));
        assert_eq!(Go::read(&go.line()), Some(go));
        for said in [
            Said::Ready,
            Said::Failed("two\nlines".into()),
            Said::Serves {
                version: "2".into(),
                ports: vec!["127.0.0.1:80".into()],
            },
        ] {
            let line = said.line();
            assert_eq!(line.matches('\n').count(), 1);
            assert_eq!(Said::read(&line), Some(said));
        }
    }

    #[test]
    fn what_another_version_adds_or_leaves_out_does_no_harm() {
        let read = Hello::read(r#"{"pid":7,"later":[1]}"#).unwrap();
        assert!(read.key.is_none() && read.changes.is_null());
        assert!(
            Hello::read(r#"{"pid":7,"key":"c2hvcnQ="}"#)
                .unwrap()
                .key
                .is_none()
        );
        assert!(Hello::read("what?").is_none());
        assert_eq!(Said::read("{}"), None);
        assert_eq!(Go::read("{}"), None);
    }
}
