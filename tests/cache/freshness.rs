//! How long an answer is fresh, and how old it says that it is (RFC 9111 §4.2, §5).

use super::{EVER, Row, Stage, dated, is_hit, row_of, told};
use crate::support::client::Answer;

/// A row by what it says; fresh for so many seconds.
fn fresh(seconds: u64, name: &'static str, says: &'static str) -> (Row, u64) {
    (row_of(name, says), seconds)
}

#[tokio::test]
async fn of_several_words_on_freshness_the_one_that_is_nearest_to_us_counts() {
    let stage = Stage::open("true").await;
    stage
        .lasts(&[
            fresh(
                100,
                "ours before that of all such caches",
                "Tidegate-Cache-Control: max-age=100\nCDN-Cache-Control: max-age=200\nCache-Control: s-maxage=300",
            ),
            fresh(
                100,
                "that of all such caches before s-maxage",
                "CDN-Cache-Control: max-age=100\nCache-Control: s-maxage=200, max-age=300\nExpires: {now+400}",
            ),
            fresh(100, "s-maxage before max-age", "Cache-Control: max-age=200, s-maxage=100\nExpires: {now+300}"),
            fresh(300, "s-maxage though it is longer", "Cache-Control: s-maxage=300, max-age=100"),
            fresh(100, "max-age before Expires", "Cache-Control: max-age=100\nExpires: {now+200}"),
            fresh(200, "max-age though Expires is over", "Cache-Control: max-age=200\nExpires: {now-100}"),
            fresh(100, "Expires before a guess", "Date: {now}\nExpires: {now+100}\nLast-Modified: {now-90000}"),
            fresh(100, "a tenth of how long it did not change", "Date: {now}\nLast-Modified: {now-1000}"),
            fresh(86_400, "a day at most", "Date: {now}\nLast-Modified: {now-900000000}"),
        ])
        .await;
}

#[tokio::test]
async fn the_routes_ttl_is_for_answers_that_say_nothing_themselves() {
    let stage = Stage::open("{ ttl: 100s }").await;
    stage
        .lasts(&[
            fresh(100, "nothing", ""),
            fresh(200, "longer", "Cache-Control: max-age=200"),
            fresh(50, "shorter", "Cache-Control: max-age=50"),
            fresh(0, "over", "Cache-Control: max-age=0"),
            fresh(0, "expired", "Expires: 0"),
            fresh(0, "no-cache", "Cache-Control: no-cache"),
            fresh(300, "a guess", "Date: {now}\nLast-Modified: {now-3000}"),
        ])
        .await;
    let stage = Stage::open("{ override_ttl: 100s }").await;
    stage
        .lasts(&[
            fresh(100, "longer", "Cache-Control: max-age=200"),
            fresh(100, "over", "Cache-Control: max-age=0"),
            fresh(0, "private", "Cache-Control: private"),
            fresh(0, "no-store", "Cache-Control: no-store"),
            fresh(0, "no-cache", "Cache-Control: no-cache"),
        ])
        .await;
}

#[tokio::test]
async fn numbers_saturate_and_what_is_none_is_stale() {
    let stage = Stage::open("true").await;
    stage
        .lasts(&[
            fresh(EVER, "two to the 31st", "Cache-Control: max-age=2147483648"),
            fresh(
                EVER,
                "beyond 64 bits",
                "Cache-Control: max-age=99999999999999999999999",
            ),
            fresh(
                100,
                "leading zeros",
                "Cache-Control: max-age=000000000000000000000100",
            ),
            fresh(100, "in capitals", "Cache-Control: MAX-AGE=100"),
            fresh(100, "double quotes", "Cache-Control: max-age=\"100\""),
            fresh(0, "single quotes", "Cache-Control: max-age='100'"),
            fresh(0, "negative", "Cache-Control: max-age=-100"),
            fresh(0, "with a plus", "Cache-Control: max-age=+100"),
            fresh(0, "a fraction", "Cache-Control: max-age=100.5"),
            fresh(0, "an exponent", "Cache-Control: max-age=1e9"),
            fresh(0, "hexadecimal", "Cache-Control: max-age=0x64"),
            fresh(0, "a unit", "Cache-Control: max-age=100s"),
            fresh(0, "nothing", "Cache-Control: max-age="),
            fresh(0, "no value", "Cache-Control: max-age"),
            fresh(0, "a blank inside", "Cache-Control: max-age=1 00"),
        ])
        .await;
}

