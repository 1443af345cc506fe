//! `acme:` whom certificates are got from, and how.
//!
//! Shapes only: the words are read in `config/validate/acme`. Which names get one is said by the ports.

use serde::Deserialize;

use super::shape::{Key, Shape};

/// `acme:`
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Acme {
    /// Whom the CA writes to.
    pub email: Option<Vec<Option<String>>>,
    /// The terms of the CA are agreed to.
    pub agree: Option<String>,
    /// The CA's place for trying.
    pub staging: Option<String>,
    /// Another CA.
    pub directory: Option<String>,
    /// Whom to trust as the CA's server.
    pub ca: Option<String>,
    /// How names are proven to be ours.
    pub challenge: Option<String>,
    /// Where account, keys and certificates are kept.
    pub state: Option<String>,
    /// How long before its end a certificate is renewed.
    pub renew_before: Option<String>,
    /// The kind of key.
    pub key: Option<String>,
    /// What kind of certificate the CA shall make.
    pub profile: Option<String>,
    /// The account that the CA knows already.
    pub eab: Option<Eab>,
    /// Certificates and keys are given to other proxies.
    pub share: Option<String>,
}

/// `eab:` of `acme:`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Eab {
    /// The name of the key.
    pub kid: Option<String>,
    /// The file it is in.
    pub key_file: Option<String>,
}

/// The keys of [`Acme`].
pub const ACME: Shape = Shape::Map(&[
    Key::new("email", Shape::Words, "email: ops@example.com").aka("contact"),
    Key::new("agree", Shape::Word, "agree: true"),
    Key::new("staging", Shape::Word, "staging: true"),
    Key::new(
        "directory",
        Shape::Word,
        "directory: https://acme.example.com/directory",
    ),
    Key::new("ca", Shape::Word, "ca: ca.pem"),
    Key::new("challenge", Shape::Word, "challenge: http-01"),
    Key::new("state", Shape::Word, "state: /var/lib/tidegate/acme"),
    Key::new("renew_before", Shape::Word, "renew_before: 30d"),
    Key::new("key", Shape::Word, "key: ecdsa-p256"),
    Key::new("profile", Shape::Word, "profile: shortlived"),
    Key::new("eab", EAB, "eab: { kid: abc, key_file: eab.key }"),
    Key::new("share", Shape::Word, "share: true"),
    Key::elsewhere(
        "storage",
        "`state: FOLDER` says where account and certificates are kept",
    ),
    Key::elsewhere(
        "domains",
        "`listen: [{ tls: { acme: [example.com] } }]` says which names get a certificate",
    ),
    Key::elsewhere("caServer", "`directory: URL` names the CA"),
]);

/// The keys of [`Eab`].
const EAB: Shape = Shape::Map(&[
    Key::new("kid", Shape::Word, "kid: abc"),
    Key::new("key_file", Shape::Word, "key_file: eab.key"),
]);
