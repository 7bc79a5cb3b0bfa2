//! The budget: how the alerts a day that somebody asked for are shared out.
//!
//! The larger part is calibrated on the replay of the history; the rest is for what no history can show.

/// Share for the fused score of an entity's tests.
const TESTS: f64 = 0.75;
/// Share for all first-seen events together, and the most for one of them: it pages if it is expected no more often than this.
const NOVELTIES: f64 = 0.25;
const NOVELTY: f64 = 0.09;
/// Share for pure volume.
const VOLUME: f64 = 0.05;
/// Share for the multivariate models.
const MULTIVARIATE: f64 = 0.05;
/// Share for silences.
const SILENCE: f64 = 0.05;
/// Share for slow leaks.
const LEAK: f64 = 0.05;
/// Share for each kind of peak.
const PEAK: f64 = 0.05;

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

    /// Times a day that all first-seen events together may page.
    pub fn novelties(self) -> f64 {
        NOVELTIES * self.alerts_per_day
    }

    /// Times a day up to which one novelty pages.
    pub fn novelty(self) -> f64 {
        NOVELTY * self.alerts_per_day
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

    /// Alarms a day up to which a peak pages.
    pub fn peak(self) -> f64 {
        PEAK * self.alerts_per_day
    }

    /// Alarms a day up to which the multivariate models page.
    pub fn multivariate(self) -> f64 {
        MULTIVARIATE * self.alerts_per_day
    }
}
