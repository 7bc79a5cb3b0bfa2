//! Past verdicts: on the same subject and detector, and on the detector anywhere.
//!
//! Not here: what is made of it (`features`, `train::triage`).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::features::Features;
use crate::alerts::Alert;
use crate::detect::Subject;

/// Whom an alert was about, and who raised it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Raised {
    /// The detector's name.
    pub detector: String,
    /// Whom it was about.
    #[serde(flatten)]
    pub subject: Subject,
}

impl Raised {
    /// Whom an alert is about, and who raised it.
    pub fn by(alert: &Alert) -> Self {
        let caller = alert.caller.clone().unwrap_or_default();
        let account = alert.account.clone().unwrap_or_default();
        let subject = Subject { view: alert.view, vendor: alert.vendor.clone(), account, caller, rule: String::new() };
        Self { detector: alert.detector.clone(), subject }
    }
}

/// How often analysts confirmed, and how often they dismissed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answers {
    /// True positives.
    pub confirmed: u32,
    /// False positives and benign changes.
    pub dismissed: u32,
}

impl Answers {
    fn add(&mut self, is_true: bool) {
        let count = if is_true { &mut self.confirmed } else { &mut self.dismissed };
        *count = count.saturating_add(1);
    }
}

/// All verdicts so far.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(from = "Vec<Entry>", into = "Vec<Entry>")]
pub struct Past {
    by_subject: BTreeMap<Raised, Answers>,
    by_detector: BTreeMap<String, Answers>,
}

/// The past as written: a list, for names of subjects are no keys of JSON.
#[derive(Serialize, Deserialize)]
struct Entry {
    #[serde(flatten)]
    raised: Raised,
    #[serde(flatten)]
    answers: Answers,
}

impl From<Vec<Entry>> for Past {
    fn from(entries: Vec<Entry>) -> Self {
        let mut past = Self::default();
        for Entry { raised, answers } in entries {
            let detector = past.by_detector.entry(raised.detector.clone()).or_default();
            detector.confirmed = detector.confirmed.saturating_add(answers.confirmed);
            detector.dismissed = detector.dismissed.saturating_add(answers.dismissed);
            past.by_subject.insert(raised, answers);
        }
        past
    }
}

impl From<Past> for Vec<Entry> {
    fn from(past: Past) -> Self {
        past.by_subject.into_iter().map(|(raised, answers)| Entry { raised, answers }).collect()
    }
}

impl Past {
    /// Takes in one more answer.
    pub fn add(&mut self, raised: &Raised, is_true: bool) {
        self.by_subject.entry(raised.clone()).or_default().add(is_true);
        self.by_detector.entry(raised.detector.clone()).or_default().add(is_true);
    }

    /// The features with what was said before of the same subject and detector, and the share of the detector's alerts that was
    /// confirmed (Laplace's rule of succession: a detector never judged stands at one half).
    pub fn recalled(&self, raised: &Raised, mut features: Features) -> Features {
        let own = self.by_subject.get(raised).copied().unwrap_or_default();
        let all = self.by_detector.get(&raised.detector).copied().unwrap_or_default();
        let share = (f64::from(all.confirmed) + 1.0) / (f64::from(all.confirmed) + f64::from(all.dismissed) + 2.0);
        for (name, value) in [
            ("subject_confirmed_ln", f64::from(own.confirmed).ln_1p()),
            ("subject_dismissed_ln", f64::from(own.dismissed).ln_1p()),
            ("detector_confirmed_share", share),
        ] {
            features.insert(name.to_owned(), value);
        }
        features
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::alerts::sample;

    #[test]
    fn what_was_said_of_a_subject_is_remembered_and_written() {
        let raised = Raised::by(&sample());
        let mut past = Past::default();
        past.add(&raised, false);
        past.add(&raised, false);
        past.add(
            &Raised { subject: Subject { caller: "other".to_owned(), ..raised.subject.clone() }, ..raised.clone() },
            true,
        );
        let features = past.recalled(&raised, Features::new());
        assert_eq!(features["subject_dismissed_ln"], 2f64.ln_1p());
        assert_eq!(features["subject_confirmed_ln"], 0.0);
        assert_eq!(features["detector_confirmed_share"], 0.4);
        let written = serde_json::to_string(&past).unwrap();
        assert_eq!(serde_json::from_str::<Past>(&written).unwrap(), past, "{written}");
    }
}
