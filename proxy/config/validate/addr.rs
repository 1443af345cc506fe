//! Addresses: where we listen and where nodes do.
//!
//! Names of nodes are checked for their form only and never resolved here: a configuration must be readable while
//! DNS is away.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

use crate::config::checked::NodeAddr;

/// What is wrong with an address, and what to write.
pub type Refusal = (String, String);

/// Reads an address to bind. `:8080` and `*:8080` are every interface.
pub fn bind(word: &str) -> Result<SocketAddr, Refusal> {
    if let Ok(addr) = word.parse() {
        return Ok(addr);
    }
    let (host, port) = split(word);
    let port = port.ok_or_else(|| match word.parse::<u16>() {
        Ok(port) => (
            format!("\"{port}\" is a port without an address"),
            format!(
                "write \":{port}\" for every interface, 127.0.0.1:{port} for this machine only"
            ),
        ),
        Err(_) => (
            format!("\"{word}\" has no port"),
            format!(
                "write {}:8080",
                if word.is_empty() { "0.0.0.0" } else { word }
            ),
        ),
    })?;
    let number = port_number(port)?;
    match host {
        "" | "*" => Ok((Ipv4Addr::UNSPECIFIED, number).into()),
        "localhost" => Err(no_name(word, &format!("127.0.0.1:{number}"))),
        _ if host.matches(':').count() > 1 => Err((
            format!("\"{word}\" is an IPv6 address without brackets"),
            "write [::1]:8080".into(),
        )),
        _ => Err(no_name(
            word,
            &format!("an address of this machine, or \":{number}\" for every interface"),
        )),
    }
}

fn no_name(word: &str, write: &str) -> Refusal {
    (
        format!("\"{word}\" is a name or not an address; names are not resolved here"),
        format!("write {write}"),
    )
}

/// Reads the address of a node.
pub fn node(word: &str) -> Result<NodeAddr, Refusal> {
    if let Some((scheme, rest)) = word.split_once("://") {
        let what = format!("\"{word}\" is a URL; a node is an address and a port");
        let addr = rest.split('/').next().unwrap_or(rest);
        return Err(match scheme {
            "https" => (
                what,
                format!("write {addr}, with its port, and `tls: true` for its upstream"),
            ),
            _ => (what, format!("write {addr}")),
        });
    }
    if word.starts_with('/') || word.starts_with("unix:") {
        return Err((
            "unix sockets are not supported yet".into(),
            "let the node listen on an address and port, as 127.0.0.1:3000".into(),
        ));
    }
    if word.parse::<Ipv6Addr>().is_ok() {
        return Err((
            format!("\"{word}\" is an IPv6 address without brackets and port"),
            "write [ADDRESS]:PORT, as [::1]:3000".into(),
        ));
    }
    let (host, port) = split(word);
    let Some(port) = port.filter(|p| !p.is_empty()) else {
        let host = host.trim_end_matches(':');
        let shown = if host.is_empty() { "10.0.0.11" } else { host };
        return Err((
            format!("the node \"{word}\" has no port"),
            format!("write {shown}:3000, with the port your app listens on"),
        ));
    };
    let port = match port_number(port)? {
        0 => {
            return Err((
                format!("\"{word}\": port 0 cannot be connected to"),
                "write the port your app listens on".into(),
            ));
        }
        port => port,
    };
    if let Ok(addr) = word.parse::<SocketAddr>() {
        return Ok(NodeAddr::Socket(addr));
    }
    if host.matches(':').count() > 1 {
        return Err((
            format!("\"{word}\" is an IPv6 address without brackets"),
            "write [::1]:3000".into(),
        ));
    }
    // Digits and dots alone are meant as an address; as a name they would never resolve.
    if host.bytes().all(|b| b.is_ascii_digit() || b == b'.') {
        return Err((
            format!("\"{host}\" is not an IPv4 address"),
            "write four numbers from 0 to 255, as 10.0.0.11:3000".into(),
        ));
    }
    host_name(host)?;
    Ok(NodeAddr::Name {
        host: host.to_ascii_lowercase(),
        port,
    })
}

/// Checks the form of a host name.
pub fn host_name(host: &str) -> Result<(), Refusal> {
    let fine = |label: &str| {
        let letters = label
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_');
        letters
            && !label.is_empty()
            && label.len() <= 63
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    match host.len() <= 253 && host.split('.').all(fine) {
        true => Ok(()),
        false => Err((
            format!("\"{host}\" is not a host name"),
            "use letters, digits, - and dots; a name with other letters in its xn-- form".into(),
        )),
    }
}

/// Splits at the last colon, unless that is inside of brackets.
fn split(word: &str) -> (&str, Option<&str>) {
    match word.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => (host, Some(port)),
        _ => (word, None),
    }
}

fn port_number(port: &str) -> Result<u16, Refusal> {
    let digits = port.bytes().all(|b| b.is_ascii_digit());
    port.parse().ok().filter(|_| digits).ok_or_else(|| {
        (
            format!("\"{port}\" is not a port"),
            "a port is a number from 1 to 65535".into(),
        )
    })
}
