//! How a probe speaks TLS, and whom it believes.
//!
//! A file of authorities is judged here to the last certificate: what is wrong with it must not first be seen when
//! every node fails its checks.

use tokio_rustls::rustls::RootCertStore;
use tokio_rustls::rustls::pki_types::CertificateDer;
use tokio_rustls::rustls::pki_types::pem::{self, PemObject};

use super::ProbeType;
use crate::config::checked::{Ca, NodeTls};
use crate::config::defaults;
use crate::config::files::TextFile;
use crate::config::index::At;
use crate::config::problem::{Problem, Problems};
use crate::config::schema::health::HealthKeys;
use crate::config::validate::words;

/// Reads `tls`, `verify` and `ca`; `None` where no TLS is spoken. What is not said is `as_requests` do.
pub fn check(
    keys: &HealthKeys,
    kind: ProbeType,
    as_requests: Option<&NodeTls>,
    file: Option<&TextFile>,
    at: &At,
    problems: &mut Problems,
) -> Option<NodeTls> {
    let https = kind == ProbeType::Https;
    let usual = https || as_requests.is_some();
    let on = words::flag(keys.tls.as_deref(), &at.key("tls"), usual, problems);
    if https && !on {
        let what = "`tls: false` beside `type: https`";
        let problem = Problem::error(at.key("tls").place(), what);
        problems.push(problem.help("write `type: http`, or remove `tls`"));
    }
    let verify = words::flag(
        keys.verify.as_deref(),
        &at.key("verify"),
        as_requests.map_or(defaults::HEALTH_VERIFY, |tls| tls.verify),
        problems,
    );
    if !on {
        for (name, given) in [("verify", keys.verify.is_some()), ("ca", keys.ca.is_some())] {
            if given {
                let what = format!("`{name}` does nothing without TLS");
                let problem = Problem::warning(at.key(name).key_place(), what);
                problems.push(problem.help(format!("add `tls: true`, or remove `{name}`")));
            }
        }
        return None;
    }
    if !verify && keys.ca.is_some() {
        let what = "`ca` does nothing beside `verify: false`";
        let problem = Problem::warning(at.key("ca").key_place(), what);
        problems.push(problem.help("remove `verify: false`: with the right `ca` it is not needed"));
    }
    let ca = file.and_then(|file| authorities(file, &at.key("ca"), problems));
    let like = as_requests.cloned().unwrap_or_default();
    Some(NodeTls {
        verify,
        ca: ca.or(like.ca),
        ..like
    })
}

/// The certificates of a file; `None` when one of them is none, which is told.
pub fn authorities(file: &TextFile, at: &At, problems: &mut Problems) -> Option<Ca> {
    let name = file.path.display();
    let mut refuse = |what: String| {
        let help = "name a PEM file with the certificates of those who sign, each between its BEGIN and END lines";
        problems.push(Problem::error(at.place(), what).help(help));
        None
    };
    let certs: Result<Vec<CertificateDer<'static>>, _> =
        CertificateDer::pem_slice_iter(file.text.as_bytes()).collect();
    let certs = match certs {
        Ok(certs) if certs.is_empty() => {
            return refuse(format!("there is no certificate in {name}"));
        }
        Ok(certs) => certs,
        Err(pem::Error::MissingSectionEnd { .. }) => {
            return refuse(format!(
                "{name} is cut: a certificate in it has no END line"
            ));
        }
        Err(_) => return refuse(format!("{name} is not a PEM file, or a damaged one")),
    };
    let mut roots = RootCertStore::empty();
    for (i, cert) in certs.iter().enumerate() {
        if roots.add(cert.clone()).is_err() {
            let nth = i + 1;
            return refuse(format!(
                "certificate {nth} in {name} is damaged, or none (X.509)"
            ));
        }
    }
    Some(Ca {
        path: file.path.clone(),
        certs: certs.into(),
    })
}
