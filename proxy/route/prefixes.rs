//! Routes that ask for nothing but a path prefix, found without walking all of them.
//!
//! A gateway may hold a thousand of these for one host. They are kept sorted, each with a link to the longest other
//! prefix that it begins with. The greatest prefix not above the path begins with every prefix of the path there is
//! (whatever sorts between `/a` and `/a…` begins with `/a`), so one binary search and a few links find them all.
//!
//! It must never decide by length: which of several matching routes is meant is said by their order alone.

/// Prefixes of one host class, each standing for a route.
#[derive(Debug, Default)]
pub(super) struct Prefixes {
    sorted: Vec<Prefix>,
}

#[derive(Debug)]
struct Prefix {
    text: Box<str>,
    /// The first letters of it, which decide most comparisons.
    head: u64,
    /// The first route of all whose prefix this text begins with, its own included.
    first: usize,
    /// Where the longest other prefix stands that this text begins with.
    shorter: Option<usize>,
}

impl Prefixes {
    /// An index over pairs of prefix and route.
    pub(super) fn new(mut pairs: Vec<(Box<str>, usize)>) -> Self {
        pairs.sort();
        // Sorted, the first of the same prefix is the first of the routes: the others can never be met.
        pairs.dedup_by(|later, earlier| later.0 == earlier.0);
        let mut sorted: Vec<Prefix> = Vec::with_capacity(pairs.len());
        for (text, route) in pairs {
            let last = sorted.len().checked_sub(1);
            let shorter = longest_match(&sorted, last, &text);
            let first = shorter.map_or(route, |at| route.min(sorted[at].first));
            sorted.push(Prefix {
                head: head(&text),
                text,
                first,
                shorter,
            });
        }
        Prefixes { sorted }
    }

    /// The first route whose prefix `path` begins with.
    pub(super) fn find(&self, path: &str) -> Option<usize> {
        let own = head(path);
        let is_not_above = |p: &Prefix| p.head < own || (p.head == own && &*p.text <= path);
        let above = self.sorted.partition_point(is_not_above);
        let found = longest_match(&self.sorted, above.checked_sub(1), path)?;
        Some(self.sorted[found].first)
    }
}

impl Prefix {
    /// Whether a path with this head begins with it.
    fn begins(&self, path: &str, own: u64) -> bool {
        match self.text.len() {
            0 => true,
            // No letter is a zero, so that a path that ends before it differs.
            short @ 1..=8 => (self.head ^ own) >> (64 - 8 * short) == 0,
            _ => self.head == own && path.starts_with(&*self.text),
        }
    }
}

/// The first eight letters as a number, in the order of texts; zeros behind the last.
fn head(text: &str) -> u64 {
    let mut first = [0; 8];
    let length = text.len().min(8);
    first[..length].copy_from_slice(&text.as_bytes()[..length]);
    u64::from_be_bytes(first)
}

/// Follows the links from `from` to the first text that `path` begins with.
fn longest_match(sorted: &[Prefix], from: Option<usize>, path: &str) -> Option<usize> {
    let mut at = from;
    let own = head(path);
    while let Some(i) = at {
        if sorted[i].begins(path, own) {
            break;
        }
        at = sorted[i].shorter;
    }
    at
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn index(prefixes: &[&str]) -> Prefixes {
        let pairs = prefixes.iter().enumerate();
        Prefixes::new(pairs.map(|(route, p)| ((*p).into(), route)).collect())
    }

    #[test]
    fn the_longest_prefix_is_found_past_nearer_neighbours() {
        let p = index(&["/api/v1/users/", "/api/v1/", "/api/", "/"]);
        assert_eq!(p.find("/api/v1/users/7"), Some(0));
        assert_eq!(p.find("/api/v1/zebra"), Some(1));
        assert_eq!(p.find("/api/v0"), Some(2));
        assert_eq!(p.find("/zzz"), Some(3));
        assert_eq!(p.find("*"), None);
    }

    #[test]
    fn the_earlier_route_wins_even_with_the_shorter_prefix() {
        let p = index(&["/", "/a/", "/a/"]);
        assert_eq!(p.find("/a/b"), Some(0));
    }

    #[test]
    fn without_routes_nothing_is_found() {
        assert_eq!(index(&[]).find("/"), None);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]

        #[test]
        fn it_finds_what_a_walk_finds(
            prefixes in prop::collection::vec("[ab/]{0,4}", 0..24),
            path in "[ab/]{0,6}",
        ) {
            let walk = prefixes.iter().position(|p| path.starts_with(p.as_str()));
            let prefixes: Vec<&str> = prefixes.iter().map(String::as_str).collect();
            prop_assert_eq!(index(&prefixes).find(&path), walk);
        }
    }
}
