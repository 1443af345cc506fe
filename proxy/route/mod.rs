//! Which route a request takes, and where a redirect sends it.
//!
//! Pure functions of the request head and the checked configuration, called by both lanes, so that they cannot disagree.
//! Nothing here may change the request, decide what happens on the route, or allocate for an ordinary request.

/// The host of a request, in one form.
pub mod host;
/// Routes without conditions but their path, by prefix.
mod prefixes;
/// Where a redirect points.
pub mod redirect;
/// All routes, found by host, path, method and fields.
mod table;

pub use table::{RouteAsk, Table};
