//! The budget: how the alerts a day that somebody asked for are shared out.
//!
//! The larger part is calibrated on the replay of the history; the rest is for what no history can show.

/// Share for the fused score of an entity's tests.
const TESTS: f64 = 0.75;
/// Share for all first sights together, and the most for one of them: it pages if it is expected no more often than this.
const FIRST_SIGHTS: f64 = 0.25;
const FIRST_SIGHT: f64 = 0.09;
/// Share for pure volume.
const VOLUME: f64 = 0.05;
/// Share for the joint models.
const JOINT: f64 = 0.05;
/// Share for silences.
const SILENCE: f64 = 0.05;
/// Share for slow leaks.
const LEAK: f64 = 0.05;
/// Share for each kind of record.
const RECORD: f64 = 0.05;

/// Alerts a day that somebody is willing to look at.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Budget {
    /// In all.
    pub alerts_per_day: f64,
}

impl Budget {
    /// Alarms a day up to which the fused score of an entity's tests pages.
    pub fn tests(self) -> f64 {
        TESTS * self.alerts_per_day
    }

    /// Times a day that all first sights together may page.
    pub fn first_sights(self) -> f64 {
        FIRST_SIGHTS * self.alerts_per_day
    }

    /// Times a day up to which one first sight pages.
    pub fn first_sight(self) -> f64 {
        FIRST_SIGHT * self.alerts_per_day
    }

    /// Alarms a day up to which pure volume pages.
    pub fn volume(self) -> f64 {
        VOLUME * self.alerts_per_day
    }

    /// Alarms a day up to which a silence pages.
    pub fn silence(self) -> f64 {
        SILENCE * self.alerts_per_day
    }

    /// Alarms a day up to which a slow leak pages.
    pub fn leak(self) -> f64 {
        LEAK * self.alerts_per_day
    }

    /// Alarms a day up to which a record pages.
    pub fn record(self) -> f64 {
        RECORD * self.alerts_per_day
    }

    /// Alarms a day up to which the joint models page.
    pub fn joint(self) -> f64 {
        JOINT * self.alerts_per_day
    }
}
