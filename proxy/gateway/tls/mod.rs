//! TLS towards clients: the handshake, in the connection's own task and under one deadline.
//!
//! We do it ourselves, below pingora: a certificate that cannot be used must not take the process down, and who is slow
//! must not be waited for a minute. Until a client has said all of its first message it is one who waits, and may be
//! sent away to make room; from then on it works. Whatever comes, nobody else is held up: a handshake that fails, ends
//! its connection alone.

mod begun;
mod io;

use std::io::Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant, SystemTime};

use bytes::BytesMut;
use http::{HeaderName, HeaderValue};
use pingora::time::timeout;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio_rustls::StartHandshake;
use tokio_rustls::rustls::server::Accepted;
use tokio_rustls::rustls::{
    self, AlertDescription, HandshakeKind, ProtocolVersion, ServerConfig, ServerConnection,
};

pub use begun::Begun;
pub use io::TlsIo;

use super::conn::Conn;
use crate::base::certificate;
use crate::config::checked::ListenTls;
use crate::live::control::Control;
use crate::live::snapshot::Snapshot;
use crate::live::tls::{self, ACME_TLS, PortTls};
use crate::telemetry::metrics::Failed;

/// What is known of a connection that speaks TLS.
#[derive(Debug, Clone)]
pub struct Secured {
    /// The version, as the log tells it.
    pub version: &'static str,
    /// The cipher suite.
    pub cipher: &'static str,
    /// The name that the client asked for.
    pub sni: Option<Box<str>>,
    /// It speaks HTTP/2.
    pub is_h2: bool,
    /// It resumed an earlier session.
    pub resumed: bool,
    /// Whose certificate the client has, as the nodes are told (RFC 4514); `None`: it has none.
    pub client_subject: Option<HeaderValue>,
    /// What the file said when it came in.
    pub rules: Arc<ListenTls>,
}

/// How a handshake failed.
#[derive(Debug)]
pub struct Failure {
    /// The word of metrics and log.
    pub why: Failed,
    /// What rustls or the system says.
    said: String,
    /// The connection, for who speaks HTTP in the clear and can be told.
    pub stream: Option<TcpStream>,
}

impl Failure {
    fn new(why: Failed, said: impl ToString) -> Self {
        Failure {
            why,
            said: said.to_string(),
            stream: None,
        }
    }
}

/// So many handshakes a second may begin on a port.
#[derive(Debug, Default)]
pub struct InSecond(AtomicU64);

impl InSecond {
    /// Whether one more may begin in this `second`, when `most` may.
    fn one_more(&self, second: u32, most: u32) -> bool {
        let counted = self.0.fetch_update(Relaxed, Relaxed, |was| {
            let (at, count) = ((was >> 32) as u32, was as u32);
            match at == second {
                true if count >= most => None,
                true => Some(was + 1),
                false => Some(u64::from(second) << 32 | 1),
            }
        });
        counted.is_ok()
    }
}

/// Makes the handshake on `stream`, of which `buffer` was read already.
///
/// # Errors
/// How it failed; a client that only came and went is no failure, and neither is a proof for an authority (ACME):
/// `Ok(None)`.
pub async fn handshake(
    stream: TcpStream,
    buffer: BytesMut,
    conn: &Arc<Conn>,
    port: &Arc<PortTls>,
    control: &Control,
) -> Result<Option<TlsIo>, Failure> {
    let end = Instant::now() + port.rules.handshake_timeout;
    let late = |_| Failure::new(Failed::Timeout, "it took too long");
    let greeted = timeout(left(end), begun::greeting(stream, buffer));
    let (stream, accepted, since) = match greeted.await.map_err(late)?? {
        Some(greeted) => greeted,
        None => return Ok(None),
    };
    if !conn.works() {
        return Ok(None);
    }
    if let Some(most) = port.rules.handshakes {
        let second = control.lifecycle.started().elapsed().as_secs() as u32;
        if !conn.port.begun.one_more(second, most) {
            let what = format!("more than {most} in this second (`tls.handshakes`)");
            return Err(Failure::new(Failed::TooMany, what));
        }
    }
    let (config, is_proof) = match chosen(&accepted, port) {
        Ok(chosen) => chosen,
        Err(failure) => {
            refuse(stream.socket, failure.why).await;
            return Err(failure);
        }
    };
    let shaken = StartHandshake::from_parts(accepted, stream).into_stream(config);
    let stream = timeout(left(end), shaken).await.map_err(late)?;
    let stream = stream.map_err(|e| failure(&e))?;
    if is_proof {
        // The handshake was all that the authority came for (RFC 8737 §3).
        return Ok(None);
    }
    let session = stream.get_ref().1;
    let secured = secured(session, port);
    if let Some(metrics) = conn.port.tls.get() {
        let is_13 = session.protocol_version() == Some(ProtocolVersion::TLSv1_3);
        metrics.succeeded(is_13, secured.resumed);
        metrics.duration.observe(since.elapsed().as_secs_f64());
    }
    conn.is_secured(secured);
    Ok(Some(TlsIo::new(stream, conn.clone())))
}

fn left(end: Instant) -> Duration {
    end.saturating_duration_since(Instant::now())
}

