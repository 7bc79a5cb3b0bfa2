//! The floor plan holds: each room uses only rooms to its left, and each file says what lives in it.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// The rooms, in the order in which data visits them.
const ROOMS: [&str; 16] = [
    "calls", "ingest", "rollup", "features", "models", "detect", "catalog", "alerts", "state", "pipeline", "inject",
    "simulate", "train", "stream", "web", "cli",
];
/// Past this many lines a file wants to be two.
const MAX_FILE: usize = 600;

fn source() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}

/// All Rust files below a path.
fn rust_files(path: &Path) -> Vec<PathBuf> {
    if path.is_file() {
        return path.extension().filter(|ending| *ending == "rs").map(|_| path.to_owned()).into_iter().collect();
    }
    let entries = fs::read_dir(path).expect("a directory").map(|entry| entry.expect("an entry").path());
    entries.flat_map(|entry| rust_files(&entry)).collect()
}

/// Lines of a file that are no comments, numbered from 1.
fn code_lines(text: &str) -> impl Iterator<Item = (usize, &str)> {
    (1..).zip(text.lines()).filter(|(_, line)| !line.trim_start().starts_with("//"))
}

/// Rooms that a line of code names, `use crate::{calls, models::bundle}` included.
fn rooms_named(line: &str) -> BTreeSet<&str> {
    let word = |text: &'static str| move |name: &&str| *name == text;
    let words = |text| str::split(text, |symbol: char| !(symbol.is_alphanumeric() || symbol == '_'));
    let mut named = BTreeSet::new();
    for after in line.split("crate::").skip(1) {
        let (braced, is_list) = after.strip_prefix('{').map_or((after, false), |list| (list, true));
        let candidates: Vec<&str> = if is_list { words(braced).collect() } else { words(braced).take(1).collect() };
        named.extend(ROOMS.iter().filter(|room| candidates.iter().any(word(room))).copied());
    }
    named
}

#[test]
fn a_line_names_the_rooms_that_it_uses() {
    assert_eq!(rooms_named("use crate::calls::Call;"), ["calls"].into());
    assert_eq!(rooms_named("fn f(x: &crate::models::clock::Clock) -> crate::web::Page {"), ["models", "web"].into());
    assert_eq!(rooms_named("use crate::{calls::Call, stream};"), ["calls", "stream"].into());
    assert_eq!(rooms_named("use super::stream; use crate::detector::Web;"), BTreeSet::new());
}

#[test]
fn no_room_uses_a_room_further_down_the_hall() {
    let mut faults = Vec::new();
    for (floor, room) in ROOMS.iter().enumerate() {
        let paths = [source().join(room), source().join(format!("{room}.rs"))];
        for file in paths.iter().filter(|path| path.exists()).flat_map(|path| rust_files(path)) {
            let text = fs::read_to_string(&file).expect("a source file");
            for (number, line) in code_lines(&text) {
                let later = rooms_named(line).into_iter().filter(|named| ROOMS[floor + 1..].contains(named));
                faults.extend(later.map(|later| format!("{}:{number}: `{room}` uses `{later}`", file.display())));
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn every_room_has_its_place_in_the_plan() {
    let entries = fs::read_dir(source()).expect("src").map(|entry| entry.expect("an entry").path());
    let names: Vec<String> = entries.filter_map(|path| Some(path.file_stem()?.to_str()?.to_owned())).collect();
    let unplanned: Vec<&String> = names
        .iter()
        .filter(|name| !ROOMS.contains(&name.as_str()) && !["lib", "main"].contains(&name.as_str()))
        .collect();
    assert!(unplanned.is_empty(), "not in the floor plan: {unplanned:?}");
    assert!(names.len() > 5, "the rooms are looked for in another place than they are: {names:?}");
}

#[test]
fn every_file_begins_with_what_lives_there_and_none_is_too_long() {
    let mut faults = Vec::new();
    for file in rust_files(&source()) {
        let text = fs::read_to_string(&file).expect("a source file");
        let lines = text.lines().count();
        if !text.starts_with("//!") {
            faults.push(format!("{}: begins with something else than `//!`", file.display()));
        }
        if lines > MAX_FILE {
            faults.push(format!("{}: {lines} lines, more than {MAX_FILE}", file.display()));
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}
