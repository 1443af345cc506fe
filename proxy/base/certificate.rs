//! What a certificate says (X.509, RFC 5280): whose it is, for which names, from when to when.
//!
//! Only reads. Whether it is to be believed is for rustls to say, which verifies chains; whether it has expired is for
//! who has a clock. Whatever bytes come, nothing here may panic: certificates of clients are read here too.

use std::net::IpAddr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use x509_parser::prelude::{FromDer, GeneralName, ParsedExtension, X509Certificate, X509Name};
use x509_parser::public_key::PublicKey;
use x509_parser::x509::AttributeTypeAndValue;

/// What a certificate says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Facts {
    /// The names it is for, in lower case, in its order: `example.com`, `*.example.com`.
    pub names: Vec<String>,
    /// The addresses it is for.
    pub addresses: Vec<IpAddr>,
    /// Whose it is, as RFC 4514 writes it; in ASCII.
    pub subject: String,
    /// Who signed it, in the same form.
    pub issuer: String,
    /// From when it holds.
    pub not_before: SystemTime,
    /// Until when it holds.
    pub not_after: SystemTime,
    /// Its key.
    pub key: KeyKind,
    /// Whether it was signed with a digest that can be forged (MD5, SHA-1).
    pub is_weakly_signed: bool,
    /// Whether its subject signed it: the root of a chain, or nobody's word but its own.
    pub is_self_issued: bool,
    subject_raw: Vec<u8>,
    issuer_raw: Vec<u8>,
}

/// The key of a certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyKind {
    /// On an elliptic curve.
    Ecdsa,
    /// RSA, with so many bits.
    Rsa(usize),
    /// Ed25519 or another one.
    Other,
}

impl KeyKind {
    /// As an operator writes it.
    pub fn told(self) -> String {
        match self {
            KeyKind::Ecdsa => "ECDSA".into(),
            KeyKind::Rsa(bits) => format!("RSA, {bits} bits"),
            KeyKind::Other => "another kind of key".into(),
        }
    }
}

impl Facts {
    /// Reads a certificate; `None`: these bytes are none.
    pub fn read(der: &[u8]) -> Option<Facts> {
        let (rest, cert) = X509Certificate::from_der(der).ok()?;
        if !rest.is_empty() {
            return None;
        }
        let (mut names, mut addresses) = (Vec::new(), Vec::new());
        let alternative = cert.subject_alternative_name().ok().flatten();
        for name in alternative.iter().flat_map(|ext| &ext.value.general_names) {
            match name {
                GeneralName::DNSName(name) => names.push(name.to_ascii_lowercase()),
                GeneralName::IPAddress(bytes) => addresses.extend(address(bytes)),
                _ => {}
            }
        }
        let key = match cert.public_key().parsed() {
            Ok(PublicKey::RSA(rsa)) => KeyKind::Rsa(rsa.key_size()),
            Ok(PublicKey::EC(_)) => KeyKind::Ecdsa,
            _ => KeyKind::Other,
        };
        let signed_with = cert.signature_algorithm.algorithm.to_id_string();
        Some(Facts {
            names,
            addresses,
            subject: told(cert.subject()),
            issuer: told(cert.issuer()),
            not_before: time(cert.validity().not_before.timestamp()),
            not_after: time(cert.validity().not_after.timestamp()),
            key,
            is_weakly_signed: WEAK.contains(&signed_with.as_str()),
            is_self_issued: cert.subject().as_raw() == cert.issuer().as_raw(),
            subject_raw: cert.subject().as_raw().to_vec(),
            issuer_raw: cert.issuer().as_raw().to_vec(),
        })
    }

    /// Whether `other` is of who signed this one, as far as names tell.
    pub fn is_issued_by(&self, other: &Facts) -> bool {
        self.issuer_raw == other.subject_raw
    }

