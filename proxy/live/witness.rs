//! Who is told that the files are read again and when that is over: the service manager, if there is one.
//!
//! Told while nothing else may be reloaded: never waits for anybody, never reloads.

use std::fmt::Debug;

use super::control::Control;

/// Hears of every reload, whoever asked for it.
pub trait Witness: Debug + Send + Sync {
    /// New files, or files that somebody wants read again, are about to be put in use.
    fn begins(&self, control: &Control);

    /// They are, or were refused.
    fn ends(&self, control: &Control);
}
