//! Time: UTC microseconds, everywhere.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Microseconds in one UTC day.
pub const DAY_US: i64 = 86_400_000_000;

/// Microseconds since 1970-01-01T00:00:00Z. Serializes as RFC 3339 with `Z`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct Timestamp(pub i64);

/// A text that is no time.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("time {0:?} is neither RFC 3339 nor seconds since 1970")]
pub struct TimeError(pub String);

impl Timestamp {
    /// Days since 1970-01-01, the `date` partition of the lake.
    pub fn utc_day(self) -> i32 {
        i32::try_from(self.0.div_euclid(DAY_US)).unwrap_or(if self.0 < 0 { i32::MIN } else { i32::MAX })
    }

    /// Seconds since 1970, for reading only.
    #[allow(clippy::cast_precision_loss, reason = "a display value")]
    pub fn as_seconds(self) -> f64 {
        self.0 as f64 / 1e6
    }

    /// `self - earlier` in microseconds, saturating.
    pub fn since_us(self, earlier: Timestamp) -> i64 {
        self.0.saturating_sub(earlier.0)
    }

    /// Later by so many microseconds, saturating.
    #[must_use]
    pub fn plus_us(self, us: i64) -> Timestamp {
        Timestamp(self.0.saturating_add(us))
    }

    /// Reads RFC 3339, or seconds, milliseconds or microseconds since 1970, told apart by
    /// size (below 1e11 seconds, below 1e14 milliseconds), with a fraction if any.
    pub fn parse(text: &str) -> Result<Self, TimeError> {
        let text = text.trim();
        if let Ok(moment) = text.parse::<jiff::Timestamp>() {
            return Ok(Self(moment.as_microsecond()));
        }
        if let Ok(civil) = text.parse::<jiff::civil::DateTime>()
            && let Ok(moment) = jiff::tz::Offset::UTC.to_timestamp(civil)
        {
            return Ok(Self(moment.as_microsecond()));
        }
        Self::parse_epoch(text).ok_or_else(|| TimeError(text.chars().take(60).collect()))
    }

    fn parse_epoch(text: &str) -> Option<Self> {
        let (negative, digits) = match text.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, text),
        };
        let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
        if whole.is_empty() || whole.len() > 17 || !fraction.bytes().all(|b| b.is_ascii_digit()) {
            return None;
        }
        let whole: i64 = whole.parse().ok()?;
        let (unit_us, places) = match whole {
            0..100_000_000_000 => (1_000_000_i64, 6),
            100_000_000_000..100_000_000_000_000 => (1_000, 3),
            _ => (1, 0),
        };
        let kept: String = fraction.chars().chain("000000".chars()).take(places).collect();
        let fraction_us: i64 = if kept.is_empty() { 0 } else { kept.parse().ok()? };
        let us = whole.checked_mul(unit_us)?.checked_add(fraction_us)?;
        Some(Self(if negative { -us } else { us }))
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match jiff::Timestamp::from_microsecond(self.0) {
            Ok(moment) => write!(f, "{moment}"),
            Err(_) => write!(f, "{}us", self.0),
        }
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let text = String::deserialize(d)?;
        Self::parse(&text).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_every_spelling_of_one_instant() {
        let t = Timestamp(1_627_274_455_012_500);
        for text in [
            "2021-07-26T04:40:55.0125Z",
            "2021-07-26T06:40:55.0125+02:00",
            "2021-07-26 04:40:55.0125",
            "1627274455.0125",
            "1627274455012.5",
            "1627274455012500",
        ] {
            assert_eq!(Timestamp::parse(text), Ok(t), "{text}");
        }
        assert_eq!(t.to_string(), "2021-07-26T04:40:55.0125Z");
        assert!(Timestamp::parse("yesterday").is_err());
        assert!(Timestamp::parse("").is_err());
    }

    #[test]
    fn days_before_1970_round_down() {
        assert_eq!(Timestamp(-1).utc_day(), -1);
        assert_eq!(Timestamp(DAY_US).utc_day(), 1);
    }
}
