//! Requests of HTTP/2: what may come in can be written as HTTP/1, and is good there as it stands.
//!
//! The bytes are parts that end with RS (0x1e): method, target, authority (empty: none), then names and values.

use http::{HeaderName, HeaderValue, Method};
use tidegate::wire::head::{self, Good, Rules};
use tidegate::wire::pseudo::{self, Pseudo};

/// Parts of a request.
pub fn run(bytes: &[u8]) {
    let mut parts = bytes.split(|b| *b == 0x1e);
    let mut text = || std::str::from_utf8(parts.next().unwrap_or_default()).unwrap_or("\u{fffd}");
    let (method, target, authority) = (text(), text(), text());
    let authority = (!authority.is_empty()).then_some(authority);
    let rest: Vec<&[u8]> = parts.collect();
    // What the frames' own layer lets through.
    let fields: Vec<(HeaderName, HeaderValue)> = rest
        .chunks_exact(2)
        .filter(|pair| !pair[0].iter().any(u8::is_ascii_uppercase))
        .filter_map(|pair| {
            let name = HeaderName::from_bytes(pair[0]).ok()?;
            Some((name, HeaderValue::from_bytes(pair[1]).ok()?))
        })
        .collect();
    let fields: Vec<(&str, &[u8])> = fields
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_bytes()))
        .collect();
    for trusted in [false, true] {
        judge(method, target, authority, &fields, trusted);
    }
}

fn judge(
    method: &str,
    target: &str,
    authority: Option<&str>,
    fields: &[(&str, &[u8])],
    trusted: bool,
) {
    let rules = Rules {
        max_head: 32 * 1024,
        max_fields: 100,
        max_target: 8 * 1024,
        max_body: Some(1_000),
        merge_slashes: !trusted,
        keep_underscores: trusted,
        drop: vec!["x-original-url".into()],
    };
    let hosts = fields.iter().filter(|(name, _)| *name == "host");
    let hosts: Vec<&[u8]> = hosts.map(|(_, value)| *value).collect();
    let pseudo = Pseudo {
        scheme: Some("http"),
        method,
        target,
        authority,
        hosts: &hosts,
    };
    let settled = pseudo::check(&pseudo, &rules);
    let dropped = pseudo::fields(fields, &rules, trusted);
    // The frames' own layer lets no other methods through.
    let (Ok(settled), Ok(dropped), Ok(_)) =
        (settled, dropped, Method::from_bytes(method.as_bytes()))
    else {
        return;
    };
    let mut written = format!(
        "{method} {} HTTP/1.1\r\nhost: {}\r\n",
        settled.target, settled.host
    );
    assert!(settled.target.is_ascii() && settled.host.is_ascii());
    let mut written = std::mem::take(&mut written).into_bytes();
    let kept = fields
        .iter()
        .filter(|(name, _)| *name != "host" && !dropped.contains(name));
    for (name, value) in kept {
        written.extend_from_slice(&[name.as_bytes(), b": ", value, b"\r\n"].concat());
    }
    written.extend(b"\r\n");
    // The frame of HTTP/1 is longer by the host and the words between.
    let rules = Rules {
        max_head: 64 * 1024,
        max_fields: 102,
        ..rules
    };
    let good = head::check(&written, &rules, trusted);
    let as_it_is = matches!(good, Ok(Good { rewrite: false, .. }));
    assert!(as_it_is, "{good:?}: {}", String::from_utf8_lossy(&written));
}
