//! What an operator's words name in the cache: a URL, a prefix, a host.
//!
//! A URL means what a GET for it would store: the same form of its path, the same port left out. Pure. It must never
//! guess: what can be read in two ways is refused, for a purge of the wrong thing is not undone.

use http::Uri;

use crate::base::path;

/// What an operator names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PurgeWhat {
    /// All variants of one URL, as `http://shop.example.com/a?b=c`.
    Url(String),
    /// All answers with this tag.
    Tag(String),
    /// All answers whose path begins so: `/assets/`, or `http://shop.example.com/assets/*`.
    Prefix {
        /// How they begin.
        prefix: String,
        /// Of this host alone, where the prefix names none.
        host: Option<String>,
    },
    /// All answers of one host, whatever the scheme.
    Host(String),
    /// Everything.
    All,
}

/// Words that name nothing, and what to write instead.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unclear(pub String);

impl std::fmt::Display for Unclear {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Unclear {}

/// A URL taken apart, its path in the one form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Site {
    /// `http` or `https`.
    pub scheme: &'static str,
    /// Host and port as they were written.
    pub host: String,
    /// Path.
    pub path: String,
    /// Query.
    pub query: Option<String>,
}

impl Site {
    /// Takes a URL apart; `merge`: `//` is `/`.
    ///
    /// # Errors
    /// When it is none, or its path can be read in two ways.
    pub fn of(url: &str, merge: bool) -> Result<Site, Unclear> {
        let wrong = |what: &str| {
            Err(Unclear(format!(
                "{url:?} {what}; write it as http://HOST[:PORT]/PATH, the way a client asks for it"
            )))
        };
        let Ok(uri) = url.parse::<Uri>() else {
            return wrong("is no URL");
        };
        let scheme = match uri.scheme_str() {
            Some("http") => "http",
            Some("https") => "https",
            Some(_) => return wrong("has a scheme that is neither http nor https"),
            None => return wrong("names no scheme"),
        };
        let host = uri.authority().map_or("", |authority| authority.as_str());
        if host.is_empty() || host.contains('@') {
            return wrong("names no host, or more than that");
        }
        let Ok(normal) = path::is_normal(uri.path().as_bytes(), merge) else {
            return wrong("has a path that can be read in two ways, which no request may have");
        };
        let path = match normal {
            true => uri.path().to_string(),
            false => path::normal(uri.path(), merge),
        };
        Ok(Site {
            scheme,
            host: host.to_string(),
            path,
            query: uri.query().map(str::to_string),
        })
    }
}

/// A prefix and the host it is of, as keys have them.
///
/// # Errors
/// When it is none, or says two things of its host.
pub fn prefix(
    text: &str,
    host: Option<&str>,
    merge: bool,
) -> Result<(Option<String>, String), Unclear> {
    let begins = text.strip_suffix('*').unwrap_or(text);
    let is_url = begins.contains("://");
    let (host, path) = match is_url {
        true => {
            let rest = begins.split_once("://").map_or("", |(_, rest)| rest);
            let at = rest.find('/').unwrap_or(rest.len());
            if host.is_some() {
                return Err(Unclear(format!(
                    "the prefix {text:?} names a host already; leave out the other one"
                )));
            }
            let site = Site::of(&begins[..begins.len() - rest.len() + at], merge)?;
            (Some(bare_host(&site.host)?), &rest[at..])
        }
        false => (host.map(bare_host).transpose()?, begins),
    };
    let path = if is_url && path.is_empty() { "/" } else { path };
    // Brought into another form it could begin more than it says.
    let is_one = path.starts_with('/') && path::is_normal(path.as_bytes(), merge) == Ok(true);
    if !is_one || path.contains(['?', '#', '*']) {
        return Err(Unclear(format!(
            "{text:?} is no beginning of a path; write it as /assets/ or http://HOST/assets/*, without a query and without dot segments or escapes that nothing needs"
        )));
    }
    Ok((host, path.to_string()))
}

/// A host as keys have it: in lower case, without the port that its scheme would have anyway.
///
/// # Errors
/// When it is none.
pub fn bare_host(text: &str) -> Result<String, Unclear> {
    let is_host = text.parse::<http::uri::Authority>().is_ok() && !text.contains('@');
    if !is_host {
        return Err(Unclear(format!(
            "{text:?} is no host; write it as shop.example.com, with its port if that is not the usual one"
        )));
    }
    let host = text.strip_suffix(":80").or(text.strip_suffix(":443"));
    Ok(host.unwrap_or(text).to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn site(url: &str) -> Result<(String, String, Option<String>), Unclear> {
        Site::of(url, true).map(|s| (s.host, s.path, s.query))
    }

    #[test]
    fn a_url_means_the_path_that_a_request_for_it_would_have() {
        let told = |host: &str, path: &str, query: Option<&str>| {
            Ok((
                host.to_string(),
                path.to_string(),
                query.map(str::to_string),
            ))
        };
        assert_eq!(site("http://a"), told("a", "/", None));
        assert_eq!(
            site("HTTP://A:80//b/./%61?x=1#top"),
            told("A:80", "/b/a", Some("x=1"))
        );
        assert_eq!(
            site("https://[::1]:8443/?"),
            told("[::1]:8443", "/", Some(""))
        );
    }

    #[test]
    fn what_is_no_url_of_ours_says_how_to_write_it() {
        for url in [
            "",
            "/a",
            "shop.example.com/a",
            "ftp://a/b",
            "http:///a",
            "http://user@a/b",
            "http://a/%2e%2e/b",
            "http://a/b c",
        ] {
            let said = site(url).map_err(|e| e.to_string());
            assert!(
                said.clone().is_err_and(|e| e.contains("http://HOST")),
                "{url}: {said:?}"
            );
        }
    }

    #[test]
    fn a_prefix_is_of_one_host_or_of_all() {
        let of = |text, host| prefix(text, host, true);
        let ok = |host: Option<&str>, path: &str| Ok((host.map(str::to_string), path.to_string()));
        assert_eq!(of("/a", None), ok(None, "/a"));
        assert_eq!(
            of("/a/*", Some("Shop.Example:80")),
            ok(Some("shop.example"), "/a/")
        );
        assert_eq!(
            of("http://Shop.example:8080/a*", None),
            ok(Some("shop.example:8080"), "/a")
        );
        assert_eq!(
            of("https://shop.example", None),
            ok(Some("shop.example"), "/")
        );
        for (text, host) in [
            ("a", None),
            ("", None),
            ("*", None),
            ("/a?b=", None),
            ("/a/../b", None),
            ("/a//b", None),
            ("/a*/b", None),
            ("http://a/b*", Some("a")),
            ("ftp://a/b*", None),
            ("/a", Some("two words")),
        ] {
            assert!(of(text, host).is_err(), "{text} {host:?}");
        }
    }

    #[test]
    fn a_host_is_named_as_keys_name_it() {
        assert_eq!(
            bare_host("Shop.Example.COM:443").as_deref(),
            Ok("shop.example.com")
        );
        assert_eq!(bare_host("a:8080").as_deref(), Ok("a:8080"));
        for none in ["", "a/b", "http://a", "u@a"] {
            assert!(bare_host(none).is_err(), "{none}");
        }
    }
}
