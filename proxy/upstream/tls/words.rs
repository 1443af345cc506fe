//! Why there is no TLS connection to a node, in words for the operator.
//!
//! The one place that looks into an error of TLS. What it means for the request is decided in `classify`.

use std::fmt;
use std::io::{self, ErrorKind};

use tokio_rustls::rustls::{AlertDescription, CertificateError, Error};

/// What went wrong that is no error of the TLS library.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Failure {
    /// TLS could not be prepared, for this reason.
    Unprepared(String),
    /// The node does not speak HTTP/2.
    NoHttp2,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Failure::Unprepared(why) => f.write_str(why),
            Failure::NoHttp2 => f.write_str(
                "it does not agree to HTTP/2 (ALPN h2): turn HTTP/2 on there, or remove `h2: true`",
            ),
        }
    }
}

impl std::error::Error for Failure {}

/// As what travels through streams.
pub(super) fn as_io(failure: Failure) -> io::Error {
    io::Error::other(failure)
}

/// What went wrong with TLS, in words; `None`: nothing of TLS.
pub fn failure(e: &io::Error) -> Option<String> {
    let inner = e.get_ref()?;
    if let Some(ours) = inner.downcast_ref::<Failure>() {
        return Some(ours.to_string());
    }
    inner.downcast_ref::<Error>().map(in_words)
}

/// The same failure of TLS once more, for others whom it met; `None`: nothing of TLS.
pub fn again(e: &io::Error) -> Option<io::Error> {
    let why = e.get_ref()?.downcast_ref::<Error>()?;
    Some(io::Error::new(e.kind(), why.clone()))
}

/// The same for a handshake, whatever ended it.
pub fn of_handshake(e: &io::Error) -> String {
    failure(e).unwrap_or_else(|| match e.kind() {
        ErrorKind::UnexpectedEof => "connection closed in the TLS handshake".into(),
        _ => format!("TLS handshake failed: {e}"),
    })
}

fn in_words(e: &Error) -> String {
    match e {
        Error::InvalidCertificate(CertificateError::UnknownIssuer) => {
            "its certificate is signed by nobody we trust (`ca` names whom to trust)".into()
        }
        Error::InvalidCertificate(why) => format!("its certificate is not good: {why}"),
        Error::InvalidMessage(_) => "it does not speak TLS".into(),
        Error::AlertReceived(alert) => match alert {
            AlertDescription::CertificateRequired => {
                "it demands a certificate of us (`cert` and `key` name it)".into()
            }
            AlertDescription::UnrecognisedName => {
                "it does not know the name that it was asked by (`sni` names another)".into()
            }
            AlertDescription::ProtocolVersion => {
                "it speaks no version of TLS that we do (1.2 and 1.3; see `min_version`)".into()
            }
            AlertDescription::NoApplicationProtocol => {
                "it does not speak the HTTP that it was offered (ALPN)".into()
            }
            other => format!("it refused TLS: {other:?}"),
        },
        other => format!("TLS failed: {other}"),
    }
}
