//! Times as logs write them, to microseconds. RFC 3339 by hand: every record has one, and a general parser costs as much as the rest of
//! its fields.
//!
//! A number is seconds, milliseconds, microseconds or nanoseconds since the epoch: for any time of this century only one of them is
//! possible. A time without an offset is no time until somebody says of which zone it is.
//!
//! Not here: whether a time is plausible (`calls`).

use std::sync::Arc;

use jiff::civil::DateTime;
use jiff::tz::TimeZone;

/// Days from 0000-03-01 to 1970-01-01 in the proleptic Gregorian calendar.
const EPOCH_DAYS: i64 = 719_468;
const MICROS: i64 = 1_000_000;
const MONTHS: [&[u8]; 12] =
    [b"jan", b"feb", b"mar", b"apr", b"may", b"jun", b"jul", b"aug", b"sep", b"oct", b"nov", b"dec"];

/// How a time is written.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Layout {
    /// In one of the ways that [`parse`] tells apart.
    #[default]
    Any,
    /// A number since the epoch, in units of so many nanoseconds.
    Epoch(i64),
    /// By a `strftime` pattern.
    Pattern(Arc<str>),
}

impl Layout {
    /// The layout of that name (`rfc3339`, `epoch_s`, `epoch_ms`, `epoch_us`, `epoch_ns`), or of that `strftime` pattern.
    pub fn named(name: &str) -> Option<Self> {
        Some(match name {
            "rfc3339" | "any" => Self::Any,
            "epoch_s" => Self::Epoch(1_000_000_000),
            "epoch_ms" => Self::Epoch(1_000_000),
            "epoch_us" => Self::Epoch(1_000),
            "epoch_ns" => Self::Epoch(1),
            pattern if pattern.contains('%') => Self::Pattern(pattern.into()),
            _ => return None,
        })
    }
}

/// What a text says of a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Time {
    /// Microseconds since the epoch.
    At(i64),
    /// A date and a time of day, and nobody says of which zone.
    WithoutZone,
    /// Something else.
    Unreadable,
}

/// The time that a text says: RFC 3339 and its relatives (a blank for the `T`, a comma before the fraction, `+0200`, ` UTC`, no
/// punctuation), a number since the epoch, Apache's `15/Sep/2026:08:00:00 +0000`, RFC 2822. `zone` is that of times without an offset.
pub fn parse(text: &str, layout: &Layout, zone: Option<&TimeZone>) -> Time {
    let text = text.trim().trim_start_matches('[').trim_end_matches(']');
    let known = match layout {
        Layout::Any => match parse_rfc3339(text).or_else(|| epoch(text, None)) {
            Some(time) => Some(time),
            None => return spelled(text, zone),
        },
        Layout::Epoch(nanoseconds) => epoch(text, Some(*nanoseconds)),
        Layout::Pattern(pattern) => return by_pattern(text, pattern, zone),
    };
    known.map_or(Time::Unreadable, Time::At)
}

/// A number since the epoch, in units of so many nanoseconds, or of those that its size leaves.
fn epoch(text: &str, unit: Option<i64>) -> Option<i64> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let is_number = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if whole.is_empty() || whole.len() > 19 || !is_number(whole) || !is_number(fraction) {
        // `1.7894592e9`, as some libraries write large numbers.
        let number: f64 = text.parse().ok().filter(|_| text.contains(['e', 'E']))?;
        return epoch(&format!("{number:.6}"), unit);
    }
    let number: i64 = whole.parse().ok()?;
    let unit = unit.unwrap_or(match number {
        0..100_000_000_000 => 1_000_000_000,
        100_000_000_000..100_000_000_000_000 => 1_000_000,
        100_000_000_000_000..100_000_000_000_000_000 => 1_000,
        _ => 1,
    });
    let digit = |at: usize| fraction.as_bytes().get(at).map_or(0, |byte| i64::from(byte - b'0'));
    let billionths = (0..9).fold(0, |number, at| number * 10 + digit(at));
    let nanoseconds = i128::from(number) * i128::from(unit) + i128::from(billionths) * i128::from(unit) / 1_000_000_000;
    i64::try_from(nanoseconds / 1_000).ok()
}

