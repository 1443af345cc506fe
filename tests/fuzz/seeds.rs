//! What fuzzing begins with: the kept files of a target, and what the corpus of odd requests has for it.
//!
//! Never writes: seeds are kept by hand, with a name that says what they are.

use std::path::Path;

use crate::support::cases;

/// Names and bytes of the seeds of a target. `root` is the project's folder.
pub fn seeds(target: &str, root: &Path) -> Vec<(String, Vec<u8>)> {
    let dir = root.join("tests/fuzz").join(target);
    let mut seeds: Vec<_> = std::fs::read_dir(&dir)
        .expect("every target has a folder of seeds")
        .map(|entry| entry.expect("a readable folder").path())
        .map(|path| {
            let name = path.file_name().unwrap_or_default().display().to_string();
            (name, std::fs::read(&path).expect("a readable seed"))
        })
        .collect();
    seeds.sort();
    let parts = cases::in_folder(&root.join("tests/corpus"));
    for (id, bytes) in parts.iter().map(|c| (&c.id, c.bytes("~7~"))) {
        let end = bytes.windows(4).position(|w| w == b"\r\n\r\n");
        let part = match target {
            "head" => Some(&bytes[..]),
            "chunks" if id.starts_with('K') => end.map(|at| &bytes[at + 4..]),
            "path" if id.starts_with('L') => bytes.split(|b| *b == b' ').nth(1),
            _ => None,
        };
        if let Some(part) = part.filter(|p| !p.is_empty()) {
            seeds.push((id.clone(), part.to_vec()));
        }
    }
    seeds
}
