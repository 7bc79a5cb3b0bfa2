//! The digest: what was not sent one by one, summed up once an hour.
//!
//! Notices have a budget too. A day's first so many steps of notices are sent; what comes after them is counted by detector, and of each the rarest
//! few are named. What a flood's incident has no room for is counted with them. A digest opens and closes at once: nobody has to do anything
//! about it. Days and hours are those of event time, UTC, and its id depends on view and hour alone.
//!
//! Not here: which incidents are notices (`severity`), and what joins a flood (`floods`).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Activity, Alert, Involved, MAX_INVOLVED};
use crate::calls::View;
use crate::detect::{Contribution, Finding, Subject};

/// Its name stands in an alert where others have their detector.
pub(super) const DIGEST: &str = "digest";
/// Steps of notices a day that are sent, where the pipeline file does not say.
pub const NOTICES_PER_DAY: u32 = 50;
/// Of each detector, the rarest that are named.
const MAX_EXAMPLES: usize = 3;
/// Stands for the vendor where there are several.
const SEVERAL: &str = "several vendors";
/// Microseconds.
const HOUR: i64 = 3_600_000_000;
const DAY: i64 = 24 * HOUR;

/// What is said of one that was not sent.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Withheld {
    pub view: View,
    pub detector: String,
    /// Whether it pages: it has joined an incident that names no more.
    pub pages: bool,
    /// Alarms a day expected at its level.
    pub rate: f64,
    pub part: Involved,
}

impl Withheld {
    /// A finding that no incident has room for.
    pub fn of(subject: &Subject, finding: &Finding, pages: bool) -> Self {
        let known = |text: &String| Some(text.clone()).filter(|text| !text.is_empty());
        let part = Involved {
            caller: known(&subject.caller),
            vendor: subject.vendor.clone(),
            account: known(&subject.account),
            host: finding.hosts.first().cloned(),
            credential: finding.credential.clone(),
            endpoint: finding.endpoint.clone(),
            calls: finding.calls,
        };
        let detector = finding.class.detector.name.to_owned();
        Self { view: subject.view, detector, pages, rate: finding.alarms_per_day, part }
    }
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Count {
    seen: u64,
    /// The rarest, rarest first.
    examples: Vec<(f64, Involved)>,
}

impl Count {
    fn add(&mut self, rate: f64, part: Involved) {
        self.seen += 1;
        // A subject is one example, whatever it shows.
        self.examples.retain(|(other, known)| *known != part || *other < rate);
        if self.examples.iter().all(|(_, known)| *known != part) {
            let place = self.examples.partition_point(|(other, _)| *other <= rate);
            self.examples.insert(place, (rate, part));
            self.examples.truncate(MAX_EXAMPLES);
        }
    }
}

/// What was withheld since the last digest, and what was sent today.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Digest {
    #[serde(skip, default = "notices_per_day")]
    notices_per_day: u32,
    /// The day, since the epoch, and the steps of notices sent on it.
    sent: (i64, u32),
    /// When the first and the last was withheld, microseconds since the epoch.
    span: Option<(i64, i64)>,
    /// By view, detector, and whether it pages.
    withheld: BTreeMap<(View, String, bool), Count>,
}

const fn notices_per_day() -> u32 {
    NOTICES_PER_DAY
}

impl Default for Digest {
    fn default() -> Self {
        Self { notices_per_day: NOTICES_PER_DAY, sent: (0, 0), span: None, withheld: BTreeMap::new() }
    }
}

impl Digest {
    /// Sends so many steps of notices a day from now on.
    pub fn keep_to(&mut self, notices_per_day: u32) {
        self.notices_per_day = notices_per_day;
    }

    /// Whether there is room for a notice's step at `time`, microseconds since the epoch, which then counts as sent.
    pub fn admits(&mut self, time: i64) -> bool {
        let today = time.div_euclid(DAY);
        if self.sent.0 < today {
            self.sent = (today, 0);
        }
        let is_admitted = self.sent.1 < self.notices_per_day;
        self.sent.1 += u32::from(is_admitted);
        is_admitted
    }

    /// Counts what is not sent at `time`, microseconds since the epoch.
    pub fn withhold(&mut self, one: Withheld, time: i64) {
        let Withheld { view, detector, pages, rate, part } = one;
        let (first, last) = self.span.unwrap_or((time, time));
        self.span = Some((first.min(time), last.max(time)));
        self.withheld.entry((view, detector, pages)).or_default().add(rate, part);
    }

    /// The digests that are due at `time`, microseconds since the epoch: one a view, once the hour of the first withheld is over.
    pub fn due(&mut self, time: i64, bundle: &str) -> Vec<Alert> {
        let is_due = self.span.is_some_and(|(first, _)| time.div_euclid(HOUR) > first.div_euclid(HOUR));
        if is_due { self.finish(time, bundle) } else { Vec::new() }
    }

