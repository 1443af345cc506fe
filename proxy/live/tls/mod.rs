//! How each data port of a generation speaks TLS, ready made.
//!
//! A port whose `tls` stays the same keeps all of it over a reload. What sessions are resumed by is kept longer: until
//! other clients are let in, because who resumes is not asked for a certificate again. It is never shared between ports,
//! or a session of one that asks for no certificate would open one that does.

mod names;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use tokio_rustls::rustls::crypto::{CryptoProvider, ring};
use tokio_rustls::rustls::server::{
    NoServerSessionStorage, ProducesTickets, ServerConfig, WebPkiClientVerifier,
};
use tokio_rustls::rustls::sign::{CertifiedKey, SingleCertAndKey};
use tokio_rustls::rustls::{RootCertStore, SupportedProtocolVersion, version};

pub use names::Names;

use super::doors::OpenPort;
use super::issued::Issued;
use super::snapshot::Snapshot;
use crate::config::checked::{ClientAuth, Config, ListenTls, TlsVersion};

/// The protocol in which a certificate authority proves that a name is ours (RFC 8737 §6.2).
pub const ACME_TLS: &[u8] = b"acme-tls/1";

/// How the ports of a generation speak TLS.
#[derive(Debug, Default)]
pub struct TlsPorts(Vec<(SocketAddr, Option<Arc<PortTls>>)>);

/// How one port does.
#[derive(Debug)]
pub struct PortTls {
    /// What the file says.
    pub rules: Arc<ListenTls>,
    /// What handshakes are made with.
    pub config: Arc<ServerConfig>,
    /// Who gets which certificate.
    pub names: Arc<Names>,
    tickets: Option<Arc<dyn ProducesTickets>>,
}

impl TlsPorts {
    /// Those of `config`. A port that is in use in `previous` and no longer named stays as it was: it is open until a
    /// restart.
    ///
    /// # Errors
    /// When the system has no random numbers to give.
    pub fn new(
        config: &Config,
        previous: Option<&Snapshot>,
        issued: &Arc<Issued>,
    ) -> io::Result<Self> {
        let before = previous.map(|p| p.tls.0.as_slice()).unwrap_or_default();
        let mut ports = Vec::with_capacity(config.listen.len());
        for listen in &config.listen {
            let old = before.iter().find(|(addr, _)| *addr == listen.addr);
            let old = old.and_then(|(_, tls)| tls.as_ref());
            let tls = match (&listen.tls, old) {
                (None, _) => None,
                (Some(rules), Some(old)) if old.rules == *rules => Some(old.clone()),
                (Some(rules), old) => Some(Arc::new(PortTls::new(
                    rules,
                    old.map(|old| &**old),
                    issued,
                )?)),
            };
            ports.push((listen.addr, tls));
        }
        let is_named = |addr: &SocketAddr| config.listen.iter().any(|l| l.addr == *addr);
        let left = before.iter().filter(|(addr, _)| !is_named(addr)).cloned();
        ports.extend(left);
        Ok(TlsPorts(ports))
    }

    /// Those that speak it, each with its address.
    pub fn all(&self) -> impl Iterator<Item = (SocketAddr, &PortTls)> {
        self.0
            .iter()
            .filter_map(|(addr, tls)| Some((*addr, tls.as_deref()?)))
    }

    /// How a port speaks TLS; `None`: it does not.
    pub fn of(&self, open: &OpenPort) -> Option<&Arc<PortTls>> {
        let same = |(addr, _): &&(SocketAddr, Option<Arc<PortTls>>)| *addr == open.addr();
        let here = self.0.get(open.at()).filter(same);
        let here = here.or_else(|| self.0.iter().find(same));
        here.and_then(|(_, tls)| tls.as_ref())
    }
}

impl PortTls {
    fn new(
        rules: &Arc<ListenTls>,
        old: Option<&PortTls>,
        issued: &Arc<Issued>,
    ) -> io::Result<Self> {
        let names = Arc::new(Names::new(rules, issued.clone()));
        let kept = old.filter(|old| old.rules.clients == rules.clients);
        let tickets = match rules.tickets {
            false => None,
            true => match kept.and_then(|old| old.tickets.clone()) {
                Some(tickets) => Some(tickets),
                None => Some(ring::Ticketer::new().map_err(io::Error::other)?),
            },
        };
        let provider = Arc::new(ring::default_provider());
        let versions: &[&SupportedProtocolVersion] = match rules.min_version {
            TlsVersion::V12 => &[&version::TLS13, &version::TLS12],
            TlsVersion::V13 => &[&version::TLS13],
        };
        let builder = ServerConfig::builder_with_provider(provider.clone())
            .with_protocol_versions(versions)
            .map_err(io::Error::other)?;
        let mut config = match &rules.clients {
            None => builder.with_no_client_auth(),
            Some(clients) => builder.with_client_cert_verifier(verifier(clients, provider)?),
        }
        .with_cert_resolver(names.clone());
        config.alpn_protocols = rules.alpn.iter().map(|p| p.as_str().into()).collect();
        // Sessions are resumed by what the client keeps: the process remembers nobody.
        config.session_storage = Arc::new(NoServerSessionStorage {});
        match &tickets {
            Some(tickets) => config.ticketer = tickets.clone(),
            None => config.send_tls13_tickets = 0,
        }
        Ok(PortTls {
            rules: rules.clone(),
            config: Arc::new(config),
            names,
            tickets,
        })
    }
}

/// Who believes the certificates of clients.
fn verifier(
    clients: &ClientAuth,
    provider: Arc<CryptoProvider>,
) -> io::Result<Arc<dyn tokio_rustls::rustls::server::danger::ClientCertVerifier>> {
    let mut roots = RootCertStore::empty();
    for cert in &*clients.ca.certs {
        roots.add(cert.clone()).map_err(io::Error::other)?;
    }
    let builder = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
    let builder = match clients.required {
        true => builder,
        false => builder.allow_unauthenticated(),
    };
    builder.build().map_err(io::Error::other)
}

/// What a handshake is made with that proves to an authority that a name is ours (RFC 8737 §3): for this one certificate
/// and protocol, and nothing else.
///
/// # Errors
/// When no version of TLS is there, which does not happen.
pub fn challenge(key: Arc<CertifiedKey>) -> io::Result<Arc<ServerConfig>> {
    let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_protocol_versions(&[&version::TLS13, &version::TLS12])
        .map_err(io::Error::other)?
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(SingleCertAndKey::from(key)));
    config.alpn_protocols = vec![ACME_TLS.into()];
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    Ok(Arc::new(config))
}
