//! Points in time as HTTP writes them (RFC 9110 §5.6.7): its three forms, letter for letter but for their case.
//!
//! Never guesses: what is almost a date is none, and a cache takes none for the past (RFC 9111 §5.3).

use http::HeaderName;

use super::life::Millis;
use crate::base::fields::Fields;

const WEEKDAYS: [&[u8]; 7] = [
    b"Monday",
    b"Tuesday",
    b"Wednesday",
    b"Thursday",
    b"Friday",
    b"Saturday",
    b"Sunday",
];
const MONTHS: &[u8; 36] = b"janfebmaraprmayjunjulaugsepoctnovdec";
const SECOND: i64 = 1_000;
const DAY: i64 = 86_400;
/// The last second of the year 9999.
const LAST: i64 = 253_402_300_799;
/// How far ahead a two-digit year may be (RFC 9110 §5.6.7), in years.
const AHEAD_AT_MOST: i64 = 50;

/// Milliseconds since the Unix epoch, negative before it; `None`: no date. `now` says which century `-94` is in.
///
/// The weekday need not be that of the day.
pub fn parse(value: &[u8], now: Millis) -> Option<i64> {
    let value = value.trim_ascii();
    let comma = value.iter().position(|b| *b == b',');
    match comma {
        Some(3) => imf_fixdate(value),
        Some(at) => rfc_850(&value[..at], value.get(at + 1..)?, now),
        None => asctime(value),
    }
}

/// The date in a field that is there exactly once.
pub fn field(fields: &impl Fields, name: &HeaderName, now: Millis) -> Option<i64> {
    let mut lines = fields.lines(name);
    let line = lines.next()?;
    if lines.next().is_some() {
        return None;
    }
    parse(line, now)
}

/// `Sun, 06 Nov 1994 08:49:37 GMT`
fn imf_fixdate(value: &[u8]) -> Option<i64> {
    let shape = shape(value, b"aaa, dd aaa dddd dd:dd:dd aaa");
    if !shape || !is_weekday(&value[..3]) || !is_gmt(&value[26..]) {
        return None;
    }
    let date = (
        digits(&value[12..16]),
        month(&value[8..11])?,
        digits(&value[5..7]),
    );
    moment(date, &value[17..25])
}

/// `Sunday, 06-Nov-94 08:49:37 GMT`
fn rfc_850(weekday: &[u8], rest: &[u8], now: Millis) -> Option<i64> {
    let known = WEEKDAYS
        .iter()
        .any(|name| name.eq_ignore_ascii_case(weekday));
    if !known || !shape(rest, b" dd-aaa-dd dd:dd:dd aaa") || !is_gmt(&rest[20..]) {
        return None;
    }
    let (month, day) = (month(&rest[4..7])?, digits(&rest[1..3]));
    // Not more than fifty years ahead: the latest such year, which is a past one where that is all there is.
    let now = i64::try_from(now / 1_000).unwrap_or(LAST).min(LAST);
    let this_year = civil_year(now.div_euclid(DAY));
    let mut year = this_year - this_year.rem_euclid(100) + 100 + digits(&rest[8..10]);
    while year > this_year + AHEAD_AT_MOST {
        year -= 100;
    }
    let limit = now + (AHEAD_AT_MOST * 1_461 / 4) * DAY;
    let moment = |year| moment((year, month, day), &rest[11..19]);
    moment(year)
        .filter(|at| *at <= limit * SECOND)
        .or_else(|| moment(year - 100))
}

/// `Sun Nov  6 08:49:37 1994`
fn asctime(value: &[u8]) -> Option<i64> {
    let one_digit = shape(value, b"aaa aaa  d dd:dd:dd dddd");
    if !(one_digit || shape(value, b"aaa aaa dd dd:dd:dd dddd")) || !is_weekday(&value[..3]) {
        return None;
    }
    let day = digits(&value[if one_digit { 9 } else { 8 }..10]);
    moment(
        (digits(&value[20..24]), month(&value[4..7])?, day),
        &value[11..19],
    )
}

