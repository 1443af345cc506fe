//! Answers to challenges: put where the CA looks, told to the proxies that share our Redis, and taken away again.
//!
//! What is told holds no key: of http-01 what the CA reads from anybody anyway, of tls-alpn-01 a hash, around which each
//! proxy makes a certificate of its own.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use rcgen::{CertificateParams, CustomExtension, DistinguishedName, KeyPair};
use tokio::time::sleep;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;
use tokio_rustls::rustls::sign::CertifiedKey;

use super::board::Board;
use crate::live::issued::Issued;

/// After this, all others have what was told.
const ALL_KNOW: Duration = Duration::from_millis(2_500);
/// Bytes of an answer; the CA's are below 200.
pub const LONGEST: usize = 1_024;
/// Bytes of a SHA-256.
const DIGEST: usize = 32;

/// An answer to a challenge.
#[derive(Debug, Clone)]
pub enum Answer {
    /// What is answered to who asks for a token (RFC 8555 §8.3).
    Token {
        /// The token.
        token: String,
        /// What is answered.
        answer: String,
    },
    /// What a handshake for a name gets (RFC 8737 §3).
    Handshake {
        /// The name.
        name: String,
        /// The hash in the certificate.
        digest: [u8; DIGEST],
        /// The certificate around it.
        certified: Arc<CertifiedKey>,
    },
}

impl Answer {
    /// An answer to http-01.
    ///
    /// # Errors
    /// When the CA's token could be something else in a path.
    pub fn token(token: &str, answer: &str) -> Result<Answer, String> {
        if !is_token(token) || answer.len() > LONGEST {
            return Err("the CA's token is none".into());
        }
        Ok(Answer::Token {
            token: token.into(),
            answer: answer.into(),
        })
    }

    /// An answer to tls-alpn-01.
    ///
    /// # Errors
    /// When no certificate can be made for the name.
    pub fn handshake(name: &str, digest: &[u8]) -> Result<Answer, String> {
        let digest: [u8; DIGEST] = digest.try_into().map_err(|_| "no hash of 32 bytes")?;
        let certified = certificate(name, &digest).map_err(|e| e.to_string())?;
        Ok(Answer::Handshake {
            name: name.into(),
            digest,
            certified: Arc::new(certified),
        })
    }

    /// From now on it is given here.
    pub fn give(&self, issued: &Issued) {
        match self {
            Answer::Token { token, answer } => issued.token(token, Some(answer.clone())),
            Answer::Handshake {
                name, certified, ..
            } => issued.challenge(name, Some(certified.clone())),
        }
    }

    /// It is given no longer.
    pub fn forget(&self, issued: &Issued) {
        match self {
            Answer::Token { token, .. } => issued.token(token, None),
            Answer::Handshake { name, .. } => issued.challenge(name, None),
        }
    }

    /// As others are told of it: what tells it from others, and the rest.
    pub fn told(&self) -> (String, String) {
        match self {
            Answer::Token { token, answer } => (format!("token:{token}"), answer.clone()),
            Answer::Handshake { name, digest, .. } => {
                let hex = digest.iter().map(|byte| format!("{byte:02x}"));
                (format!("name:{name}"), hex.collect())
            }
        }
    }

    /// What another proxy has told; `None`: it is none.
    pub fn read(what: &str, rest: &str) -> Option<Answer> {
        if what.len() > LONGEST || rest.len() > LONGEST {
            return None;
        }
        if let Some(token) = what.strip_prefix("token:") {
            return Answer::token(token, rest).ok();
        }
        let name = what.strip_prefix("name:")?;
        let digits = rest.as_bytes().chunks(2).map(|two| {
            let two = std::str::from_utf8(two).ok()?;
            u8::from_str_radix(two, 16).ok()
        });
        let digest: Vec<u8> = digits.collect::<Option<_>>()?;
        Answer::handshake(name, &digest).ok()
    }
}

/// base64url, as RFC 8555 §8.3 has it.
fn is_token(text: &str) -> bool {
    let fine = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_');
    (1..=128).contains(&text.len()) && text.bytes().all(fine)
}

