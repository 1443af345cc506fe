//! Files with a bearer token.
//!
//! Nothing here may tell what is in one.

use crate::config::checked::{KeyFile, Secret};
use crate::config::files::MAKE_TOKEN;
use crate::config::index::At;
use crate::config::problem::{Problem, Problems};

/// The fewest characters of a token: nobody guesses as many over a network.
const LEAST: usize = 16;

/// The token in a file, without the end of its line. A request must be able to carry it (RFC 9110 §11.4). `opens` says
/// what it is good for.
pub fn read(file: &KeyFile, opens: &str, at: &At, problems: &mut Problems) -> Option<KeyFile> {
    let bytes = file.key.bytes();
    let token = bytes.strip_suffix(b"\n").unwrap_or(bytes);
    let token = token.strip_suffix(b"\r").unwrap_or(token);
    let path = file.path.display();
    let what = if token.is_empty() {
        format!("{path} is empty: there is no token in it")
    } else if !token.iter().all(u8::is_ascii_graphic) {
        format!(
            "the token in {path} cannot be sent: it must be one line of printable characters without blanks"
        )
    } else if token.len() < LEAST {
        let n = token.len();
        format!("the token in {path} has {n} characters; it needs {LEAST} or more")
    } else {
        return Some(KeyFile {
            path: file.path.clone(),
            key: Secret::new(token),
        });
    };
    let help = format!("{opens}; {MAKE_TOKEN}");
    problems.push(Problem::error(at.place(), what).help(help));
    None
}
