//! What commands print. A reader that left (`| head`), a full disk or a closed stream is no reason to panic.

use std::fmt::Display;
use std::io::{ErrorKind, Write, stderr, stdout};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

static LOST: AtomicBool = AtomicBool::new(false);

/// Prints to standard output, as it is.
pub fn out(text: impl Display) {
    let _ = heard(text);
}

/// Prints a line to standard output.
pub fn line(text: impl Display) {
    out(format_args!("{text}\n"));
}

/// Prints to standard output, as it is; whether anybody reads it still.
pub fn heard(text: impl Display) -> bool {
    let mut out = stdout().lock();
    match write!(out, "{text}").and_then(|()| out.flush()) {
        Ok(()) => true,
        Err(e) if e.kind() == ErrorKind::BrokenPipe => false,
        Err(e) => {
            // Once is enough: what follows fails likewise.
            if !LOST.swap(true, Relaxed) {
                complain(format_args!("error: the output cannot be written: {e}"));
            }
            false
        }
    }
}

/// Whether something that was printed is lost, other than because nobody wanted it any more.
pub fn is_lost() -> bool {
    LOST.load(Relaxed)
}

/// Prints a line to standard error.
pub fn complain(text: impl Display) {
    let _ = writeln!(stderr().lock(), "{text}");
}
