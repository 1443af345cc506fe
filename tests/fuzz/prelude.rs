//! Preludes of the PROXY protocol: whole or none, within their bounds, and the address that stands there.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use tidegate::wire::prelude::{Prelude, read};

const SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";

/// Bytes from the beginning of a connection.
pub fn run(bytes: &[u8]) {
    let whole = read(bytes);
    let mut cuts: Vec<usize> = (0..bytes.len().min(300)).collect();
    cuts.extend((300..bytes.len()).step_by(97));
    for cut in cuts {
        match read(&bytes[..cut]) {
            Ok(None) => {}
            verdict => assert_eq!(verdict, whole, "changed after {cut} bytes"),
        }
    }
    let Ok(Some(prelude)) = whole else {
        // A wait has an end.
        assert!(whole.is_err() || bytes.len() < 16 * 1024 + 16);
        assert!(whole.is_err() || bytes.starts_with(b"\r") || bytes.len() < 107);
        return;
    };
    assert!(prelude.len <= bytes.len());
    assert_eq!(read(&bytes[..prelude.len]), Ok(Some(prelude)));
    assert_eq!(
        read(&bytes[..prelude.len - 1]),
        Ok(None),
        "all of it counts"
    );
    let its = &bytes[..prelude.len];
    let client = match its.strip_prefix(SIGNATURE) {
        Some(rest) => version_2(rest, prelude),
        None => version_1(its, prelude),
    };
    assert_eq!(prelude.client, client);
}

/// Word by word, as the specification has it.
fn version_1(its: &[u8], prelude: Prelude) -> Option<SocketAddr> {
    assert!(prelude.len <= 107);
    let text = std::str::from_utf8(its).expect("letters");
    let line = text.strip_suffix("\r\n").expect("a line");
    assert!(!line.contains(['\r', '\n']));
    let words: Vec<&str> = line.split(' ').collect();
    if words.get(1) == Some(&"UNKNOWN") {
        return None;
    }
    let [_, family, source, target, port, target_port] = words[..] else {
        panic!("six words: {line}");
    };
    for port in [port, target_port] {
        assert!(port.bytes().all(|b| b.is_ascii_digit()), "{line}");
        assert!(port == "0" || !port.starts_with('0'), "{line}");
    }
    let addr = |word: &str| match family {
        "TCP4" => IpAddr::V4(word.parse::<Ipv4Addr>().expect("an address")),
        "TCP6" => IpAddr::V6(word.parse::<Ipv6Addr>().expect("an address")),
        other => panic!("family {other}"),
    };
    addr(target);
    target_port.parse::<u16>().expect("a port");
    Some((addr(source), port.parse().expect("a port")).into())
}

/// Byte by byte.
fn version_2(rest: &[u8], prelude: Prelude) -> Option<SocketAddr> {
    let (fixed, rest) = rest.split_at(4);
    assert_eq!(fixed[0] >> 4, 2, "version");
    assert_eq!(
        rest.len(),
        usize::from(fixed[2]) << 8 | usize::from(fixed[3])
    );
    assert!(prelude.len <= 16 * 1024);
    let port = |at: usize| u16::from_be_bytes([rest[at], rest[at + 1]]);
    match (fixed[0] & 15, fixed[1] >> 4) {
        (1, 1) => {
            let octets: [u8; 4] = rest[..4].try_into().expect("four");
            Some((octets, port(8)).into())
        }
        (1, 2) => {
            let octets: [u8; 16] = rest[..16].try_into().expect("sixteen");
            Some((octets, port(32)).into())
        }
        (0 | 1, _) => None,
        (command, _) => panic!("command {command}"),
    }
}
