//! Where a redirect points: the target of the configuration, filled in from the request.
//!
//! The request is a stranger's, the target the operator's. So nothing of a request may ever end the header line, nor
//! choose the site: browsers read `//evil.com` and `/\evil.com` as another host, and `https://shop` followed by
//! `.evil.com` or `@evil.com` as well. Hence the target is cut into the part that names the site and the rest, only
//! `{host}` can be filled into the former (and `{scheme}`, which is ours, before it), and there is exactly one slash between the two.

use super::host;

/// What of a request may show up in a target.
#[derive(Debug, Clone, Copy)]
pub struct Parts<'a> {
    /// How the client reached us, `http` or `https`: `{scheme}`, at the beginning of a target.
    pub scheme: &'static str,
    /// The value of `Host` or `:authority` as it came; `{host}` stands for it without its port.
    pub host: &'a str,
    /// The path, without the query: `{path}`.
    pub path: &'a str,
    /// The query, without its `?`: `{query}`. `{uri}` stands for path and query.
    pub query: Option<&'a str>,
}

/// The value of `Location` for the target `to` of [`crate::config::checked::Action::Redirect`]. `prefix` is the `path`
/// prefix of the route, if it has one.
///
/// A target that ends with `/` on a prefix that ends with `/` keeps what follows the prefix, query included. A target
/// without a site (`https://host`, `//host`) is always a path from the root, with one leading slash; so is one whose
/// site would be empty because the request names no host. What a URI may not hold is percent-encoded.
pub fn location(to: &str, parts: &Parts<'_>, prefix: Option<&str>) -> String {
    let filled;
    let to = match to.strip_prefix(SCHEME) {
        Some(rest) => {
            filled = format!("{}{rest}", parts.scheme);
            &filled
        }
        None => to,
    };
    let (site, rest) = split_site(to);
    let mut location = String::with_capacity(to.len() + parts.path.len());
    if !fill_site(&mut location, site, parts) {
        location.clear();
    }
    let mut tail = String::new();
    fill(&mut tail, rest, parts);
    if let Some(kept) = kept_path(to, parts.path, prefix) {
        encode(&mut tail, kept, PATH);
        if let Some(query) = parts.query {
            tail.push('?');
            encode(&mut tail, query, QUERY);
        }
    }
    if location.is_empty() {
        location.push('/');
        location.push_str(tail.trim_start_matches(SLASHES));
    } else {
        if !tail.is_empty() && !tail.starts_with(['/', '?', '#']) {
            location.push('/');
        }
        location.push_str(&tail);
    }
    location
}

/// The placeholder of the scheme. Elsewhere than at the beginning it would be text, and is refused in the file.
const SCHEME: &str = "{scheme}";

/// Browsers take a backslash for a slash.
const SLASHES: [char; 2] = ['/', '\\'];

/// The placeholders that are filled with something that can close or leave the site, and thus end it in a target.
const AFTER_SITE: [&str; 3] = ["{path}", "{query}", "{uri}"];

/// Cuts `https://{host}:8443/new/` into `https://{host}:8443` and `/new/`. Without a site the first part is empty.
fn split_site(to: &str) -> (&str, &str) {
    let Some(start) = to.find("//").map(|at| at + 2) else {
        return ("", to);
    };
    let scheme = &to[..start - 2];
    let is_scheme = |s: &str| {
        s.starts_with(|c: char| c.is_ascii_alphabetic())
            && s.chars()
                .all(|c| c.is_ascii_alphanumeric() || "+-.".contains(c))
    };
    if !scheme.is_empty() && !scheme.strip_suffix(':').is_some_and(is_scheme) {
        return ("", to);
    }
    let authority = &to[start..];
    let end = AFTER_SITE
        .iter()
        .filter_map(|placeholder| authority.find(placeholder))
        .chain(authority.find(['/', '\\', '?', '#']))
        .min()
        .unwrap_or(authority.len());
    if end == 0 {
        return ("", to);
    }
    to.split_at(start + end)
}

/// Writes the site; false when it names no host in the end.
fn fill_site(out: &mut String, site: &str, parts: &Parts<'_>) -> bool {
    let host = host::normal(parts.host);
    let mut pieces = site.split("{host}");
    encode(out, pieces.next().unwrap_or_default(), LITERAL);
    for piece in pieces {
        encode(out, &host, HOST);
        encode(out, piece, LITERAL);
    }
    let authority = out.split_once("//").map_or("", |(_, authority)| authority);
    !authority.is_empty() && !authority.starts_with(':') && !authority.ends_with('@')
}

/// Writes `template` with its placeholders filled in, once: what is filled in is not looked at again.
fn fill(out: &mut String, template: &str, parts: &Parts<'_>) {
    let mut left = template;
    while let Some(at) = left.find('{') {
        encode(out, &left[..at], LITERAL);
        left = &left[at..];
        let name = left.find('}').map_or("", |end| &left[..=end]);
        match name {
            "{host}" => encode(out, &host::normal(parts.host), HOST),
            "{path}" => encode(out, parts.path, PATH),
            "{query}" => encode(out, parts.query.unwrap_or_default(), QUERY),
            "{uri}" => {
                encode(out, parts.path, PATH);
                if let Some(query) = parts.query {
                    out.push('?');
                    encode(out, query, QUERY);
                }
            }
            // Not ours: a brace like any other letter.
            _ => {
                out.push('{');
                left = &left[1..];
                continue;
            }
        }
        left = &left[name.len()..];
    }
    encode(out, left, LITERAL);
}

/// What follows the prefix, when the target keeps it, without the slashes that could turn it into a site.
fn kept_path<'a>(to: &str, path: &'a str, prefix: Option<&str>) -> Option<&'a str> {
    let prefix = prefix.filter(|p| p.ends_with('/') && to.ends_with('/'))?;
    Some(path.strip_prefix(prefix)?.trim_start_matches(SLASHES))
}

/// Printable letters that are encoded all the same, by place. Control characters, blanks and everything beyond ASCII
/// always are. `%` never is: what came encoded stays so.
const LITERAL: &[u8] = b"";
const PATH: &[u8] = b"\"#<>?\\^`{|}";
const QUERY: &[u8] = b"\"#<>\\^`{|}";
const HOST: &[u8] = b"\"#<>?\\^`{|}/@";

fn encode(out: &mut String, text: &str, also: &[u8]) {
    const HEX: [char; 16] = [
        '0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'A', 'B', 'C', 'D', 'E', 'F',
    ];
    for byte in text.bytes() {
        if byte.is_ascii_graphic() && !also.contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push('%');
            out.push(HEX[usize::from(byte >> 4)]);
            out.push(HEX[usize::from(byte & 15)]);
        }
    }
}

#[cfg(test)]
mod tests;
