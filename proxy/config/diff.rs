//! stub
use super::checked::Config;
/// stub
pub struct Change { /// t
 pub text: String, /// r
 pub needs_restart: bool }
impl std::fmt::Display for Change { fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result { f.write_str(&self.text) } }
/// stub
pub fn diff(_: &Config, _: &Config) -> Vec<Change> { vec![] }
