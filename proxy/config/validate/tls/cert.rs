//! One certificate with its key and what is stapled to it.
//!
//! Everything that would make clients refuse it, and can be seen without a clock, is an error with its remedy here. No
//! message may hold anything of a key.

use std::path::Path;
use std::sync::Arc;

use tokio_rustls::rustls::crypto::ring::sign::any_supported_type;
use tokio_rustls::rustls::pki_types::pem::{self, PemObject};
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::sign::{CertifiedKey, SigningKey};
use xxhash_rust::xxh3::Xxh3;

use crate::base::certificate::{Facts, KeyKind};
use crate::config::checked::Certificate;
use crate::config::files::{Bytes, CertFiles, TextFile};
use crate::config::index::At;
use crate::config::problem::{Problem, Problems};
use crate::config::schema::tls::Cert;
use crate::config::validate::health::tls::certificates;

/// What is wrong, and what to do about it.
type Wrong = (String, &'static str);

/// The fewest bits of an RSA key (NIST SP 800-131A).
const LEAST_RSA: usize = 2_048;

/// Reads an entry of `certs:`.
pub fn check(
    entry: &Cert,
    files: Option<&CertFiles>,
    at: &At,
    problems: &mut Problems,
) -> Option<Certificate> {
    if entry.cert.is_none() && !at.key("cert").given() {
        let problem = Problem::error(at.place(), "this entry of `certs` has no `cert`");
        problems.missing(
            "cert",
            problem.help("write `{ cert: site.pem, key: site.key }`"),
        );
    }
    let files = files?;
    let file = files.cert.as_ref()?;
    let cert_at = at.key("cert");
    let key_at = match at.key("key").given() {
        true => at.key("key"),
        false => cert_at.clone(),
    };
    let mut refuse = |at: &At, (what, help): Wrong| {
        problems.push(Problem::error(at.place(), what).help(help));
    };
    let chain = read_chain(file).map_err(|what| refuse(&cert_at, (what, CERT_HELP)));
    let key = match &files.key {
        Some(file) => signing_key(file, at.key("key").given())
            .map_err(|wrong| refuse(&key_at, wrong))
            .ok(),
        None => None,
    };
    let ocsp = files.ocsp.as_ref().map(response).transpose();
    let ocsp = ocsp.map_err(|wrong| refuse(&at.key("ocsp"), wrong)).ok();
    let (Ok((chain, facts)), Some(key), Some(ocsp)) = (chain, key, ocsp) else {
        return None;
    };
    if let Err(wrong) = fits(&chain, &key, &file.path) {
        refuse(&key_at, wrong);
        return None;
    }
    if let Err(wrong) = order(&facts, &file.path).and_then(|()| strength(&facts[0], &file.path)) {
        refuse(&cert_at, wrong);
        return None;
    }
    let facts = facts.into_iter().next()?;
    if facts.names.is_empty() {
        let what = format!(
            "the certificate in {} is for no name (subjectAltName)",
            name(&file.path)
        );
        let help = "no client believes it when it asks for a name; the name of its subject does not count any more (RFC 9525)";
        problems.push(Problem::warning(cert_at.place(), what).help(help));
    }
    let files_key = files.key.as_ref()?;
    Some(Certificate {
        path: file.path.clone(),
        key_path: files_key.path.clone(),
        ocsp_path: files.ocsp.as_ref().map(|file| file.path.clone()),
        facts,
        print: print([
            file.text.as_bytes(),
            &files_key.bytes,
            ocsp.as_deref().unwrap_or_default(),
        ]),
        key: Arc::new(CertifiedKey {
            ocsp,
            ..CertifiedKey::new(chain, key)
        }),
    })
}

const CERT_HELP: &str = "name a PEM file with the certificate first and those that lead to its authority behind it (fullchain.pem of certbot)";

fn name(path: &Path) -> std::path::Display<'_> {
    path.display()
}

/// The certificates of a file and what they say.
fn read_chain(file: &TextFile) -> Result<(Vec<CertificateDer<'static>>, Vec<Facts>), String> {
    let chain = certificates(file)?;
    let damaged = |i| {
        let nth = i + 1;
        format!(
            "certificate {nth} in {} is damaged, or none (X.509)",
            name(&file.path)
        )
    };
    let facts = (chain.iter().enumerate())
        .map(|(i, der)| Facts::read(der).ok_or_else(|| damaged(i)))
        .collect::<Result<_, String>>()?;
    Ok((chain, facts))
}

