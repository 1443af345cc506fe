//! Certificates that came at run time: those that were issued to this process, and what proves on the way there that
//! a name is ours (ACME, RFC 8555).
//!
//! Lives as long as the process, whatever the generation. Handshakes ask it, so nothing here waits for anything but a
//! map, and nothing a client chooses ever becomes an entry: names and tokens come from who orders certificates.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use parking_lot::RwLock;
use tokio_rustls::rustls::sign::CertifiedKey;

/// The most names, challenges and tokens that are kept of each: those of every certificate an operator can order.
pub const MOST: usize = 4_096;

/// What was issued, by name.
#[derive(Debug, Default)]
pub struct Issued {
    keys: RwLock<HashMap<String, Arc<CertifiedKey>>>,
    challenges: RwLock<HashMap<String, Arc<CertifiedKey>>>,
    tokens: RwLock<HashMap<String, String>>,
}

impl Issued {
    /// From now on handshakes for exactly these names get `key`, on ports that order them.
    pub fn install(&self, names: &[String], key: Arc<CertifiedKey>) {
        let mut keys = self.keys.write();
        for name in names {
            put(&mut keys, &name.to_ascii_lowercase(), Some(key.clone()));
        }
    }

    /// From now on nobody gets what was issued for any other name than these.
    pub fn keep_only(&self, names: &[String]) {
        let keep: HashSet<String> = names.iter().map(|name| name.to_ascii_lowercase()).collect();
        self.keys.write().retain(|name, _| keep.contains(name));
    }

    /// From now on handshakes for `name` that offer `acme-tls/1` get `key` (RFC 8737); `None` takes it away.
    pub fn challenge(&self, name: &str, key: Option<Arc<CertifiedKey>>) {
        put(
            &mut self.challenges.write(),
            &name.to_ascii_lowercase(),
            key,
        );
    }

    /// From now on `/.well-known/acme-challenge/TOKEN` is answered with `answer` (RFC 8555 §8.3); `None` takes it away.
    pub fn token(&self, token: &str, answer: Option<String>) {
        put(&mut self.tokens.write(), token, answer);
    }

    /// What a request for this token gets.
    pub fn answer(&self, token: &str) -> Option<String> {
        self.tokens.read().get(token).cloned()
    }

    /// What handshakes for exactly this name get; `name` is in lower case.
    pub fn find(&self, name: &str) -> Option<Arc<CertifiedKey>> {
        self.keys.read().get(name).cloned()
    }

    /// What handshakes for this name get that offer `acme-tls/1`; `name` is in lower case.
    pub fn find_challenge(&self, name: &str) -> Option<Arc<CertifiedKey>> {
        self.challenges.read().get(name).cloned()
    }
}

/// Keeps `value` under `name`, or takes away what is there. Beyond [`MOST`] nothing new is kept.
fn put<T>(map: &mut HashMap<String, T>, name: &str, value: Option<T>) {
    match value {
        Some(value) if map.len() < MOST || map.contains_key(name) => {
            map.insert(name.to_owned(), value);
        }
        Some(_) => tracing::error!("{name}: no room for more than {MOST} names of certificates"),
        None => {
            map.remove(name);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_answered_until_it_is_taken_away() {
        let issued = Issued::default();
        assert_eq!(issued.answer("t"), None);
        issued.token("t", Some("t.thumb".into()));
        assert_eq!(issued.answer("t").as_deref(), Some("t.thumb"));
        issued.token("t", None);
        assert_eq!(issued.answer("t"), None);
    }

    #[test]
    fn what_is_not_asked_for_any_more_is_gone() {
        let issued = Issued::default();
        let made = rcgen::generate_simple_self_signed(["a.test".to_owned()]).unwrap();
        let der = tokio_rustls::rustls::pki_types::PrivatePkcs8KeyDer::from(
            made.signing_key.serialize_der(),
        );
        let key =
            tokio_rustls::rustls::crypto::ring::sign::any_supported_type(&der.into()).unwrap();
        let key = Arc::new(CertifiedKey::new(vec![made.cert.der().clone()], key));
        let names = ["a.test", "B.test", "c.test"].map(str::to_owned);
        issued.install(&names, key);
        issued.keep_only(&names[1..2]);
        let there = ["a.test", "b.test", "c.test"].map(|name| issued.find(name).is_some());
        assert_eq!(there, [false, true, false]);
    }

    #[test]
    fn what_is_kept_is_bounded_and_what_is_there_can_still_change() {
        let mut map = HashMap::new();
        for at in 0..MOST + 10 {
            put(&mut map, &at.to_string(), Some(at));
        }
        assert_eq!(map.len(), MOST);
        put(&mut map, "0", Some(7));
        assert_eq!(map["0"], 7);
    }
}
