//! Faults on demand, for the stories that prove what a panic costs: one request, and nothing that is counted.
//!
//! Only in builds with debug assertions, and only where the environment asks for it; a release has an empty function
//! here.

/// Panics when the request asks for a fault `here`.
#[cfg(debug_assertions)]
pub fn strike(request: &pingora::http::RequestHeader, here: &str) {
    use std::sync::LazyLock;

    static WANTED: LazyLock<bool> = LazyLock::new(|| std::env::var_os("TIDEGATE_FAULTS").is_some());
    if *WANTED && request.headers.get("x-fault").is_some_and(|at| at == here) {
        panic!("a fault on demand, {here}");
    }
}

/// Does nothing.
#[cfg(not(debug_assertions))]
pub fn strike(_: &pingora::http::RequestHeader, _: &str) {}
