//! Targets that take alerts by HTTP: one file each says what is sent for a step, and what its answers mean.
//!
//! A target is told each step at least once, in order: after a crash between its answer and our note of it, a step comes again with the same key.
//! What it needs to remember of open incidents, such as the thread of a message, is its memory, and goes with its position.
//!
//! Not here: the connection (`http`), pauses between attempts (`stream::delivery`).

use std::collections::BTreeSet;
use std::fmt::Debug;
use std::sync::Arc;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::http::{Answer, Http, Request};
use super::{Delivery, Sink, SinkError, SinkPlan, SinkPosition};
use crate::alerts::{Activity, Alert, Route};

/// Incidents that a memory keeps at most: the oldest are forgotten first.
const MAX_REMEMBERED: usize = 10_000;

/// What an answer means.
#[derive(Debug, PartialEq)]
pub enum Verdict {
    /// All has landed.
    Landed,
    /// These have not, for what they are; the others have.
    Refused(Vec<usize>),
    /// Nothing is certain: all must come again.
    Again,
}

/// What a target remembers of open incidents: a text each.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Memory(Vec<(String, String)>);

impl Memory {
    /// What is remembered of an incident.
    pub fn of(&self, incident: &str) -> Option<&str> {
        self.0.iter().rev().find(|(known, _)| known == incident).map(|(_, text)| text.as_str())
    }

    /// Remembers a text of an incident, unless there is one.
    pub fn keep(&mut self, incident: &str, text: &str) {
        if self.of(incident).is_none() {
            if self.0.len() >= MAX_REMEMBERED {
                self.0.remove(0);
            }
            self.0.push((incident.to_owned(), text.to_owned()));
        }
    }

    /// Forgets an incident.
    pub fn forget(&mut self, incident: &str) {
        self.0.retain(|(known, _)| known != incident);
    }
}

/// A target.
pub trait Target: Debug + Send + Sync + 'static {
    /// Names the sink in logs and metrics (`slack:security`).
    fn name(&self) -> String;

    /// The client to speak to it with.
    fn http(&self) -> &Http;

    /// Steps in one request.
    fn at_once(&self) -> usize {
        1
    }

    /// Whether it should get only what pages, unless its section says else.
    fn is_for_pages(&self) -> bool {
        false
    }

    /// Whether it gets what a suppression holds back, unless its section says else: it keeps records, and calls nobody.
    fn takes_suppressed(&self) -> bool {
        false
    }

    /// What is sent for these steps.
    ///
    /// # Errors
    /// [`SinkError`], where something must be asked for first and is not given.
    fn request(&self, steps: &[Step<'_>], memory: &Memory) -> Result<Request, SinkError>;

    /// Is told of a status that is no success.
    fn failed(&self, _status: u16) {}

    /// What an answer to them means; only asked where the status says that it was taken in.
    fn judge(&self, _steps: &[Step<'_>], _answer: &Answer, _memory: &mut Memory) -> Verdict {
        Verdict::Landed
    }
}

/// A step to be told.
#[derive(Clone, Copy, Debug)]
pub struct Step<'a> {
    /// Names it: the same again after a replay.
    pub uid: &'a str,
    /// What it says.
    pub alert: &'a Alert,
    /// It as OCSF.
    pub ocsf: &'a [u8],
}

impl Step<'_> {
    /// It as an OCSF value.
    pub fn value(&self) -> serde_json::Value {
        serde_json::from_slice(self.ocsf).unwrap_or_default()
    }
}

/// A target as checked: it opens when the run begins.
#[derive(Debug)]
pub struct Remote<T>(Arc<T>);

impl<T: Target> Remote<T> {
    /// The plan of a target.
    pub fn of(target: T) -> Box<dyn SinkPlan> {
        Box::new(Self(Arc::new(target)))
    }
}

impl<T: Target> SinkPlan for Remote<T> {
    fn name(&self) -> String {
        self.0.name()
    }

    fn route(&self) -> Route {
        if self.0.is_for_pages() { Route::of_pages() } else { Route::default() }
    }

