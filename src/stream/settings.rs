//! What the pipeline file decides for the engine.

use crate::alerts::NOTICES_PER_DAY;
use crate::pipeline::{Campaign, Detection, LATE_CALLS_HOURS};
use crate::rollup::{BUCKETS_PER_DAY, BUCKETS_PER_HOUR};

/// What the pipeline file decides for the engine.
#[derive(Clone, Debug, PartialEq)]
pub struct EngineSettings {
    /// Alerts a day that somebody is willing to look at.
    pub alerts_per_day: f64,
    /// Steps of notices a day that are sent one by one.
    pub notices_per_day: u32,
    /// How far a call may come after later ones.
    pub allowed_lateness_seconds: u64,
    /// How old a call may be whose bucket was judged, hours: it is judged all the same, as late.
    pub late_calls_hours: u64,
    /// Whether the input has an end: then nothing is late, and all is judged when it has come.
    pub is_bounded: bool,
    /// Campaigns that are known beforehand.
    pub campaigns: Vec<Campaign>,
    /// Whether the rows of closed buckets are handed out, to be kept.
    pub keeps_rows: bool,
}

impl Default for EngineSettings {
    fn default() -> Self {
        Self {
            alerts_per_day: 1.0,
            notices_per_day: NOTICES_PER_DAY,
            allowed_lateness_seconds: 60,
            late_calls_hours: LATE_CALLS_HOURS,
            is_bounded: false,
            campaigns: Vec::new(),
            keeps_rows: false,
        }
    }
}

impl From<&Detection> for EngineSettings {
    fn from(detection: &Detection) -> Self {
        Self {
            alerts_per_day: detection.alerts_per_day,
            notices_per_day: detection.notices_per_day,
            allowed_lateness_seconds: detection.allowed_lateness_seconds,
            late_calls_hours: detection.late_calls_hours,
            is_bounded: false,
            campaigns: detection.campaigns.clone(),
            keeps_rows: false,
        }
    }
}

impl EngineSettings {
    /// How long a bucket's alert waits for stragglers, microseconds.
    pub(super) fn lateness_micros(&self) -> i64 {
        i64::try_from(self.allowed_lateness_seconds).unwrap_or(i64::MAX / 2_000_000).saturating_mul(1_000_000)
    }

    /// How many buckets before the first open one a call may belong to.
    pub(super) fn late_buckets(&self) -> i64 {
        i64::try_from(self.late_calls_hours).unwrap_or(i64::MAX / BUCKETS_PER_DAY).saturating_mul(BUCKETS_PER_HOUR)
    }

    /// How far the watermark stays behind.
    pub(super) fn hold_back(&self) -> i64 {
        if self.is_bounded { i64::MAX / 2 } else { self.lateness_micros() }
    }
}