/// The key of a file. `named`: it has a file of its own.
fn signing_key(file: &Bytes, named: bool) -> Result<Arc<dyn SigningKey>, Wrong> {
    let name = name(&file.path);
    let none = || match named {
        true => (
            format!("there is no private key in {name}"),
            "name the PEM file with the private key of this certificate (privkey.pem of certbot)",
        ),
        false => (
            format!("`key` is missing, and there is no private key in {name}"),
            "add `key: FILE`, the PEM file with the private key of this certificate",
        ),
    };
    let is_encrypted = memchr::memmem::find(&file.bytes, b"ENCRYPTED").is_some();
    let key = match PrivateKeyDer::from_pem_slice(&file.bytes) {
        Ok(key) => key,
        Err(_) if is_encrypted => {
            return Err((
                format!("the key in {name} is locked with a passphrase, which nobody could type"),
                "unlock it with `openssl pkey -in FILE -out NEW`, and let only the user that runs tidegate read it",
            ));
        }
        Err(pem::Error::NoItemsFound) => return Err(none()),
        Err(_) => {
            return Err((
                format!("the key in {name} is damaged: it is not PEM to its END line"),
                "copy the file again, or make a new key and have its certificate issued",
            ));
        }
    };
    any_supported_type(&key).map_err(|_| {
        (
            format!("the key in {name} cannot be used: it is damaged, too weak, or of a kind that is not spoken"),
            "use ECDSA on P-256 or P-384, Ed25519, or RSA with 2048 to 4096 bits",
        )
    })
}

/// Whether the key is that of the first certificate.
fn fits(
    chain: &[CertificateDer<'static>],
    key: &Arc<dyn SigningKey>,
    path: &Path,
) -> Result<(), Wrong> {
    let is_of = |cert: &CertificateDer<'static>| {
        CertifiedKey::new(vec![cert.clone()], key.clone())
            .keys_match()
            .is_ok()
    };
    let fits = chain.iter().position(is_of);
    let name = name(path);
    match fits {
        Some(0) => Ok(()),
        Some(at) => Err((
            format!(
                "the certificates in {name} stand in the wrong order: the key is that of number {}",
                at + 1
            ),
            CERT_HELP,
        )),
        None => Err((
            format!("the key does not fit the certificate in {name}"),
            "after a renewal both files have to be replaced; compare `openssl x509 -noout -pubkey -in CERT` with `openssl pkey -pubout -in KEY`",
        )),
    }
}

/// Whether each certificate is followed by that of who signed it.
fn order(facts: &[Facts], path: &Path) -> Result<(), Wrong> {
    let broken = facts
        .windows(2)
        .position(|pair| !pair[0].is_issued_by(&pair[1]));
    let Some(at) = broken else { return Ok(()) };
    Err((
        format!(
            "the certificates in {} are no chain: number {} ({}) did not sign number {} ({}, signed by {})",
            name(path),
            at + 2,
            facts[at + 1].subject,
            at + 1,
            facts[at].subject,
            facts[at].issuer
        ),
        CERT_HELP,
    ))
}

/// Whether clients of today believe a certificate like this.
fn strength(facts: &Facts, path: &Path) -> Result<(), Wrong> {
    let name = name(path);
    match facts.key {
        KeyKind::Rsa(bits) if bits < LEAST_RSA => Err((
            format!("the key of the certificate in {name} has {bits} bits: it can be broken"),
            "make a new key (`openssl ecparam -name prime256v1 -genkey -noout -out site.key`) and have its certificate issued",
        )),
        _ if facts.is_weakly_signed && !facts.is_self_issued => Err((
            format!(
                "the certificate in {name} is signed with SHA-1 or MD5, which no client believes"
            ),
            "have it issued again",
        )),
        _ => Ok(()),
    }
}

/// An OCSP response that says something (RFC 6960 §4.2.1: a sequence that begins with the status `successful`).
fn response(file: &Bytes) -> Result<Vec<u8>, Wrong> {
    let bytes = &file.bytes;
    let header = match bytes.get(1) {
        Some(short) if *short < 0x80 => 2,
        Some(long) => 2 + usize::from(long & 0x7f),
        None => 0,
    };
    let help = "fetch a new one with `openssl ocsp -respout FILE …` in DER form, or remove `ocsp`";
    match bytes.get(header..header.saturating_add(3)) {
        Some([0x0a, 1, 0]) if bytes[0] == 0x30 => Ok(bytes.to_vec()),
        Some([0x0a, 1, _]) if bytes[0] == 0x30 => Err((
            format!(
                "the OCSP response in {} says only that there is none",
                name(&file.path)
            ),
            help,
        )),
        _ => Err((format!("{} is no OCSP response", name(&file.path)), help)),
    }
}

/// One number for the bytes of several files.
fn print(files: [&[u8]; 3]) -> u128 {
    let mut hash = Xxh3::new();
    for file in files {
        hash.update(&(file.len() as u64).to_le_bytes());
        hash.update(file);
    }
    hash.digest128()
}
