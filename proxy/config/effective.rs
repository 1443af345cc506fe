//! stub
use super::Loaded;
/// stub
pub fn effective(_: &Loaded) -> Option<String> { Some(String::new()) }
