//! Delivery with sinks that hang, fail and refuse as they are told.

use std::path::Path;

use super::*;
use crate::alerts::sinks::SinkPlan;
use crate::alerts::suppression::{Scope, Wanted};
use crate::alerts::{Route, sample};

/// A target that takes what it is allowed to.
#[derive(Clone, Debug, Default)]
struct Target {
    name: &'static str,
    keeps_records: bool,
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    landed: Vec<String>,
    is_away: bool,
    refuses: Option<&'static str>,
    /// Refuses, so many times, a step that is not there.
    confused: u32,
}

impl SinkPlan for Target {
    fn name(&self) -> String {
        self.name.to_owned()
    }

    fn takes_suppressed(&self) -> bool {
        self.keeps_records
    }

    fn open(&self) -> Result<Box<dyn Sink>, SinkError> {
        Ok(Box::new(self.clone()))
    }
}

impl Sink for Target {
    fn deliver(&mut self, messages: &[Message]) -> Result<(), SinkError> {
        let State { landed, is_away, refuses, confused } = &mut *self.state.lock().unwrap();
        if *is_away {
            return Err(SinkError::Stalled { topic: "away".to_owned(), seconds: 1 });
        }
        if *confused > 0 {
            *confused -= 1;
            let problem = rdkafka::types::RDKafkaErrorCode::InvalidMessage;
            return Err(SinkError::Refused { topic: "t".to_owned(), uid: "another".to_owned(), problem });
        }
        if let Some(message) = messages.iter().find(|message| refuses.is_some_and(|id| message.uid.starts_with(id))) {
            let problem = rdkafka::types::RDKafkaErrorCode::InvalidMessage;
            return Err(SinkError::Refused { topic: "t".to_owned(), uid: message.uid.clone(), problem });
        }
        landed.extend(messages.iter().map(|message| message.uid.clone()));
        Ok(())
    }

    fn position(&self) -> SinkPosition {
        SinkPosition::Nowhere
    }

    fn resume(&mut self, _position: &SinkPosition) -> Result<(), SinkError> {
        Ok(())
    }
}

impl Target {
    fn named(name: &'static str) -> Self {
        Self { name, ..Self::default() }
    }

    fn routed(&self) -> Routed {
        Routed { plan: Arc::new(self.clone()), route: Route::default() }
    }

