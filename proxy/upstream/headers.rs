//! Header fields on their way to a node and back.
//!
//! Towards the node: who the client is, as we know it, never as an unknown peer claims it. Back: no field that
//! concerned the connection to the node only. These run after pingora's own removal of hop-by-hop request fields,
//! so that no client can have our fields removed by naming them in `Connection`.
//!
//! What takes the place of a client's claims is written as bytes, behind the head that pingora makes: each field in
//! its maps costs a name parsed, two entries, and now and then two larger maps.

use std::fmt::Write as _;
use std::net::IpAddr;
use std::sync::Arc;

use http::header::{self, HeaderName, HeaderValue};
use http::{HeaderMap, StatusCode, Version};
use parking_lot::Mutex;
use pingora::Result;
use pingora::http::{RequestHeader, ResponseHeader};

use crate::base::trace::{self, Onward};
use crate::config::checked::RequestId;

// Given as text in the usual letter case: pingora keeps the case of every field, and copies that of a `HeaderName`.
const X_FORWARDED_FOR: &str = "X-Forwarded-For";
const X_FORWARDED_PROTO: &str = "X-Forwarded-Proto";
const X_FORWARDED_HOST: &str = "X-Forwarded-Host";
const X_REAL_IP: &str = "X-Real-IP";
const TRACEPARENT: &str = "traceparent";
const FORWARDED: &str = "Forwarded";
const VIA: &str = "Via";

const VIA_1_1: HeaderValue = HeaderValue::from_static("1.1 tidegate");
const VIA_1_0: HeaderValue = HeaderValue::from_static("1.0 tidegate");

/// What a node is told about a request.
#[derive(Debug)]
pub struct Told<'a> {
    /// The peer's address as a field value, made once per connection.
    pub peer: &'a HeaderValue,
    /// The peer's address.
    pub peer_addr: IpAddr,
    /// Whether the peer is one of our trusted proxies: then its own fields are kept and added to.
    pub trusted: bool,
    /// The client's real address.
    pub client: IpAddr,
    /// The request's id.
    pub id: &'a HeaderValue,
    /// The field that it goes in.
    pub id_name: &'a RequestId,
    /// What becomes of what it says of its trace.
    pub trace: Onward,
    /// Version the client spoke.
    pub version: Version,
    /// `http` or `https`: the scheme of its connection.
    pub scheme: &'static str,
    /// Whose certificate the client has, and the field that says so.
    pub subject: Option<(&'a HeaderName, &'a HeaderValue)>,
    /// Send `Forwarded` (RFC 7239) too.
    pub forwarded: bool,
    /// `Host` for a request that came without one (HTTP/1.0).
    pub default_host: &'a HeaderValue,
}

/// Field lines that the head of a request gets on its way out, behind its own fields: written by who knows them, sent by
/// the connection.
#[derive(Debug, Clone, Default)]
pub struct Added(Arc<Mutex<Vec<u8>>>);

impl From<&[u8]> for Added {
    /// These lines, each with its line end.
    fn from(lines: &[u8]) -> Self {
        Added(Arc::new(Mutex::new(lines.to_vec())))
    }
}

impl Added {
    /// All of them, each with its line end; from now on there are none.
    pub fn take(&self) -> Vec<u8> {
        std::mem::take(&mut self.0.lock())
    }
}

/// Sets the fields a node gets. What a trusted peer says is kept in `req` and added to; what anybody else claims is taken
/// out of it, and our own words go to `added`.
///
/// # Errors
/// When a value cannot be a field value, which our own never are.
pub fn to_node(req: &mut RequestHeader, told: &Told<'_>, added: &Added) -> Result<()> {
    if told.trusted {
        add_to_its_own(req, told)?;
    } else {
        let own = &told.id_name.header;
        if req.headers.keys().any(|name| is_claim(name) || name == own) {
            for name in CLAIMS {
                req.remove_header(name);
            }
            req.remove_header(own);
        }
        write(&mut added.0.lock(), &req.headers, told);
    }
    if let Some((name, subject)) = told.subject {
        req.insert_header(name.clone(), subject.clone())?;
    }
    goes_on(req, &told.trace, added);
    if req
        .headers
        .get(header::HOST)
        .is_none_or(HeaderValue::is_empty)
    {
        req.insert_header("Host", told.default_host.clone())?;
    }
    Ok(())
}

