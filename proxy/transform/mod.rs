//! What is done to a body between store or node and client: compressed, decoded, minified.
//!
//! Pure: bytes and fields in, bytes and verdicts out. Knows no connection and no clock, and never sends a client what it
//! refused.

/// Codings: there and back.
pub mod compress;
/// Which answers may be transformed.
pub mod eligible;
/// Entity tags of forms.
pub mod etag;
/// How much effort a busy thread makes.
pub mod guard;
/// Bodies without what no reader needs.
pub mod minify;
/// What a client takes.
pub mod negotiate;
/// A body on its way into another form.
pub mod pipe;
