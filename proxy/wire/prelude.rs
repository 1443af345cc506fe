//! How a proxy in front tells whose connection it passes on: the PROXY protocol, versions 1 and 2.
//!
//! A prelude is taken whole or not at all, and its length is bounded before it is parsed. Never guesses: a peer that
//! is to send one and sends something else is no client.

use std::net::SocketAddr;

use ppp::v2::Command;
use ppp::{v1, v2};

/// The longest prelude of version 1, its line end included (specification §2.1).
const V1_AT_MOST: usize = 107;
/// What every prelude of version 2 begins with.
const V2_SIGNATURE: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";
/// Signature, version and command, family, length.
const V2_FIXED: usize = 16;
/// The longest prelude of version 2 that is read: room for addresses and what is told beside them (a client
/// certificate, for example).
const V2_AT_MOST: usize = 16 * 1024;

/// Not a prelude.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NoPrelude;

/// A whole prelude.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Prelude {
    /// How many bytes it has; what follows is the client's.
    pub len: usize,
    /// The client. `None`: the peer speaks for itself (LOCAL, UNKNOWN), a health check for example.
    pub client: Option<SocketAddr>,
}

/// Reads the prelude that `bytes` begin with; `None`: more bytes are needed.
///
/// # Errors
/// When they do not begin with one.
pub fn read(bytes: &[u8]) -> Result<Option<Prelude>, NoPrelude> {
    let shared = bytes.len().min(V2_SIGNATURE.len());
    if bytes[..shared] == V2_SIGNATURE[..shared] {
        return version_2(bytes);
    }
    let shared = bytes.len().min(6);
    if bytes[..shared] == b"PROXY "[..shared] {
        return version_1(bytes);
    }
    Err(NoPrelude)
}

fn version_1(bytes: &[u8]) -> Result<Option<Prelude>, NoPrelude> {
    let window = &bytes[..bytes.len().min(V1_AT_MOST)];
    let Some(len) = memchr::memchr(b'\n', window).map(|at| at + 1) else {
        return if window.len() < V1_AT_MOST {
            Ok(None)
        } else {
            Err(NoPrelude)
        };
    };
    let header = v1::Header::try_from(&bytes[..len]).map_err(|_| NoPrelude)?;
    // One blank between the words, and nothing after the last.
    if header.header.len() != len || !header.header.ends_with("\r\n") {
        return Err(NoPrelude);
    }
    // Digits and nothing else make a port (specification §2.1); the parser takes `+80` for one.
    let tells = !matches!(header.addresses, v1::Addresses::Unknown);
    if tells && header.header.contains('+') {
        return Err(NoPrelude);
    }
    let client = match header.addresses {
        v1::Addresses::Unknown => None,
        v1::Addresses::Tcp4(a) => Some((a.source_address, a.source_port).into()),
        v1::Addresses::Tcp6(a) => Some((a.source_address, a.source_port).into()),
    };
    Ok(Some(Prelude { len, client }))
}

