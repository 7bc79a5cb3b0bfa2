//! Files that sinks may not write: those of the service itself, those of another sink, and what is no regular file.
//!
//! A sink cuts its file back to what it has noted, so two on one file lose alerts, whatever the spelling of the path.
//!
//! Not here: rights and room (`SinkPlan::check`).

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Files in the state directory that the service writes, and directories of such files.
const FILES: [&str; 5] = ["checkpoint.redb", "alerts.sqlite", "alerts.sqlite-wal", "alerts.sqlite-shm", "instance"];
const DIRECTORIES: [&str; 2] = ["rollups", "catalog"];

/// What is wrong with the first of these files that may not be written. Each has the name of its writer; none is made.
pub(super) fn problem_of<'a>(
    files: impl Iterator<Item = (String, &'a Path)>,
    pipeline: &Path,
    state: &Path,
) -> Option<String> {
    let (pipeline, state) = (resolved(pipeline), resolved(state));
    let mut written: BTreeMap<PathBuf, String> = BTreeMap::new();
    for (writer, path) in files {
        let file = resolved(path);
        let is_own = file == pipeline
            || FILES.iter().any(|own| file == state.join(own))
            || DIRECTORIES.iter().any(|own| file.starts_with(state.join(own)));
        if is_own {
            return Some(format!("{writer}: the file is the service's own: write another path"));
        }
        if std::fs::metadata(&file).is_ok_and(|about| !about.is_file()) {
            return Some(format!("{writer}: is no regular file"));
        }
        if let Some(other) = written.insert(file, writer.clone()) {
            return Some(format!("{writer} and {other} are one file: write another path"));
        }
    }
    None
}

/// A path without links and `..`, as far as it exists.
fn resolved(path: &Path) -> PathBuf {
    let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let existing = path.ancestors().find_map(|ancestor| Some((ancestor, std::fs::canonicalize(ancestor).ok()?)));
    let Some((ancestor, mut resolved)) = existing else { return path };
    resolved.extend(path.strip_prefix(ancestor).into_iter().flatten());
    resolved
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_written_by_one_sink_alone_however_it_is_spelt_and_never_over_the_services_own() {
        let home = tempfile::tempdir().unwrap();
        let (state, pipeline) = (home.path().join("state"), home.path().join("p.toml"));
        std::fs::create_dir(&state).unwrap();
        std::fs::write(&pipeline, "").unwrap();
        let problem = |paths: &[&str]| {
            let paths: Vec<PathBuf> = paths.iter().map(|path| home.path().join(path)).collect();
            let files = paths.iter().map(|path| ("file:alerts".to_owned(), path.as_path()));
            problem_of(files, &pipeline, &state)
        };
        assert_eq!(problem(&["a.ndjson", "state/alerts.ndjson", "not/there/yet.ndjson"]), None);
        for own in ["p.toml", "state/../p.toml", "state/alerts.sqlite", "state/rollups/a.ndjson"] {
            assert!(problem(&[own]).is_some_and(|problem| problem.contains("the service's own")), "{own}");
        }
        assert!(problem(&["state"]).is_some_and(|problem| problem.contains("no regular file")));
        let twice = problem(&["a.ndjson", "state/../a.ndjson"]);
        assert!(twice.as_ref().is_some_and(|problem| problem.contains("are one file")), "{twice:?}");
    }
}
