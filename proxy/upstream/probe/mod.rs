//! One health probe: ask a node once and say what came of it.
//!
//! Every probe opens its own connection, because an old one can hide a node that takes no new ones. What is sent, and
//! whom to trust, is worked out once for all probes of a kind. Nothing here decides what a result means for the node:
//! that is `balance/node`.

use std::net::SocketAddr;
use std::time::Duration;

use http::HeaderValue;
use tokio::time::timeout;

use super::tls::Protocol;
use crate::config::checked::{Asking, Probe};

/// What a node says of itself.
pub mod agent;
/// The gRPC health protocol.
mod grpc;
/// Requests and their answers.
mod http1;
/// What the gRPC health protocol says, as bytes.
mod message;
/// Connections, with or without TLS.
mod stream;

use agent::Said;
use stream::Opening;

/// What came of one probe.
#[derive(Debug)]
pub struct Outcome {
    /// `Err` says what went wrong, in words for the operator.
    pub verdict: Result<(), String>,
    /// What the node says of itself; `None` where it gave no HTTP answer.
    pub said: Option<Said>,
}

/// Asks one node in one way, again and again.
pub struct Prober {
    addr: SocketAddr,
    opening: Opening,
    ask: Ask,
    limit: Duration,
}

enum Ask {
    Tcp,
    Http(http1::Question),
    Grpc(grpc::Question),
}

impl Prober {
    /// Prepares the probes of the node at `addr`.
    pub fn new(addr: SocketAddr, asking: &Asking) -> Self {
        let addr = SocketAddr::new(addr.ip(), asking.port.unwrap_or(addr.port()));
        let host = match &asking.host {
            Some(host) => host.clone(),
            None => HeaderValue::from_str(&addr.to_string())
                .expect("invariant: a socket address prints as digits, dots, colons and brackets"),
        };
        let (ask, protocol) = match &asking.probe {
            Probe::Tcp => (Ask::Tcp, Protocol::Unnamed),
            Probe::Http(probe) => {
                let question = http1::Question::new(probe, &host, &asking.headers);
                (Ask::Http(question), Protocol::Http1)
            }
            Probe::Grpc { service } => {
                let tls = asking.tls.is_some();
                let question = grpc::Question::new(service, &host, &asking.headers, tls);
                (Ask::Grpc(question), Protocol::Http2)
            }
        };
        Prober {
            addr,
            opening: Opening::new(
                (asking.tls.as_ref(), asking.proxy_protocol),
                asking.host.as_ref(),
                addr.ip(),
                protocol,
            ),
            ask,
            limit: asking.timeout,
        }
    }

    /// Asks once.
    pub async fn probe(&self) -> Outcome {
        let failed = |why| Outcome {
            verdict: Err(why),
            said: None,
        };
        let asked = async {
            let stream = match self.opening.open(self.addr).await {
                Ok(stream) => stream,
                Err(why) => return failed(why),
            };
            match &self.ask {
                Ask::Tcp => Outcome {
                    verdict: Ok(()),
                    said: None,
                },
                Ask::Http(question) => question.ask(stream).await,
                Ask::Grpc(question) => Outcome {
                    verdict: question.ask(stream).await,
                    said: None,
                },
            }
        };
        timeout(self.limit, asked)
            .await
            .unwrap_or_else(|_| failed(format!("no answer within {:?}", self.limit)))
    }
}
