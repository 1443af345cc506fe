//! Whether a client may come in, given who is allowed and who is denied.
//!
//! `deny` wins; an empty `allow` allows everybody. Asked with the client's real address only (`guard/client`): the
//! answer for an address that the client wrote itself would be the client's own.

use std::net::IpAddr;

use ipnet::IpNet;

use crate::config::checked::Access;

/// Who may come in, made ready to be asked: as fast for ten thousand ranges as for ten.
#[derive(Debug, Clone, Default)]
pub struct Acl {
    allow: Ranges,
    deny: Ranges,
}

impl Acl {
    /// What the file says.
    pub fn new(access: &Access) -> Self {
        Acl {
            allow: Ranges::new(&access.allow),
            deny: Ranges::new(&access.deny),
        }
    }

    /// Whether `client` may come in. IPv4 addresses mapped into IPv6 count as IPv4.
    pub fn admits(&self, client: IpAddr) -> bool {
        if self.allow.0.is_empty() && self.deny.0.is_empty() {
            return true;
        }
        let client = client.to_canonical();
        !self.deny.has(client) && (self.allow.0.is_empty() || self.allow.has(client))
    }
}

/// First and last addresses of ranges that do not overlap, in order.
#[derive(Debug, Clone, Default)]
struct Ranges(Box<[(IpAddr, IpAddr)]>);

impl Ranges {
    fn new(nets: &[IpNet]) -> Self {
        let whole = IpNet::aggregate(&nets.to_vec());
        let mut ranges: Vec<_> = whole
            .iter()
            .map(|net| (net.network(), net.broadcast()))
            .collect();
        ranges.sort_unstable();
        Ranges(ranges.into())
    }

    fn has(&self, addr: IpAddr) -> bool {
        let after = self.0.partition_point(|(first, _)| *first <= addr);
        after.checked_sub(1).is_some_and(|at| self.0[at].1 >= addr)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn nets(words: &[&str]) -> Vec<IpNet> {
        words.iter().map(|w| w.parse().unwrap()).collect()
    }

    fn admits(allow: &[&str], deny: &[&str], client: &str) -> bool {
        let access = Access {
            allow: nets(allow),
            deny: nets(deny),
        };
        Acl::new(&access).admits(client.parse().unwrap())
    }

    #[test]
    fn without_a_word_everybody_may_come_in() {
        assert!(admits(&[], &[], "203.0.113.9"));
        assert!(admits(&[], &[], "2001:db8::1"));
    }

    #[test]
    fn whoever_is_not_allowed_stays_out_and_deny_wins() {
        let (allow, deny) = (&["10.0.0.0/8", "2001:db8::/32"], &["10.0.0.13/32"]);
        assert!(admits(allow, deny, "10.0.0.12"));
        assert!(!admits(allow, deny, "10.0.0.13"));
        assert!(!admits(allow, deny, "11.0.0.0"));
        assert!(admits(allow, deny, "2001:db8::7"));
        assert!(!admits(allow, deny, "2001:db9::"));
        assert!(!admits(&["10.0.0.0/8"], &["10.0.0.0/8"], "10.1.1.1"));
        assert!(!admits(&[], &["0.0.0.0/0"], "10.1.1.1"));
        assert!(admits(&[], &["0.0.0.0/0"], "2001:db8::1"));
    }

    #[test]
    fn ipv4_mapped_into_ipv6_counts_as_ipv4() {
        assert!(!admits(&[], &["10.0.0.0/8"], "::ffff:10.1.1.1"));
        assert!(admits(&["10.0.0.0/8"], &[], "::ffff:10.1.1.1"));
        assert!(!admits(&["::/0"], &[], "::ffff:10.1.1.1"));
    }

    fn net() -> impl Strategy<Value = IpNet> {
        let four = (0..256_u32, 20..=32_u8).prop_map(|(low, length)| {
            let addr = std::net::Ipv4Addr::from(0x0a00_0000 + low * 37);
            IpNet::new(addr.into(), length).unwrap().trunc()
        });
        let six = (0..64_u128, 120..=128_u8)
            .prop_map(|(low, length)| IpNet::new(std::net::Ipv6Addr::from(low * 7).into(), length))
            .prop_map(|net| net.unwrap().trunc());
        prop_oneof![four, six]
    }

    proptest! {
        #[test]
        fn ranges_say_the_same_as_looking_at_each(
            allow in proptest::collection::vec(net(), 0..12),
            deny in proptest::collection::vec(net(), 0..12),
            low in 0..0x3000_u32,
            six: bool,
        ) {
            let client: IpAddr = match six {
                true => std::net::Ipv6Addr::from(u128::from(low % 512)).into(),
                false => std::net::Ipv4Addr::from(0x0a00_0000 + low).into(),
            };
            let client = client.to_canonical();
            let one_of = |nets: &[IpNet]| nets.iter().any(|n| n.contains(&client));
            let plain = !one_of(&deny) && (allow.is_empty() || one_of(&allow));
            prop_assert_eq!(Acl::new(&Access { allow, deny }).admits(client), plain);
        }
    }
}