/// A certificate that proves a name: signed by itself, with the hash in a critical extension (RFC 8737 §3).
fn certificate(name: &str, digest: &[u8]) -> Result<CertifiedKey, Box<dyn std::error::Error>> {
    let mut params = CertificateParams::new([name.to_owned()])?;
    params.distinguished_name = DistinguishedName::new();
    params.custom_extensions = vec![CustomExtension::new_acme_identifier(digest)];
    let key = KeyPair::generate()?;
    let cert = params.self_signed(&key)?;
    let key = PrivateKeyDer::Pkcs8(key.serialize_der().into());
    let chain = vec![cert.der().clone()];
    // Not by way of a check that the two belong together: it does not know the extension, and refuses what is critical.
    let key = ring::default_provider()
        .key_provider
        .load_private_key(key)?;
    Ok(CertifiedKey::new(chain, key))
}

/// The answers of our own orders, by what tells one from others: what is told elsewhere neither gives nor takes them away.
#[derive(Debug, Default)]
pub struct Own(Mutex<HashSet<String>>);

impl Own {
    /// Whether this is one of them.
    pub fn has(&self, what: &str) -> bool {
        self.0.lock().contains(what)
    }

    /// These are given by us from now on.
    pub fn put(&self, answers: &[Answer]) {
        let told = answers.iter().map(|answer| answer.told().0);
        self.0.lock().extend(told);
    }

    /// These are not any more.
    pub fn take_away(&self, answers: &[Answer]) {
        let mut all = self.0.lock();
        for answer in answers {
            all.remove(&answer.told().0);
        }
    }
}

/// Where answers are put.
#[derive(Debug)]
pub struct Answers {
    /// What this proxy gives.
    pub issued: Arc<Issued>,
    /// Which of them are for our own orders.
    pub own: Arc<Own>,
    /// Where others read; `None`: there are none.
    pub board: Option<Board>,
}

impl Answers {
    /// Puts answers where the CA looks; returns when all who may be asked have them.
    pub async fn put(&self, answers: &[Answer]) {
        self.own.put(answers);
        answers.iter().for_each(|answer| answer.give(&self.issued));
        let Some(board) = self.board.as_ref().filter(|_| !answers.is_empty()) else {
            return;
        };
        match board.tell(answers).await {
            Ok(()) => sleep(ALL_KNOW).await,
            Err(fault) => tracing::warn!(
                "acme: other proxies do not know the answers to the CA's challenges ({fault}); this one alone answers"
            ),
        }
    }

    /// Takes them away again.
    pub async fn take_away(&self, answers: &[Answer]) {
        answers
            .iter()
            .for_each(|answer| answer.forget(&self.issued));
        self.own.take_away(answers);
        if let Some(board) = self.board.as_ref().filter(|_| !answers.is_empty()) {
            // What stays there by a fault ends by itself.
            let _ = board.forget(answers).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_told_is_read_again_and_holds_no_key() {
        let token = Answer::token("abc-_9", "abc-_9.thumb").unwrap();
        let (what, rest) = token.told();
        assert!(matches!(
            Answer::read(&what, &rest),
            Some(Answer::Token { token, answer }) if token == "abc-_9" && answer == "abc-_9.thumb"
        ));
        let handshake = Answer::handshake("a.test", &[0xab; 32]).unwrap();
        let (what, rest) = handshake.told();
        assert_eq!((what.as_str(), rest.len()), ("name:a.test", 64));
        assert!(matches!(
            Answer::read(&what, &rest),
            Some(Answer::Handshake { name, digest, .. }) if name == "a.test" && digest == [0xab; 32]
        ));
    }

    #[test]
    fn what_nobody_would_tell_is_not_read() {
        for (what, rest) in [
            ("token:", "x"),
            ("token:../..", "x"),
            ("token:a b", "x"),
            ("name:a.test", "abc"),
            ("name:a.test", "zz"),
            ("other:x", "x"),
            ("", ""),
        ] {
            assert!(Answer::read(what, rest).is_none(), "{what} {rest}");
        }
        let long = "x".repeat(LONGEST + 1);
        assert!(Answer::read("token:a", &long).is_none());
        assert!(Answer::read(&format!("token:{long}"), "x").is_none());
    }
}
