//! How figures and days are written in documents: English, thousands parted by commas, a real minus. Pure.

use jiff::{ZonedDateTime, tz::TimeZone};
use rust_decimal::Decimal;
use wire::time::Timestamp;

use super::press::Made;

/// As wide as a digit's plus, unlike the hyphen.
const MINUS: char = '−';

/// An amount of minor units: `−1,234.50` of cents, `−123,450` of yen.
pub(super) fn amount(minor: i64, exponent: u32) -> String {
    decimal(Decimal::new(minor, exponent), exponent)
}

/// A number with at least so many decimals, and no more zeros at its end than those.
pub(super) fn decimal(value: Decimal, decimals_min: u32) -> String {
    let text = value.abs().normalize().to_string();
    let (whole, fraction) = text.split_once('.').unwrap_or((&text, ""));
    let mut shown = String::new();
    if value.is_sign_negative() && !value.is_zero() {
        shown.push(MINUS);
    }
    for (index, digit) in whole.chars().enumerate() {
        if index > 0 && (whole.len() - index).is_multiple_of(3) {
            shown.push(',');
        }
        shown.push(digit);
    }
    let decimals = fraction.len().max(usize::try_from(decimals_min).unwrap_or(0));
    if decimals > 0 {
        shown.push('.');
        shown.push_str(&format!("{fraction:0<decimals$}"));
    }
    shown
}

/// A moment in a zone; in UTC where the zone is not known any more.
fn local(time: Timestamp, zone_name: &str) -> Option<ZonedDateTime> {
    let zone = TimeZone::get(zone_name).unwrap_or(TimeZone::UTC);
    Some(jiff::Timestamp::from_microsecond(time.0).ok()?.to_zoned_datetime(zone))
}

/// A day: `2 November 2026`.
pub(super) fn day(time: Timestamp, zone_name: &str) -> String {
    local(time, zone_name).map_or_else(|| time.to_string(), |at| at.strftime("%-d %B %Y").to_string())
}

/// The last day before a moment that ends one.
pub(super) fn day_before(end: Timestamp, zone_name: &str) -> String {
    day(end.plus_us(-1), zone_name)
}

/// From one day to the last before another, what they share said once: `1 – 30 November 2026`.
pub(super) fn period(start: Timestamp, end: Timestamp, zone_name: &str) -> String {
    let (Some(first), Some(last)) = (local(start, zone_name), local(end.plus_us(-1), zone_name)) else {
        return format!("{start} – {end}");
    };
    let from = match ((first.year(), first.month()), (last.year(), last.month())) {
        (a, b) if a == b => "%-d",
        ((a, _), (b, _)) if a == b => "%-d %B",
        _ => "%-d %B %Y",
    };
    format!("{} – {}", first.strftime(from), last.strftime("%-d %B %Y"))
}

/// When a document was made, for its file.
pub(super) fn made(time: Timestamp) -> Made {
    let at = local(time, "UTC").unwrap_or_default();
    let part = |number: i8| u8::try_from(number).unwrap_or(0);
    Made {
        year: i32::from(at.year()),
        month: part(at.month()),
        day: part(at.day()),
        hour: part(at.hour()),
        minute: part(at.minute()),
        second: part(at.second()),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(text: &str) -> Timestamp {
        Timestamp::parse(text).unwrap()
    }

    #[test]
    fn amounts_have_the_decimals_of_their_currency() {
        for (minor, exponent, wanted) in [
            (0, 2, "0.00"),
            (-0, 0, "0"),
            (5, 2, "0.05"),
            (-5, 2, "−0.05"),
            (100_000, 2, "1,000.00"),
            (99_999, 2, "999.99"),
            (1_234_567, 0, "1,234,567"),
            (-123_450, 0, "−123,450"),
            (1_234_567, 3, "1,234.567"),
            (i64::MAX, 2, "92,233,720,368,547,758.07"),
            (i64::MIN, 3, "−9,223,372,036,854,775.808"),
        ] {
            assert_eq!(amount(minor, exponent), wanted);
        }
    }

    #[test]
    fn prices_and_quantities_keep_what_they_have() {
        for (value, decimals_min, wanted) in [
            ("0.29", 2, "0.29"),
            ("0.2900", 2, "0.29"),
            ("1", 2, "1.00"),
            ("0.12345", 2, "0.12345"),
            ("12345.6", 0, "12,345.6"),
            ("1000", 0, "1,000"),
            ("-2310", 0, "−2,310"),
            ("25", 0, "25"),
        ] {
            assert_eq!(decimal(value.parse().unwrap(), decimals_min), wanted);
        }
    }

    #[test]
    fn days_are_those_of_the_zone() {
        let zone = "Europe/Copenhagen";
        assert_eq!(day(at("2026-10-31T23:30:00Z"), zone), "1 November 2026");
        assert_eq!(day_before(at("2026-11-30T23:00:00Z"), zone), "30 November 2026");
        let of = |from: &str, to: &str| period(at(from), at(to), zone);
        assert_eq!(of("2026-10-31T23:00:00Z", "2026-11-30T23:00:00Z"), "1 – 30 November 2026");
        assert_eq!(of("2026-09-30T22:00:00Z", "2026-11-30T23:00:00Z"), "1 October – 30 November 2026");
        assert_eq!(of("2026-11-30T23:00:00Z", "2027-01-31T23:00:00Z"), "1 December 2026 – 31 January 2027");
        assert_eq!(day(at("2026-11-02T08:00:00Z"), "Nowhere/Town"), "2 November 2026");
        let made = made(at("2026-11-23T12:34:56Z"));
        assert_eq!((made.year, made.month, made.day), (2026, 11, 23));
        assert_eq!((made.hour, made.minute, made.second), (12, 34, 56));
    }

    proptest! {
        /// What is written reads back as what was meant, and thousands are parted in threes.
        #[test]
        fn an_amount_reads_back(minor in any::<i64>(), exponent in 0_u32..4) {
            let text = amount(minor, exponent);
            let plain = text.replace(',', "").replace(MINUS, "-");
            let (whole, fraction) = plain.split_once('.').unwrap_or((&plain, ""));
            prop_assert_eq!(fraction.len(), usize::try_from(exponent).unwrap());
            prop_assert_eq!(format!("{whole}{fraction}").parse::<i64>().unwrap(), minor);
            let parts: Vec<&str> = text.trim_start_matches(MINUS).split('.').next().unwrap().split(',').collect();
            prop_assert!(parts[1..].iter().all(|part| part.len() == 3) && (1..=3).contains(&parts[0].len()));
        }
    }
}
