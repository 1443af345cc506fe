//! What is done to a body between store or node and client: compressed, decoded, minified.
//!
//! Pure: bytes and fields in, bytes and verdicts out. Knows no connection and no clock, and never sends a client what it
//! refused.

pub mod minify;