/// Whether a text has a letter for every `a` of its shape, a digit for every `d`, and else what stands there.
fn shape(text: &[u8], shape: &[u8]) -> bool {
    let fits = |(byte, of): (&u8, &u8)| match of {
        b'a' => byte.is_ascii_alphabetic(),
        b'd' => byte.is_ascii_digit(),
        other => byte == other,
    };
    text.len() == shape.len() && text.iter().zip(shape).all(fits)
}

fn is_weekday(short: &[u8]) -> bool {
    WEEKDAYS
        .iter()
        .any(|name| name[..3].eq_ignore_ascii_case(short))
}

fn is_gmt(zone: &[u8]) -> bool {
    zone.eq_ignore_ascii_case(b"GMT")
}

/// From 1.
fn month(name: &[u8]) -> Option<i64> {
    let known = MONTHS
        .chunks(3)
        .position(|of| of.eq_ignore_ascii_case(name))?;
    i64::try_from(known).ok().map(|at| at + 1)
}

/// The number that these digits are, four of them at most.
fn digits(digits: &[u8]) -> i64 {
    digits
        .iter()
        .fold(0, |sum, d| sum * 10 + i64::from(d - b'0'))
}

/// When a year, month and day, and a `dd:dd:dd`, are.
fn moment((year, month, day): (i64, i64, i64), time: &[u8]) -> Option<i64> {
    let (hour, minute, second) = (digits(&time[..2]), digits(&time[3..5]), digits(&time[6..8]));
    let is_leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let days = match month {
        2 => 28 + i64::from(is_leap),
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    };
    // A leap second is the first one of the next minute.
    if !(1..=days).contains(&day) || hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    let seconds = days_since_epoch(year, month, day) * DAY + hour * 3_600 + minute * 60 + second;
    Some(seconds * SECOND)
}

/// Days of the Gregorian calendar, counted in years that begin in March so that the leap day is the last.
fn days_since_epoch(year: i64, month: i64, day: i64) -> i64 {
    let year = year - i64::from(month <= 2);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let leap_days = year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400);
    year * 365 + leap_days + day_of_year - 719_468
}

/// The year of a day.
fn civil_year(days: i64) -> i64 {
    let year = 1970 + (days * 400).div_euclid(146_097);
    year - i64::from(days < days_since_epoch(year, 1, 1))
}

#[cfg(test)]
mod tests {
    use http::HeaderMap;
    use std::time::{Duration, UNIX_EPOCH};

    use proptest::prelude::*;

    use super::*;

    /// 21 November 2026.
    const NOW: Millis = 1_795_219_200_000;
    const EXAMPLE: i64 = 784_111_777_000;

    fn read(text: &str) -> Option<i64> {
        parse(text.as_bytes(), NOW)
    }

    #[test]
    fn the_three_forms_say_the_same() {
        for form in [
            "Sun, 06 Nov 1994 08:49:37 GMT",
            "Sunday, 06-Nov-94 08:49:37 GMT",
            "Sun Nov  6 08:49:37 1994",
            "Sun Nov 06 08:49:37 1994",
            "SUN, 06 NOV 1994 08:49:37 gmt",
            "sunday, 06-nOV-94 08:49:37 Gmt",
            "sun nov  6 08:49:37 1994",
            "  Sun, 06 Nov 1994 08:49:37 GMT ",
            "Mon, 06 Nov 1994 08:49:37 GMT",
        ] {
            assert_eq!(read(form), Some(EXAMPLE), "{form}");
        }
    }

    #[test]
    fn years_go_on_beyond_what_32_bits_count() {
        assert_eq!(
            read("Thu, 18 Aug 2050 02:01:18 GMT"),
            Some(2_544_400_878_000)
        );
        assert_eq!(
            read("Fri, 31 Dec 9999 23:59:59 GMT"),
            Some(253_402_300_799_000)
        );
        assert_eq!(read("Thu, 01 Jan 1970 00:00:00 GMT"), Some(0));
        assert_eq!(read("Wed, 31 Dec 1969 23:59:59 GMT"), Some(-1_000));
    }

