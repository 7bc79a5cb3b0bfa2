//! What the service notices about its own sinks: one that cannot deliver for some minutes is an incident, which the others deliver.
//!
//! It opens when a sink has failed for as long as is tolerated, and closes when the sink works and nothing waits for it any more; one that is open
//! when the service ends is taken up again from the alert store. Its time is the clock's: it has nothing to do with the calls that are judged.
//!
//! Not here: whether a sink works (`delivery`), and what the notice says besides (`alerts::service`).

use std::collections::BTreeMap;
use std::time::Duration;

use crate::alerts::{Activity, Alert, NoticeKind, sink_failing};

/// How a sink does.
#[derive(Clone, Debug)]
pub(super) struct Doing {
    /// Why it cannot deliver, and for how long it has not.
    pub failing: Option<(String, Duration)>,
    /// Steps that wait for it.
    pub waiting: i64,
}

/// Incidents about sinks.
#[derive(Debug)]
pub(super) struct SinkWatch {
    /// For how long a sink may fail before it is reported.
    patience: Duration,
    /// Sink → the incident that is open about it.
    open: BTreeMap<String, Alert>,
}

impl SinkWatch {
    /// Takes up the newest steps of incidents about sinks.
    pub fn resume(patience: Duration, newest: impl Iterator<Item = Alert>) -> Self {
        let open = newest.filter(|alert| alert.activity != Activity::Close);
        Self { patience, open: open.map(|alert| (alert.vendor.clone(), alert)).collect() }
    }

    /// What there is to report at a time, microseconds since the epoch.
    pub fn look(&mut self, sinks: &BTreeMap<String, Doing>, bundle: &str, now: i64) -> Vec<Alert> {
        let mut alerts = Vec::new();
        self.open.retain(|name, open| {
            let is_over = sinks.get(name).is_none_or(|sink| sink.failing.is_none() && sink.waiting == 0);
            if is_over {
                alerts.push(closed(open, sinks.contains_key(name), now));
            }
            !is_over
        });
        for (name, Doing { failing, waiting }) in sinks {
            let Some((reason, length)) = failing.as_ref().filter(|(_, length)| *length >= self.patience) else {
                continue;
            };
            if !self.open.contains_key(name) {
                let since = now - i64::try_from(length.as_micros()).unwrap_or(now);
                let alert = sink_failing(name, reason, *waiting, since, now, bundle);
                self.open.insert(name.clone(), alert.clone());
                alerts.push(alert);
            }
        }
        alerts
    }
}

fn closed(open: &Alert, is_there: bool, now: i64) -> Alert {
    let sink = &open.vendor;
    let message = match is_there {
        true => format!("the sink {sink} delivers again, and what waited for it has gone out"),
        false => format!("the sink {sink} is no longer in the pipeline"),
    };
    let (revision, time) = (open.revision + 1, now.max(open.time));
    Alert { revision, activity: Activity::Close, time, last_seen: time, message, ..open.clone() }
}

/// Whether an alert is about a sink: it would reach that one only when it is over.
pub(super) fn is_about(alert: &Alert, sink: &str) -> bool {
    alert.detector == NoticeKind::SinkFailing.as_str() && alert.vendor == sink
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: i64 = 60_000_000;

    fn sink(failing: Option<u64>, waiting: i64) -> BTreeMap<String, Doing> {
        let failing = failing.map(|minutes| ("no answer".to_owned(), Duration::from_secs(60 * minutes)));
        BTreeMap::from([("slack:soc".to_owned(), Doing { failing, waiting })])
    }

    fn watch(open: Vec<Alert>) -> SinkWatch {
        SinkWatch::resume(Duration::from_secs(300), open.into_iter())
    }

    #[test]
    fn a_sink_that_fails_for_minutes_is_an_incident_until_all_that_waited_has_gone_out() {
        let mut watch = watch(Vec::new());
        let mut look = |doing: (Option<u64>, i64), minute: i64| {
            let alerts = watch.look(&sink(doing.0, doing.1), "b", minute * MINUTE);
            alerts.into_iter().map(|alert| (alert.id, alert.revision, alert.activity)).collect::<Vec<_>>()
        };
        assert!(look((Some(4), 2), 104).is_empty());
        let opened = look((Some(5), 3), 105);
        assert_eq!(opened.len(), 1);
        assert!(look((Some(9), 3), 109).is_empty(), "it is reported once");
        assert!(look((None, 2), 110).is_empty(), "some still wait");
        assert_eq!(look((None, 0), 111), [(opened[0].0.clone(), 2, Activity::Close)]);
        let again = look((Some(5), 1), 140);
        assert!(again.len() == 1 && again[0].0 != opened[0].0, "another failure is another incident");
    }

    #[test]
    fn an_incident_that_was_open_at_the_end_of_a_run_is_closed_by_the_next() {
        let opened = watch(Vec::new()).look(&sink(Some(6), 1), "b", 200 * MINUTE);
        assert!(opened[0].message.contains("slack:soc") && opened[0].message.contains("no answer"));
        let mut next = watch(opened.clone());
        assert!(next.look(&sink(None, 1), "b", 201 * MINUTE).is_empty());
        assert_eq!(next.look(&sink(None, 0), "b", 202 * MINUTE)[0].id, opened[0].id);
        let gone = watch(opened.clone()).look(&BTreeMap::new(), "b", 203 * MINUTE);
        assert!(gone[0].activity == Activity::Close && gone[0].message.contains("no longer"));
        assert!(is_about(&opened[0], "slack:soc") && !is_about(&opened[0], "teams"));
    }
}
