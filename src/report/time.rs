//! Days and times as a report writes them.
//!
//! Not here: periods (`catalog`).

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::Offset;

const DAY: i64 = 86_400_000_000;

/// The day of a time, `2026-09-18`.
pub(super) fn date(micros: i64) -> String {
    Offset::UTC.to_datetime(Timestamp::from_microsecond(micros).unwrap_or_default()).date().to_string()
}

/// A day since the epoch, `2026-09-18`.
pub(super) fn day(day: i64) -> String {
    date(day.saturating_mul(DAY))
}

/// A time, to the second.
pub(super) fn moment(micros: i64) -> String {
    let seconds = micros.div_euclid(1_000_000);
    Timestamp::from_second(seconds).unwrap_or_default().to_string()
}

/// A date as a day since the epoch.
pub fn day_number(date: Date) -> i64 {
    let midnight = Offset::UTC.to_timestamp(date.at(0, 0, 0, 0));
    midnight.map_or(0, |midnight| midnight.as_microsecond().div_euclid(DAY))
}
