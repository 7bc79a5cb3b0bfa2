//! The outlet of dead letters, and what follows where it cannot deliver.
//!
//! What time can mend is tried again, and the stream waits: Kafka keeps the records meanwhile. What time cannot mend must not stop the stream: a
//! letter that is refused goes without its payload, else it is lost, counted and logged with its place. A disk that is full costs dead letters in
//! the same way, and each later letter is tried anew.
//!
//! Not here: which errors time can mend (`alerts::sinks`), and alerts (`delivery`).

use std::time::{Duration, Instant};

use super::admin::Health;
use super::error::RunError;
use super::shutdown::Shutdown;
use super::{dead_letter, metrics};
use crate::alerts::sinks::{Delivery, Patience, Sink, SinkError, SinkPlan, SinkPosition};
use crate::state::Checkpoint;

/// First pause between the attempts of a sink; each is twice as long as the one before.
pub(super) const MIN_RETRY_PAUSE: Duration = Duration::from_millis(200);
/// Longest pause between the attempts of a sink.
pub(super) const MAX_RETRY_PAUSE: Duration = Duration::from_secs(30);
/// How long a topic may be missing: whoever deploys may make it last.
const GRACE: Duration = Duration::from_secs(300);

/// A sink that is open, and its name.
pub(super) struct Outlet {
    name: String,
    sink: Box<dyn Sink>,
}

impl Outlet {
    /// Opens a sink where the checkpoint left it.
    ///
    /// # Errors
    /// [`RunError::Sink`] or [`RunError::Undeliverable`].
    pub fn open(
        plan: &dyn SinkPlan,
        saved: &Checkpoint,
        health: &Health,
        shutdown: &Shutdown,
    ) -> Result<Self, RunError> {
        let name = plan.name();
        let sink = patiently(&name, health, shutdown, SinkError::patience, || {
            let mut sink = plan.open()?;
            if let Some(position) = saved.sinks.get(&name) {
                sink.resume(position)?;
            }
            Ok(sink)
        })?;
        Ok(Self { name, sink })
    }

    /// Names the sink in checkpoints, logs and metrics.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The position of the sink, for the checkpoint.
    pub fn position(&self) -> SinkPosition {
        self.sink.position()
    }
}

/// The outlet of dead letters.
pub(super) struct Letters {
    outlet: Outlet,
    /// Letters lost since one last landed.
    lost: usize,
}

impl Letters {
    pub const fn to(outlet: Outlet) -> Self {
        Self { outlet, lost: 0 }
    }

    pub const fn outlet(&self) -> &Outlet {
        &self.outlet
    }

    /// Delivers dead letters, as far as the sink takes them.
    ///
    /// # Errors
    /// [`RunError::Sink`].
    pub fn deliver(
        &mut self,
        mut letters: Vec<Delivery>,
        health: &Health,
        shutdown: &Shutdown,
    ) -> Result<(), RunError> {
        while !letters.is_empty() {
            let Outlet { name, sink } = &mut self.outlet;
            let is_failing = self.lost > 0;
            let patience = |problem: &SinkError| patience(problem, is_failing);
            let problem = match patiently(name, health, shutdown, patience, || sink.deliver(&letters)) {
                Ok(()) => {
                    self.note_landed();
                    return Ok(());
                }
                Err(RunError::Undeliverable { problem, .. }) => problem,
                Err(other) => return Err(other),
            };
            match problem.refused_of(&letters) {
                Some(index) => match dead_letter::without_payload(&letters[index]) {
                    Some(rest) => letters[index] = rest,
                    None => {
                        let letter = letters.remove(index);
                        metrics::lost_letters("refused", 1);
                        tracing::warn!(place = letter.uid, %problem, "a dead letter is lost");
                    }
                },
                None => {
                    self.lose(&letters, &problem);
                    letters.clear();
                }
            }
        }
        Ok(())
    }

    /// Letters that the sink as it is now cannot take; logged once until one lands again.
    fn lose(&mut self, letters: &[Delivery], problem: &SinkError) {
        metrics::lost_letters(if problem.is_disk_full() { "disk_full" } else { "refused" }, letters.len() as u64);
        if self.lost == 0 {
            let place = letters.first().map(|letter| letter.uid.as_str());
            let sink = &self.outlet.name;
            tracing::warn!(sink, place, count = letters.len(), %problem, "dead letters are lost until this is repaired");
        }
        self.lost += letters.len();
    }

    fn note_landed(&mut self) {
        if self.lost > 0 {
            tracing::warn!(sink = self.outlet.name, lost = self.lost, "dead letters are kept again");
        }
        self.lost = 0;
    }
}

/// How long a dead letter is tried: not until a full disk is emptied, which would stop the stream, and not once more for a topic that was
/// awaited in vain.
fn patience(problem: &SinkError, is_failing: bool) -> Patience {
    match problem.patience() {
        _ if problem.is_disk_full() => Patience::None,
        Patience::Grace if is_failing => Patience::None,
        patience => patience,
    }
}

/// Tries until it works, or until no further attempt can help.
fn patiently<T>(
    name: &str,
    health: &Health,
    shutdown: &Shutdown,
    patience: impl Fn(&SinkError) -> Patience,
    mut attempt: impl FnMut() -> Result<T, SinkError>,
) -> Result<T, RunError> {
    let mut pause = MIN_RETRY_PAUSE;
    let began = Instant::now();
    loop {
        let problem = match attempt() {
            Ok(value) => return Ok(value),
            Err(problem) => problem,
        };
        let sink = || name.to_owned();
        match patience(&problem) {
            Patience::None => return Err(RunError::Undeliverable { sink: sink(), problem: Box::new(problem) }),
            Patience::Grace if began.elapsed() >= GRACE => {
                return Err(RunError::Undeliverable { sink: sink(), problem: Box::new(problem) });
            }
            _ if shutdown.is_requested() => return Err(RunError::Sink { sink: sink(), problem: Box::new(problem) }),
            _ => {}
        }
        tracing::warn!(sink = name, %problem, "the sink failed: trying again");
        metrics::retry(name);
        health.unready(format!("sink {name}: {problem}"));
        shutdown.sleep(pause);
        pause = (pause * 2).min(MAX_RETRY_PAUSE);
    }
}

#[cfg(test)]
mod tests;
