//! The files that `tls:` of a data port names: certificates, keys, OCSP responses, authorities of clients.
//!
//! Read here, so that a change of one is a change of the configuration. What is in them is for `validate/tls` to judge.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::{Gather, TextFile};
use crate::config::index::At;
use crate::config::schema::File;
use crate::config::schema::listen::Listen;
use crate::config::schema::tls::{Cert, Tls};

/// The files of one port.
#[derive(Default)]
pub struct PortFiles {
    /// Of each entry of `certs`.
    pub certs: Vec<CertFiles>,
    /// `client_ca`
    pub client_ca: Option<TextFile>,
}

/// The files of one certificate; `None`: it names none, or why it cannot be read has been told.
#[derive(Default)]
pub struct CertFiles {
    /// `cert`
    pub cert: Option<TextFile>,
    /// `key`; where it is not given, the same file.
    pub key: Option<Bytes>,
    /// `ocsp`
    pub ocsp: Option<Bytes>,
}

/// A file of any bytes, perhaps secret ones: it has no `Debug`.
pub struct Bytes {
    /// Where it is.
    pub path: PathBuf,
    /// What it holds.
    pub bytes: Arc<[u8]>,
}

/// What to do about a file of a certificate that is not there.
const CERT: &str = "it is the PEM file with the certificate and those that lead to its authority (fullchain.pem of certbot)";
/// The same of a key.
const KEY: &str = "it is the PEM file with the certificate's private key (privkey.pem of certbot)";
/// The same of an OCSP response.
const OCSP: &str = "fetch one with `openssl ocsp -respout FILE …`, or remove `ocsp`";

impl Gather<'_> {
    /// The files that each port names, in the order of `listen`.
    pub(super) fn listen_files(&mut self, file: &File, at: &At, base: &Path) -> Vec<PortFiles> {
        let ports = file.listen.iter().flatten().enumerate();
        ports
            .map(|(i, port): (usize, &Option<Listen>)| {
                let tls = port.as_ref().and_then(|port| port.tls.as_ref());
                let at = at.item(i).key("tls");
                tls.map(|tls| self.port_files(tls, &at, base))
                    .unwrap_or_default()
            })
            .collect()
    }

    fn port_files(&mut self, tls: &Tls, at: &At, base: &Path) -> PortFiles {
        let certs = tls.certs.iter().flatten().enumerate();
        PortFiles {
            certs: certs
                .map(|(i, cert)| match cert {
                    Some(cert) => self.cert_files(cert, &at.key("certs").item(i), base),
                    None => CertFiles::default(),
                })
                .collect(),
            client_ca: (tls.client_ca.as_ref())
                .and_then(|ca| self.text_file(ca, &at.key("client_ca"), base)),
        }
    }

    fn cert_files(&mut self, cert: &Cert, at: &At, base: &Path) -> CertFiles {
        let mut bytes = |name: &str, file: Option<&String>, help| {
            let path = base.join(file?);
            match self.sources.shared(&path, &at.key(name).place(), help) {
                Ok(bytes) => Some(Bytes { path, bytes }),
                Err(problem) => {
                    self.problems.push(*problem);
                    None
                }
            }
        };
        let chain = bytes("cert", cert.cert.as_ref(), CERT);
        let key = match &cert.key {
            Some(key) => bytes("key", Some(key), KEY),
            None => chain.as_ref().map(|chain| Bytes {
                path: chain.path.clone(),
                bytes: chain.bytes.clone(),
            }),
        };
        let ocsp = bytes("ocsp", cert.ocsp.as_ref(), OCSP);
        CertFiles {
            // What is no text is told apart where it is read as PEM.
            cert: chain.map(|chain| TextFile {
                path: chain.path,
                text: String::from_utf8_lossy(&chain.bytes).into_owned(),
            }),
            key,
            ocsp,
        }
    }
}
