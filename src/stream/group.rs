//! One process per group: whether somebody else reads the same topics for the same group.
//!
//! Two processes would share the partitions, and each would judge callers by the half that it sees. So the second refuses to start, unless
//! the pipeline file says that each caller is in one partition.
//!
//! Not here: processes that share a state directory; the checkpoint's lock keeps those apart.

use std::time::{Duration, Instant};

use super::error::RunError;
use super::shutdown::Shutdown;
use crate::ingest::kafka::{Cluster, Member, Source};

/// Time between two questions while a member may be one that died.
const ASK_INTERVAL: Duration = Duration::from_secs(1);
/// How much longer than a session a member is waited for.
const MARGIN: Duration = Duration::from_secs(3);
/// Members that a message names.
const MAX_NAMED: usize = 3;

/// Waits until no other process is in the group: one that died stays in it until its session times out.
///
/// # Errors
/// [`RunError::Shared`] where another process stays.
pub(super) fn await_alone(source: &Source, shutdown: &Shutdown) -> Result<(), RunError> {
    let deadline = Instant::now() + source.session_timeout() + MARGIN;
    let mut is_told = false;
    while let Err(problem) = expect_alone(source) {
        if Instant::now() >= deadline || shutdown.is_requested() {
            return Err(problem);
        }
        if !is_told {
            let seconds = source.session_timeout().as_secs();
            tracing::warn!(%problem, seconds, "waiting for as long as the group keeps a process that died");
            is_told = true;
        }
        shutdown.sleep(ASK_INTERVAL);
    }
    Ok(())
}

/// Whether no other process is in the group now. Where nobody may ask or answers, none is known.
///
/// # Errors
/// [`RunError::Shared`].
pub(super) fn expect_alone(source: &Source) -> Result<(), RunError> {
    if source.keyed_by_caller {
        return Ok(());
    }
    let members = Cluster::new(&source.connection).and_then(|cluster| cluster.members(&source.group));
    let others: Vec<Member> = match members {
        Ok(members) => members.into_iter().filter(|member| !is_ours(source, member)).collect(),
        Err(problem) => {
            tracing::warn!(%problem, group = source.group, "kafka: whether another process reads for the group is not known");
            return Ok(());
        }
    };
    if others.is_empty() {
        return Ok(());
    }
    let named = others.iter().take(MAX_NAMED).map(|member| format!("{} at {}", member.id, member.host));
    Err(RunError::Shared {
        group: source.group.clone(),
        count: others.len(),
        members: named.collect::<Vec<_>>().join(", "),
    })
}

fn is_ours(source: &Source, member: &Member) -> bool {
    source.instance.as_ref().is_some_and(|instance| member.is_instance(instance))
}
