//! Delivery with sinks that hang, fail and refuse as they are told.

use std::path::Path;

use super::*;
use crate::alerts::sample;
use crate::alerts::sinks::{Route, SinkPlan};

/// A target that takes what it is allowed to.
#[derive(Clone, Debug, Default)]
struct Target {
    name: &'static str,
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    landed: Vec<String>,
    is_away: bool,
    refuses: Option<&'static str>,
}

impl SinkPlan for Target {
    fn name(&self) -> String {
        self.name.to_owned()
    }

    fn open(&self) -> Result<Box<dyn Sink>, SinkError> {
        Ok(Box::new(self.clone()))
    }
}

impl Sink for Target {
    fn deliver(&mut self, messages: &[Message]) -> Result<(), SinkError> {
        let State { landed, is_away, refuses } = &mut *self.state.lock().unwrap();
        if *is_away {
            return Err(SinkError::Stalled { topic: "away".to_owned(), seconds: 1 });
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
    Delivery::start(directory.to_owned(), sinks, &settings, shutdown).unwrap()
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
