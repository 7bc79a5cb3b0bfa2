//! Times of one day as RFC 3339 text: the date is formatted once, the time by arithmetic.
//!
//! Not here: which times calls have (`traffic`, `audit`).

use std::io::{self, Write};

use jiff::Timestamp;
use jiff::tz::Offset;

/// Formats the times of one day.
pub(super) struct TimeFormat {
    date: String,
    /// First instant of the day, microseconds since the epoch.
    start: i64,
}

impl TimeFormat {
    /// The format of the day that begins at `start`, microseconds since the epoch.
    pub(super) fn of(start: i64) -> Self {
        let day = Timestamp::from_microsecond(start).unwrap_or_default();
        Self { date: Offset::UTC.to_datetime(day).date().to_string(), start }
    }

    /// Writes a time (microseconds since the epoch) with milliseconds and `Z`.
    pub(super) fn write(&self, time: i64, out: &mut Vec<u8>) -> io::Result<()> {
        self.write_seconds(time, out)?;
        write!(out, ".{:03}Z", (time - self.start) / 1_000 % 1_000)
    }

    /// Writes a time without a fraction and a time zone.
    pub(super) fn write_seconds(&self, time: i64, out: &mut Vec<u8>) -> io::Result<()> {
        let seconds = (time - self.start) / 1_000_000;
        write!(out, "{}T{:02}:{:02}:{:02}", self.date, seconds / 3600, seconds / 60 % 60, seconds % 60)
    }
}
