//! Who the client really is, when proxies we trust stand in between.
//!
//! Only what a trusted peer says is believed, and from its list only the right-most address that is not itself
//! trusted: everything left of it was written by somebody we do not know. Never believes an untrusted peer.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use ipnet::IpNet;

/// Whether `addr` is one of the proxies we trust. IPv4 addresses mapped into IPv6 count as IPv4.
pub fn is_trusted(addr: IpAddr, trusted: &[IpNet]) -> bool {
    let addr = addr.to_canonical();
    trusted.iter().any(|net| net.contains(&addr))
}

/// What counts as one client where clients are counted: an IPv4 address, or the 64 bits of an IPv6 one that a
/// subscriber is given at least (RFC 6177); the other 64 are free to choose.
pub fn group(addr: IpAddr) -> IpAddr {
    match addr.to_canonical() {
        IpAddr::V6(addr) => Ipv6Addr::from_bits(addr.to_bits() & !u128::from(u64::MAX)).into(),
        addr => addr,
    }
}

/// The client's real address.
///
/// `forwarded_for` are the values of `X-Forwarded-For`, `forwarded` those of `Forwarded` (RFC 7239), in the order of
/// the message. `X-Forwarded-For` wins where both are present: it is what proxies in front of us append to. A
/// member that tells no address (`unknown`, an obfuscated name, no `for=`) ends the walk: what is left of it cannot be
/// attributed.
pub fn real_client<'a>(
    peer: IpAddr,
    trusted: &[IpNet],
    forwarded_for: impl DoubleEndedIterator<Item = &'a [u8]>,
    forwarded: impl DoubleEndedIterator<Item = &'a [u8]>,
) -> IpAddr {
    let peer = peer.to_canonical();
    if !is_trusted(peer, trusted) {
        return peer;
    }
    let mut real = peer;
    let mut members = forwarded_for
        .rev()
        .flat_map(members_of)
        .filter(|m| !m.is_empty())
        .peekable();
    if members.peek().is_some() {
        walk(&mut real, members, trusted);
    } else {
        let members = forwarded
            .rev()
            .flat_map(|line| unquoted_parts(line, b','))
            .map(<[u8]>::trim_ascii)
            .filter(|element| !element.is_empty())
            .map(|element| for_parameter(element).unwrap_or_default());
        walk(&mut real, members, trusted);
    }
    real
}

/// The members of a list, from the right. One that is no text stands for nobody, and hides none of the others.
fn members_of(line: &[u8]) -> impl Iterator<Item = &str> {
    let text = |member| std::str::from_utf8(member).unwrap_or("unknown").trim();
    line.rsplit(|b| *b == b',').map(text)
}

fn walk<'a>(real: &mut IpAddr, members: impl Iterator<Item = &'a str>, trusted: &[IpNet]) {
    for member in members {
        let Some(addr) = parse_addr(member) else {
            return;
        };
        *real = addr;
        if !is_trusted(addr, trusted) {
            return;
        }
    }
}

/// The parts of `line` between those `mark`s that are in no quoted string (RFC 9110 §5.6.4), from the right: what a
/// trusted proxy added stands there, whatever quotes were left open before it.
fn unquoted_parts(line: &[u8], mark: u8) -> impl Iterator<Item = &[u8]> {
    let mut left = Some(line);
    std::iter::from_fn(move || {
        let part = left?;
        let mut quoted = false;
        for at in (0..part.len()).rev() {
            if part[at] == b'"' {
                let backslashes = part[..at].iter().rev().take_while(|b| **b == b'\\');
                quoted ^= backslashes.count() % 2 == 0;
            } else if part[at] == mark && !quoted {
                left = Some(&part[..at]);
                return Some(&part[at + 1..]);
            }
        }
        left = None;
        Some(part)
    })
}

/// The `for=` of one `Forwarded` element.
fn for_parameter(element: &[u8]) -> Option<&str> {
    unquoted_parts(element, b';').find_map(|pair| {
        let (name, value) = std::str::from_utf8(pair).ok()?.split_once('=')?;
        let value = value.trim();
        let unquoted = value.strip_prefix('"').and_then(|v| v.strip_suffix('"'));
        (name.trim().eq_ignore_ascii_case("for")).then_some(unquoted.unwrap_or(value))
    })
}

