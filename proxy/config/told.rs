//! What a route matches, in words: for a table that has a line a route.
//!
//! The words are the keys of the file, so that whoever reads one finds the other.

use super::checked::{HostPattern, Match, PathPattern};
use super::effective::shown;
use super::validate::matcher::SCHEMES;

/// What it matches; a request must meet all of it.
pub fn matcher(matcher: &Match) -> String {
    let mut said = Vec::new();
    if !matcher.hosts.is_empty() {
        let host = |host: &HostPattern| match host {
            HostPattern::Exact(host) => host.clone(),
            HostPattern::Suffix(suffix) => format!("*{suffix}"),
        };
        let hosts: Vec<_> = matcher.hosts.iter().map(host).collect();
        said.push(format!("host {}", hosts.join(" or ")));
    }
    match &matcher.path {
        PathPattern::Any => {}
        PathPattern::Prefix(path) => said.push(format!("path {path}")),
        PathPattern::Exact(path) => said.push(format!("path_exact {path}")),
        PathPattern::Regex(regex) => said.push(format!("path_regex {regex}")),
    }
    if !matcher.methods.is_empty() {
        let methods: Vec<_> = matcher.methods.iter().map(|m| m.as_str()).collect();
        said.push(format!("methods {}", methods.join(" or ")));
    }
    if let Some(scheme) = matcher.scheme {
        said.push(format!("scheme {}", SCHEMES.word(scheme)));
    }
    for (name, value) in &matcher.headers {
        said.push(format!("header {name}: {}", shown(name, value)));
    }
    match said.is_empty() {
        true => "everything".into(),
        false => said.join(", "),
    }
}

#[cfg(test)]
mod tests {
    use http::{HeaderValue, Method, header};

    use super::*;

    #[test]
    fn a_route_says_what_it_matches_in_the_words_of_the_file() {
        assert_eq!(matcher(&Match::default()), "everything");
        let of = Match {
            hosts: vec![
                HostPattern::Exact("shop.example.com".into()),
                HostPattern::Suffix(".example.org".into()),
            ],
            path: PathPattern::Prefix("/api/".into()),
            methods: vec![Method::GET, Method::HEAD],
            headers: vec![(header::ACCEPT, HeaderValue::from_static("text/html"))],
            scheme: None,
        };
        assert_eq!(
            matcher(&of),
            "host shop.example.com or *.example.org, path /api/, methods GET or HEAD, header accept: text/html"
        );
    }
}