#[tokio::test]
async fn directives_are_read_as_the_grammar_has_them() {
    let stage = Stage::open("true").await;
    stage
        .lasts(&[
            fresh(0, "in anothers value", "Cache-Control: ext=\"max-age=100\""),
            fresh(
                0,
                "in anothers list",
                "Cache-Control: ext=\"a, max-age=100, b\"",
            ),
            fresh(
                0,
                "behind an escaped quote",
                "Cache-Control: ext=\"a\\\", max-age=100, b\"",
            ),
            fresh(
                100,
                "behind anothers list",
                "Cache-Control: ext=\"a, max-age=1, b\", max-age=100",
            ),
            fresh(
                100,
                "no-store in anothers value",
                "Cache-Control: ext=\"no-store, private\", max-age=100",
            ),
            fresh(0, "half a name", "Cache-Control: x-max-age=100"),
            fresh(
                100,
                "beside unknown ones",
                "Cache-Control: foo, max-age=100, bar=1, baz=\"x\"",
            ),
            fresh(100, "empty members", "Cache-Control: ,, max-age=100 ,,"),
            fresh(100, "no blanks", "Cache-Control: public,max-age=100,foo"),
            fresh(
                100,
                "twice, the shorter first",
                "Cache-Control: max-age=100, max-age=200",
            ),
            fresh(
                100,
                "twice, the shorter last",
                "Cache-Control: max-age=200, max-age=100",
            ),
            fresh(
                100,
                "on two lines",
                "Cache-Control: max-age=200\nCache-Control: max-age=100",
            ),
            fresh(
                0,
                "twice, one is none",
                "Cache-Control: max-age=100, max-age=x",
            ),
        ])
        .await;
}

#[tokio::test]
async fn the_age_that_an_answer_has_on_arrival_counts() {
    let stage = Stage::open("true").await;
    stage
        .lasts(&[
            fresh(60, "an age", "Age: 40\nCache-Control: max-age=100"),
            fresh(
                60,
                "beside Expires",
                "Age: 40\nDate: {now}\nExpires: {now+100}",
            ),
            fresh(
                60,
                "the first of a list",
                "Age: 40, 90\nCache-Control: max-age=100",
            ),
            fresh(
                60,
                "the first line",
                "Age: 40\nAge: 90\nCache-Control: max-age=100",
            ),
            fresh(60, "leading zeros", "Age: 0040\nCache-Control: max-age=100"),
            fresh(100, "negative", "Age: -40\nCache-Control: max-age=100"),
            fresh(100, "a fraction", "Age: 40.5\nCache-Control: max-age=100"),
            fresh(100, "words", "Age: forty\nCache-Control: max-age=100"),
            fresh(
                0,
                "huge",
                "Age: 99999999999999999999\nCache-Control: max-age=100",
            ),
            fresh(
                0,
                "two to the 31st",
                "Age: 2147483648\nCache-Control: max-age=100",
            ),
            fresh(0, "equal", "Age: 100\nCache-Control: max-age=100"),
        ])
        .await;
}

#[tokio::test]
async fn expires_is_measured_by_the_answers_own_clock() {
    let stage = Stage::open("true").await;
    stage
        .lasts(&[
            fresh(100, "the same clock", "Date: {now}\nExpires: {now+100}"),
            fresh(
                100,
                "a day ahead",
                "Date: {now+86400}\nExpires: {now+86500}",
            ),
            fresh(
                100,
                "a day behind",
                "Date: {now-86400}\nExpires: {now-86300}",
            ),
            fresh(0, "equal", "Date: {now+50}\nExpires: {now+50}"),
            fresh(
                0,
                "over by its own clock",
                "Date: {now+200}\nExpires: {now+100}",
            ),
            fresh(
                100,
                "a date that is none",
                "Date: yesterday\nExpires: {now+100}",
            ),
            fresh(100, "no date", "Expires: {now+100}"),
        ])
        .await;
}

/// Midday of a Sunday, and what may stand a hundred seconds later.
macro_rules! on_a_sunday {
    ($expires:literal) => {
        concat!("Date: Sun, 06 Nov 1994 08:49:37 GMT\nExpires: ", $expires)
    };
}

