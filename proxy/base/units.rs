//! Durations and sizes as people write them: `200ms`, `1m30s`, `64KiB`.
//!
//! One place reads and prints them, so that what the program prints can always be pasted back into the file.
//! Nothing here may round, guess a missing unit or overflow: a bare `30` is refused, because half of all readers
//! take it for seconds and the other half for milliseconds.

use std::time::Duration;

/// The longest duration accepted. Far beyond any sensible limit, and small enough that adding one to a clock
/// never overflows.
pub const MAX_DURATION: Duration = Duration::from_secs(365 * 86_400);

/// What [`duration`] accepts, for the end of an error message.
pub const DURATION_FORMS: &str =
    "a number and a unit: 200ms, 5s, 2m, 1h, 1d, or several as in 1m30s; 0 is fine bare";

/// What [`size`] accepts, for the end of an error message.
pub const SIZE_FORMS: &str = "a whole number and a unit: 512B, 64KiB, 512MiB, 2GiB (powers of 1024) or 10KB, 10MB, 1GB (powers of 1000)";

/// Units of a duration in nanoseconds, the largest first: the order in which they are printed.
const DURATION_UNITS: [(&str, u128); 7] = [
    ("d", 86_400_000_000_000),
    ("h", 3_600_000_000_000),
    ("m", 60_000_000_000),
    ("s", 1_000_000_000),
    ("ms", 1_000_000),
    ("us", 1_000),
    ("ns", 1),
];

/// Units of a size in bytes, the largest first; binary ones before decimal ones, so that they win when printing.
const SIZE_UNITS: [(&str, u64); 7] = [
    ("GiB", 1 << 30),
    ("MiB", 1 << 20),
    ("KiB", 1 << 10),
    ("GB", 1_000_000_000),
    ("MB", 1_000_000),
    ("KB", 1_000),
    ("B", 1),
];

/// So many in a time; as many may come at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// How many, from 1.
    pub count: u32,
    /// In which time, longer than none.
    pub per: Duration,
}

/// Reads a duration. The error says what is wrong, not what would be right: that is [`DURATION_FORMS`].
pub fn duration(text: &str) -> Result<Duration, String> {
    let text = text.trim();
    if text == "0" {
        return Ok(Duration::ZERO);
    }
    let mut nanos: u128 = 0;
    let mut last = u128::MAX;
    let mut rest = text;
    if rest.is_empty() {
        return Err("it is empty".into());
    }
    while !rest.is_empty() {
        let (number, unit, tail) = number_and_unit(rest)?;
        let scale = DURATION_UNITS
            .iter()
            .find(|(name, _)| *name == unit)
            .map(|(_, scale)| *scale)
            .ok_or_else(|| unit_problem(unit))?;
        if scale >= last {
            return Err("its units must go from large to small, each once".into());
        }
        last = scale;
        // Both factors are far below 2^64, so that neither the product nor the sum can leave u128.
        nanos += u128::from(number) * scale;
        rest = tail;
    }
    match nanos <= MAX_DURATION.as_nanos() {
        // At most 365 days: fits in 55 bits.
        true => Ok(Duration::from_nanos(nanos as u64)),
        false => Err("it is longer than 365d".into()),
    }
}

/// Prints a duration in the form [`duration`] reads: `1m30s`, `0s`.
pub fn show_duration(value: Duration) -> String {
    let mut left = value.as_nanos();
    if left == 0 {
        return "0s".into();
    }
    let mut out = String::new();
    for (unit, scale) in DURATION_UNITS {
        if left >= scale {
            out.push_str(&format!("{}{unit}", left / scale));
            left %= scale;
        }
    }
    out
}

