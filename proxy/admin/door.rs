//! Who may use a verb: callers on this machine, and no web page that a browser there happens to show.
//!
//! A page of another site can make a browser send a POST to the stats port; it cannot keep the browser from saying
//! where the request comes from (`Origin`), nor under which name it called us (`Host`).

use std::net::{IpAddr, SocketAddr};

use std::sync::Arc;

use axum::extract::{ConnectInfo, Request, State};
use axum::http::uri::Authority;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::caller::Caller;
use super::deeds::{Deeds, Refusals};
use super::problem::{Problem, Why};
use crate::base::role::Role;
use crate::live::control::Control;

/// Lets reads pass, and verbs of callers on this machine.
pub async fn guard(
    State((control, refusals)): State<(Arc<Control>, Arc<Refusals>)>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    mut request: Request,
    next: Next,
) -> Response {
    if !is_our_name(request.headers()) {
        let detail = "call the stats port by its address or as localhost; another name could be a web page's trick";
        return Problem::new(StatusCode::MISDIRECTED_REQUEST, detail).into_response();
    }
    let caller = Caller {
        addr: peer,
        name: None,
        role: match peer.ip().to_canonical().is_loopback() {
            true => Role::Ops,
            false => Role::Read,
        },
    };
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        if caller.role < Role::Ops {
            let detail = "changes are taken from this machine only; call the stats port from there, or through a tunnel";
            return Problem::new(StatusCode::FORBIDDEN, detail).into_response();
        }
        if is_foreign_page(request.headers()) {
            let detail = "a web page of another site may not change anything here";
            return Problem::new(StatusCode::FORBIDDEN, detail).into_response();
        }
    }
    let deeds = (!matches!(*request.method(), Method::GET | Method::HEAD)).then(|| {
        Deeds::of(
            &control,
            &refusals,
            caller.clone(),
            request.method(),
            request.uri(),
        )
    });
    if let Some(deeds) = &deeds {
        request.extensions_mut().insert(deeds.clone());
    }
    request.extensions_mut().insert(caller);
    let mut response = next.run(request).await;
    if let Some(deeds) = deeds {
        let why = response.extensions().get::<Why>();
        deeds.answered(response.status(), why.map_or("", |why| why.0.as_str()));
    }
    let headers = response.headers_mut();
    for (name, value) in [
        (header::CACHE_CONTROL, "no-store"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::X_FRAME_OPTIONS, "DENY"),
        (
            header::CONTENT_SECURITY_POLICY,
            "default-src 'none'; style-src 'unsafe-inline'",
        ),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    response
}

/// Whether we are called by an address, or as `localhost`. A page whose name was rebound to our address still has to
/// say its own name here.
fn is_our_name(headers: &HeaderMap) -> bool {
    let Some(host) = headers.get(header::HOST) else {
        return true; // HTTP/1.0: no browser speaks it
    };
    let Ok(authority) = host.to_str().unwrap_or_default().parse::<Authority>() else {
        return false;
    };
    let name = authority.host();
    let bare = name.trim_start_matches('[').trim_end_matches(']');
    name.eq_ignore_ascii_case("localhost") || bare.parse::<IpAddr>().is_ok()
}

fn is_foreign_page(headers: &HeaderMap) -> bool {
    let text = |name| {
        headers
            .get(name)
            .and_then(|v: &HeaderValue| v.to_str().ok())
    };
    let Some(origin) = text(header::ORIGIN) else {
        return false;
    };
    let host = text(header::HOST).unwrap_or_default();
    origin.strip_prefix("http://") != Some(host)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_rebound_to_our_address_is_not_ours() {
        for (host, ours) in [
            ("127.0.0.1:9900", true),
            ("[::1]:9900", true),
            ("LocalHost:9900", true),
            ("10.0.0.5", true),
            ("evil.example:9900", false),
            ("localhost.evil.example", false),
            ("", false),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(header::HOST, HeaderValue::from_static(host));
            assert_eq!(is_our_name(&headers), ours, "{host}");
        }
    }

    #[test]
    fn only_our_own_page_may_post() {
        let mut headers = HeaderMap::new();
        headers.insert(header::HOST, HeaderValue::from_static("127.0.0.1:9900"));
        assert!(!is_foreign_page(&headers), "a command has no origin");
        headers.insert(
            header::ORIGIN,
            HeaderValue::from_static("http://127.0.0.1:9900"),
        );
        assert!(!is_foreign_page(&headers));
        headers.insert(
            header::ORIGIN,
            HeaderValue::from_static("http://evil.example"),
        );
        assert!(is_foreign_page(&headers));
        headers.insert(header::ORIGIN, HeaderValue::from_static("null"));
        assert!(is_foreign_page(&headers));
    }
}
