//! The order of modules holds: each uses only those before it, no two files of one use each other in a circle, and each file says what lives
//! in it. And normal and development builds share one build of every dependency.

mod graph;
mod source;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::process::Command;

use graph::{among_siblings, circles, graph_of};
use source::{SourceFile, files_below, tokens};

/// The modules, in the order in which data visits them.
const MODULES: [&str; 19] = [
    "calls", "ingest", "rollup", "features", "models", "rules", "detect", "catalog", "protect", "alerts", "state",
    "report", "pipeline", "inject", "simulate", "train", "stream", "web", "cli",
];
/// Past this many lines a file wants to be two.
const MAX_LINES: usize = 600;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}

fn files() -> Vec<SourceFile> {
    files_in(&root())
}

fn files_in(root: &Path) -> Vec<SourceFile> {
    files_below(root).iter().map(|path| SourceFile::read(root, path)).collect()
}

/// Circles among files, each as the names of its modules.
fn circles_of(files: &[SourceFile]) -> Vec<Vec<String>> {
    let circles = circles(&among_siblings(&graph_of(files)));
    circles.into_iter().map(|circle| circle.iter().map(|module| module.join("::")).collect()).collect()
}

/// A crate of these files, by their paths.
fn crate_of(files: &[(&str, &str)]) -> Vec<SourceFile> {
    let folder = tempfile::tempdir().expect("a directory");
    for (path, text) in files {
        let path = folder.path().join(path);
        fs::create_dir_all(path.parent().expect("a directory")).expect("a directory");
        fs::write(&path, text).expect("a file");
    }
    files_in(folder.path())
}

/// The paths that a file of module `detect::beacon` writes down, each as `a::b`.
fn paths_in(text: &str) -> Vec<String> {
    let file = crate_of(&[("detect/beacon.rs", text)]).remove(0);
    file.references.iter().map(|reference| reference.path.join("::")).collect()
}

#[test]
fn a_path_is_read_wherever_code_has_it() {
    assert_eq!(paths_in("use crate::calls::Call;"), ["calls::Call"]);
    assert_eq!(
        paths_in("use crate::{\n    calls::{Call, vendor::*},\n    stream as s,\n};"),
        ["calls::Call", "calls::vendor::*", "stream"]
    );
    assert_eq!(
        paths_in("fn f(x: &crate::models::peak::Peak) -> super::Page { x }"),
        ["models::peak::Peak", "detect::Page"]
    );
    assert_eq!(paths_in("use super::super::stream;\nuse self::sub::X;"), ["stream", "detect::beacon::sub::X"]);
    assert_eq!(
        paths_in("mod tests { use super::*; mod deep { use super::super::x; } }"),
        ["detect::beacon::*", "detect::beacon::x"]
    );
    assert_eq!(paths_in("let x = vec![crate::web::page()];"), ["web::page"]);
}

#[test]
fn comments_texts_and_visibilities_name_nothing() {
    let silent = "// crate::web\n/* use crate::web; */ pub(in crate::train) fn f<'a>() { \"crate::web\"; '\"'; r#\"\"crate::web\"#; b\"\\\"crate::web\"; }";
    assert_eq!(paths_in(silent), [""; 0]);
    assert_eq!(tokens("'a: 'b'").iter().map(|token| token.0).collect::<Vec<_>>(), ["a", ":"]);
}

