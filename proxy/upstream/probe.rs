//! One health probe: ask a node once and say what came of it.
//!
//! Every probe opens its own connection, because an old one can hide a node that takes no new ones. Nothing here
//! decides what a result means for the node: that is `balance/node`.

use std::net::SocketAddr;
use std::sync::LazyLock;

use http::HeaderValue;
use pingora::connectors::http::v1::Connector;
use pingora::http::RequestHeader;
use pingora::{Error, ErrorType};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::classify::connect_failure_in_words;
use super::peer::peer;
use crate::config::checked::{Health, NodeTimeouts, Probe};

/// One for all probes: making one reads the system's certificates. It keeps no connection.
static CONNECTOR: LazyLock<Connector> = LazyLock::new(|| Connector::new(None));

/// Asks `addr` once. `Err` says what went wrong, in words for the operator.
pub async fn probe(addr: SocketAddr, health: &Health) -> Result<(), String> {
    let asked = async {
        match &health.probe {
            Probe::Tcp => tcp(addr).await,
            Probe::Http { path, expect, host } => {
                http(addr, health, path, expect, host.as_ref()).await
            }
        }
    };
    timeout(health.timeout, asked)
        .await
        .unwrap_or_else(|_| Err(format!("no answer within {:?}", health.timeout)))
}

async fn tcp(addr: SocketAddr) -> Result<(), String> {
    match TcpStream::connect(addr).await {
        Ok(_) => Ok(()),
        Err(e) if e.kind() == std::io::ErrorKind::ConnectionRefused => {
            Err("connection refused".into())
        }
        Err(e) => Err(format!("cannot connect: {e}")),
    }
}

async fn http(
    addr: SocketAddr,
    health: &Health,
    path: &str,
    expect: &[(u16, u16)],
    host: Option<&HeaderValue>,
) -> Result<(), String> {
    let limits = NodeTimeouts {
        connect: Some(health.timeout),
        read: Some(health.timeout),
        write: Some(health.timeout),
        idle: std::time::Duration::ZERO,
    };
    let (mut session, _) = CONNECTOR
        .get_http_session(&peer(addr, &limits))
        .await
        .map_err(|e| connect_failure_in_words(&e).to_string())?;
    let request = request(addr, path, host).map_err(|e| in_words(&e))?;
    session
        .write_request_header(Box::new(request))
        .await
        .map_err(|e| in_words(&e))?;
    session.read_response().await.map_err(|e| in_words(&e))?;
    let status = session.resp_header().map_or(0, |head| head.status.as_u16());
    if expect.iter().any(|(lo, hi)| (*lo..=*hi).contains(&status)) {
        Ok(())
    } else {
        Err(format!("status {status}, expected {}", ranges(expect)))
    }
}

fn request(
    addr: SocketAddr,
    path: &str,
    host: Option<&HeaderValue>,
) -> pingora::Result<RequestHeader> {
    let mut request = RequestHeader::build("GET", path.as_bytes(), Some(4))?;
    match host {
        Some(host) => request.insert_header("Host", host.clone())?,
        None => request.insert_header("Host", addr.to_string())?,
    }
    request.insert_header("User-Agent", "tidegate-health")?;
    request.insert_header("Accept", "*/*")?;
    request.insert_header("Connection", "close")?;
    Ok(request)
}

fn in_words(e: &Error) -> String {
    match e.etype() {
        ErrorType::ReadTimedout | ErrorType::WriteTimedout => "no answer in time",
        ErrorType::ConnectionClosed | ErrorType::ReadError | ErrorType::WriteError => {
            "connection closed before an answer"
        }
        ErrorType::InvalidHTTPHeader | ErrorType::H1Error => "the answer is not HTTP",
        _ => "the probe failed",
    }
    .into()
}

fn ranges(expect: &[(u16, u16)]) -> String {
    let words: Vec<_> = expect
        .iter()
        .map(|(lo, hi)| {
            if lo == hi {
                lo.to_string()
            } else {
                format!("{lo}-{hi}")
            }
        })
        .collect();
    words.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn expected_statuses_read_like_the_file() {
        assert_eq!(ranges(&[(200, 200), (300, 399)]), "200, 300-399");
    }
}