/// What says who the client is and what it asked for: nobody is believed but a trusted peer.
const CLAIMS: [&str; 6] = [
    "x-forwarded-for",
    "x-forwarded-proto",
    "x-forwarded-host",
    "x-real-ip",
    "x-request-id",
    "forwarded",
];

fn is_claim(name: &HeaderName) -> bool {
    CLAIMS.contains(&name.as_str())
}

/// Most requests need no more room for our fields.
const ROOM: usize = 256;

/// Our words about a client that is known by its connection only.
fn write(lines: &mut Vec<u8>, fields: &HeaderMap, told: &Told<'_>) {
    lines.reserve(ROOM);
    let mut line = |name: &str, value: &[u8]| {
        for part in [name.as_bytes(), b": ", value, b"\r\n"] {
            lines.extend_from_slice(part);
        }
    };
    let host = fields.get(header::HOST);
    line(X_FORWARDED_FOR, told.peer.as_bytes());
    line(X_FORWARDED_PROTO, told.scheme.as_bytes());
    if let Some(host) = host {
        line(X_FORWARDED_HOST, host.as_bytes());
    }
    if told.client == told.peer_addr {
        line(X_REAL_IP, told.peer.as_bytes());
    } else {
        line(X_REAL_IP, told.client.to_string().as_bytes());
    }
    if told.forwarded {
        line(FORWARDED, forwarded(told, host).as_bytes());
    }
    line(&told.id_name.shown, told.id.as_bytes());
    line(VIA, via(told.version).as_bytes());
}

/// The request's trace goes on, with our place in it where we take part.
fn goes_on(req: &mut RequestHeader, trace: &Onward, added: &Added) {
    if trace.drops_parent {
        req.remove_header(&trace::TRACEPARENT);
    }
    if trace.drops_state {
        req.remove_header(&trace::TRACESTATE);
    }
    if let Some(ours) = trace.ours {
        let lines = &mut added.0.lock();
        for part in [TRACEPARENT.as_bytes(), b": ", &ours.traceparent(), b"\r\n"] {
            lines.extend_from_slice(part);
        }
    }
}

/// Keeps what a trusted peer says, and adds to it.
fn add_to_its_own(req: &mut RequestHeader, told: &Told<'_>) -> Result<()> {
    append_forwarded_for(req, told)?;
    let host = req.headers.get(header::HOST).cloned();
    if !req.headers.contains_key(X_FORWARDED_PROTO) {
        req.insert_header(X_FORWARDED_PROTO, told.scheme)?;
    }
    if !req.headers.contains_key(X_FORWARDED_HOST) {
        match &host {
            Some(host) => req.insert_header(X_FORWARDED_HOST, host.clone())?,
            None => drop(req.remove_header(X_FORWARDED_HOST)),
        }
    }
    if told.client == told.peer_addr {
        req.insert_header(X_REAL_IP, told.peer.clone())?;
    } else {
        req.insert_header(X_REAL_IP, told.client.to_string())?;
    }
    if told.forwarded {
        req.append_header(FORWARDED, forwarded(told, host.as_ref()))?;
    }
    req.insert_header(told.id_name.shown.clone(), told.id.clone())?;
    req.append_header(VIA, via(told.version))?;
    Ok(())
}

fn append_forwarded_for(req: &mut RequestHeader, told: &Told<'_>) -> Result<()> {
    let mut list = Vec::new();
    let values = req.headers.get_all(X_FORWARDED_FOR).iter();
    for value in values.filter(|v| !v.as_bytes().trim_ascii().is_empty()) {
        list.extend_from_slice(value.as_bytes());
        list.extend_from_slice(b", ");
    }
    list.extend_from_slice(told.peer.as_bytes());
    req.insert_header(X_FORWARDED_FOR, list)
}

/// One element of RFC 7239 §4 for the hop to us.
fn forwarded(told: &Told<'_>, host: Option<&HeaderValue>) -> String {
    let mut element = match told.peer_addr {
        IpAddr::V4(addr) => format!("for={addr};proto={}", told.scheme),
        IpAddr::V6(addr) => format!("for=\"[{addr}]\";proto={}", told.scheme),
    };
    if let Some(host) = host.and_then(|h| h.to_str().ok()) {
        let _ = write!(element, ";host=\"{host}\"");
    }
    element
}

