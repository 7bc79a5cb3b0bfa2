//! RFC 3339 times to microseconds, by hand: every record has one, and a general parser costs as much as the rest of its fields.

/// Days from 0000-03-01 to 1970-01-01 in the proleptic Gregorian calendar.
const EPOCH_DAYS: i64 = 719_468;

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
    let year = digits(bytes, 0, 4)?;
    let month = digits(bytes, 5, 2)?;
    let day = digits(bytes, 8, 2)?;
    let (hour, minute, second) = (digits(bytes, 11, 2)?, digits(bytes, 14, 2)?, digits(bytes, 17, 2)?);
    let possible = (1990..2200).contains(&year)
        && (1..=12).contains(&month)
        && (1..=days_in(year, month)).contains(&day)
        && hour < 24
        && minute < 60
        && second <= 60;
    if !possible {
        return None;
    }
    let (micros, rest) = fraction(bytes.get(19..)?)?;
    let offset = offset_seconds(rest)?;
    let seconds = days_since_epoch(year, month, day) * 86_400 + hour * 3_600 + minute * 60 + second.min(59) - offset;
    Some(seconds * 1_000_000 + micros)
}

fn digits(bytes: &[u8], at: usize, count: usize) -> Option<i64> {
    bytes
        .get(at..at + count)?
        .iter()
        .try_fold(0, |number, byte| byte.is_ascii_digit().then(|| number * 10 + i64::from(byte - b'0')))
}

/// The microseconds of an optional `.fraction`, and what follows it.
fn fraction(bytes: &[u8]) -> Option<(i64, &[u8])> {
    let Some((b'.', after)) = bytes.split_first() else { return Some((0, bytes)) };
    let count = after.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let micros = (0..6).fold(0, |number, at| {
        let digit = after.get(at).filter(|_| at < count).map_or(0, |byte| i64::from(byte - b'0'));
        number * 10 + digit
    });
    (count > 0).then(|| (micros, &after[count..]))
}

fn offset_seconds(bytes: &[u8]) -> Option<i64> {
    let sign = match bytes {
        b"Z" | b"z" => return Some(0),
        [b'+', _, _, b':', _, _] => 1,
        [b'-', _, _, b':', _, _] => -1,
        _ => return None,
    };
    let (hours, minutes) = (digits(bytes, 1, 2)?, digits(bytes, 4, 2)?);
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
}
