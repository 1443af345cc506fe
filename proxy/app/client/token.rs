//! The token that a command brings, and what to do where it is missing or too little.
//!
//! Never a word of the command line, which everybody on the machine can read, and never printed.

use std::fs;
use std::path::Path;

use super::Failed;
use crate::app::cli::AdminArgs;

/// Where it is, unless a file is named.
const VARIABLE: &str = "TIDEGATE_TOKEN";

/// The token to bring; none: nobody named one.
///
/// # Errors
/// When the file cannot be read, or no token can be sent as it is.
pub fn of(args: &AdminArgs) -> Result<Option<String>, Failed> {
    let (token, from) = match &args.token_file {
        Some(file) => {
            let text = fs::read_to_string(file).map_err(|e| cannot_read(file, &e))?;
            (text, file.display().to_string())
        }
        None => match std::env::var(VARIABLE) {
            Ok(token) => (token, VARIABLE.to_string()),
            Err(_) => return Ok(None),
        },
    };
    let token = token.trim_end_matches(['\r', '\n']);
    if token.is_empty() || !token.bytes().all(|b| b.is_ascii_graphic()) {
        return Err(format!(
            "there is no token in {from}: it is one line of printable characters without blanks\n  = help: it holds what the file of one of `admin.tokens` holds"
        ));
    }
    Ok(Some(token.to_string()))
}

fn cannot_read(file: &Path, e: &std::io::Error) -> Failed {
    format!(
        "cannot read the token in {}: {e}\n  = help: --token-file names a file that you may read, with the token alone in it",
        file.display()
    )
}

/// What to do about a refusal of this status; empty where the answer says it all.
pub fn remedy(status: u16, brought: bool) -> &'static str {
    match (status, brought) {
        (401, false) => "\n  = help: --token-file FILE, or TIDEGATE_TOKEN with the token in it",
        (401, true) => {
            "\n  = help: compare what --token-file or TIDEGATE_TOKEN holds with the files of `admin.tokens`"
        }
        (403, _) => "\n  = help: --token-file FILE with a token of that role",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;
    use crate::app::cli::Output;

    fn args(file: Option<PathBuf>) -> AdminArgs {
        AdminArgs {
            admin: "127.0.0.1:9900".into(),
            token_file: file,
            output: Output::Text,
        }
    }

    #[test]
    fn a_token_is_the_line_of_its_file() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("t");
        for (text, token) in [
            ("abcdefghijklmnop\n", Some("abcdefghijklmnop")),
            ("abcdefghijklmnop\r\n", Some("abcdefghijklmnop")),
            ("", None),
            ("\n", None),
            ("two words\n", None),
            ("two\nlines\n", None),
        ] {
            fs::write(&path, text).unwrap();
            let read = of(&args(Some(path.clone())));
            assert_eq!(read.ok().flatten().as_deref(), token, "{text:?}");
        }
        let why = of(&args(Some(dir.path().join("none")))).unwrap_err();
        assert!(why.contains("--token-file"), "{why}");
    }
}