/// Reads a size in bytes. The error says what is wrong, not what would be right: that is [`SIZE_FORMS`].
pub fn size(text: &str) -> Result<u64, String> {
    let text = text.trim();
    if text == "0" {
        return Ok(0);
    }
    if text.is_empty() {
        return Err("it is empty".into());
    }
    let (number, unit, tail) = number_and_unit(text)?;
    if !tail.is_empty() {
        return Err(format!("`{tail}` follows it"));
    }
    let (_, scale) = SIZE_UNITS
        .iter()
        .find(|(name, _)| *name == unit)
        .ok_or_else(|| unit_problem(unit))?;
    number
        .checked_mul(*scale)
        .ok_or_else(|| "it is too large".into())
}

/// Prints a size in the form [`size`] reads, in the largest unit that divides it.
pub fn show_size(value: u64) -> String {
    if value == 0 {
        return "0B".into();
    }
    let (unit, scale) = SIZE_UNITS
        .iter()
        .find(|(_, scale)| value.is_multiple_of(*scale))
        .unwrap_or(&("B", 1));
    format!("{}{unit}", value / scale)
}

/// Splits `30s…` into the number, its unit and what follows.
fn number_and_unit(text: &str) -> Result<(u64, &str, &str), String> {
    let digits = text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let (number, rest) = text.split_at(digits);
    if rest.starts_with('.') {
        return Err("fractions are not accepted; use a smaller unit".into());
    }
    if number.is_empty() {
        return Err(match rest.starts_with('-') {
            true => "it is negative".into(),
            false => "it does not begin with a number".into(),
        });
    }
    let number = number
        .parse()
        .map_err(|_| "its number is too large".to_string())?;
    let letters = rest.len() - rest.trim_start_matches(|c: char| c.is_alphabetic()).len();
    let (unit, tail) = rest.split_at(letters);
    Ok((number, unit, tail))
}

/// Says why a unit is none.
fn unit_problem(unit: &str) -> String {
    match unit {
        "" => "it has no unit".into(),
        _ => format!("`{unit}` is not a unit"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn durations_are_read_as_people_write_them() {
        for (text, millis) in [
            ("200ms", 200),
            ("5s", 5_000),
            ("2m", 120_000),
            ("1h", 3_600_000),
            ("1d", 86_400_000),
            ("1m30s", 90_000),
            ("0", 0),
            ("0s", 0),
        ] {
            assert_eq!(duration(text), Ok(Duration::from_millis(millis)), "{text}");
        }
    }

    #[test]
    fn a_duration_that_could_be_misread_is_refused_with_the_reason() {
        for (text, why) in [
            ("30", "no unit"),
            ("-5s", "negative"),
            ("1.5s", "fractions"),
            ("5 s", "no unit"),
            ("5min", "`min`"),
            ("s", "number"),
            ("", "empty"),
            ("30s1m", "large to small"),
            ("99999999999999999999s", "too large"),
            ("366d", "365d"),
        ] {
            let error = duration(text).expect_err(text);
            assert!(error.contains(why), "{text}: {error}");
        }
    }

    #[test]
    fn sizes_are_read_and_printed_in_the_largest_fitting_unit() {
        for (text, bytes, shown) in [
            ("64KiB", 65_536, "64KiB"),
            ("512MiB", 536_870_912, "512MiB"),
            ("10MB", 10_000_000, "10MB"),
            ("1024B", 1024, "1KiB"),
            ("0", 0, "0B"),
        ] {
            assert_eq!(size(text), Ok(bytes), "{text}");
            assert_eq!(show_size(bytes), shown);
        }
        assert!(size("64").is_err() && size("64KiB2").is_err() && size("99999999999GiB").is_err());
    }

    proptest! {
        #[test]
        fn what_is_printed_reads_back_the_same(nanos in 0..=MAX_DURATION.as_nanos() as u64, bytes: u64) {
            let value = Duration::from_nanos(nanos);
            prop_assert_eq!(duration(&show_duration(value)), Ok(value));
            prop_assert_eq!(size(&show_size(bytes)), Ok(bytes));
        }

        #[test]
        fn no_text_makes_the_readers_panic(text: String) {
            let _ = (duration(&text), size(&text));
        }
    }
}
