//! Times of one day as RFC 3339 text: the date is written once, the rest is arithmetic.

use std::io::{self, Write};

use jiff::Timestamp;
use jiff::tz::Offset;

/// A day's date, and when the day begins.
pub(super) struct Clock {
    date: String,
    start: i64,
}

impl Clock {
    /// Of the day that begins at `start`, microseconds since the epoch.
    pub(super) fn of(start: i64) -> Self {
        let day = Timestamp::from_microsecond(start).unwrap_or_default();
        Self { date: Offset::UTC.to_datetime(day).date().to_string(), start }
    }

    /// With milliseconds.
    pub(super) fn write(&self, time: i64, out: &mut Vec<u8>) -> io::Result<()> {
        self.write_seconds(time, out)?;
        write!(out, ".{:03}Z", (time - self.start) / 1_000 % 1_000)
    }

    /// Without a fraction and zone.
    pub(super) fn write_seconds(&self, time: i64, out: &mut Vec<u8>) -> io::Result<()> {
        let seconds = (time - self.start) / 1_000_000;
        write!(out, "{}T{:02}:{:02}:{:02}", self.date, seconds / 3600, seconds / 60 % 60, seconds % 60)
    }
}
