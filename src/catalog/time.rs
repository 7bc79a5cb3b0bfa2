//! Times as people ask for them and read them.
//!
//! `7d` counts back from the newest call of the catalogue, not from the clock: the same catalogue gives the same answer tomorrow.
//!
//! Not here: days of the table `day`.

use std::str::FromStr;

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::Offset;
use thiserror::Error;

const MICROS_PER_HOUR: i64 = 3_600_000_000;
/// Longest span, hours: a century.
const MAX_HOURS: i64 = 876_600;

/// The beginning of a time that somebody asks about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Since {
    /// A time, microseconds since the epoch.
    At(i64),
    /// So many microseconds before the newest call.
    Before(i64),
}

/// What is no such time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error(
    "write a span before the newest call (12h, 7d, 4w), a date (2026-09-01) or a time in RFC 3339 (2026-09-01T08:00:00Z)"
)]
pub struct SinceError;

impl FromStr for Since {
    type Err = SinceError;

    fn from_str(text: &str) -> Result<Self, SinceError> {
        if let Ok(time) = text.parse::<Timestamp>() {
            return Ok(Self::At(time.as_microsecond()));
        }
        if let Ok(date) = text.parse::<Date>() {
            let midnight = Offset::UTC.to_timestamp(date.at(0, 0, 0, 0)).map_err(|_| SinceError)?;
            return Ok(Self::At(midnight.as_microsecond()));
        }
        let unit = text.chars().last().ok_or(SinceError)?;
        let hours = match unit {
            'h' => 1,
            'd' => 24,
            'w' => 7 * 24,
            _ => return Err(SinceError),
        };
        let count: i64 = text[..text.len() - 1].parse().map_err(|_| SinceError)?;
        let hours = count.checked_mul(hours).filter(|hours| (0..=MAX_HOURS).contains(hours)).ok_or(SinceError)?;
        Ok(Self::Before(hours * MICROS_PER_HOUR))
    }
}

impl Since {
    /// The time, given that of the newest call.
    pub fn time(self, newest: i64) -> i64 {
        match self {
            Self::At(time) => time,
            Self::Before(span) => newest.saturating_sub(span),
        }
    }
}

/// A time in RFC 3339.
pub(super) fn rfc3339(micros: i64) -> String {
    Timestamp::from_microsecond(micros).unwrap_or_default().to_string()
}

/// Whole days of a span in microseconds.
pub(super) fn days(micros: i64) -> i64 {
    micros.max(0) / (24 * MICROS_PER_HOUR)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_span_counts_back_from_the_newest_call_and_a_date_begins_at_midnight() {
        let time = |text: &str| text.parse::<Since>().map(|since| rfc3339(since.time(1_789_000_000_000_000)));
        assert_eq!(time("2026-09-01").unwrap(), "2026-09-01T00:00:00Z");
        assert_eq!(time("2026-09-01T02:00:00+02:00").unwrap(), "2026-09-01T00:00:00Z");
        assert_eq!(time("1w").unwrap(), time("7d").unwrap());
        assert_eq!(time("24h").unwrap(), time("1d").unwrap());
        for wrong in ["", "7", "d", "-1d", "7y", "yesterday", "99999999999999999999d", "9é"] {
            assert_eq!(time(wrong), Err(SinceError), "{wrong}");
        }
    }
}