/// A date and a time of day in words and digits.
fn spelled(text: &str, zone: Option<&TimeZone>) -> Time {
    let bytes = text.as_bytes();
    let Some((date, rest)) = iso(bytes).or_else(|| apache(bytes)) else {
        let time = jiff::fmt::rfc2822::DateTimeParser::new().parse_timestamp(text);
        return time.map_or(Time::Unreadable, |time| Time::At(time.as_microsecond()));
    };
    let rest = rest.trim_ascii();
    // Go writes the name of a zone behind its offset: `+0000 UTC`.
    let rest = match rest.iter().position(|byte| *byte == b' ') {
        Some(at) if matches!(rest[0], b'+' | b'-') && rest[at + 1..].iter().all(u8::is_ascii_alphabetic) => &rest[..at],
        _ => rest,
    };
    if let Some(offset) = offset_seconds(rest) {
        return date.in_offset(offset).map_or(Time::Unreadable, Time::At);
    }
    match (rest.is_empty(), zone) {
        (false, _) => Time::Unreadable,
        (true, None) if date.in_offset(0).is_some() => Time::WithoutZone,
        (true, None) => Time::Unreadable,
        (true, Some(zone)) => date.in_zone(zone).map_or(Time::Unreadable, Time::At),
    }
}

fn by_pattern(text: &str, pattern: &str, zone: Option<&TimeZone>) -> Time {
    let Ok(parsed) = jiff::fmt::strtime::parse(pattern, text) else { return Time::Unreadable };
    if let Ok(time) = parsed.to_timestamp() {
        return Time::At(time.as_microsecond());
    }
    match (parsed.to_datetime(), zone) {
        (Err(_), _) => Time::Unreadable,
        (Ok(_), None) => Time::WithoutZone,
        (Ok(time), Some(zone)) => in_zone(time, zone).map_or(Time::Unreadable, Time::At),
    }
}

/// An hour that a clock shows twice is the first one, an hour that it skips lies behind the gap.
fn in_zone(time: DateTime, zone: &TimeZone) -> Option<i64> {
    zone.to_ambiguous_timestamp(time).compatible().ok().map(jiff::Timestamp::as_microsecond)
}

/// A date and a time of day, not yet of any zone.
struct Civil {
    year: i64,
    month: i64,
    day: i64,
    hour: i64,
    minute: i64,
    second: i64,
    micros: i64,
}

impl Civil {
    /// A second of 60 counts as 59, as no clock of ours has leap seconds.
    fn is_possible(&self) -> bool {
        (1990..2200).contains(&self.year)
            && (1..=12).contains(&self.month)
            && (1..=days_in(self.year, self.month)).contains(&self.day)
            && self.hour < 24
            && self.minute < 60
            && self.second <= 60
    }

    fn in_offset(&self, offset: i64) -> Option<i64> {
        let days = self.is_possible().then(|| days_since_epoch(self.year, self.month, self.day))?;
        let seconds = days * 86_400 + self.hour * 3_600 + self.minute * 60 + self.second.min(59) - offset;
        Some(seconds * MICROS + self.micros)
    }

    fn in_zone(&self, zone: &TimeZone) -> Option<i64> {
        let utc = self.in_offset(0)?;
        let time = TimeZone::UTC.to_datetime(jiff::Timestamp::from_microsecond(utc).ok()?);
        in_zone(time, zone)
    }
}

/// `2026-09-15T08:00:00.123`, `2026-09-15 08:00`, `20260915T080000`; and what follows.
fn iso(bytes: &[u8]) -> Option<(Civil, &[u8])> {
    let is_dashed = bytes.get(4) == Some(&b'-') || bytes.get(4) == Some(&b'/');
    let (dates, times) = if is_dashed { ([0, 5, 8], [11, 14, 17]) } else { ([0, 4, 6], [9, 11, 13]) };
    let separator = *bytes.get(times[0] - 1)?;
    if !b"Tt _".contains(&separator) {
        return None;
    }
    let of = |at: usize, count: usize| digits(bytes, at, count);
    let has_seconds = if is_dashed { bytes.get(16) == Some(&b':') } else { of(times[2], 2).is_some() };
    let (second, end) =
        if has_seconds { (of(times[2], 2)?, times[2] + 2) } else { (0, times[2] - usize::from(is_dashed)) };
    let (micros, rest) = fraction(bytes.get(end..)?)?;
    let date = Civil {
        year: of(dates[0], 4)?,
        month: of(dates[1], 2)?,
        day: of(dates[2], 2)?,
        hour: of(times[0], 2)?,
        minute: of(times[1], 2)?,
        second,
        micros,
    };
    Some((date, rest))
}

