//! May it enter, and who is it?

/// Who may come in.
pub mod acl;
/// Who the client really is.
pub mod client;
/// How often it may ask.
pub mod rate;