    #[test]
    fn what_is_almost_a_date_is_none() {
        for not in [
            "",
            "0",
            "-1",
            "Thu, 18 Aug 2050 02:01:18 UTC",
            "Thu, 18 Aug 2050 02:01:18 +0000",
            "Thu, 18 Aug 2050 02:01:18",
            "Thu, 18 Aug 50 02:01:18 GMT",
            "Thu 18 Aug 2050 02:01:18 GMT",
            "Thu,18 Aug 2050 02:01:18 GMT",
            "Thu, 18  Aug  2050 02:01:18 GMT",
            "Thu, 18-Aug-2050 02:01:18 GMT",
            "Thu, 18 Aug 2050 02.01.18 GMT",
            "Thu, 18 Aug 2050 2:01:18 GMT",
            "Thu, 8 Aug 2050 02:01:18 GMT",
            "Thu, 18 Aug 2050 24:01:18 GMT",
            "Thu, 18 Aug 2050 02:60:18 GMT",
            "Thu, 30 Feb 2050 02:01:18 GMT",
            "Thu, 29 Feb 2100 02:01:18 GMT",
            "Thu, 00 Aug 2050 02:01:18 GMT",
            "Xxx, 18 Aug 2050 02:01:18 GMT",
            "Thu, 18 Xxx 2050 02:01:18 GMT",
            "Thursday, 18 Aug 2050 02:01:18 GMT",
            "Thu, 18 Aug 2050 02:01:18 GMT, Thu, 18 Aug 2050 02:01:18 GMT",
            "Sun, 06-Nov-94 08:49:37 GMT",
            "Sunday, 06-Nov-1994 08:49:37 GMT",
            "Sun Nov 6 08:49:37 1994",
            "2050-08-18T02:01:18Z",
        ] {
            assert_eq!(read(not), None, "{not}");
        }
    }

    #[test]
    fn two_digits_mean_a_year_not_more_than_fifty_ahead() {
        let year = |text: &str, now: &str| {
            let now = parse(now.as_bytes(), NOW).unwrap();
            let at = parse(text.as_bytes(), u64::try_from(now).unwrap()).unwrap();
            civil_year(at / SECOND / DAY)
        };
        let now = "Sat, 21 Nov 2026 12:00:00 GMT";
        assert_eq!(year("Sunday, 20-Nov-76 08:49:37 GMT", now), 2076);
        assert_eq!(year("Sunday, 23-Nov-76 08:49:37 GMT", now), 1976);
        assert_eq!(year("Sunday, 06-Nov-94 08:49:37 GMT", now), 1994);
        assert_eq!(year("Sunday, 06-Nov-26 08:49:37 GMT", now), 2026);
        assert_eq!(
            year(
                "Sunday, 06-Nov-05 08:49:37 GMT",
                "Thu, 01 Jan 2099 00:00:00 GMT"
            ),
            2105
        );
        assert_eq!(
            parse(b"Monday, 29-Feb-00 00:00:00 GMT", NOW),
            Some(951_782_400_000)
        );
    }

    #[test]
    fn a_field_that_is_there_twice_says_nothing() {
        let mut headers = HeaderMap::new();
        let date = "Sun, 06 Nov 1994 08:49:37 GMT";
        headers.append("expires", date.parse().unwrap());
        assert_eq!(field(&headers, &http::header::EXPIRES, NOW), Some(EXAMPLE));
        headers.append("expires", date.parse().unwrap());
        assert_eq!(field(&headers, &http::header::EXPIRES, NOW), None);
        assert_eq!(field(&headers, &http::header::DATE, NOW), None);
    }

    proptest! {
        #[test]
        fn dates_are_read_as_another_library_writes_them(seconds in 0_u64..253_402_300_800) {
            let text = httpdate::fmt_http_date(UNIX_EPOCH + Duration::from_secs(seconds));
            prop_assert_eq!(parse(text.as_bytes(), NOW), Some(seconds as i64 * SECOND));
        }

        #[test]
        fn nothing_that_looks_like_a_date_panics(
            text in "[A-Za-z]{3,9},? ?[0-9]{0,3}[ -][A-Za-z]{3}[ -][0-9]{1,5} [0-9:]{5,9} ?[A-Z]{0,4}",
            bytes in proptest::collection::vec(any::<u8>(), 0..40),
            now in any::<u64>(),
        ) {
            parse(text.as_bytes(), now);
            parse(&bytes, now);
        }
    }
}
