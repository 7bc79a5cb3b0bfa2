//! Ticks: when time goes on though no record comes.
//!
//! Event time stands still without records, so a log that stops would never be told. While the brokers confirm that everything was read,
//! the clock stands in: event time is as far behind it as the newest record was when it was read. A stream that is being read again, hours
//! after its calls, has no such clock.
//!
//! A tick is in the checkpoint before it is carried out, so that a restart repeats it as it was.
//!
//! Not here: what a tick means (`Engine`), and whether everything was read (`partitions`).

use std::time::Duration;

use super::shipping::MAX_DELAY;
use crate::rollup::bucket_of;

/// Time without a record, at the confirmed end of all partitions, from which the clock stands in.
const QUIET: Duration = Duration::from_secs(60);

/// The clock of a live stream.
#[derive(Debug, Default)]
pub(super) struct Ticks {
    /// How far event time is behind the clock, microseconds; `None` where the stream is not live.
    delay: Option<i64>,
    /// The bucket that was over at the last tick.
    ticked: Option<i64>,
    /// How long stragglers of a bucket are waited for, microseconds.
    lateness: i64,
}

impl Ticks {
    /// Goes on with the delay of a checkpoint; stragglers of a bucket are waited for `lateness` microseconds.
    pub fn resume(delay: Option<i64>, lateness: i64) -> Self {
        Self { delay, ticked: None, lateness }
    }

    /// How far event time is behind the clock, microseconds, for the checkpoint.
    pub fn delay(&self) -> Option<i64> {
        self.delay
    }

    /// Records were read at `now`, the newest call of the stream at `newest`; both in microseconds since the epoch.
    pub fn heard(&mut self, newest: Option<i64>, now: i64) {
        self.delay = newest.map(|newest| now.saturating_sub(newest).max(0)).filter(|delay| *delay <= MAX_DELAY);
    }

    /// Whether event time has passed `time` and its stragglers by the clock at `now` (both microseconds since the epoch), as far as the
    /// stream has a clock.
    pub fn has_passed(&self, time: i64, now: i64) -> bool {
        self.delay.is_none_or(|delay| now.saturating_sub(delay) >= time.saturating_add(self.lateness))
    }

    /// The event time of the tick that is due at `now` (microseconds since the epoch), after all partitions were at their ends for
    /// `quiet`: one for each bucket that is over.
    pub fn due(&mut self, quiet: Duration, now: i64) -> Option<i64> {
        let time = now.saturating_sub(self.delay.filter(|_| quiet >= QUIET)?);
        let bucket = bucket_of(time.saturating_sub(self.lateness));
        (self.ticked.replace(bucket) != Some(bucket)).then_some(time)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: i64 = 60_000_000;

    #[test]
    fn the_clock_stands_in_a_bucket_at_a_time_once_a_live_stream_is_quiet() {
        let (mut ticks, now) = (Ticks::default(), 10_000 * MINUTE);
        assert_eq!(ticks.due(QUIET, now), None, "nothing was ever heard");
        ticks.heard(Some(now - 2 * MINUTE), now);
        assert_eq!(ticks.due(Duration::from_secs(59), now + MINUTE), None);
        assert!(ticks.has_passed(now - MINUTE, now + MINUTE) && !ticks.has_passed(now, now + MINUTE));
        assert_eq!(ticks.due(QUIET, now + 2 * MINUTE), Some(now));
        assert_eq!(ticks.due(QUIET, now + 3 * MINUTE), None, "the same bucket");
        assert_eq!(ticks.due(QUIET, now + 7 * MINUTE), Some(now + 5 * MINUTE));
        let mut resumed = Ticks::resume(ticks.delay(), 0);
        assert_eq!(resumed.due(QUIET, now + 12 * MINUTE), Some(now + 10 * MINUTE));
    }

    #[test]
    fn a_stream_that_is_read_again_has_no_clock() {
        let mut ticks = Ticks::default();
        ticks.heard(Some(0), 10_000 * MINUTE);
        assert_eq!(ticks.due(QUIET, 10_001 * MINUTE), None);
        ticks.heard(Some(10_001 * MINUTE), 10_001 * MINUTE);
        assert!(ticks.due(QUIET, 10_002 * MINUTE).is_some(), "it has caught up");
    }
}
