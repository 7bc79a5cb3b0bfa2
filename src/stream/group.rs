//! Who else reads in the consumer group: before anything is read, nobody may, unless each caller's records are in one partition.
//!
//! It is asked twice. Before joining, so that a second process never disturbs the first. And once the group has taken us in, since of processes
//! that start at the same moment none sees another before: then whoever was given all partitions goes on, whoever was given none ends, and where
//! they were divided the first by name goes on, and waits until the others are gone. A process that goes on never gives way any more, unless the
//! group gave it up, as after a stall.
//!
//! Not here: how the group is asked (`ingest::kafka`).

use std::time::{Duration, Instant};

use super::admin::Health;
use super::error::RunError;
use super::shutdown::Shutdown;
use crate::ingest::kafka::{Member, Source, other_members, sources};

/// Time between two questions.
const PAUSE: Duration = Duration::from_millis(500);
/// How long a process may take to see that it has to give way. The group misses it a session later.
const TIME_TO_SEE: Duration = Duration::from_secs(15);

/// The place of this process in its group.
pub(super) struct Place<'a> {
    source: &'a Source,
    instance: &'a str,
    is_settled: bool,
}

impl<'a> Place<'a> {
    /// Asks before the group is joined.
    ///
    /// # Errors
    /// [`RunError::Shared`].
    pub fn free(source: &'a Source, instance: &'a str) -> Result<Self, RunError> {
        let place = Self { source, instance, is_settled: source.keyed_by_caller };
        let others = if place.is_settled { Vec::new() } else { place.others() };
        if others.is_empty() { Ok(place) } else { Err(place.shared(&others)) }
    }

    /// Asks once more before the first partitions are taken, of which so many were given to us, and waits for those that give way.
    ///
    /// # Errors
    /// [`RunError::Shared`], where it is on us to give way, or another does not.
    pub fn settle(&mut self, given: usize, health: &Health, shutdown: &Shutdown) -> Result<(), RunError> {
        let (began, longest) = (Instant::now(), self.source.session_timeout() + TIME_TO_SEE);
        while !self.is_settled && !shutdown.is_requested() {
            let others = self.others();
            self.is_settled = others.is_empty() || self.are_all(given);
            if !self.is_settled {
                let name = self.source.instance(self.instance);
                let gives_way = given == 0 || others.iter().any(|member| member.is_before(name));
                if gives_way || began.elapsed() > longest {
                    return Err(self.shared(&others));
                }
                health.unready(format!(
                    "waiting until a process that started at the same moment is gone: {}",
                    Member::names(&others)
                ));
                shutdown.sleep(PAUSE);
            }
        }
        Ok(())
    }

    /// Keeps its place unless the group has given this process up (`is_lost`): another may have found itself alone meanwhile, so it is asked again.
    pub fn keep_unless(&mut self, is_lost: bool) {
        self.is_settled = self.source.keyed_by_caller || (self.is_settled && !is_lost);
    }

    /// Whether there are no more partitions than these: then nobody else has any.
    fn are_all(&self, given: usize) -> bool {
        given > 0 && sources(self.source).is_ok_and(|found| found.topics.values().sum::<usize>() == given)
    }

    fn others(&self) -> Vec<Member> {
        other_members(self.source, self.instance).unwrap_or_else(|error| {
            tracing::warn!(%error, "whether another process reads in the group is not known");
            Vec::new()
        })
    }

    fn shared(&self, others: &[Member]) -> RunError {
        RunError::Shared { group: self.source.group.clone(), members: Member::names(others) }
    }
}