/// An address with or without port, IPv6 with or without brackets.
fn parse_addr(member: &str) -> Option<IpAddr> {
    let bare = member.trim_start_matches('[').trim_end_matches(']');
    bare.parse::<IpAddr>()
        .or_else(|_| member.parse::<SocketAddr>().map(|a| a.ip()))
        .ok()
        .map(|a| a.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trusted() -> Vec<IpNet> {
        vec!["10.0.0.0/8".parse().unwrap(), "::1/128".parse().unwrap()]
    }

    fn real(peer: &str, xff: &[&str], fwd: &[&str]) -> String {
        real_client(
            peer.parse().unwrap(),
            &trusted(),
            xff.iter().map(|line| line.as_bytes()),
            fwd.iter().map(|line| line.as_bytes()),
        )
        .to_string()
    }

    #[test]
    fn an_untrusted_peer_is_the_client_whatever_it_says() {
        assert_eq!(
            real("203.0.113.9", &["1.2.3.4"], &["for=1.2.3.4"]),
            "203.0.113.9"
        );
    }

    #[test]
    fn the_right_most_untrusted_address_is_the_client() {
        assert_eq!(
            real("10.0.0.1", &["6.6.6.6, 203.0.113.9, 10.1.1.1"], &[]),
            "203.0.113.9"
        );
        assert_eq!(
            real("10.0.0.1", &["6.6.6.6", "203.0.113.9", "10.1.1.1"], &[]),
            "203.0.113.9"
        );
    }

    #[test]
    fn only_trusted_addresses_leave_the_left_most_of_them() {
        assert_eq!(real("10.0.0.1", &["10.2.2.2, 10.1.1.1"], &[]), "10.2.2.2");
        assert_eq!(real("10.0.0.1", &[], &[]), "10.0.0.1");
    }

    #[test]
    fn what_is_no_address_ends_the_walk() {
        assert_eq!(
            real("10.0.0.1", &["1.2.3.4, unknown, 10.1.1.1"], &[]),
            "10.1.1.1"
        );
    }

    #[test]
    fn a_member_that_is_no_text_hides_no_other() {
        let client = real_client(
            "10.0.0.1".parse().unwrap(),
            &trusted(),
            [&b"\xff, 203.0.113.9"[..]].into_iter(),
            [&b"for=10.0.0.5"[..]].into_iter(),
        );
        assert_eq!(client.to_string(), "203.0.113.9");
    }

    #[test]
    fn forwarded_is_read_when_there_is_no_x_forwarded_for() {
        assert_eq!(
            real(
                "::1",
                &[],
                &["for=6.6.6.6, For=\"[2001:db8::7]:4711\";proto=https"]
            ),
            "2001:db8::7"
        );
        assert_eq!(
            real("10.0.0.1", &["203.0.113.9:1234"], &["for=7.7.7.7"]),
            "203.0.113.9"
        );
    }

    #[test]
    fn a_proxy_that_does_not_say_for_whom_it_asks_ends_the_walk() {
        let lie = "for=6.6.6.6, proto=https";
        assert_eq!(real("10.0.0.1", &[], &[lie]), "10.0.0.1");
        let known = "for=6.6.6.6, by=10.1.1.1, , for=10.2.2.2";
        assert_eq!(real("10.0.0.1", &[], &[known]), "10.2.2.2");
    }

    #[test]
    fn what_is_quoted_is_no_element_and_an_open_quote_hides_none() {
        let host = "for=203.0.113.9;host=\"a, for=6.6.6.6;x=\\\", for=6.6.6.6, \"";
        assert_eq!(real("10.0.0.1", &[], &[host]), "203.0.113.9");
        let first = "for=203.0.113.9;x=\";for=6.6.6.6\"";
        assert_eq!(real("10.0.0.1", &[], &[first]), "203.0.113.9");
        for open in ["for=\", for=203.0.113.9", "\\\", for=\"203.0.113.9:80\""] {
            assert_eq!(real("10.0.0.1", &[], &[open]), "203.0.113.9", "{open}");
        }
        let with_host = "for=6.6.6.6;x=\", for=203.0.113.9;host=\"a.test\"";
        assert_eq!(real("10.0.0.1", &[], &[with_host]), "203.0.113.9");
    }

    #[test]
    fn a_mapped_ipv4_peer_is_compared_as_ipv4() {
        assert_eq!(
            real("::ffff:10.0.0.1", &["203.0.113.9"], &[]),
            "203.0.113.9"
        );
    }
}