    fn set(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.state.lock().unwrap());
    }

    fn landed(&self) -> Vec<String> {
        self.state.lock().unwrap().landed.clone()
    }

    fn await_landed(&self, count: usize) {
        let since = Instant::now();
        while self.landed().len() < count {
            assert!(since.elapsed() < Duration::from_secs(20), "{}: {:?}", self.name, self.landed());
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

/// Delivery that reports a sink as soon as it fails.
fn start(directory: &Path, sinks: &[Routed], shutdown: &Shutdown) -> Delivery {
    let settings = Alerts { sink_failing_minutes: 0, ..Alerts::default() };
    Delivery::start(directory.to_owned(), true, sinks, &settings, shutdown).unwrap()
}

fn alerts(ids: std::ops::Range<u32>) -> Vec<Alert> {
    ids.map(|id| Alert { id: format!("aw-{id:03}"), revision: 1, ..sample() }).collect()
}

#[test]
fn a_sink_that_is_away_holds_nobody_up_and_misses_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let (away, well) = (Target::named("away"), Target::named("well"));
    away.set(|state| state.is_away = true);
    let shutdown = Shutdown::default();
    let mut delivery = start(directory.path(), &[away.routed(), well.routed()], &shutdown);
    for number in 0..20 {
        delivery.take(&alerts(number..number + 1)).unwrap();
    }
    well.await_landed(20);
    assert!(away.landed().is_empty());
    assert!(delivery.failing()[0].contains("sink away"), "{:?}", delivery.failing());
    away.set(|state| state.is_away = false);
    away.await_landed(20);
    assert_eq!(away.landed(), well.landed());
    shutdown.request();
    delivery.drain();
}

#[test]
fn a_run_goes_on_where_the_one_before_ended_and_an_alert_that_comes_again_is_delivered_once() {
    let directory = tempfile::tempdir().unwrap();
    let target = Target::named("target");
    target.set(|state| state.is_away = true);
    for (is_away, ids, expected) in [(true, 0..3, 0), (false, 0..5, 5), (false, 3..6, 6)] {
        target.set(|state| state.is_away = is_away);
        let shutdown = Shutdown::default();
        let mut delivery = start(directory.path(), &[target.routed()], &shutdown);
        delivery.take(&alerts(ids)).unwrap();
        target.await_landed(expected);
        shutdown.request();
        delivery.drain();
    }
    let mut counts = BTreeMap::new();
    target.landed().into_iter().for_each(|uid| *counts.entry(uid).or_insert(0) += 1);
    assert_eq!(counts.len(), 6);
    assert!(counts.values().all(|count| *count == 1), "{counts:?}");
}

#[test]
fn where_a_new_sink_begins_is_noted_before_anything_lands() {
    let directory = tempfile::tempdir().unwrap();
    let away = Target::named("away");
    away.set(|state| state.is_away = true);
    let shutdown = Shutdown::default();
    let mut delivery = start(directory.path(), &[away.routed()], &shutdown);
    delivery.take(&alerts(0..1)).unwrap();
    await_reports(&mut delivery);
    let (place, position) = AlertStore::open(directory.path()).unwrap().place_of("away").unwrap();
    assert_eq!((place, position), (0, postcard::to_stdvec(&SinkPosition::Nowhere).unwrap()));
    away.set(|state| state.is_away = false);
    away.await_landed(1);
    shutdown.request();
    delivery.drain();
}

#[test]
fn an_alert_that_a_target_refuses_stays_in_the_store_and_the_next_has_its_turn() {
    let directory = tempfile::tempdir().unwrap();
    let target = Target::named("target");
    target.set(|state| state.refuses = Some("aw-001"));
    let shutdown = Shutdown::default();
    let mut delivery = start(directory.path(), &[target.routed()], &shutdown);
    delivery.take(&alerts(0..3)).unwrap();
    target.await_landed(2);
    assert_eq!(target.landed(), ["aw-000-1", "aw-002-1"]);
    shutdown.request();
    delivery.drain();
    assert_eq!(AlertStore::read(directory.path()).unwrap().after(0, 10).unwrap().len(), 3);
}

#[test]
fn a_target_that_refuses_everything_fails_until_it_takes_something_and_one_alert_that_it_refuses_is_no_failure() {
    let directory = tempfile::tempdir().unwrap();
    let target = Target::named("target");
    target.set(|state| state.refuses = Some("aw-00"));
    let shutdown = Shutdown::default();
    let mut delivery = start(directory.path(), &[target.routed()], &shutdown);
    delivery.take(&alerts(0..1)).unwrap();
    let wait = |delivery: &Delivery, is_there: fn(&Delivery) -> bool| {
        let since = Instant::now();
        while !is_there(delivery) {
            assert!(since.elapsed() < Duration::from_secs(20), "{:?}", delivery.failing());
            std::thread::sleep(Duration::from_millis(10));
        }
    };
    wait(&delivery, |delivery| delivery.behind().all(|(_, behind)| behind == 0));
    assert!(delivery.failing().is_empty(), "{:?}", delivery.failing());
    delivery.take(&alerts(1..4)).unwrap();
    wait(&delivery, |delivery| delivery.failing().iter().any(|reason| reason.contains("refuse")));
    target.set(|state| state.refuses = None);
    delivery.take(&alerts(4..5)).unwrap();
    wait(&delivery, |delivery| delivery.failing().is_empty());
    assert_eq!(target.landed(), ["aw-004-1"]);
    shutdown.request();
    delivery.drain();
}

/// What delivery has to report, now.
fn look(delivery: &mut Delivery) -> Vec<Alert> {
    delivery.looked_at = None;
    delivery.look(None, "bundle").unwrap()
}

fn await_reports(delivery: &mut Delivery) -> Vec<Alert> {
    let since = Instant::now();
    loop {
        let alerts = look(delivery);
        if !alerts.is_empty() {
            return alerts;
        }
        assert!(since.elapsed() < Duration::from_secs(20), "nothing is reported");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn a_refusal_that_names_no_step_of_the_batch_loses_none_of_it() {
    let directory = tempfile::tempdir().unwrap();
    let target = Target::named("target");
    target.set(|state| state.confused = 1);
    let shutdown = Shutdown::default();
    let mut delivery = start(directory.path(), &[target.routed()], &shutdown);
    delivery.take(&alerts(0..3)).unwrap();
    // At the end of a run it is tried again at once.
    std::thread::sleep(Duration::from_millis(200));
    assert!(target.landed().is_empty() && delivery.failing()[0].contains("3 alerts wait"), "{:?}", delivery.failing());
    shutdown.request();
    delivery.drain();
    assert_eq!(target.landed(), ["aw-000-1", "aw-001-1", "aw-002-1"]);
}

#[test]
fn a_sink_that_fails_is_reported_by_those_that_work_until_it_works_again() {
    let directory = tempfile::tempdir().unwrap();
    let (away, well) = (Target::named("away"), Target::named("well"));
    away.set(|state| state.is_away = true);
    let shutdown = Shutdown::default();
    let mut delivery = start(directory.path(), &[away.routed(), well.routed()], &shutdown);
    delivery.take(&alerts(0..1)).unwrap();
    let opened = await_reports(&mut delivery);
    assert!(opened.len() == 1 && opened[0].message.contains("the sink away"), "{opened:?}");
    delivery.take(&opened).unwrap();
    well.await_landed(2);
    assert!(look(&mut delivery).is_empty());
    away.set(|state| state.is_away = false);
    let closed = await_reports(&mut delivery);
    delivery.take(&closed).unwrap();
    well.await_landed(3);
    shutdown.request();
    delivery.drain();
    let id = &opened[0].id;
    assert_eq!(well.landed(), ["aw-000-1".to_owned(), format!("{id}-1"), format!("{id}-2")]);
    assert_eq!(away.landed(), ["aw-000-1"], "it learns nothing about itself");
}

#[test]
fn a_suppression_made_under_a_service_holds_back_from_people_what_records_have_and_lets_go_when_it_ends() {
    let directory = tempfile::tempdir().unwrap();
    let (people, records) = (Target::named("people"), Target { keeps_records: true, ..Target::named("records") });
    let shutdown = Shutdown::default();
    let mut delivery = start(directory.path(), &[people.routed(), records.routed()], &shutdown);
    let beside = AlertStore::open(directory.path()).unwrap();
    let now = now_micros();
    let scope = Scope { caller: vec!["payroll-*".to_owned()], ..Scope::default() };
    let (reason, author) = ("a move".to_owned(), "ann".to_owned());
    let wanted = Wanted { scope, reason, author, starts: now, ends: now + 3_600_000_000 };
    let id = beside.suppress(&wanted, now).unwrap();
    delivery.take(&alerts(0..2)).unwrap();
    records.await_landed(2);
    assert!(look(&mut delivery).is_empty() && people.landed().is_empty());
    beside.end_suppression(id, "bob", now_micros()).unwrap();
    assert!(look(&mut delivery).is_empty());
    people.await_landed(2);
    delivery.take(&alerts(2..3)).unwrap();
    people.await_landed(3);
    shutdown.request();
    delivery.drain();
    assert_eq!(people.landed(), ["aw-000-1", "aw-001-1", "aw-002-1"]);
    assert_eq!(records.landed(), people.landed(), "records had each once");
}

#[test]
fn what_is_older_than_is_kept_goes_once_a_day_and_only_when_it_is_delivered() {
    let directory = tempfile::tempdir().unwrap();
    let target = Target::named("target");
    let shutdown = Shutdown::default();
    let mut delivery = start(directory.path(), &[target.routed()], &shutdown);
    let old = alerts(0..2);
    delivery.take(&old).unwrap();
    target.await_landed(2);
    let kept = |delivery: &Delivery| delivery.store.after(0, 10).unwrap().len();
    let days = |days: i64| Some(old[0].time + days * 86_400_000_000);
    for (day, expected) in [(399, 2), (402, 0)] {
        let since = Instant::now();
        // The worker notes its place a moment after the sink has the alert.
        while delivery.store.place_of("target").unwrap().0 < 2 && since.elapsed() < Duration::from_secs(20) {
            std::thread::sleep(Duration::from_millis(5));
        }
        delivery.looked_at = None;
        delivery.look(days(day), "bundle").unwrap();
        assert_eq!(kept(&delivery), expected, "{day}");
    }
    shutdown.request();
    delivery.drain();
}