    /// The same though the hour is not over: nothing follows.
    pub fn finish(&mut self, time: i64, bundle: &str) -> Vec<Alert> {
        let Some((first, last)) = self.span.take() else { return Vec::new() };
        let withheld = std::mem::take(&mut self.withheld);
        let of_view = |view| {
            let own = withheld.iter().filter(|((of, ..), _)| *of == view);
            let own: Vec<_> = own.map(|((_, detector, pages), count)| (detector.as_str(), *pages, count)).collect();
            (!own.is_empty()).then(|| digest(view, &own, (first, last.min(time), time), bundle))
        };
        [View::Egress, View::Audit].into_iter().filter_map(of_view).collect()
    }
}

fn digest(view: View, own: &[(&str, bool, &Count)], (first, last, time): (i64, i64, i64), bundle: &str) -> Alert {
    let hour = first.div_euclid(HOUR);
    let id = blake3::hash(format!("{DIGEST}\u{1f}{}\u{1f}{hour}", view.as_str()).as_bytes()).to_hex();
    let seen: u64 = own.iter().map(|(.., count)| count.seen).sum();
    let mut examples: Vec<&(f64, Involved)> = own.iter().flat_map(|(.., count)| &count.examples).collect();
    examples.sort_by(|a, b| a.0.total_cmp(&b.0));
    let involved: Vec<Involved> = examples.iter().take(MAX_INVOLVED).map(|(_, part)| part.clone()).collect();
    let vendors = involved.iter().map(|part| part.vendor.as_str());
    let vendor = vendors.reduce(|one, other| if one == other { one } else { SEVERAL }).unwrap_or(SEVERAL).to_owned();
    let mut by_count = own.to_vec();
    by_count.sort_by_key(|(.., count)| std::cmp::Reverse(count.seen));
    let named: Vec<String> =
        by_count.iter().map(|(detector, pages, count)| in_words(detector, *pages, count)).collect();
    let rarest = involved.first().map(|part| format!("; the rarest: {}", who(part))).unwrap_or_default();
    Alert {
        activity: Activity::Close,
        first_seen: first.min(last),
        last_seen: last,
        detector: DIGEST.to_owned(),
        title: "Findings beyond what is sent one by one".to_owned(),
        message: format!("{seen} further findings were not sent one by one: {}{rarest}", named.join(", ")),
        vendor,
        contributions: by_count.iter().map(|(detector, pages, count)| reason(detector, *pages, count, seen)).collect(),
        calls: involved.iter().map(|part| part.calls).sum(),
        involved,
        ..Alert::of_service(format!("aw-{}", &id[..16]), time, view, bundle)
    }
}

fn in_words(detector: &str, pages: bool, count: &Count) -> String {
    let what = if pages { " in floods" } else { "" };
    format!("{} {detector}{what}", count.seen)
}

fn who(part: &Involved) -> String {
    part.caller.as_ref().map_or_else(|| part.vendor.clone(), |caller| format!("{caller} at {}", part.vendor))
}

fn reason(detector: &str, pages: bool, count: &Count, seen: u64) -> Contribution {
    let examples: Vec<String> = count.examples.iter().map(|(_, part)| who(part)).collect();
    Contribution {
        name: detector.to_owned(),
        window: "1h".to_owned(),
        observed: format!("{}, such as {}", in_words(detector, pages, count), examples.join(", ")),
        baseline: "sent one by one".to_owned(),
        observed_value: Some(count.seen as f64),
        baseline_value: None,
        unit: "findings".to_owned(),
        share: count.seen as f64 / seen.max(1) as f64,
        p_value: 1.0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::alerts::Severity;

    fn notice(caller: &str, rate: f64) -> Withheld {
        let part = Involved { caller: Some(caller.to_owned()), vendor: "stripe".to_owned(), ..Involved::default() };
        Withheld { view: View::Egress, detector: "odd_hours".to_owned(), pages: false, rate, part }
    }

    #[test]
    fn a_day_has_room_for_so_many_and_the_next_one_for_as_many_again() {
        let mut digest = Digest::default();
        digest.keep_to(2);
        let admitted = [0, 1, HOUR, DAY, DAY + 1, DAY + 2].map(|time| digest.admits(time));
        assert_eq!(admitted, [true, true, false, true, true, false]);
    }

    #[test]
    fn an_hour_is_summed_up_once_with_its_rarest_and_nothing_is_left() {
        let mut digest = Digest::default();
        for (index, caller) in ["a", "b", "c", "d", "e"].into_iter().enumerate() {
            digest.withhold(notice(caller, 1.0 / (index + 1) as f64), HOUR + index as i64);
        }
        digest.withhold(notice("e", 0.9), HOUR + 9);
        assert_eq!(digest.due(2 * HOUR - 1, "b"), []);
        let [alert] = &digest.due(2 * HOUR, "b")[..] else { panic!("one view") };
        assert_eq!((alert.severity, alert.activity), (Severity::Informational, Activity::Close));
        assert_eq!(alert.callers(), ["e", "d", "c"]);
        assert_eq!(alert.message, "6 further findings were not sent one by one: 6 odd_hours; the rarest: e at stripe");
        assert_eq!((alert.first_seen, alert.last_seen), (HOUR, HOUR + 9));
        assert_eq!(digest.due(9 * HOUR, "b"), []);
    }
}
