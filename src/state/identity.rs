//! The identity of a state: a name that the process has in its consumer group, the same after every restart.
//!
//! Not here: what the group does with it (`ingest::kafka`).

use std::fs;
use std::io::ErrorKind;
use std::path::Path;

use rand::Rng;

use super::StateError;
use crate::models::aside::Aside;

const FILE: &str = "instance";

/// The identity of the state in a directory, which is made at the first time: a random name.
///
/// # Errors
/// [`StateError::Storage`].
pub fn identity(directory: &Path) -> Result<String, StateError> {
    let path = directory.join(FILE);
    let storage = |problem| StateError::Storage { path: path.clone(), problem: redb::Error::Io(problem) };
    match fs::read_to_string(&path) {
        Ok(known) if !known.trim().is_empty() => return Ok(known.trim().to_owned()),
        Err(problem) if problem.kind() != ErrorKind::NotFound && problem.kind() != ErrorKind::InvalidData => {
            return Err(storage(problem));
        }
        // No file, or not one of ours: the group gives up the old name by itself.
        _ => {}
    }
    let new = format!("apiwarden-{:016x}", rand::thread_rng().r#gen::<u64>());
    // On disk before the group hears of it: a name that a power cut takes would keep its partitions until the group gives it up.
    fs::create_dir_all(directory).and_then(|()| Aside::write(&path, new.as_bytes())).map_err(storage)?;
    Ok(new)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_keeps_its_identity_and_no_other_has_the_same() {
        let (one, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let first = identity(one.path()).unwrap();
        assert_eq!(identity(one.path()).unwrap(), first);
        assert_ne!(identity(other.path()).unwrap(), first);
        fs::write(one.path().join(FILE), b"\xff\xfe").unwrap();
        let new = identity(one.path()).unwrap();
        assert!(new != first && identity(one.path()).unwrap() == new, "what is no name is replaced");
    }
}