    fn takes_suppressed(&self) -> bool {
        self.0.takes_suppressed()
    }

    fn open(&self) -> Result<Box<dyn Sink>, SinkError> {
        let target = Arc::clone(&self.0);
        Ok(Box::new(Open { target, memory: Memory::default(), landed: BTreeSet::new(), status: 0 }))
    }
}

struct Open<T> {
    target: Arc<T>,
    memory: Memory,
    /// What landed in an attempt that failed later.
    landed: BTreeSet<String>,
    /// HTTP's status of the last answer.
    status: u16,
}

impl<T: Target> Open<T> {
    /// Tells some steps in one request.
    fn tell(&mut self, steps: &[Step<'_>]) -> Result<Verdict, SinkError> {
        let name = self.target.name();
        let request = self.target.request(steps, &self.memory)?;
        let answer = self.target.http().send(&name, &request)?;
        self.status = answer.status;
        if answer.status >= 300 {
            self.target.failed(answer.status);
        }
        match answer.status {
            200..=299 => {
                let verdict = self.target.judge(steps, &answer, &mut self.memory);
                if verdict == Verdict::Again {
                    return Err(SinkError::Http {
                        target: name,
                        status: answer.status,
                        retry_after: answer.retry_after,
                    });
                }
                for step in steps.iter().filter(|step| step.alert.activity == Activity::Close) {
                    self.memory.forget(&step.alert.id);
                }
                Ok(verdict)
            }
            400 | 409 | 413 | 422 => Ok(Verdict::Refused((0..steps.len()).collect())),
            status => Err(SinkError::Http { target: name, status, retry_after: answer.retry_after }),
        }
    }

    fn refuse(&self, uid: &str) -> SinkError {
        let status = Some(self.status).filter(|status| *status >= 300);
        SinkError::RefusedBy { target: self.target.name(), uid: uid.to_owned(), status }
    }
}

impl<T: Target> Sink for Open<T> {
    fn at_once(&self) -> usize {
        self.target.at_once().max(1)
    }

    fn deliver(&mut self, deliveries: &[Delivery]) -> Result<(), SinkError> {
        let step = |delivery: &'_ Delivery| -> Option<(String, Arc<Alert>, Vec<u8>)> {
            Some((delivery.uid.clone(), Arc::clone(delivery.alert.as_ref()?), delivery.body.clone()))
        };
        let left: Vec<_> = deliveries.iter().filter(|one| !self.landed.contains(&one.uid)).filter_map(step).collect();
        let steps: Vec<Step<'_>> = left.iter().map(|(uid, alert, ocsf)| Step { uid, alert, ocsf }).collect();
        for some in steps.chunks(self.target.at_once().max(1)) {
            let refused = match self.tell(some)? {
                Verdict::Refused(refused) => refused,
                _ => Vec::new(),
            };
            let taken = some.iter().enumerate().filter(|(index, _)| !refused.contains(index));
            self.landed.extend(taken.map(|(_, step)| step.uid.to_owned()));
            // Whether one of several is at fault is found out one by one.
            for index in refused {
                let Some(step) = some.get(index) else { continue };
                if some.len() == 1 || !matches!(self.tell(std::slice::from_ref(step))?, Verdict::Landed) {
                    return Err(self.refuse(step.uid));
                }
                self.landed.insert(step.uid.to_owned());
            }
        }
        self.landed.clear();
        Ok(())
    }

    fn position(&self) -> SinkPosition {
        postcard::to_stdvec(&self.memory).map_or(SinkPosition::Nowhere, SinkPosition::Own)
    }

    fn resume(&mut self, position: &SinkPosition) -> Result<(), SinkError> {
        if let SinkPosition::Own(bytes) = position {
            self.memory = read(bytes);
        }
        Ok(())
    }
}

/// What was remembered; nothing where it was of another kind of sink.
pub(super) fn read<T: DeserializeOwned + Default>(bytes: &[u8]) -> T {
    postcard::from_bytes(bytes).unwrap_or_default()
}
