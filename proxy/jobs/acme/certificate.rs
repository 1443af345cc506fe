//! A certificate with its key, as it is kept: one text in PEM, the key first.
//!
//! Judged before anybody gets it: it is for the names that are wanted, the key fits, and its dates can be read. Nothing
//! here may show a key.

use std::fmt;
use std::sync::Arc;

use instant_acme::CertificateIdentifier;
use tokio_rustls::rustls::SignatureScheme;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, Der, PrivateKeyDer};
use tokio_rustls::rustls::sign::CertifiedKey;

use super::plan::{self, Life};
use crate::base::certificate::{Facts, known_by};
use crate::config::checked::AcmeKey;

/// More certificates than this no chain has.
const LONGEST_CHAIN: usize = 10;

/// A certificate that can be served.
#[derive(Clone)]
pub struct Certificate {
    /// How long it holds.
    pub life: Life,
    /// From 0 to 1, the same for this certificate everywhere.
    pub luck: f64,
    /// What handshakes get.
    pub certified: Arc<CertifiedKey>,
    /// Its kind of key; `None`: one that we do not ask for.
    pub key: Option<AcmeKey>,
    /// What the CA knows it by (RFC 9773 §4.1), where it has told us.
    pub id: Option<CertificateIdentifier<'static>>,
    /// Key and chain in PEM.
    pem: Arc<str>,
}

impl fmt::Debug for Certificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Certificate")
            .field("life", &self.life)
            .finish_non_exhaustive()
    }
}

impl Certificate {
    /// Reads key and chain in PEM, which must be for all of `names`.
    ///
    /// # Errors
    /// In words, when it cannot be served.
    pub fn read(pem: &str, names: &[String]) -> Result<Certificate, String> {
        let key = PrivateKeyDer::from_pem_slice(pem.as_bytes())
            .map_err(|_| "there is no private key in it".to_owned())?;
        let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_slice_iter(pem.as_bytes())
            .take(LONGEST_CHAIN)
            .collect::<Result<_, _>>()
            .map_err(|_| "a certificate in it is damaged".to_owned())?;
        let leaf = chain
            .first()
            .ok_or("there is no certificate in it")?
            .clone();
        if !pem.trim_end().ends_with("-----END CERTIFICATE-----") {
            return Err("it is cut, or something stands behind its certificates".into());
        }
        let facts = Facts::read(&leaf).ok_or("its first certificate is damaged")?;
        let is_for = |name: &&String| facts.names.contains(&name.to_ascii_lowercase());
        if let Some(missing) = names.iter().find(|name| !is_for(name)) {
            return Err(format!("it is not for {missing}"));
        }
        let life = Life {
            from: facts.not_before,
            until: facts.not_after,
        };
        let id = known_by(&leaf).map(|(signer, serial)| {
            CertificateIdentifier::new(Der::from(signer), Der::from(serial)).into_owned()
        });
        let luck = plan::luck(&leaf);
        let certified = CertifiedKey::from_der(chain, key, &ring::default_provider())
            .map_err(|e| format!("its key cannot be used: {e}"))?;
        let signs = |scheme| certified.key.choose_scheme(&[scheme]).is_some();
        let key = if signs(SignatureScheme::ECDSA_NISTP256_SHA256) {
            Some(AcmeKey::EcdsaP256)
        } else if signs(SignatureScheme::ECDSA_NISTP384_SHA384) {
            Some(AcmeKey::EcdsaP384)
        } else {
            None
        };
        Ok(Certificate {
            life,
            luck,
            certified: Arc::new(certified),
            key,
            id,
            pem: pem.into(),
        })
    }

    /// Key and chain, to be kept where nobody else reads.
    pub fn pem(&self) -> &str {
        &self.pem
    }
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, KeyPair, PKCS_ECDSA_P384_SHA384, date_time_ymd};

    use super::*;

    fn made(names: &[&str], key: &KeyPair) -> String {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let mut params = CertificateParams::new(names).unwrap();
        params.not_before = date_time_ymd(2026, 1, 1);
        params.not_after = date_time_ymd(2026, 4, 1);
        params.self_signed(key).unwrap().pem()
    }

    fn wanted(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn it_is_read_with_its_dates_and_its_kind_of_key() {
        let key = KeyPair::generate().unwrap();
        let pem = key.serialize_pem() + &made(&["a.test", "b.test"], &key);
        let read = Certificate::read(&pem, &wanted(&["b.test", "A.test"])).unwrap();
        let lasts = read.life.until.duration_since(read.life.from).unwrap();
        assert_eq!(lasts.as_secs(), 90 * 24 * 3_600);
        assert_eq!(read.key, Some(AcmeKey::EcdsaP256));
        assert_eq!(read.pem(), pem);
        assert!(!format!("{read:?}").contains("PRIVATE"));
        let key = KeyPair::generate_for(&PKCS_ECDSA_P384_SHA384).unwrap();
        let pem = key.serialize_pem() + &made(&["a.test"], &key);
        let read = Certificate::read(&pem, &wanted(&["a.test"])).unwrap();
        assert_eq!(read.key, Some(AcmeKey::EcdsaP384));
    }

    #[test]
    fn what_cannot_be_served_is_refused_with_the_reason() {
        let (key, other) = (KeyPair::generate().unwrap(), KeyPair::generate().unwrap());
        let cert = made(&["a.test"], &key);
        let why = |pem: String, name: &str| Certificate::read(&pem, &wanted(&[name])).unwrap_err();
        let fits = key.serialize_pem() + &cert;
        assert!(why(fits.clone(), "b.test").contains("not for b.test"));
        assert!(why(other.serialize_pem() + &cert, "a.test").contains("key"));
        assert!(why(cert, "a.test").contains("no private key"));
        assert!(why(key.serialize_pem(), "a.test").contains("no certificate"));
        let cut = fits.clone() + "-----BEGIN CERTIF";
        assert!(!why(cut, "a.test").is_empty());
        let cut = &fits[..fits.len() - 40];
        assert!(!why(cut.to_owned(), "a.test").is_empty());
    }
}
