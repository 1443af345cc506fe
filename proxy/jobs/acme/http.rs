//! Requests to the CA: HTTP/1.1 over TLS, one connection for each.
//!
//! An order is a dozen requests every two months, so nothing is kept. Every step has a deadline and every answer a
//! bound. Redirects are not followed: the CA's directory names all that is asked for.

use std::error::Error as StdError;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HOST, RETRY_AFTER};
use http::{HeaderMap, HeaderValue, Request, Response, Uri};
use http_body_util::{BodyExt, Full, Limited};
use hyper_util::rt::TokioIo;
use instant_acme::{BodyWrapper, BytesResponse, Error, HttpClient};
use parking_lot::Mutex;
use tokio::net::{TcpStream, lookup_host};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

use crate::config::checked::Ca;

/// How long a connection with its handshake may take.
const CONNECT: Duration = Duration::from_secs(10);
/// How long a request with its answer may take; a CA that signs slowly answers first and is asked again.
const ANSWER: Duration = Duration::from_secs(30);
/// How long one of its addresses may take to take a connection.
const ADDRESS: Duration = Duration::from_secs(3);
/// Addresses of the CA that are tried.
const ADDRESSES: usize = 4;
/// The largest answer: a directory, a problem or a chain is a few KiB.
const LARGEST: usize = 512 * 1024;

type Failure = Box<dyn StdError + Send + Sync>;

/// Asks the CA.
#[derive(Clone)]
pub struct Client {
    tls: TlsConnector,
    asked: Asked,
}

/// How long the CA asked us to wait, in the last answer that was an error.
#[derive(Debug, Clone, Default)]
pub struct Asked(Arc<Mutex<Option<Duration>>>);

impl Asked {
    /// What it said; it is forgotten with that.
    pub fn take(&self) -> Option<Duration> {
        self.0.lock().take()
    }
}

impl Client {
    /// A client that trusts those in `ca`, or whom the system trusts.
    ///
    /// # Errors
    /// In words, when the system trusts nobody.
    pub fn new(ca: Option<&Ca>) -> Result<Client, String> {
        let mut roots = RootCertStore::empty();
        match ca {
            Some(ca) => drop(roots.add_parsable_certificates(ca.certs.iter().cloned())),
            None => {
                let found = rustls_native_certs::load_native_certs()
                    .map_err(|e| format!("cannot read whom the system trusts: {e}"))?;
                roots.add_parsable_certificates(found);
            }
        }
        if roots.is_empty() {
            return Err("the system trusts nobody: install ca-certificates, or name `ca`".into());
        }
        let mut tls = ClientConfig::builder_with_provider(ring::default_provider().into())
            .with_safe_default_protocol_versions()
            .map_err(|e| format!("cannot speak TLS: {e}"))?
            .with_root_certificates(roots)
            .with_no_client_auth();
        tls.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Client {
            tls: TlsConnector::from(Arc::new(tls)),
            asked: Asked::default(),
        })
    }

    /// How long the CA asks us to wait, as it comes.
    pub fn asked(&self) -> Asked {
        self.asked.clone()
    }

    async fn ask(self, mut request: Request<BodyWrapper<Bytes>>) -> Result<BytesResponse, Error> {
        let uri = request.uri().clone();
        let host = uri.host().unwrap_or_default().to_owned();
        let failed = |why: Failure| Error::Other(format!("{host}: {why}").into());
        let stream = self.connect(&uri).await.map_err(failed)?;
        let authority = uri.authority().map_or("", |authority| authority.as_str());
        let name = HeaderValue::from_str(authority).map_err(|e| failed(e.into()))?;
        request.headers_mut().insert(HOST, name);
        let path = uri.path_and_query().map_or("/", |path| path.as_str());
        *request.uri_mut() = path.parse()?;
        let response = match timeout(ANSWER, exchange(stream, request)).await {
            Ok(done) => done.map_err(failed)?,
            Err(_) => return Err(failed(format!("no answer within {ANSWER:?}").into())),
        };
        if response.status().is_client_error() || response.status().is_server_error() {
            *self.asked.0.lock() = wait(response.headers(), SystemTime::now());
            if !is_problem(response.headers()) {
                return Err(failed(format!("it answered {}", response.status()).into()));
            }
        }
        Ok(response.map(Full::new).into())
    }

    async fn connect(&self, uri: &Uri) -> Result<TlsStream<TcpStream>, Failure> {
        // A name in brackets is an address of IPv6.
        let host = uri.host().unwrap_or_default();
        let host = host.trim_start_matches('[').trim_end_matches(']');
        if uri.scheme_str() != Some("https") {
            return Err(format!("it names {uri}, which is not https").into());
        }
        let name = ServerName::try_from(host.to_owned())?;
        let port = uri.port_u16().unwrap_or(443);
        let found = within("no address", lookup_host((host, port))).await?;
        let stream = reach(found.take(ADDRESSES), ADDRESS).await?;
        within("no handshake", self.tls.connect(name, stream)).await
    }
}

