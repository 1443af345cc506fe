//! Which finished requests somebody wants to hear of.
//!
//! Read once from words, asked for every request that ends while somebody listens, before its line is made. A word that
//! can never fit is refused when it is read: silence would be taken for peace.

use std::time::Duration;

use super::super::finished::Finished;
use crate::base::cached::Outcome;
use crate::base::reason::{End, Refusal};
use crate::base::units;

/// All of its criteria must hold; without any, every request is wanted.
#[derive(Debug, Default)]
pub struct Filter {
    criteria: Vec<Criterion>,
}

#[derive(Debug)]
enum Criterion {
    /// It took at least so long.
    MinTime(Duration),
    /// Its status is in one of these ranges, ends included.
    Status(Vec<(u16, u16)>),
    Route(String),
    Upstream(String),
    /// This node was tried, or one of the addresses of this name.
    Node(String),
    /// Its host, with its port or without.
    Host(String),
    /// Its path begins so.
    Path(String),
    Method(Vec<String>),
    /// It ended in one of these ways; `refused` is any of them.
    End(Vec<String>),
    Cache(Vec<String>),
}

impl Filter {
    /// What can be asked for, in the order of the documentation.
    pub const NAMES: [&str; 10] = [
        "min_time", "status", "route", "upstream", "node", "host", "path", "method", "end", "cache",
    ];

    /// Adds a criterion: one of [`Filter::NAMES`] and what it has to be.
    ///
    /// # Errors
    /// What is wrong with it, and what would be right.
    pub fn add(&mut self, name: &str, value: &str) -> Result<(), String> {
        let text = || value.to_owned();
        if value.is_empty() {
            return Err(format!("`{name}` is empty; leave it out"));
        }
        self.criteria.push(match name {
            "min_time" => Criterion::MinTime(units::duration(value).map_err(|why| {
                format!(
                    "`min_time` is {value:?}: {why}; it is {}",
                    units::DURATION_FORMS
                )
            })?),
            "status" => Criterion::Status(list(value).map(statuses).collect::<Result<_, _>>()?),
            "route" => Criterion::Route(text()),
            "upstream" => Criterion::Upstream(text()),
            "node" => Criterion::Node(text()),
            "host" => Criterion::Host(text()),
            "path" => Criterion::Path(text()),
            "method" => Criterion::Method(list(value).map(str::to_ascii_uppercase).collect()),
            "end" => Criterion::End(known(name, value, &ends())?),
            "cache" => Criterion::Cache(known(name, value, &Outcome::ALL.map(Outcome::as_str))?),
            _ => {
                let names = Self::NAMES.join(", ");
                return Err(format!("there is no filter {name:?}; there are {names}"));
            }
        });
        Ok(())
    }

    /// The first digits of statuses that may be wanted, a bit each.
    pub fn classes(&self) -> u32 {
        let of = |criterion: &Criterion| match criterion {
            Criterion::Status(ranges) => {
                let digits = ranges.iter().flat_map(|(from, to)| from / 100..=to / 100);
                digits
                    .map(|digit| 1 << digit.min(9))
                    .fold(0, |all, one| all | one)
            }
            _ => u32::MAX,
        };
        self.criteria
            .iter()
            .map(of)
            .fold(u32::MAX, |all, one| all & one)
    }

    /// Whether a request is wanted.
    pub fn wants(&self, f: &Finished<'_>) -> bool {
        self.criteria.iter().all(|criterion| criterion.holds(f))
    }
}

impl Criterion {
    fn holds(&self, f: &Finished<'_>) -> bool {
        let any = |words: &[String], word: &str| words.iter().any(|w| w == word);
        match self {
            Criterion::MinTime(least) => f.total >= *least,
            Criterion::Status(ranges) => ranges
                .iter()
                .any(|(from, to)| (from..=to).contains(&&f.status)),
            Criterion::Route(route) => f.route == route,
            Criterion::Upstream(upstream) => f.upstream == upstream,
            Criterion::Node(node) => f.nodes.iter().any(|tried| is_node(tried, node)),
            Criterion::Host(host) => is_host(f.host, host),
            Criterion::Path(path) => f.path.starts_with(path.as_str()),
            Criterion::Method(methods) => any(methods, f.method.as_str()),
            Criterion::End(ends) => {
                any(ends, f.end.as_str())
                    || (matches!(f.end, End::Refused(_)) && any(ends, REFUSED))
            }
            Criterion::Cache(outcomes) => f.cache.is_some_and(|did| any(outcomes, did.as_str())),
        }
    }
}

/// Any refusal.
const REFUSED: &str = "refused";

/// Whether this is the node of that id, or an address of the entry of that id.
fn is_node(tried: &str, wanted: &str) -> bool {
    tried
        .strip_prefix(wanted)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('@'))
}

fn is_host(host: &str, wanted: &str) -> bool {
    let name = host.rsplit_once(':').map_or(host, |(name, _)| name);
    host.eq_ignore_ascii_case(wanted) || name.eq_ignore_ascii_case(wanted)
}

fn list(value: &str) -> impl Iterator<Item = &str> {
    value.split(',').map(str::trim)
}

