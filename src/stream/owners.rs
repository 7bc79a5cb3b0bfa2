//! Who owns what alerts are about: the catalogue's annotations, read again when the file changes.
//!
//! A file that cannot be read stops nothing: what was read before goes on, and the log says so once for each version of the file.
//!
//! Not here: which owner an alert gets (`alerts::Owner`).

use std::path::PathBuf;
use std::time::SystemTime;

use crate::alerts::{Alert, Owner};
use crate::catalog::annotations::{Annotations, FILE};
use crate::pipeline::Plan;

/// What is declared, as it was read last.
pub(super) struct DeclaredOwners {
    file: PathBuf,
    /// Time and size of the file when it was read.
    version: Option<(SystemTime, u64)>,
    declared: Annotations,
}

impl DeclaredOwners {
    /// Those of the file that the audit report reads, else of the one beside the catalogue.
    pub fn of(plan: &Plan) -> Self {
        let declared = plan.audit.as_ref().and_then(|audit| audit.annotations.clone());
        Self::in_file(declared.unwrap_or_else(|| plan.state.directory.join("catalog").join(FILE)))
    }

    /// Those of a file, which need not be there yet.
    fn in_file(file: PathBuf) -> Self {
        Self { file, version: None, declared: Annotations::default() }
    }

    /// Puts the owners on an alert.
    pub fn put_on(&self, alert: Alert) -> Alert {
        Alert { owners: Owner::all_of(&alert, &self.declared), ..alert }
    }

    /// Reads the file again, where it is another than before.
    pub fn refresh(&mut self) {
        let found = std::fs::metadata(&self.file).ok();
        let version = found.and_then(|file| Some((file.modified().ok()?, file.len())));
        if version == self.version {
            return;
        }
        self.version = version;
        match Annotations::load(&self.file) {
            Ok(declared) => self.declared = declared,
            Err(error) => tracing::error!(%error, "owners are as they were before"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::alerts::sample;

    #[test]
    fn owners_follow_the_file_and_one_that_is_wrong_changes_nothing() {
        let home = tempfile::tempdir().unwrap();
        let file = home.path().join("annotations.toml");
        let mut owners = DeclaredOwners::in_file(file.clone());
        let mut team = || {
            owners.refresh();
            owners.put_on(sample()).owners.first().map(|owner| owner.team.clone())
        };
        assert_eq!(team(), None);
        for (text, expected) in [
            ("[vendors.dropbox]\nowner = \"storage\"\n", Some("storage")),
            ("[vendors.dropbox]\nowner = 5\n", Some("storage")),
            ("[callers.payroll-svc]\nowner = \"people\"\n", Some("people")),
        ] {
            std::fs::write(&file, text).unwrap();
            assert_eq!(team().as_deref(), expected, "{text}");
        }
        std::fs::remove_file(&file).unwrap();
        assert_eq!(team(), None);
    }
}
