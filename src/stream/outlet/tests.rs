//! Outlets with a sink that fails as it is told.

use std::io::{Error, ErrorKind};
use std::sync::{Arc, Mutex};

use rdkafka::types::RDKafkaErrorCode;

use super::*;

/// Takes what is not too large, and nothing while it is broken.
#[derive(Clone, Default)]
struct Fake(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    landed: Vec<Delivery>,
    /// Largest body that it takes, bytes.
    limit: Option<usize>,
    /// What the disk says.
    broken: Option<ErrorKind>,
    attempts: usize,
}

impl Sink for Fake {
    fn deliver(&mut self, deliveries: &[Delivery]) -> Result<(), SinkError> {
        let State { landed, limit, broken, attempts } = &mut *self.0.lock().unwrap();
        *attempts += 1;
        if let Some(kind) = *broken {
            return Err(SinkError::File { path: "letters".into(), problem: Error::from(kind) });
        }
        for delivery in deliveries {
            if limit.is_some_and(|limit| delivery.body.len() > limit) {
                let problem = RDKafkaErrorCode::MessageSizeTooLarge;
                return Err(SinkError::Refused { topic: "t".to_owned(), uid: delivery.uid.clone(), problem });
            }
            if !landed.iter().any(|known| known.uid == delivery.uid) {
                landed.push(delivery.clone());
            }
        }
        Ok(())
    }

    fn position(&self) -> SinkPosition {
        SinkPosition::Nowhere
    }

    fn resume(&mut self, _position: &SinkPosition) -> Result<(), SinkError> {
        Ok(())
    }
}

impl Fake {
    fn outlet(&self) -> Outlet {
        Outlet { name: "fake".to_owned(), sink: Box::new(self.clone()) }
    }

    fn set(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.0.lock().unwrap());
    }

    /// What landed: the uid and the size of the body.
    fn landed(&self) -> Vec<(String, usize)> {
        self.0.lock().unwrap().landed.iter().map(|delivery| (delivery.uid.clone(), delivery.body.len())).collect()
    }
}

fn letter(uid: &str, bytes: usize) -> Delivery {
    let headers = vec![("aw-reason".to_owned(), b"not_json".to_vec())];
    Delivery { uid: uid.to_owned(), key: None, headers, body: vec![b'x'; bytes], alert: None }
}

fn deliver_letters(letters: &mut Letters, all: &[Delivery]) -> Result<(), RunError> {
    letters.deliver(all.to_vec(), &Health::default(), &Shutdown::default())
}

fn landed(of: &[(&str, usize)]) -> Vec<(String, usize)> {
    of.iter().map(|(uid, bytes)| ((*uid).to_owned(), *bytes)).collect()
}

#[test]
fn a_dead_letter_that_is_refused_goes_without_its_payload_and_the_others_as_they_are() {
    let fake = Fake::default();
    fake.set(|state| state.limit = Some(10));
    let all = [letter("calls/0@1", 5), letter("calls/0@2", 50), letter("calls/0@3", 6)];
    deliver_letters(&mut Letters::to(fake.outlet()), &all).unwrap();
    assert_eq!(fake.landed(), landed(&[("calls/0@1", 5), ("calls/0@2", 0), ("calls/0@3", 6)]));
}

#[test]
fn a_dead_letter_that_is_refused_without_its_payload_is_lost_and_the_stream_goes_on() {
    let fake = Fake::default();
    fake.set(|state| state.limit = Some(10));
    let bare = Delivery { headers: Vec::new(), ..letter("calls/0@2", 50) };
    let mut letters = Letters::to(fake.outlet());
    deliver_letters(&mut letters, &[letter("calls/0@1", 5), bare, letter("calls/0@3", 6)]).unwrap();
    assert_eq!(fake.landed(), landed(&[("calls/0@1", 5), ("calls/0@3", 6)]));
}

#[test]
fn a_full_disk_and_a_missing_right_cost_letters_and_each_later_one_is_tried() {
    for problem in [ErrorKind::StorageFull, ErrorKind::PermissionDenied] {
        let fake = Fake::default();
        let mut letters = Letters::to(fake.outlet());
        fake.set(|state| state.broken = Some(problem));
        deliver_letters(&mut letters, &[letter("calls/0@1", 5), letter("calls/0@2", 5)]).unwrap();
        deliver_letters(&mut letters, &[letter("calls/0@3", 5)]).unwrap();
        assert_eq!((letters.lost, fake.0.lock().unwrap().attempts), (3, 2), "{problem}");
        fake.set(|state| state.broken = None);
        deliver_letters(&mut letters, &[letter("calls/0@4", 5)]).unwrap();
        assert_eq!((letters.lost, fake.landed()), (0, landed(&[("calls/0@4", 5)])));
    }
}

#[cfg(target_os = "linux")]
#[test]
fn letters_to_a_disk_that_is_really_full_are_lost_and_counted() {
    let plan = crate::alerts::sinks::File { path: "/dev/full".into(), is_private: false, rotation: None };
    let outlet = Outlet::open(&plan, &Checkpoint::default(), &Health::default(), &Shutdown::default()).unwrap();
    let mut letters = Letters::to(outlet);
    deliver_letters(&mut letters, &[letter("calls/0@1", 5)]).unwrap();
    assert_eq!((letters.lost, letters.outlet().position()), (1, SinkPosition::Length(0)));
}