    /// How long it still holds at `now`; `None`: it has expired.
    pub fn left(&self, now: SystemTime) -> Option<Duration> {
        self.not_after.duration_since(now).ok()
    }
}

/// The subject of a certificate as RFC 4514 writes it; `None`: these bytes are no certificate.
pub fn subject(der: &[u8]) -> Option<String> {
    let (_, cert) = X509Certificate::from_der(der).ok()?;
    Some(told(cert.subject()))
}

/// What a CA knows a certificate by: the key identifier of who signed it, and its serial number as it stands there
/// (RFC 9773 §4.1); `None`: it does not have both.
pub fn known_by(der: &[u8]) -> Option<(Vec<u8>, Vec<u8>)> {
    let (_, cert) = X509Certificate::from_der(der).ok()?;
    let signer = cert
        .iter_extensions()
        .find_map(|ext| match ext.parsed_extension() {
            ParsedExtension::AuthorityKeyIdentifier(id) => id.key_identifier.as_ref(),
            _ => None,
        });
    Some((signer?.0.to_vec(), cert.raw_serial().to_vec()))
}

/// Signature algorithms whose digest can be forged: md5WithRSAEncryption, sha1WithRSAEncryption, ecdsa-with-SHA1.
const WEAK: [&str; 3] = [
    "1.2.840.113549.1.1.4",
    "1.2.840.113549.1.1.5",
    "1.2.840.10045.4.1",
];

fn address(bytes: &[u8]) -> Option<IpAddr> {
    let v4 = <[u8; 4]>::try_from(bytes).map(IpAddr::from);
    v4.or_else(|_| <[u8; 16]>::try_from(bytes).map(IpAddr::from))
        .ok()
}

/// The end of the year 9999: the last that X.509 can name, and that a time can be written with.
const LAST: u64 = 253_402_300_799;

/// Seconds since 1970 as a time. What the machine's time cannot hold becomes 1970, which has expired.
fn time(seconds: i64) -> SystemTime {
    let after = u64::try_from(seconds).ok();
    let after = after.map(|after| Duration::from_secs(after.min(LAST)));
    after
        .and_then(|after| UNIX_EPOCH.checked_add(after))
        .unwrap_or(UNIX_EPOCH)
}

/// A name as RFC 4514 writes it: the last part first.
fn told(name: &X509Name<'_>) -> String {
    let parts: Vec<_> = name.iter().collect();
    let mut out = String::new();
    for (i, part) in parts.iter().rev().enumerate() {
        if i > 0 {
            out.push(',');
        }
        for (j, attribute) in part.iter().enumerate() {
            if j > 0 {
                out.push('+');
            }
            tell(attribute, &mut out);
        }
    }
    out
}

fn tell(attribute: &AttributeTypeAndValue<'_>, out: &mut String) {
    let id = attribute.attr_type().to_id_string();
    let short = SHORT.iter().find(|(its, _)| *its == id);
    match (short, attribute.as_str()) {
        (Some((_, short)), Ok(text)) => {
            out.push_str(short);
            out.push('=');
            escape(text, out);
        }
        // What has no short name, or is no text that everybody reads alike, is told byte by byte (RFC 4514 §2.4).
        _ => {
            out.push_str(short.map_or(id.as_str(), |(_, short)| short));
            out.push_str("=#");
            let value = attribute.attr_value();
            let tag = value.header.tag().0;
            let length = value.data.len();
            out.push_str(&format!("{:02x}", tag & 0x1f));
            match length {
                0..0x80 => out.push_str(&format!("{length:02x}")),
                0x80..0x100 => out.push_str(&format!("81{length:02x}")),
                _ => out.push_str(&format!("82{:04x}", length & 0xffff)),
            }
            for byte in value.data {
                out.push_str(&format!("{byte:02x}"));
            }
        }
    }
}