/// What the handshake goes on with, and whether it is only a proof for an authority that a name is ours.
fn chosen(accepted: &Accepted, port: &PortTls) -> Result<(Arc<ServerConfig>, bool), Failure> {
    let hello = accepted.client_hello();
    let name = hello.server_name().map(str::to_ascii_lowercase);
    let mut offered = hello.alpn().into_iter().flatten();
    if offered.any(|protocol| protocol == ACME_TLS) {
        let key = name.as_deref().and_then(|name| port.names.challenge(name));
        let no = || Failure::new(Failed::Alpn, "no proof of this name is under way");
        let config = key.map(tls::challenge).ok_or_else(no)?;
        return Ok((config.map_err(|e| Failure::new(Failed::Protocol, e))?, true));
    }
    if port.names.refuses(name.as_deref()) {
        let what = "no certificate is for that name (`tls.unknown_names: refuse`)";
        return Err(Failure::new(Failed::UnknownName, what));
    }
    let picked = port.names.pick(name.as_deref(), hello.signature_schemes());
    if picked.is_none() {
        let what = "no certificate is there yet (`tls.acme`)";
        return Err(Failure::new(Failed::NoCertificate, what));
    }
    Ok((port.config.clone(), false))
}

/// Refuses a client whose first message was read, in the words of TLS (RFC 8446 §6).
async fn refuse(mut stream: TcpStream, why: Failed) {
    let alert = match why {
        Failed::UnknownName => AlertDescription::UnrecognisedName,
        Failed::Alpn => AlertDescription::NoApplicationProtocol,
        _ => AlertDescription::AccessDenied,
    };
    // A fatal alert in the clear: nothing is agreed on yet.
    tell(&mut stream, &[21, 3, 3, 0, 2, 2, u8::from(alert)]).await;
}

/// Sends a last word, if it is taken within a moment, and the end behind it. Nobody waits for it to be read: where the
/// client has sent more than we read, the reset that follows may overtake it.
async fn tell(stream: &mut TcpStream, alert: &[u8]) {
    const MOMENT: Duration = Duration::from_millis(100);
    let _ = timeout(MOMENT, async {
        stream.write_all(alert).await?;
        stream.shutdown().await
    })
    .await;
}

fn secured(session: &ServerConnection, port: &PortTls) -> Secured {
    let subject = || {
        let first = session.peer_certificates()?.first()?;
        HeaderValue::try_from(certificate::subject(first)?).ok()
    };
    let suite = session.negotiated_cipher_suite();
    Secured {
        version: match session.protocol_version() {
            Some(ProtocolVersion::TLSv1_3) => "1.3",
            _ => "1.2",
        },
        cipher: suite
            .and_then(|suite| suite.suite().as_str())
            .unwrap_or_default(),
        sni: session.server_name().map(Into::into),
        is_h2: session.alpn_protocol() == Some(b"h2"),
        resumed: session.handshake_kind() == Some(HandshakeKind::Resumed),
        client_subject: subject(),
        rules: port.rules.clone(),
    }
}

/// Whose certificate the client of a connection has, and the field that tells nodes so; `None`: they are not told.
pub fn client_subject<'a>(
    conn: &'a Conn,
    now: &'a Snapshot,
) -> Option<(&'a HeaderName, &'a HeaderValue)> {
    let subject = conn.secured()?.client_subject.as_ref()?;
    let rules = &now.tls.of(&conn.port.open)?.rules;
    Some((rules.client_header.as_ref()?, subject))
}

/// Whether other clients may come in by its port than when this connection began: who it is has to be asked again, by a
/// new handshake. Asked for every request; where nothing changed, it is two pointers.
pub fn is_outdated(conn: &Conn, now: &Snapshot) -> bool {
    let was = conn.secured().map(|secured| &secured.rules);
    let is = now.tls.of(&conn.port.open).map(|tls| &tls.rules);
    match (was, is) {
        (None, None) => false,
        (Some(was), Some(is)) if Arc::ptr_eq(was, is) => false,
        (was, is) => {
            was.and_then(|rules| rules.clients.as_ref())
                != is.and_then(|rules| rules.clients.as_ref())
        }
    }
}

/// Why a handshake failed that was under way.
fn failure(error: &Error) -> Failure {
    use rustls::Error as Tls;
    let tls = error.get_ref().and_then(|e| e.downcast_ref::<Tls>());
    let why = match tls {
        None => Failed::Gone,
        Some(Tls::PeerIncompatible(_)) => Failed::Incompatible,
        Some(Tls::NoApplicationProtocol) => Failed::Alpn,
        Some(Tls::InvalidCertificate(_) | Tls::NoCertificatesPresented) => {
            Failed::ClientCertificate
        }
        Some(Tls::AlertReceived(_)) => Failed::RefusedByClient,
        Some(_) => Failed::Protocol,
    };
    Failure::new(why, error)
}

/// Counts a failed handshake and tells of it, unless too many are.
pub fn tell_failure(control: &Control, conn: &Conn, failure: &Failure) {
    if let Some(metrics) = conn.port.tls.get() {
        metrics.failed(failure.why);
    }
    let (port, peer, why, said) = (
        &conn.port.label,
        conn.peer,
        failure.why.as_str(),
        &failure.said,
    );
    match failure.why {
        // What an operator can do something about.
        Failed::NoCertificate | Failed::ClientCertificate | Failed::TooMany => {
            if control.flood.may_tell(SystemTime::now()) {
                tracing::warn!("{port}: no TLS with {peer}: {why}: {said}");
            }
        }
        _ => tracing::debug!("{port}: no TLS with {peer}: {why}: {said}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_more_begin_in_a_second_than_may() {
        let begun = InSecond::default();
        let in_second = |second| (0..5).filter(|_| begun.one_more(second, 3)).count();
        assert_eq!([in_second(7), in_second(8), in_second(8)], [3, 3, 0]);
    }
}