#[tokio::test]
async fn dates_are_read_in_their_three_forms_and_no_other() {
    let stage = Stage::open("true").await;
    stage
        .lasts(&[
            fresh(
                100,
                "the usual form",
                on_a_sunday!("Sun, 06 Nov 1994 08:51:17 GMT"),
            ),
            fresh(
                100,
                "small letters",
                on_a_sunday!("sun, 06 nov 1994 08:51:17 gmt"),
            ),
            fresh(
                100,
                "RFC 850",
                on_a_sunday!("Sunday, 06-Nov-94 08:51:17 GMT"),
            ),
            fresh(100, "asctime", on_a_sunday!("Sun Nov  6 08:51:17 1994")),
            fresh(
                100,
                "beyond 2038",
                "Date: Fri, 01 Jan 2100 00:00:00 GMT\nExpires: Fri, 01 Jan 2100 00:01:40 GMT",
            ),
            fresh(
                0,
                "a number of hours",
                on_a_sunday!("Sun, 06 Nov 1994 08:51:17 +0000"),
            ),
            fresh(
                0,
                "another zone",
                on_a_sunday!("Sun, 06 Nov 1994 08:51:17 EST"),
            ),
            fresh(0, "UTC", on_a_sunday!("Sun, 06 Nov 1994 08:51:17 UTC")),
            fresh(0, "no comma", on_a_sunday!("Sun 06 Nov 1994 08:51:17 GMT")),
            fresh(
                0,
                "one digit of the day",
                on_a_sunday!("Sun, 6 Nov 1994 08:51:17 GMT"),
            ),
            fresh(
                0,
                "one digit of the hour",
                on_a_sunday!("Sun, 06 Nov 1994 8:51:17 GMT"),
            ),
            fresh(
                0,
                "two digits of the year",
                on_a_sunday!("Sun, 06 Nov 94 08:51:17 GMT"),
            ),
            fresh(0, "dots", on_a_sunday!("Sun, 06 Nov 1994 08.51.17 GMT")),
            fresh(0, "ISO 8601", on_a_sunday!("1994-11-06T08:51:17Z")),
            fresh(0, "zero", on_a_sunday!("0")),
            fresh(0, "minus one", on_a_sunday!("-1")),
            fresh(0, "nothing", on_a_sunday!("")),
            fresh(
                0,
                "two lines",
                on_a_sunday!(
                    "Sun, 06 Nov 1994 08:51:17 GMT\nExpires: Sun, 06 Nov 1994 08:51:17 GMT"
                ),
            ),
        ])
        .await;
}

fn age(answer: &Answer) -> u64 {
    let age = answer.head.get("age").expect("an age");
    age.parse().unwrap_or_else(|_| panic!("an age of {age:?}"))
}

#[tokio::test]
async fn every_answer_from_the_store_says_how_old_it_is() {
    let stage = Stage::open("true").await;
    let (date, expires) = (dated("{now-7}"), dated("{now+9999}"));
    let (lines, ends) = (date.clone(), expires.clone());
    stage.app.answers(move |seen| {
        super::reply(seen, 200, "Age: 10\nCache-Control: max-age=1000")
            .field("Date", &lines)
            .field("Expires", &ends)
    });
    stage.get("/").await;
    for passed in [0, 5, 60, 600] {
        stage.passes(passed).await;
        let hit = stage.get("/").await;
        let least =
            10 + [0, 5, 65, 665][[0, 5, 60, 600].iter().position(|p| *p == passed).unwrap()];
        assert!(is_hit(&hit), "{}", told(&hit));
        let age = age(&hit);
        assert!(
            (least..least + super::BESIDE).contains(&age),
            "{age} instead of {least}"
        );
        assert_eq!(hit.head.get("date"), Some(date.as_str()));
        assert_eq!(hit.head.get("expires"), Some(expires.as_str()));
    }
    let head = stage
        .ask(&crate::support::client::Request::new("HEAD", "/"))
        .await;
    assert!(age(&head) >= 675, "{}", age(&head));
}

#[tokio::test]
async fn an_answer_without_a_date_gets_the_time_it_came() {
    let stage = Stage::open("true").await;
    stage.says("Cache-Control: max-age=1000");
    stage.get("/").await;
    stage.passes(100).await;
    let hit = stage.get("/").await;
    let date = httpdate::parse_http_date(hit.head.get("date").expect("a date")).unwrap();
    let since = date.elapsed().unwrap_or_default();
    assert!(
        since.as_secs() < super::BESIDE,
        "the time of the fetch: {since:?} ago"
    );
}
