//! What commands print. A reader that left (`| head`), a full disk or a closed stream is no reason to panic.

use std::fmt::Display;
use std::io::{Write, stderr, stdout};

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
    write!(out, "{text}").and_then(|()| out.flush()).is_ok()
}

/// Prints a line to standard error.
pub fn complain(text: impl Display) {
    let _ = writeln!(stderr().lock(), "{text}");
}
