//! The name of this state towards Kafka: random, made once, and kept beside the checkpoint.
//!
//! By it the consumer group knows the process again, however it ended: after a crash reading goes on at once, instead of when the
//! group has missed the dead member. A copy of the state has the same name, so that of two processes on copies only the later one reads.
//!
//! Not here: what the group does with the name (`ingest::kafka`).

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use rand::RngCore;
use rand::rngs::OsRng;

const FILE: &str = "instance";

/// Why this state has no name.
#[derive(Debug, thiserror::Error)]
#[error("{}: the instance id cannot be {what}: {problem}; give the service a directory that it may write", path.display())]
pub struct InstanceError {
    /// The file.
    path: PathBuf,
    /// Read or written.
    what: &'static str,
    /// The system's error.
    problem: io::Error,
}

/// The instance id of the state in `directory`, if it has one.
///
/// # Errors
/// [`InstanceError`].
pub fn existing_instance(directory: &Path) -> Result<Option<String>, InstanceError> {
    let path = directory.join(FILE);
    match std::fs::read_to_string(&path) {
        Ok(text) => Ok(Some(text.trim().to_owned()).filter(|id| !id.is_empty())),
        Err(problem) if problem.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(problem) => Err(InstanceError { path, what: "read", problem }),
    }
}

/// The instance id of the state in `directory`, made where it has none. The checkpoint there is open, so nobody else makes one.
///
/// # Errors
/// [`InstanceError`].
pub fn instance(directory: &Path) -> Result<String, InstanceError> {
    if let Some(id) = existing_instance(directory)? {
        return Ok(id);
    }
    let path = directory.join(FILE);
    create(&path).map_err(|problem| InstanceError { path, what: "written", problem })
}

fn create(path: &Path) -> io::Result<String> {
    let mut random = [0; 8];
    OsRng.try_fill_bytes(&mut random).map_err(io::Error::other)?;
    let id = format!("apiwarden-{:016x}", u64::from_le_bytes(random));
    let draft = path.with_extension("new");
    let mut file = std::fs::File::create(&draft)?;
    writeln!(file, "{id}")?;
    file.sync_all()?;
    std::fs::rename(draft, path)?;
    Ok(id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_keeps_its_instance_id_and_another_has_another() {
        let (one, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        assert_eq!(existing_instance(one.path()).unwrap(), None);
        let id = instance(one.path()).unwrap();
        assert_eq!(instance(one.path()).unwrap(), id);
        assert_eq!(existing_instance(one.path()).unwrap(), Some(id.clone()));
        assert_ne!(instance(other.path()).unwrap(), id);
    }
}