fn version_2(bytes: &[u8]) -> Result<Option<Prelude>, NoPrelude> {
    let Some(fixed) = bytes.get(..V2_FIXED) else {
        return Ok(None);
    };
    let len = V2_FIXED + usize::from(u16::from_be_bytes([fixed[14], fixed[15]]));
    if len > V2_AT_MOST {
        return Err(NoPrelude);
    }
    let Some(whole) = bytes.get(..len) else {
        return Ok(None);
    };
    let header = v2::Header::try_from(whole).map_err(|_| NoPrelude)?;
    let client = match (header.command, header.addresses) {
        (Command::Local, _) => None,
        (Command::Proxy, v2::Addresses::IPv4(a)) => Some((a.source_address, a.source_port).into()),
        (Command::Proxy, v2::Addresses::IPv6(a)) => Some((a.source_address, a.source_port).into()),
        // UNSPEC, and sockets of a file system, have no address to tell.
        (Command::Proxy, _) => None,
    };
    Ok(Some(Prelude { len, client }))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn v2(command: u8, family: u8, rest: &[u8]) -> Vec<u8> {
        let mut bytes = V2_SIGNATURE.to_vec();
        bytes.extend([0x20 | command, family]);
        bytes.extend((rest.len() as u16).to_be_bytes());
        bytes.extend(rest);
        bytes
    }

    /// Read whole, and the same byte by byte with a request behind it.
    fn client(prelude: &[u8]) -> Result<Option<SocketAddr>, NoPrelude> {
        let mut wire = prelude.to_vec();
        wire.extend(b"GET / HTTP/1.1\r\n");
        for n in 0..prelude.len() {
            assert_eq!(read(&wire[..n]), Ok(None), "after {n} bytes");
        }
        let read = read(&wire)?.expect("a whole prelude was given");
        assert_eq!(read.len, prelude.len());
        Ok(read.client)
    }

    #[test]
    fn both_versions_tell_the_client() {
        let four = b"\x01\x02\x03\x04\x0a\x00\x00\x01\x30\x39\x00\x50";
        for (prelude, expected) in [
            (
                b"PROXY TCP4 1.2.3.4 10.0.0.1 12345 80\r\n".to_vec(),
                "1.2.3.4:12345",
            ),
            (
                b"PROXY TCP6 2001:db8::7 ::1 65535 80\r\n".to_vec(),
                "[2001:db8::7]:65535",
            ),
            (v2(1, 0x11, four), "1.2.3.4:12345"),
            (
                v2(1, 0x11, &[&four[..], b"\x03\x00\x04abcd"].concat()),
                "1.2.3.4:12345",
            ),
        ] {
            let got = client(&prelude).unwrap().unwrap();
            assert_eq!(got.to_string(), expected);
        }
    }

    #[test]
    fn a_peer_may_speak_for_itself() {
        for prelude in [
            b"PROXY UNKNOWN\r\n".to_vec(),
            b"PROXY UNKNOWN ffff::1 ffff::2 1 2\r\n".to_vec(),
            v2(0, 0, b""),
            v2(1, 0, b""),
            v2(0, 0x11, b"\x01\x02\x03\x04\x0a\x00\x00\x01\x30\x39\x00\x50"),
        ] {
            assert_eq!(client(&prelude), Ok(None));
        }
    }

    #[test]
    fn what_is_no_prelude_is_refused() {
        for bytes in [
            &b"GET / HTTP/1.1\r\n\r\n"[..],
            b"\r\n\r\nGET / HTTP/1.1\r\n\r\n",
            b"proxy TCP4 1.2.3.4 10.0.0.1 1 80\r\n",
            b"PROXY TCP4 1.2.3.4 10.0.0.1 1 80\n",
            b"PROXY TCP4  1.2.3.4 10.0.0.1 1 80\r\n",
            b"PROXY TCP4 1.2.3 10.0.0.1 1 80\r\n",
            b"PROXY TCP4 1.2.3.4 10.0.0.1 65536 80\r\n",
            b"PROXY TCP4 1.2.3.4 10.0.0.1 +1 80\r\n",
            b"PROXY TCP6 ::1 ::2 1 +80\r\n",
            b"PROXY TCP4 1.2.3.4 10.0.0.1 1\r\n",
            b"PROXY TCP4 1.2.3.4 10.0.0.1 1 80 x\r\n",
            b"PROXY TCP4 2001:db8::7 ::1 1 80\r\n",
            b"PROXY UDP4 1.2.3.4 10.0.0.1 1 80\r\n",
            &[b"PROXY TCP4 ".as_slice(), &[b' '; 120]].concat(),
            &v2(2, 0x11, &[0; 12]),
            &v2(1, 0x11, &[0; 4]),
            &v2(1, 0x11, &[0; 17_000]),
        ] {
            assert_eq!(
                read(bytes),
                Err(NoPrelude),
                "{:?}",
                String::from_utf8_lossy(bytes)
            );
        }
    }

    proptest! {
        #[test]
        fn any_bytes_have_a_verdict_and_more_bytes_do_not_change_it(
            begin in prop::sample::select(vec![&b""[..], b"PROXY ", b"PROXY TCP4 1.2.3.4", V2_SIGNATURE, b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0"]),
            rest in prop::collection::vec(any::<u8>(), 0..64),
            cut in 0usize..64,
        ) {
            let whole = [begin, &rest].concat();
            let part = &whole[..cut.min(whole.len())];
            match read(part) {
                Ok(None) => {}
                verdict => prop_assert_eq!(read(&whole), verdict),
            }
        }
    }
}
