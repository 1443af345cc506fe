//! Fields that speak to a cache like this one alone (RFC 9213), and an older one that a route may listen to.

use super::{EVER, Row, Stage, is_hit, row_of, told};

fn fresh(seconds: u64, name: &'static str, says: &'static str) -> (Row, u64) {
    (row_of(name, says), seconds)
}

#[tokio::test]
async fn a_targeted_field_takes_the_place_of_cache_control_and_expires() {
    let stage = Stage::open("true").await;
    stage
        .lasts(&[
            fresh(
                100,
                "longer",
                "CDN-Cache-Control: max-age=100\nCache-Control: max-age=50",
            ),
            fresh(
                50,
                "shorter",
                "CDN-Cache-Control: max-age=50\nCache-Control: max-age=100",
            ),
            fresh(
                100,
                "against no-store",
                "CDN-Cache-Control: max-age=100\nCache-Control: no-store",
            ),
            fresh(
                100,
                "against private",
                "CDN-Cache-Control: max-age=100\nCache-Control: private",
            ),
            fresh(
                100,
                "against Expires",
                "CDN-Cache-Control: max-age=100\nExpires: 0",
            ),
            fresh(
                0,
                "no-store",
                "CDN-Cache-Control: no-store\nCache-Control: max-age=100",
            ),
            fresh(
                0,
                "private",
                "CDN-Cache-Control: private\nCache-Control: max-age=100",
            ),
            fresh(
                0,
                "no-cache",
                "CDN-Cache-Control: no-cache\nCache-Control: max-age=100",
            ),
            fresh(
                0,
                "over",
                "CDN-Cache-Control: max-age=0\nCache-Control: max-age=100",
            ),
            fresh(
                0,
                "nothing on freshness",
                "CDN-Cache-Control: must-revalidate\nCache-Control: max-age=100",
            ),
            fresh(
                0,
                "unknown ones alone",
                "CDN-Cache-Control: foo\nCache-Control: max-age=100",
            ),
            fresh(
                100,
                "beside unknown ones",
                "CDN-Cache-Control: foo=bar, max-age=100;x=y, baz=(a b)",
            ),
            fresh(
                100,
                "ours before theirs",
                "Tidegate-Cache-Control: max-age=100\nCDN-Cache-Control: no-store",
            ),
            fresh(
                0,
                "ours forbids",
                "Tidegate-Cache-Control: no-store\nCDN-Cache-Control: max-age=100",
            ),
            fresh(
                100,
                "the last of two",
                "CDN-Cache-Control: max-age=50, max-age=100",
            ),
            fresh(
                100,
                "over two lines",
                "CDN-Cache-Control: must-revalidate\nCDN-Cache-Control: max-age=100",
            ),
            fresh(EVER, "for ever", "CDN-Cache-Control: max-age=2147483648"),
        ])
        .await;
}

#[tokio::test]
async fn a_targeted_field_that_is_none_is_as_if_it_were_not_there() {
    let stage = Stage::open("true").await;
    stage
        .lasts(&[
            fresh(100, "empty", "CDN-Cache-Control:\nCache-Control: max-age=100"),
            fresh(100, "a string", "CDN-Cache-Control: max-age=\"50\"\nCache-Control: max-age=100"),
            fresh(100, "a fraction", "CDN-Cache-Control: max-age=50.0\nCache-Control: max-age=100"),
            fresh(100, "a token", "CDN-Cache-Control: max-age=fifty\nCache-Control: max-age=100"),
            fresh(100, "no value", "CDN-Cache-Control: max-age\nCache-Control: max-age=100"),
            fresh(100, "capitals", "CDN-Cache-Control: MAX-AGE=50\nCache-Control: max-age=100"),
            fresh(100, "half a dictionary", "CDN-Cache-Control: max-age=50, =\nCache-Control: max-age=100"),
            fresh(100, "a comma at the end", "CDN-Cache-Control: max-age=50,\nCache-Control: max-age=100"),
            fresh(0, "and then no-store counts", "CDN-Cache-Control: max-age=\"50\"\nCache-Control: no-store"),
            fresh(
                100,
                "then the next counts",
                "Tidegate-Cache-Control: max-age=\"50\"\nCDN-Cache-Control: max-age=100\nCache-Control: max-age=200",
            ),
            fresh(100, "anothers", "Other-Cache-Control: max-age=50\nCache-Control: max-age=100"),
        ])
        .await;
}

#[tokio::test]
async fn targeted_fields_are_handed_on_as_they_came() {
    let stage = Stage::open("true").await;
    stage.says(
        "CDN-Cache-Control: max-age=100,  foo=bar
Tidegate-Cache-Control: max-age=100;x
Surrogate-Control: max-age=5
Cache-Control: no-store",
    );
    for hit in [false, true] {
        let answer = stage.get("/").await;
        assert_eq!(is_hit(&answer), hit, "{}", told(&answer));
        assert_eq!(
            answer.head.get("cdn-cache-control"),
            Some("max-age=100,  foo=bar")
        );
        assert_eq!(
            answer.head.get("tidegate-cache-control"),
            Some("max-age=100;x")
        );
        assert_eq!(answer.head.get("surrogate-control"), Some("max-age=5"));
        assert_eq!(answer.head.get("cache-control"), Some("no-store"));
    }
}

#[tokio::test]
async fn surrogate_control_counts_where_a_route_listens_to_it() {
    let stage = Stage::open("{ surrogate_control: true }").await;
    stage
        .lasts(&[
            fresh(
                100,
                "max-age",
                "Surrogate-Control: max-age=100\nCache-Control: no-store",
            ),
            fresh(
                0,
                "no-store",
                "Surrogate-Control: no-store\nCache-Control: max-age=100",
            ),
            fresh(
                100,
                "for somebody else",
                "Surrogate-Control: max-age=50;other\nCache-Control: max-age=100",
            ),
            fresh(
                100,
                "for us",
                "Surrogate-Control: max-age=100;tidegate\nCache-Control: max-age=50",
            ),
            fresh(
                100,
                "behind the targeted ones",
                "CDN-Cache-Control: max-age=100\nSurrogate-Control: max-age=50",
            ),
        ])
        .await;
    let stage = Stage::open("true").await;
    stage
        .lasts(&[
            fresh(
                100,
                "not asked for",
                "Surrogate-Control: max-age=50\nCache-Control: max-age=100",
            ),
            fresh(0, "not asked for alone", "Surrogate-Control: max-age=50"),
        ])
        .await;
}