/// The attributes that have a short name (RFC 4514 §3).
const SHORT: [(&str, &str); 9] = [
    ("2.5.4.3", "CN"),
    ("2.5.4.7", "L"),
    ("2.5.4.8", "ST"),
    ("2.5.4.10", "O"),
    ("2.5.4.11", "OU"),
    ("2.5.4.6", "C"),
    ("2.5.4.9", "STREET"),
    ("0.9.2342.19200300.100.1.25", "DC"),
    ("0.9.2342.19200300.100.1.1", "UID"),
];

/// A value, with everything escaped that has a meaning, that is no visible character, or that is not ASCII: the outcome
/// can stand in a field of a request.
fn escape(text: &str, out: &mut String) {
    let last = text.len().saturating_sub(1);
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            b'"' | b'+' | b',' | b';' | b'<' | b'>' | b'\\' | b'=' => {
                out.push('\\');
                out.push(char::from(byte));
            }
            b'#' if at == 0 => out.push_str("\\#"),
            b' ' if at == 0 || at == last => out.push_str("\\ "),
            b' '..=b'~' => out.push(char::from(byte)),
            _ => out.push_str(&format!("\\{byte:02X}")),
        }
    }
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, DnType, KeyPair};

    use super::*;

    fn made(change: impl FnOnce(&mut CertificateParams)) -> Facts {
        let names = ["Shop.example.com".to_owned(), "10.0.0.1".to_owned()];
        let mut params = CertificateParams::new(names).unwrap();
        change(&mut params);
        let cert = params.self_signed(&KeyPair::generate().unwrap()).unwrap();
        Facts::read(cert.der()).expect("a certificate")
    }

    #[test]
    fn names_and_addresses_are_read() {
        let facts = made(|_| {});
        assert_eq!(facts.names, ["shop.example.com"]);
        assert_eq!(facts.addresses, [IpAddr::from([10, 0, 0, 1])]);
        assert_eq!(facts.key, KeyKind::Ecdsa);
        assert!(facts.is_self_issued && !facts.is_weakly_signed);
        assert!(facts.is_issued_by(&facts));
        assert_eq!(facts.left(facts.not_after + Duration::from_secs(1)), None);
    }

    #[test]
    fn a_subject_is_written_as_rfc_4514_does() {
        let facts = made(|params| {
            let mut name = rcgen::DistinguishedName::new();
            name.push(DnType::CountryName, "DE");
            name.push(DnType::OrganizationName, "Sue, Grabbit; and <Runn>");
            name.push(DnType::CommonName, " L\u{fc}tzow+Co\r\nX-Evil: 1#");
            params.distinguished_name = name;
        });
        assert_eq!(
            facts.subject,
            "CN=\\ L\\C3\\BCtzow\\+Co\\0D\\0AX-Evil: 1#,O=Sue\\, Grabbit\\; and \\<Runn\\>,C=DE"
        );
        assert!(facts.subject.bytes().all(|b| (b' '..=b'~').contains(&b)));
    }

    #[test]
    fn what_has_no_short_name_is_told_byte_by_byte() {
        let facts = made(|params| {
            let mut name = rcgen::DistinguishedName::new();
            let email = DnType::CustomDnType(vec![1, 2, 840, 113549, 1, 9, 1]);
            name.push(email, "a@b");
            params.distinguished_name = name;
        });
        assert_eq!(facts.subject, "1.2.840.113549.1.9.1=#0c03614062");
    }

    #[test]
    fn whatever_bytes_come_nothing_panics() {
        assert_eq!(Facts::read(b""), None);
        let params = CertificateParams::new(["a.example".to_owned()]).unwrap();
        let cert = params.self_signed(&KeyPair::generate().unwrap()).unwrap();
        for cut in 0..cert.der().len() {
            assert_eq!(Facts::read(&cert.der()[..cut]), None, "{cut}");
        }
        for at in 0..cert.der().len() {
            let mut changed = cert.der().to_vec();
            changed[at] ^= 0x5a;
            let _ = (Facts::read(&changed), subject(&changed));
        }
    }
}
