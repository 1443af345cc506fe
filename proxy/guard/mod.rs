//! May it enter, and who is it?

/// Who the client really is.
pub mod client;
