//! Who the client is: the peer, or somebody who stands in the fields; and never somebody whom a client could choose.
//!
//! The bytes are lines: the peer's address, then a value each, of `Forwarded` behind `F:`, else of `X-Forwarded-For`.

use std::net::{IpAddr, SocketAddr};

use ipnet::IpNet;
use tidegate::guard::client::{group, is_trusted, real_client};

/// Lines.
pub fn run(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let mut lines = text.split('\n');
    let peer: IpAddr = lines
        .next()
        .and_then(|l| l.trim().parse().ok())
        .unwrap_or_else(|| [10, 0, 0, 1].into());
    let (forwarded, x): (Vec<&str>, Vec<&str>) = lines.partition(|l| l.starts_with("F:"));
    let forwarded: Vec<&str> = forwarded.iter().map(|l| &l[2..]).collect();
    let trusted: Vec<IpNet> = ["10.0.0.0/8", "192.168.1.0/24", "::1/128", "fd00::/8"]
        .map(|net| net.parse().expect("a range"))
        .to_vec();
    let real = |x: &[&str], forwarded: &[&str]| {
        let x = x.iter().map(|line| line.as_bytes());
        let forwarded = forwarded.iter().map(|line| line.as_bytes());
        real_client(peer, &trusted, x, forwarded)
    };
    let found = real(&x, &forwarded);
    group(found);
    assert_eq!(found, found.to_canonical());
    let peer = peer.to_canonical();
    if !is_trusted(peer, &trusted) {
        assert_eq!(found, peer, "an untrusted peer was believed");
    }
    assert!(
        found == peer || stands_in(found, &text),
        "{found} from nowhere"
    );
    assert_eq!(real(&[], &[]), peer);
    // `X-Forwarded-For` wins where it says anything.
    let says = x.iter().any(|l| l.split(',').any(|m| !m.trim().is_empty()));
    if says {
        assert_eq!(real(&x, &[]), found);
    }
    // In one field or in several.
    assert_eq!(real(&[&x.join(",")], &forwarded), found);
    if !forwarded.iter().any(|line| line.contains('"')) {
        assert_eq!(real(&x, &[&forwarded.join(",")]), found);
    }
    // What stands left of an untrusted client was written by it, and counts for nothing.
    if found != peer && !is_trusted(found, &trusted) {
        for lie in [
            "6.6.6.6",
            "10.6.6.6",
            "for=6.6.6.6",
            "\"",
            "[",
            "unknown",
            ",",
        ] {
            let (x, forwarded) = match says {
                true => ([&[lie], &x[..]].concat(), forwarded.clone()),
                false => (x.clone(), [&[lie], &forwarded[..]].concat()),
            };
            if says || !["6.6.6.6"].contains(&lie) {
                assert_eq!(real(&x, &forwarded), found, "changed by {lie}");
            }
        }
    }
}

/// Whether an address stands in a text, with or without port and brackets.
fn stands_in(addr: IpAddr, text: &str) -> bool {
    let is_it = |a: IpAddr| a.to_canonical() == addr;
    let apart = |c: char| c.is_whitespace() || ",;=\"".contains(c);
    text.split(apart).any(|word| {
        let bare = word.trim_matches(['[', ']']);
        bare.parse().is_ok_and(is_it) || word.parse().is_ok_and(|a: SocketAddr| is_it(a.ip()))
    })
}