#[test]
fn no_module_uses_a_module_further_down() {
    let mut faults = Vec::new();
    for file in files() {
        let Some(place) = file.module.first().and_then(|name| MODULES.iter().position(|module| module == name)) else {
            continue;
        };
        for reference in &file.references {
            let later = reference.path.first().filter(|named| MODULES[place + 1..].contains(&named.as_str()));
            let fault =
                |later| format!("{}:{}: `{}` uses `{later}`", file.path.display(), reference.line, MODULES[place]);
            faults.extend(later.map(fault));
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn a_circle_is_seen_through_re_exports_and_directories_and_not_in_tests() {
    let files = |page: &str, plan: &str| {
        let module = "mod page; mod plan; pub use page::Page; pub use plan::Plan;";
        crate_of(&[
            ("a/mod.rs", module),
            ("a/page/mod.rs", "mod words; pub struct Page;"),
            ("a/page/words.rs", page),
            ("a/plan.rs", plan),
        ])
    };
    let circle = ["a::page", "a::plan"];
    assert_eq!(circles_of(&files("use crate::a::Plan;", "fn f(page: super::Page) {}")), [circle]);
    assert_eq!(circles_of(&files("use super::super::{\n    plan::Plan,\n};", "use crate::a::page;")), [circle]);
    let in_test = "#[cfg(test)]\nmod tests { use super::super::Page; }";
    assert_eq!(circles_of(&files("use crate::a::Plan;", in_test)), Vec::<Vec<String>>::new());
    assert_eq!(circles_of(&files("", "use super::Page;")), Vec::<Vec<String>>::new());
}

#[test]
fn no_files_use_each_other_in_a_circle() {
    let circles = circles_of(&files());
    assert!(circles.is_empty(), "files that use each other in a circle: {circles:#?}");
}

#[test]
fn every_module_has_its_place_in_the_order() {
    let files = files();
    let modules: BTreeSet<&str> = files.iter().filter_map(|file| Some(file.module.first()?.as_str())).collect();
    let unplaced: Vec<_> = modules.iter().filter(|name| !MODULES.contains(name)).collect();
    assert!(unplaced.is_empty(), "not in the order of modules: {unplaced:?}");
    assert!(modules.len() > 5, "modules are looked for in another place than they are: {modules:?}");
}

#[test]
fn every_file_begins_with_what_lives_there_and_none_is_too_long() {
    let mut faults = Vec::new();
    for SourceFile { path, text, .. } in files() {
        let lines = text.lines().count();
        if !text.starts_with("//!") {
            faults.push(format!("{}: begins with something else than `//!`", path.display()));
        }
        if lines > MAX_LINES {
            faults.push(format!("{}: {lines} lines, more than {MAX_LINES}", path.display()));
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

/// Features of each dependency of a build that takes in these kinds; `None` where there is no cargo.
fn features_of(kinds: &str) -> Option<BTreeMap<String, BTreeSet<String>>> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut tree = Command::new(cargo);
    tree.current_dir(env!("CARGO_MANIFEST_DIR")).args(["tree", "--locked", "--offline", "--prefix", "none"]);
    let tree = match tree.args(["--format", "{p}|{f}|", "--edges", kinds]).output() {
        Err(problem) if problem.kind() == ErrorKind::NotFound => return None,
        tree => tree.expect("cargo runs"),
    };
    assert!(tree.status.success(), "cargo tree: {}", String::from_utf8_lossy(&tree.stderr));
    let mut features: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for line in String::from_utf8_lossy(&tree.stdout).lines() {
        let mut fields = line.split('|').map(str::to_owned);
        let (package, of_package) = (fields.next().unwrap_or_default(), fields.next().unwrap_or_default());
        features.entry(package).or_default().insert(of_package);
    }
    Some(features)
}

#[test]
fn normal_and_development_builds_share_one_build_of_every_dependency() {
    let (Some(normal), Some(development)) = (features_of("normal,build"), features_of("normal,build,dev")) else {
        eprintln!("skipped: there is no cargo to ask for the features of dependencies");
        return;
    };
    assert!(normal.len() > 50, "few dependencies: {normal:?}");
    let differs = |package: &&String| normal.get(*package) != development.get(*package);
    let built_twice: Vec<_> =
        normal.keys().filter(differs).map(|name| (name, &normal[name], &development[name])).collect();
    assert!(built_twice.is_empty(), "built twice; add the missing features to `dependencies`: {built_twice:#?}");
}
