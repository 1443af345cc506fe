//! Faults on demand, for the stories that prove what a panic costs: one request, and nothing that is counted. And time
//! on demand, for those that are about hours, or about one moment.
//!
//! Only in builds with debug assertions, and only where the environment asks for it; a release has an empty function
//! here.

/// Whether the environment asks for them.
#[cfg(debug_assertions)]
static WANTED: std::sync::LazyLock<bool> =
    std::sync::LazyLock::new(|| std::env::var_os("TIDEGATE_FAULTS").is_some());

/// Panics when the request asks for a fault `here`.
#[cfg(debug_assertions)]
pub fn strike(request: &pingora::http::RequestHeader, here: &str) {
    if *WANTED && request.headers.get("x-fault").is_some_and(|at| at == here) {
        panic!("a fault on demand, {here}");
    }
}

/// Puts the cache's clock forward by as many milliseconds as the request says, `X-Clock: +N`, or stops it at this moment,
/// `X-Clock: =N`.
#[cfg(debug_assertions)]
pub fn set_clock(request: &pingora::http::RequestHeader, clock: &crate::live::clock::Clock) {
    let Some(asked) = request.headers.get("x-clock").filter(|_| *WANTED) else {
        return;
    };
    let asked = asked.to_str().unwrap_or_default();
    let millis = |sign: char| asked.strip_prefix(sign)?.parse().ok();
    if let Some(by) = millis('+') {
        clock.put_forward(by);
    } else if let Some(at) = millis('=') {
        clock.stop(at);
    }
}

/// Whether a request asks for any of it: only `HttpProxy` has hooks that do.
#[cfg(debug_assertions)]
pub fn is_asked(fields: &impl crate::base::fields::Fields) -> bool {
    let is_one = |name: &str| matches!(&*name.to_ascii_lowercase(), "x-fault" | "x-clock");
    *WANTED && fields.any_name(is_one)
}

/// Nobody asks for anything.
#[cfg(not(debug_assertions))]
pub fn is_asked(_: &impl crate::base::fields::Fields) -> bool {
    false
}

/// Does nothing.
#[cfg(not(debug_assertions))]
pub fn strike(_: &pingora::http::RequestHeader, _: &str) {}

/// Does nothing.
#[cfg(not(debug_assertions))]
pub fn set_clock(_: &pingora::http::RequestHeader, _: &crate::live::clock::Clock) {}