/// `15/Sep/2026:08:00:00`, and what follows.
fn apache(bytes: &[u8]) -> Option<(Civil, &[u8])> {
    let name = bytes.get(3..6)?.to_ascii_lowercase();
    let month = MONTHS.iter().position(|month| *month == name)? as i64 + 1;
    let marks = [(2, b'/'), (6, b'/'), (11, b':'), (14, b':'), (17, b':')];
    if !marks.iter().all(|(at, mark)| bytes.get(*at) == Some(mark)) {
        return None;
    }
    let of = |at: usize, count: usize| digits(bytes, at, count);
    let (micros, rest) = fraction(bytes.get(20..)?)?;
    let date = Civil {
        year: of(7, 4)?,
        month,
        day: of(0, 2)?,
        hour: of(12, 2)?,
        minute: of(15, 2)?,
        second: of(18, 2)?,
        micros,
    };
    Some((date, rest))
}

/// Microseconds since the epoch of `2026-09-01T00:00:00[.fraction](Z|±hh:mm)`, for the years 1990 to 2199.
///
/// Digits past the microsecond are dropped. A second of 60 counts as 59, as no clock of ours has leap seconds. `None` for all else, and for
/// a time without its offset.
pub fn parse_rfc3339(text: &str) -> Option<i64> {
    let bytes = text.as_bytes();
    let punctuation = [(4, "-"), (7, "-"), (10, "Tt "), (13, ":"), (16, ":")];
    if !punctuation.iter().all(|(at, any)| bytes.get(*at).is_some_and(|byte| any.as_bytes().contains(byte))) {
        return None;
    }
    let (date, rest) = iso(bytes)?;
    date.in_offset(offset_seconds(rest)?)
}

fn digits(bytes: &[u8], at: usize, count: usize) -> Option<i64> {
    bytes
        .get(at..at + count)?
        .iter()
        .try_fold(0, |number, byte| byte.is_ascii_digit().then(|| number * 10 + i64::from(byte - b'0')))
}

/// The microseconds of an optional fraction behind a dot or a comma, and what follows it.
fn fraction(bytes: &[u8]) -> Option<(i64, &[u8])> {
    let Some((b'.' | b',', after)) = bytes.split_first() else { return Some((0, bytes)) };
    let count = after.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let micros = (0..6).fold(0, |number, at| {
        let digit = after.get(at).filter(|_| at < count).map_or(0, |byte| i64::from(byte - b'0'));
        number * 10 + digit
    });
    (count > 0).then(|| (micros, &after[count..]))
}

fn offset_seconds(bytes: &[u8]) -> Option<i64> {
    let sign = match bytes {
        b"Z" | b"z" | b"UTC" | b"GMT" => return Some(0),
        [b'+', ..] => 1,
        [b'-', ..] => -1,
        _ => return None,
    };
    let (hours, minutes) = match &bytes[1..] {
        [_, _] => (digits(bytes, 1, 2)?, 0),
        [_, _, _, _] => (digits(bytes, 1, 2)?, digits(bytes, 3, 2)?),
        [_, _, b':', _, _] => (digits(bytes, 1, 2)?, digits(bytes, 4, 2)?),
        _ => return None,
    };
    (hours < 24 && minutes < 60).then_some(sign * (hours * 3_600 + minutes * 60))
}

