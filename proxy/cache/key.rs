//! What an answer is stored under: scheme, host, path and query, as they are forwarded.
//!
//! Each part stands behind its length, so that no two targets make the same bytes. The hash finds, the bytes decide:
//! two keys are equal when their bytes are.

use std::ops::Deref;

use smallvec::SmallVec;
use xxhash_rust::xxh3::xxh3_128_with_seed;

/// A key. What is stored has its bytes by itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Key<B = Box<[u8]>> {
    hash: u128,
    /// Scheme, host, path, whether there is a query, query; host and path behind their lengths.
    bytes: B,
}

/// A key to look for: that of an ordinary target needs no memory of its own.
pub type Sought = Key<SmallVec<[u8; 192]>>;

/// What a key is made of.
#[derive(Debug, Clone, Copy)]
pub struct Target<'a> {
    /// `http` or `https`.
    pub scheme: &'a str,
    /// The host as it came; its letter case and the scheme's default port make no difference.
    pub host: &'a str,
    /// The path as it is forwarded.
    pub path: &'a str,
    /// The query as it is forwarded; an empty one is not the same as none.
    pub query: Option<&'a str>,
}

impl Sought {
    /// The key of a target; `seed` is the process's own, so that nobody can look for hashes that collide.
    pub fn of(target: Target<'_>, seed: u64) -> Sought {
        let port = match target.scheme {
            "https" => ":443",
            _ => ":80",
        };
        let host = target.host.strip_suffix(port).unwrap_or(target.host);
        let query = target.query;
        let length = 1 + 4 + host.len() + 4 + target.path.len() + 1 + query.map_or(0, str::len);
        let mut bytes = SmallVec::from_elem(0, length);
        bytes[0] = u8::from(target.scheme == "https");
        let rest = put(&mut bytes[HOST..], host);
        let rest = put(rest, target.path);
        rest[0] = u8::from(query.is_some());
        rest[1..].copy_from_slice(query.unwrap_or_default().as_bytes());
        bytes[HOST + 4..HOST + 4 + host.len()].make_ascii_lowercase();
        Key {
            hash: xxh3_128_with_seed(&bytes, seed),
            bytes,
        }
    }

    /// The same to be kept.
    pub fn kept(&self) -> Key {
        Key {
            hash: self.hash,
            bytes: Box::from(&*self.bytes),
        }
    }
}

impl<B: Deref<Target = [u8]>> Key<B> {
    /// What it is found by.
    pub fn hash(&self) -> u128 {
        self.hash
    }

    /// What decides.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// `http` or `https`.
    pub fn scheme(&self) -> &'static str {
        match self.bytes.first() {
            Some(1) => "https",
            _ => "http",
        }
    }

    /// The host in lower case, without the scheme's default port.
    pub fn host(&self) -> &str {
        text(part(&self.bytes, HOST).0)
    }

    /// The path.
    pub fn path(&self) -> &str {
        text(part(&self.bytes, part(&self.bytes, HOST).1).0)
    }

    /// The query.
    pub fn query(&self) -> Option<&str> {
        let (_, flag) = part(&self.bytes, part(&self.bytes, HOST).1);
        (self.bytes[flag] == 1).then(|| text(&self.bytes[flag + 1..]))
    }

    /// Bytes it takes in memory, beside itself.
    pub fn size(&self) -> usize {
        self.bytes.len()
    }
}

impl Key {
    /// The key of a target, to be kept; as [`Sought::of`].
    pub fn new(target: Target<'_>, seed: u64) -> Key {
        Sought::of(target, seed).kept()
    }

    /// The key with these bytes, which came from elsewhere; `None`: they are no key's.
    pub fn of_bytes(bytes: &[u8], seed: u64) -> Option<Key> {
        if !matches!(bytes.first(), Some(0 | 1)) {
            return None;
        }
        let (host, rest) = framed(bytes.get(HOST..)?)?;
        let (path, rest) = framed(rest)?;
        let (flag, query) = rest.split_first()?;
        let is_lower = !host.bytes().any(|byte| byte.is_ascii_uppercase());
        let is_whole = match flag {
            0 => query.is_empty(),
            1 => std::str::from_utf8(query).is_ok(),
            _ => false,
        };
        let is_key = is_whole && is_lower && !host.is_empty() && path.starts_with('/');
        is_key.then(|| Key {
            hash: xxh3_128_with_seed(bytes, seed),
            bytes: bytes.into(),
        })
    }

    /// The same with another hash, as only chance would have it.
    #[cfg(test)]
    pub(super) fn with_hash(&self, hash: u128) -> Key {
        Key {
            hash,
            ..self.clone()
        }
    }
}

impl std::fmt::Display for Key {
    /// As a URL.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}://{}{}", self.scheme(), self.host(), self.path())?;
        match self.query() {
            Some(query) => write!(f, "?{query}"),
            None => Ok(()),
        }
    }
}

/// Puts a part behind its length; what is left behind it.
fn put<'a>(to: &'a mut [u8], part: &str) -> &'a mut [u8] {
    let (length, rest) = to.split_at_mut(4);
    length.copy_from_slice(&short(part.len()).to_be_bytes());
    let (bytes, rest) = rest.split_at_mut(part.len());
    bytes.copy_from_slice(part.as_bytes());
    rest
}

/// Where the host begins, behind its scheme.
const HOST: usize = 1;

/// The part whose length stands here, and where the next one does.
fn part(bytes: &[u8], at: usize) -> (&[u8], usize) {
    let (length, rest) = bytes[at..].split_at(4);
    let length = length
        .iter()
        .fold(0, |all, byte| all << 8 | usize::from(*byte));
    (&rest[..length], at + 4 + length)
}

/// The text whose length stands here, and what is behind it; `None`: it is none, or not whole.
fn framed(bytes: &[u8]) -> Option<(&str, &[u8])> {
    let (length, rest) = bytes.split_first_chunk::<4>()?;
    let length = usize::try_from(u32::from_be_bytes(*length)).ok()?;
    let (text, rest) = rest.split_at_checked(length)?;
    Some((std::str::from_utf8(text).ok()?, rest))
}

/// Targets are a few kilobytes at most, by `limits.uri_bytes`.
fn short(length: usize) -> u32 {
    u32::try_from(length).unwrap_or(u32::MAX)
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap_or_default()
}

#[cfg(test)]
mod tests;
