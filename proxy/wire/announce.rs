//! How a node is told whose connection comes to it: the PROXY protocol as it is sent, versions 1 and 2.
//!
//! Source: "The PROXY protocol, versions 1 & 2", HAProxy, 2020. `prelude` reads what is written here. Never tells of two
//! families at once: where client and port are of different ones, both are written as IPv6 (RFC 4291 §2.5.5.2).

use std::net::{IpAddr, SocketAddr};

/// What every announcement of version 2 begins with (§2.2).
const V2_SIGNATURE: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";
/// Version 2, and the connection is somebody's.
const V2_PROXY: u8 = 0x21;
/// Version 2, and the connection is the proxy's own.
const V2_LOCAL: u8 = 0x20;
/// TCP over IPv4.
const V2_TCP4: u8 = 0x11;
/// TCP over IPv6.
const V2_TCP6: u8 = 0x21;

/// Version 1: a connection from `client` to `port`.
pub fn v1(client: SocketAddr, port: SocketAddr) -> Vec<u8> {
    let (from, to) = alike(client.ip(), port.ip());
    let family = if from.is_ipv4() { "TCP4" } else { "TCP6" };
    let (from_port, to_port) = (client.port(), port.port());
    format!("PROXY {family} {from} {to} {from_port} {to_port}\r\n").into_bytes()
}

/// Version 1: a connection of our own.
pub fn v1_own() -> Vec<u8> {
    b"PROXY UNKNOWN\r\n".to_vec()
}

/// Version 2: a connection from `client` to `port`.
pub fn v2(client: SocketAddr, port: SocketAddr) -> Vec<u8> {
    let mut out = V2_SIGNATURE.to_vec();
    out.push(V2_PROXY);
    match alike(client.ip(), port.ip()) {
        (IpAddr::V4(from), IpAddr::V4(to)) => {
            out.extend_from_slice(&[V2_TCP4, 0, 12]);
            out.extend_from_slice(&from.octets());
            out.extend_from_slice(&to.octets());
        }
        (from, to) => {
            out.extend_from_slice(&[V2_TCP6, 0, 36]);
            for ip in [from, to] {
                out.extend_from_slice(&as_v6(ip).octets());
            }
        }
    }
    out.extend_from_slice(&client.port().to_be_bytes());
    out.extend_from_slice(&port.port().to_be_bytes());
    out
}

/// Version 2: a connection of our own.
pub fn v2_own() -> Vec<u8> {
    let mut out = V2_SIGNATURE.to_vec();
    out.extend_from_slice(&[V2_LOCAL, 0, 0, 0]);
    out
}

/// Both in one family; an IPv4 address that was written as IPv6 counts as IPv4.
fn alike(from: IpAddr, to: IpAddr) -> (IpAddr, IpAddr) {
    match (from.to_canonical(), to.to_canonical()) {
        (from, to) if from.is_ipv4() == to.is_ipv4() => (from, to),
        (from, to) => (as_v6(from).into(), as_v6(to).into()),
    }
}

fn as_v6(ip: IpAddr) -> std::net::Ipv6Addr {
    match ip {
        IpAddr::V4(ip) => ip.to_ipv6_mapped(),
        IpAddr::V6(ip) => ip,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::prelude::read;

    fn addr(text: &str) -> SocketAddr {
        text.parse().unwrap()
    }

    #[test]
    fn what_is_told_is_read_as_it_was_meant() {
        for (client, port) in [
            ("192.0.2.1:40000", "198.51.100.2:80"),
            ("[2001:db8::1]:1", "[2001:db8::2]:65535"),
            ("[2001:db8::1]:0", "192.0.2.9:443"),
            ("192.0.2.1:5", "[2001:db8::2]:443"),
        ] {
            for told in [v1(addr(client), addr(port)), v2(addr(client), addr(port))] {
                let prelude = read(&told).unwrap().unwrap();
                assert_eq!(prelude.len, told.len(), "{client}");
                let read = prelude.client.unwrap();
                let canonical = SocketAddr::new(read.ip().to_canonical(), read.port());
                assert_eq!(canonical, addr(client), "{client}");
            }
        }
        for own in [v1_own(), v2_own()] {
            assert_eq!(read(&own).unwrap().unwrap().client, None);
        }
    }

    #[test]
    fn the_bytes_are_those_of_the_specification() {
        let (client, port) = (addr("192.0.2.1:256"), addr("[::ffff:198.51.100.2]:80"));
        assert_eq!(
            v1(client, port),
            b"PROXY TCP4 192.0.2.1 198.51.100.2 256 80\r\n"
        );
        let wanted =
            b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\xc0\0\x02\x01\xc6\x33\x64\x02\x01\0\0\x50";
        assert_eq!(v2(client, port), wanted);
    }
}