fn via(version: Version) -> HeaderValue {
    if version == Version::HTTP_10 {
        VIA_1_0
    } else {
        VIA_1_1
    }
}

/// Fields that concern one connection only (RFC 9110 §7.6.1 and what older software sends).
const HOP_BY_HOP: [HeaderName; 5] = [
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
    header::TE,
    header::TRAILER,
    header::UPGRADE,
];

/// Whether every field of a request is for the node: none concerns its client's connection, so that pingora has nothing
/// to take out.
pub fn are_end_to_end(fields: &HeaderMap) -> bool {
    !fields.keys().any(|name| {
        matches!(
            name.as_str(),
            "connection"
                | "keep-alive"
                | "proxy-connection"
                | "proxy-authenticate"
                | "proxy-authorization"
                | "te"
                | "trailer"
                | "transfer-encoding"
                | "upgrade"
                | "http2-settings"
        )
    })
}

/// Removes from an answer what concerned the connection to the node only, and adds our `Via`.
///
/// # Errors
/// When our own field cannot be added, which does not happen.
pub fn from_node(resp: &mut ResponseHeader) -> Result<()> {
    if resp.status == StatusCode::SWITCHING_PROTOCOLS {
        return Ok(()); // its Connection and Upgrade are the answer
    }
    if resp.headers.contains_key(header::CONNECTION) {
        for name in nominated(resp) {
            resp.remove_header(&name);
        }
        resp.remove_header(&header::CONNECTION);
    }
    // One walk over the few fields there are is cheaper than asking for each name.
    let found = |name: &HeaderName| HOP_BY_HOP.contains(name);
    if resp.headers.keys().any(found) {
        for name in &HOP_BY_HOP {
            // 426 has to say which protocol it wants (RFC 9110 §15.5.22).
            let required = *name == header::UPGRADE && resp.status == StatusCode::UPGRADE_REQUIRED;
            if !required {
                resp.remove_header(name);
            }
        }
    }
    resp.append_header(VIA, VIA_1_1)?;
    Ok(())
}

/// The fields an answer's `Connection` names. Framing fields cannot be named away.
fn nominated(resp: &ResponseHeader) -> Vec<HeaderName> {
    resp.headers
        .get_all(header::CONNECTION)
        .iter()
        .filter_map(|v| v.to_str().ok())
        .flat_map(|v| v.split(','))
        .map(str::trim)
        // Nearly every answer says so; that field goes anyway.
        .filter(|token| !token.eq_ignore_ascii_case("keep-alive"))
        .filter_map(|token| token.parse::<HeaderName>().ok())
        .filter(|name| *name != header::CONTENT_LENGTH && *name != header::TRANSFER_ENCODING)
        .collect()
}

#[cfg(test)]
mod tests {
    use std::sync::LazyLock;

    use super::*;
    use crate::config::defaults;

    fn told(trusted: bool, peer: &HeaderValue) -> (Told<'_>, RequestHeader) {
        let mut req = RequestHeader::build("GET", b"/", None).unwrap();
        req.insert_header("Host", "shop.example.com").unwrap();
        req.insert_header("X-Forwarded-For", "6.6.6.6").unwrap();
        req.insert_header("X-Forwarded-Proto", "https").unwrap();
        req.insert_header("X-Real-IP", "6.6.6.6").unwrap();
        req.insert_header("Forwarded", "for=6.6.6.6").unwrap();
        static ID: HeaderValue = HeaderValue::from_static("id1");
        static ID_NAME: LazyLock<RequestId> = LazyLock::new(|| defaults::tracing().request_id);
        static HOST: HeaderValue = HeaderValue::from_static("10.0.0.9:80");
        let told = Told {
            peer,
            peer_addr: "10.0.0.1".parse().unwrap(),
            trusted,
            client: "10.0.0.1".parse().unwrap(),
            id: &ID,
            id_name: &ID_NAME,
            trace: Onward::default(),
            version: Version::HTTP_11,
            scheme: "http",
            subject: None,
            forwarded: true,
            default_host: &HOST,
        };
        (told, req)
    }