const fn days_in(year: i64, month: i64) -> i64 {
    match month {
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Years are counted from March, so that the leap day is the last of its year (H. Hinnant, "chrono-compatible low-level date algorithms").
const fn days_since_epoch(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    365 * year + year / 4 - year / 100 + year / 400 + day_of_year - EPOCH_DAYS
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn agrees_with_jiff_on_every_time(seconds in 631_152_000_i64..7_258_118_400, nanos in 0..1_000_000_000_i32, digits in 0..=9_usize) {
            let time = jiff::Timestamp::new(seconds, nanos).unwrap();
            let text = format!("{time:.digits$}");
            let cut: jiff::Timestamp = text.parse().unwrap();
            prop_assert_eq!(parse_rfc3339(&text), Some(cut.as_microsecond()));
        }

        #[test]
        fn never_panics(text in ".{0,40}") {
            let _ = parse_rfc3339(&text);
        }
    }

    #[test]
    fn takes_an_offset_and_refuses_what_is_no_time() {
        let utc = parse_rfc3339("2026-09-01T10:00:00Z");
        assert_eq!(utc, Some(1_788_256_800_000_000));
        assert_eq!(parse_rfc3339("2026-09-01T12:00:00.000+02:00"), utc);
        assert_eq!(parse_rfc3339("2026-09-01t04:30:00-05:30"), utc);
        for text in ["", "2026-09-01", "2026-09-01T10:00:00", "2026-02-29T10:00:00Z", "2026-09-01T24:00:00Z"] {
            assert_eq!(parse_rfc3339(text), None, "{text}");
        }
        for text in
            ["1989-12-31T23:59:59Z", "2200-01-01T00:00:00Z", "2026-09-01T10:00:00.Z", "2026-09-01T10:00:00Zjunk"]
        {
            assert_eq!(parse_rfc3339(text), None, "{text}");
        }
    }

    #[test]
    fn one_time_is_read_however_it_is_spelled() {
        let expected = Time::At(1_789_459_200_000_000);
        for text in [
            "2026-09-15 08:00:00 +0000 UTC",
            "2026-09-15T08:00:00Z",
            "2026-09-15T10:00:00+0200",
            "2026-09-15T10:00:00+02",
            "2026-09-15T08:00:00,000Z",
            "2026-09-15 08:00:00 UTC",
            "2026-09-15 08:00:00.000Z",
            "2026-09-15T08:00Z",
            "20260915T080000Z",
            "1789459200",
            "1789459200.000",
            "1.7894592E9",
            "1789459200000",
            "1789459200000000",
            "1789459200000000000",
            "15/Sep/2026:08:00:00 +0000",
            "[15/Sep/2026:10:00:00 +0200]",
            "Tue, 15 Sep 2026 08:00:00 GMT",
        ] {
            assert_eq!(parse(text, &Layout::Any, None), expected, "{text}");
        }
        let berlin = TimeZone::get("Europe/Berlin").unwrap();
        for text in ["2026-09-15 10:00:00", "15/Sep/2026:10:00:00.000", "2026-09-15T10:00"] {
            assert_eq!(parse(text, &Layout::Any, None), Time::WithoutZone, "{text}");
            assert_eq!(parse(text, &Layout::Any, Some(&berlin)), expected, "{text}");
        }
        for text in
            ["yesterday", "2026-09-14T24:00:00Z", "15/09/2026", "09/15/2026 08:00:00", "17894592000000000000000"]
        {
            assert_eq!(parse(text, &Layout::Any, Some(&berlin)), Time::Unreadable, "{text}");
        }
    }

    #[test]
    fn a_layout_says_what_a_number_or_an_order_of_digits_means() {
        let expected = Time::At(1_789_459_200_000_000);
        let layout = |name: &str| Layout::named(name).unwrap();
        assert_eq!(parse("1789459200000", &layout("epoch_ms"), None), expected);
        assert_eq!(parse("15.09.2026 08:00:00", &layout("%d.%m.%Y %H:%M:%S"), Some(&TimeZone::UTC)), expected);
        assert_eq!(parse("15.09.2026 08:00:00", &layout("%d.%m.%Y %H:%M:%S"), None), Time::WithoutZone);
        assert_eq!(parse("09/15/2026 10:00:00 +0200", &layout("%m/%d/%Y %H:%M:%S %z"), None), expected);
        assert_eq!(Layout::named("epoch"), None);
    }
}
