//! The connection of one probe, with or without TLS.
//!
//! Whom to trust is worked out once for all probes of a kind: reading the system's certificates is slow. A node whose
//! certificate is not good is never asked anything.

use std::io::ErrorKind;
use std::net::{IpAddr, SocketAddr};

use http::HeaderValue;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::config::checked::{NodeTls, ProxyProtocol};
use crate::upstream::tls::{Dial, Protocol, Speaker, of_handshake};
use crate::wire::announce;

/// What a probe speaks over.
pub trait Wire: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Wire for T {}

/// How the connection of a probe is opened.
#[derive(Clone)]
pub struct Opening {
    tls: Option<Dial>,
    /// What a node that is told whose connection comes is told of this one: nobody's.
    prelude: Option<Vec<u8>>,
}

impl Opening {
    /// Prepares it for the node at `ip`, which is told of nobody where it expects to be told. `protocol` is what is spoken over TLS; the certificate must be for the name that
    /// `tls` has, else for that of `host`, which may have a port, else for the address.
    pub fn new(
        (tls, told): (Option<&NodeTls>, Option<ProxyProtocol>),
        host: Option<&HeaderValue>,
        ip: IpAddr,
        protocol: Protocol,
    ) -> Self {
        let host = host.and_then(name_of);
        Opening {
            tls: tls.map(|tls| Speaker::new(tls, protocol).each_anew(host.as_deref(), ip)),
            prelude: told.map(|version| match version {
                ProxyProtocol::V1 => announce::v1_own(),
                ProxyProtocol::V2 => announce::v2_own(),
            }),
        }
    }

    /// Connects. `Err` says what went wrong, in words for the operator.
    pub async fn open(&self, addr: SocketAddr) -> Result<Box<dyn Wire>, String> {
        let mut stream = TcpStream::connect(addr).await.map_err(|e| match e.kind() {
            ErrorKind::ConnectionRefused => "connection refused".to_string(),
            ErrorKind::NetworkUnreachable | ErrorKind::HostUnreachable => {
                "no route to host".to_string()
            }
            _ => format!("cannot connect: {e}"),
        })?;
        // A probe is one small packet: without this it could wait for an acknowledgement.
        let _ = stream.set_nodelay(true);
        if let Some(prelude) = &self.prelude {
            let sent = stream.write_all(prelude).await;
            sent.map_err(|e| format!("cannot be told whose connection it is: {e}"))?;
        }
        let Some(tls) = &self.tls else {
            return Ok(Box::new(stream));
        };
        let stream = tls.shake(stream).await;
        Ok(Box::new(stream.map_err(|e| of_handshake(&e))?))
    }
}

/// The name in a host, without its port.
fn name_of(host: &HeaderValue) -> Option<String> {
    let authority: http::uri::Authority = host.to_str().ok()?.parse().ok()?;
    Some(authority.host().trim_matches(['[', ']']).to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_of_a_host_has_no_port_and_no_brackets() {
        let name = |host: &'static str| name_of(&HeaderValue::from_static(host));
        assert_eq!(name("app.internal").unwrap(), "app.internal");
        assert_eq!(name("app.internal:8443").unwrap(), "app.internal");
        assert_eq!(name("[::1]:8443").unwrap(), "::1");
    }
}
