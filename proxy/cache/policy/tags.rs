//! What an answer can be purged by.
//!
//! Takes a bounded number of tags of a bounded length. An answer with more is not stored: a purge by a tag that is not
//! remembered would miss it.

use http::{HeaderMap, HeaderName};

/// Tags of one answer.
pub const TAGS_AT_MOST: usize = 128;
/// Bytes of one tag.
pub const TAG_AT_MOST: usize = 256;

/// Fields that name tags, and whether commas separate them; else blanks do.
static FIELDS: [(HeaderName, bool); 3] = [
    (HeaderName::from_static("cache-tag"), true),
    (HeaderName::from_static("surrogate-key"), false),
    (HeaderName::from_static("xkey"), false),
];

/// The tags of an answer: of `Cache-Tag`, separated by commas; of `Surrogate-Key` and `xkey`, by blanks. Letter case
/// counts, and what is named twice is handed out twice.
pub fn tags(answer: &HeaderMap) -> impl Iterator<Item = &[u8]> {
    all(answer)
        .filter(|tag| tag.len() <= TAG_AT_MOST)
        .take(TAGS_AT_MOST)
}

/// Whether all tags of an answer can be remembered.
pub fn fit(answer: &HeaderMap) -> bool {
    all(answer).take(TAGS_AT_MOST + 1).count() <= TAGS_AT_MOST
        && all(answer).all(|tag| tag.len() <= TAG_AT_MOST)
}

fn all(answer: &HeaderMap) -> impl Iterator<Item = &[u8]> {
    let lines = FIELDS.iter().flat_map(|(name, by_comma)| {
        answer
            .get_all(name)
            .iter()
            .map(move |line| (line.as_bytes(), *by_comma))
    });
    let all = lines.flat_map(|(line, by_comma)| {
        line.split(move |b| {
            if by_comma {
                *b == b','
            } else {
                matches!(b, b' ' | b'\t')
            }
        })
    });
    all.map(|tag| tag.trim_ascii())
        .filter(|tag| !tag.is_empty())
}

#[cfg(test)]
mod tests {
    use super::super::testing::fields as answer;
    use super::*;

    #[test]
    fn tags_come_from_three_fields_on_any_number_of_lines() {
        let answer = answer(&[
            ("xkey", "e  f"),
            ("cache-tag", "a b, c,,"),
            ("cache-tag", "d"),
            ("surrogate-key", "g,h\ti"),
            ("x-tag", "no"),
        ]);
        let all: Vec<&[u8]> = tags(&answer).collect();
        assert_eq!(all, [&b"a b"[..], b"c", b"d", b"g,h", b"i", b"e", b"f"]);
    }

    #[test]
    fn a_flood_of_tags_is_cut_and_a_tag_too_long_is_none() {
        let many = "t,".repeat(10 * TAGS_AT_MOST);
        assert_eq!(tags(&answer(&[("cache-tag", &many)])).count(), TAGS_AT_MOST);
        let fits = "t".repeat(TAG_AT_MOST);
        let long = answer(&[("xkey", &format!("{fits}t {fits}"))]);
        assert_eq!(tags(&long).collect::<Vec<_>>(), [fits.as_bytes()]);
    }
}
