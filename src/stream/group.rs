//! Who else reads in the consumer group, before anything is read.
//!
//! Not here: how the group is asked (`ingest::kafka`).

use super::error::RunError;
use crate::ingest::kafka::{Source, other_members};

/// Processes of a group that share its partitions judge callers by halves, unless each caller's records are in one partition.
pub(super) fn refuse_others(source: &Source, instance: &str) -> Result<(), RunError> {
    if source.keyed_by_caller {
        return Ok(());
    }
    match other_members(source, instance) {
        Ok(members) if members.is_empty() => Ok(()),
        Ok(members) => Err(RunError::Shared { group: source.group.clone(), members: members.join(", ") }),
        Err(error) => {
            tracing::warn!(%error, "whether another process reads in the group is not known");
            Ok(())
        }
    }
}