/// What comes of it within [`CONNECT`]; else `what` there was not.
async fn within<T>(what: &str, work: impl Future<Output = io::Result<T>>) -> Result<T, Failure> {
    match timeout(CONNECT, work).await {
        Ok(done) => Ok(done?),
        Err(_) => Err(format!("{what} within {CONNECT:?}").into()),
    }
}

/// A connection to the first of these that takes one within `patience`: one that swallows everything hides no other.
async fn reach(
    addrs: impl Iterator<Item = SocketAddr>,
    patience: Duration,
) -> Result<TcpStream, Failure> {
    let mut last: Failure = "it has no address".into();
    for addr in addrs {
        match timeout(patience, TcpStream::connect(addr)).await {
            Ok(Ok(stream)) => return Ok(stream),
            Ok(Err(why)) => last = format!("{addr}: {why}").into(),
            Err(_) => last = format!("{addr}: no connection within {patience:?}").into(),
        }
    }
    Err(last)
}

impl HttpClient for Client {
    fn request(
        &self,
        request: Request<BodyWrapper<Bytes>>,
    ) -> Pin<Box<dyn Future<Output = Result<BytesResponse, Error>> + Send>> {
        Box::pin(self.clone().ask(request))
    }
}

/// One request and its answer.
async fn exchange(
    stream: TlsStream<TcpStream>,
    request: Request<BodyWrapper<Bytes>>,
) -> Result<Response<Bytes>, Failure> {
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    let answer = async {
        let (parts, body) = sender.send_request(request).await?.into_parts();
        let body = Limited::new(body, LARGEST).collect().await?.to_bytes();
        Ok::<_, Failure>(Response::from_parts(parts, body))
    };
    tokio::pin!(answer);
    tokio::select! {
        biased;
        answered = &mut answer => answered,
        ended = connection => {
            // With its last byte read the connection may end before the answer is looked at.
            ended?;
            answer.await
        }
    }
}

/// Whether an answer says what is wrong in a form that is understood (RFC 9457).
fn is_problem(fields: &HeaderMap) -> bool {
    let kind = fields.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
    kind.is_some_and(|kind| kind.starts_with("application/problem+json"))
}

/// `Retry-After`: seconds, or a date (RFC 9110 §10.2.3).
fn wait(fields: &HeaderMap, now: SystemTime) -> Option<Duration> {
    let word = fields.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = word.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let until = httpdate::parse_http_date(word).ok()?;
    Some(until.duration_since(now).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use super::*;

    #[tokio::test]
    async fn an_address_that_swallows_everything_does_not_hide_the_next_one() {
        let hole = tokio::net::TcpSocket::new_v4().unwrap();
        hole.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let hole = hole.listen(1).unwrap();
        let (hole_at, patience) = (hole.local_addr().unwrap(), Duration::from_millis(100));
        let mut waiting = Vec::new();
        // Until nobody else fits in its queue.
        while let Ok(stream) = reach([hole_at].into_iter(), patience).await {
            waiting.push(stream);
        }
        let good = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let good_at = good.local_addr().unwrap();
        let reached = reach([hole_at, good_at].into_iter(), patience)
            .await
            .unwrap();
        assert_eq!(reached.peer_addr().unwrap(), good_at);
        let failed = reach([hole_at].into_iter(), patience).await.unwrap_err();
        assert!(
            failed.to_string().contains(&hole_at.to_string()),
            "{failed}"
        );
    }

    #[test]
    fn how_long_to_wait_is_seconds_or_a_date() {
        let said = |word: &str| {
            let fields = HeaderMap::from_iter([(RETRY_AFTER, word.parse().unwrap())]);
            wait(&fields, UNIX_EPOCH + Duration::from_secs(784_111_777))
        };
        assert_eq!(said("120"), Some(Duration::from_secs(120)));
        assert_eq!(
            said("Sun, 06 Nov 1994 08:50:37 GMT"),
            Some(Duration::from_secs(60))
        );
        assert_eq!(said("Sun, 06 Nov 1994 08:00:00 GMT"), Some(Duration::ZERO));
        assert_eq!(said("soon"), None);
        assert_eq!(wait(&HeaderMap::new(), UNIX_EPOCH), None);
    }
}
