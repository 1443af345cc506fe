//! Which file is started when the process is to be replaced: the one at the path it was started by, as it is now.
//!
//! Never the file that runs: a package manager has replaced it, and what runs has no name any more.

use std::ffi::{OsStr, OsString};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// Names another file to start.
pub const VARIABLE: &str = "TIDEGATE_BINARY";

/// The file to start. `named`: by the environment; `called`: how this process was called; `path`: where commands are.
///
/// # Errors
/// When there is no such file that can be run.
pub fn file(
    named: Option<OsString>,
    called: Option<OsString>,
    path: Option<OsString>,
) -> Result<PathBuf, String> {
    if let Some(named) = named.filter(|named| !named.is_empty()) {
        let file = PathBuf::from(&named);
        return match is_program(&file) {
            true => Ok(file),
            false => Err(format!(
                "{} (from {VARIABLE}) is no file that can be run",
                file.display()
            )),
        };
    }
    let called = called.unwrap_or_default();
    found(&called, path.as_deref()).ok_or_else(|| {
        format!(
            "there is no program {called:?}, by which this process was started; put it there, or name the file in {VARIABLE} \
             when tidegate is started"
        )
    })
}

/// As a shell finds it.
fn found(called: &OsStr, path: Option<&OsStr>) -> Option<PathBuf> {
    if called.is_empty() {
        return None;
    }
    if called.as_encoded_bytes().contains(&b'/') {
        return Some(PathBuf::from(called)).filter(|file| is_program(file));
    }
    let folders = std::env::split_paths(path?);
    let mut files = folders.map(|folder| folder.join(called));
    files.find(|file| is_program(file))
}

fn is_program(file: &Path) -> bool {
    file.metadata()
        .is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_found_where_a_shell_finds_it() {
        let dir = tempfile::tempdir().unwrap();
        let program = dir.path().join("tidegate");
        std::fs::write(&program, "").unwrap();
        let ask = |named: &str, called: &OsStr| {
            let named = (!named.is_empty()).then(|| named.into());
            file(named, Some(called.into()), Some(dir.path().into()))
        };
        let plain = OsStr::new("tidegate");
        assert!(ask("", plain).is_err(), "it cannot be run");
        std::fs::set_permissions(&program, PermissionsExt::from_mode(0o755)).unwrap();
        assert_eq!(ask("", plain).as_ref(), Ok(&program));
        assert_eq!(ask("", program.as_os_str()).as_ref(), Ok(&program));
        assert_eq!(ask("/bin/sh", plain), Ok("/bin/sh".into()));
        let missing = ask("/nowhere/tidegate", plain).unwrap_err();
        assert!(missing.contains(VARIABLE), "{missing}");
        assert!(ask("", OsStr::new("")).is_err());
    }
}