/// `503`, `5xx`, `500-504`; 0 is a request that was sent no answer.
fn statuses(word: &str) -> Result<(u16, u16), String> {
    let number = |text: &str| text.parse().ok().filter(|n| *n <= 999);
    let range = match word.as_bytes() {
        [digit @ b'1'..=b'9', b'x' | b'X', b'x' | b'X'] => {
            let from = u16::from(digit - b'0') * 100;
            Some((from, from + 99))
        }
        _ => match word.split_once('-') {
            Some((from, to)) => number(from).zip(number(to)).filter(|(from, to)| from <= to),
            None => number(word).map(|one| (one, one)),
        },
    };
    range.ok_or_else(|| {
        format!(
            "`status` has {word:?}; it is a code (503), a class (5xx), a range (500-504), or several with commas \
             between them"
        )
    })
}

fn ends() -> Vec<&'static str> {
    let taken_in = End::TAKEN_IN.into_iter().map(End::as_str);
    let refusals = Refusal::ALL
        .into_iter()
        .map(|why| End::Refused(why).as_str());
    taken_in.chain([REFUSED]).chain(refusals).collect()
}

/// Words of ours, with commas between them.
fn known(name: &str, value: &str, words: &[&str]) -> Result<Vec<String>, String> {
    let one = |word: &str| match words.contains(&word) {
        true => Ok(word.to_owned()),
        false => Err(format!(
            "`{name}` has {word:?}; it is one of {}, or several with commas between them",
            words.join(", ")
        )),
    };
    list(value).map(one).collect()
}

#[cfg(test)]
mod tests {
    use http::Method;
    use proptest::prelude::*;

    use super::*;

    fn filter(name: &str, value: &str) -> Filter {
        let mut filter = Filter::default();
        filter
            .add(name, value)
            .unwrap_or_else(|why| panic!("{why}"));
        filter
    }

    #[test]
    fn a_request_is_wanted_when_every_criterion_holds() {
        let slow = Finished {
            status: 503,
            total: Duration::from_millis(600),
            host: "Shop.example.com:8080",
            method: &Method::POST,
            end: End::UpstreamTimeout,
            cache: Some(Outcome::Miss),
            ..Finished::example("/api/orders", &["app-1", "db@10.0.0.7:80"])
        };
        for (name, value, wanted) in [
            ("min_time", "500ms", true),
            ("min_time", "601ms", false),
            ("status", "503", true),
            ("status", "4xx,5xx", true),
            ("status", "500-502, 504", false),
            ("route", "default", true),
            ("route", "def", false),
            ("upstream", "web", true),
            ("upstream", "api", false),
            ("node", "app-1", true),
            ("node", "app", false),
            ("node", "db", true),
            ("host", "shop.example.com", true),
            ("host", "shop.example.com:8080", true),
            ("host", "example.com", false),
            ("path", "/api/", true),
            ("path", "/a/", false),
            ("method", "get,post", true),
            ("method", "GET", false),
            ("end", "upstream_timeout,ok", true),
            ("end", "refused", false),
            ("cache", "hit,miss", true),
            ("cache", "hit", false),
        ] {
            assert_eq!(filter(name, value).wants(&slow), wanted, "{name}={value}");
        }
        let mut both = filter("status", "5xx");
        both.add("method", "GET").unwrap();
        assert!(!both.wants(&slow));
        assert!(Filter::default().wants(&slow));
    }

    #[test]
    fn any_refusal_is_one_word() {
        let refused = Finished {
            end: End::Refused(Refusal::Acl),
            ..Finished::example("/", &[])
        };
        assert!(filter("end", "refused").wants(&refused));
        assert!(filter("end", "refused:acl").wants(&refused));
        assert!(!filter("end", "refused:path").wants(&refused));
    }

    #[test]
    fn what_can_never_fit_is_refused_with_what_would() {
        for (name, value, said) in [
            ("min_time", "500", "200ms"),
            ("status", "6000", "5xx"),
            ("status", "xx", "5xx"),
            ("status", "504-500", "5xx"),
            ("end", "fine", "upstream_timeout"),
            ("cache", "hits", "revalidated"),
            ("path", "", "leave it out"),
            ("colour", "red", "min_time"),
        ] {
            let why = Filter::default().add(name, value).expect_err(value);
            assert!(why.contains(said), "{name}={value}: {why}");
        }
    }

    proptest! {
        #[test]
        fn a_status_fits_its_code_and_its_class(status in 100_u16..600) {
            let answered = Finished { status, ..Finished::example("/", &[]) };
            let class = format!("{}xx", status / 100);
            let other = format!("{}xx", status / 100 % 5 + 1);
            prop_assert!(filter("status", &status.to_string()).wants(&answered));
            prop_assert!(filter("status", &class).wants(&answered));
            prop_assert!(!filter("status", &other).wants(&answered));
        }

        #[test]
        fn no_words_make_it_panic(name in "[a-z_]{0,9}", value in ".{0,30}") {
            let _ = Filter::default().add(&name, &value);
        }
    }
}
