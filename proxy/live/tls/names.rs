//! Which certificate a client gets, by the name it asks for (SNI, RFC 6066 §3).
//!
//! In this order: a certificate of the file for exactly this name, one that was issued for it, one of the file for all
//! names like it (`*.example.com` stands for one label, RFC 9525 §6.3), the first of the file. Of several for the same
//! names the client gets one that it can verify, ECDSA before RSA: it costs us a tenth. What was issued counts where
//! this port's `acme` asks for the name, and nowhere else: nobody renews what nobody asks for.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use smallvec::SmallVec;
use tokio_rustls::rustls::SignatureScheme;
use tokio_rustls::rustls::server::{ClientHello, ResolvesServerCert};
use tokio_rustls::rustls::sign::CertifiedKey;

use crate::base::certificate::KeyKind;
use crate::config::checked::{Certificate, ListenTls, UnknownNames};
use crate::live::issued::Issued;

/// Certificates of the same name, the most wanted first; two in most cases where there is more than one.
type Keys = SmallVec<[Arc<CertifiedKey>; 2]>;

/// Who gets which certificate on a port.
#[derive(Debug)]
pub struct Names {
    exact: HashMap<String, Keys>,
    /// `*.example.com` as `example.com`.
    wild: HashMap<String, Keys>,
    first: Keys,
    issued: Arc<Issued>,
    /// The names whose certificates the port orders.
    ordered: HashSet<String>,
    refuses: bool,
}

impl Names {
    /// Those of the certificates of `rules`, and of what is `issued`.
    pub fn new(rules: &ListenTls, issued: Arc<Issued>) -> Self {
        // A stable order: of the same kind, the one that stands first in the file.
        let mut certs: Vec<&Certificate> = rules.certs.iter().map(|cert| &**cert).collect();
        certs.sort_by_key(|cert| cert.facts.key != KeyKind::Ecdsa);
        let (mut exact, mut wild) = (HashMap::new(), HashMap::new());
        for cert in &certs {
            for name in &cert.facts.names {
                let (map, name): (&mut HashMap<String, Keys>, &str) = match name.strip_prefix("*.")
                {
                    Some(under) => (&mut wild, under),
                    None => (&mut exact, name),
                };
                map.entry(name.to_owned())
                    .or_default()
                    .push(cert.key.clone());
            }
        }
        let like_first = |cert: &&Certificate| {
            let first = rules.certs.first();
            first.is_some_and(|first| same_names(first, cert))
        };
        Names {
            first: (certs.iter().copied())
                .filter(like_first)
                .map(|cert| cert.key.clone())
                .collect(),
            exact,
            wild,
            issued,
            ordered: rules.acme.iter().cloned().collect(),
            refuses: rules.unknown_names == UnknownNames::Refuse,
        }
    }

    /// Whether who asks for `name`, which is in lower case, is refused; `None` asks for none.
    pub fn refuses(&self, name: Option<&str>) -> bool {
        self.refuses
            && name.is_none_or(|name| self.keys(name).is_none() && self.issued_for(name).is_none())
    }

    /// What proves to an authority that `name` is ours, where that is under way.
    pub fn challenge(&self, name: &str) -> Option<Arc<CertifiedKey>> {
        self.issued.find_challenge(name)
    }

    /// The certificate for who asks for `name` and can verify these signatures; `None`: there is none at all.
    pub fn pick(
        &self,
        name: Option<&str>,
        schemes: &[SignatureScheme],
    ) -> Option<Arc<CertifiedKey>> {
        if let Some(name) = name {
            if let Some(keys) = self.exact.get(name) {
                return best(keys, schemes);
            }
            if let Some(issued) = self.issued_for(name) {
                return Some(issued);
            }
            if let Some(keys) = self.keys(name) {
                return best(keys, schemes);
            }
        }
        best(&self.first, schemes)
    }

    /// Those of the file for a name.
    fn keys(&self, name: &str) -> Option<&Keys> {
        let wild = || {
            let (_, under) = name.split_once('.')?;
            self.wild.get(under)
        };
        self.exact.get(name).or_else(wild)
    }

    /// What was issued for a name that this port orders.
    fn issued_for(&self, name: &str) -> Option<Arc<CertifiedKey>> {
        match self.ordered.contains(name) {
            true => self.issued.find(name),
            false => None,
        }
    }
}

impl ResolvesServerCert for Names {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let name = hello.server_name();
        // Few clients write a name otherwise.
        let lower = name.filter(|name| name.bytes().any(|b| b.is_ascii_uppercase()));
        let lower = lower.map(str::to_ascii_lowercase);
        self.pick(lower.as_deref().or(name), hello.signature_schemes())
    }
}

fn same_names(one: &Certificate, other: &Certificate) -> bool {
    let sorted = |cert: &Certificate| {
        let mut names = cert.facts.names.clone();
        names.sort_unstable();
        names
    };
    sorted(one) == sorted(other)
}

/// The first that a client can verify. Where it can verify none the handshake has to say so: with the first.
fn best(keys: &Keys, schemes: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
    let fits = |key: &&Arc<CertifiedKey>| key.key.choose_scheme(schemes).is_some();
    keys.iter().find(fits).or_else(|| keys.first()).cloned()
}