    /// As the node gets it.
    fn send(req: &mut RequestHeader, told: &Told<'_>) {
        let added = Added::default();
        to_node(req, told, &added).unwrap();
        let lines = String::from_utf8(added.take()).unwrap();
        assert!(lines.is_empty() || lines.ends_with("\r\n"));
        for line in lines.split_terminator("\r\n") {
            let (name, value) = line.split_once(": ").unwrap();
            req.append_header(name.to_owned(), value).unwrap();
        }
    }

    fn get<'a>(req: &'a RequestHeader, name: &str) -> Vec<&'a str> {
        req.headers
            .get_all(name)
            .iter()
            .map(|v| v.to_str().unwrap())
            .collect()
    }

    #[test]
    fn what_an_unknown_peer_claims_is_replaced() {
        let peer = HeaderValue::from_static("10.0.0.1");
        let (told, mut req) = told(false, &peer);
        send(&mut req, &told);
        assert_eq!(get(&req, "x-forwarded-for"), ["10.0.0.1"]);
        assert_eq!(get(&req, "x-forwarded-proto"), ["http"]);
        assert_eq!(get(&req, "x-forwarded-host"), ["shop.example.com"]);
        assert_eq!(get(&req, "x-real-ip"), ["10.0.0.1"]);
        assert_eq!(
            get(&req, "forwarded"),
            ["for=10.0.0.1;proto=http;host=\"shop.example.com\""]
        );
        assert_eq!(get(&req, "via"), ["1.1 tidegate"]);
    }

    #[test]
    fn what_a_trusted_peer_says_is_kept_and_added_to() {
        let peer = HeaderValue::from_static("10.0.0.1");
        let (mut told, mut req) = told(true, &peer);
        told.client = "6.6.6.6".parse().unwrap();
        send(&mut req, &told);
        assert_eq!(get(&req, "x-forwarded-for"), ["6.6.6.6, 10.0.0.1"]);
        assert_eq!(get(&req, "x-forwarded-proto"), ["https"]);
        assert_eq!(get(&req, "x-real-ip"), ["6.6.6.6"]);
        assert_eq!(get(&req, "forwarded").len(), 2);
    }

    #[test]
    fn an_empty_list_is_not_added_to() {
        let peer = HeaderValue::from_static("10.0.0.1");
        let (told, mut req) = told(true, &peer);
        req.insert_header("X-Forwarded-For", " ").unwrap();
        req.append_header("X-Forwarded-For", "6.6.6.6").unwrap();
        send(&mut req, &told);
        assert_eq!(get(&req, "x-forwarded-for"), ["6.6.6.6, 10.0.0.1"]);
    }

    #[test]
    fn a_request_without_host_gets_the_nodes_own() {
        let peer = HeaderValue::from_static("10.0.0.1");
        let (told, mut req) = told(false, &peer);
        req.remove_header("host");
        send(&mut req, &told);
        assert_eq!(get(&req, "host"), ["10.0.0.9:80"]);
    }

    #[test]
    fn only_a_request_without_a_word_about_its_connection_is_all_for_the_node() {
        let of = |name: &'static str| {
            let mut fields = HeaderMap::new();
            fields.insert(header::HOST, HeaderValue::from_static("a"));
            fields.insert(name, HeaderValue::from_static("a"));
            are_end_to_end(&fields)
        };
        assert!(of("accept") && of("x-connection") && of("content-length"));
        let of_a_connection = [
            "connection",
            "keep-alive",
            "proxy-connection",
            "proxy-authenticate",
            "proxy-authorization",
            "te",
            "trailer",
            "transfer-encoding",
            "upgrade",
            "http2-settings",
        ];
        assert!(!of_a_connection.into_iter().any(of));
    }

    #[test]
    fn an_answer_loses_what_concerned_the_other_connection_only() {
        let mut resp = ResponseHeader::build(200, None).unwrap();
        for (name, value) in [
            ("Connection", "keep-alive, X-Secret"),
            ("Connection", "Content-Length"),
            ("Keep-Alive", "timeout=5"),
            ("X-Secret", "1"),
            ("Trailer", "X"),
            ("Content-Length", "3"),
            ("X-Kept", "1"),
        ] {
            resp.append_header(name, value).unwrap();
        }
        from_node(&mut resp).unwrap();
        let left: Vec<_> = resp.headers.keys().map(HeaderName::as_str).collect();
        assert_eq!(left, ["content-length", "x-kept", "via"]);
    }
}
