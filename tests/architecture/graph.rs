//! Which file uses which, and where that runs in a circle.
//!
//! A module may use its children, as a list of them must, and they it: that is what a module is, and no circle. A circle among its children,
//! each with all that is below it, means that none of them can be read, tested or moved without the others.
//!
//! A name that a module only re-exports leads to the file that defines it: whoever uses `super::Budget` uses `budget.rs`. A re-export is no
//! use of its own, unless the re-exporting file uses the name as well. Tests count nowhere: they may look at everything.

use std::collections::{BTreeMap, BTreeSet};

use super::source::{Module, SourceFile};

/// Module → modules that it uses.
pub type Graph = BTreeMap<Module, BTreeSet<Module>>;

/// Which file uses which, by their modules.
pub fn graph_of(files: &[SourceFile]) -> Graph {
    let by_module: BTreeMap<&[String], &SourceFile> = files.iter().map(|file| (&*file.module, file)).collect();
    let is_for_tests = |file: &&SourceFile| {
        let declares = |parent: &SourceFile, name| parent.children.contains(&(name, true));
        (1..=file.module.len()).any(|depth| {
            by_module.get(&file.module[..depth - 1]).is_some_and(|p| declares(p, file.module[depth - 1].clone()))
        })
    };
    let uses = |file: &SourceFile| {
        let is_used = |name: &String| file.words.contains(name);
        let counts = file.references.iter().filter(|reference| {
            !reference.is_test && (!reference.is_reexport || reference.path.last().is_some_and(is_used))
        });
        let used = counts.filter_map(|reference| definition(&by_module, &reference.path, 0));
        used.collect()
    };
    files.iter().filter(|file| !is_for_tests(file)).map(|file| (file.module.clone(), uses(file))).collect()
}

/// The module whose file defines what a path names; `None` for what is not ours.
fn definition(files: &BTreeMap<&[String], &SourceFile>, path: &[String], hops: usize) -> Option<Module> {
    const MAX_HOPS: usize = 8;
    let length = (1..=path.len()).rev().find(|length| files.contains_key(&path[..*length]))?;
    let (module, Some(name)) = (&path[..length], path.get(length)) else { return Some(path.to_vec()) };
    let reexports = files[module].references.iter().filter(|reference| reference.is_reexport);
    let onward = reexports.filter(|reference| reference.path.last() == Some(name) && reference.path.as_slice() != path);
    let found = onward.take(usize::from(hops < MAX_HOPS)).find_map(|to| definition(files, &to.path, hops + 1));
    found.or_else(|| Some(module.to_vec()))
}

/// The circles: modules each of which reaches all others of its circle, sorted.
pub fn circles(graph: &Graph) -> Vec<Vec<Module>> {
    let reach: BTreeMap<&Module, BTreeSet<&Module>> = graph.keys().map(|from| (from, reached(graph, from))).collect();
    let circle_of = |module: &Module| {
        let together = reach[module].iter().filter(|other| reach.get(*other).is_some_and(|back| back.contains(module)));
        together.map(|other| (*other).clone()).collect::<Vec<Module>>()
    };
    let circles: BTreeSet<Vec<Module>> = graph.keys().map(circle_of).filter(|circle| circle.len() > 1).collect();
    circles.into_iter().collect()
}

/// Which child of a module uses which other child of it, each with all that is below it.
pub fn among_siblings(graph: &Graph) -> Graph {
    let mut siblings = Graph::new();
    for (from, to) in graph.iter().flat_map(|(from, used)| used.iter().map(move |to| (from, to))) {
        let common = from.iter().zip(to).take_while(|(one, other)| one == other).count();
        if let (Some(from), Some(to)) = (from.get(..=common), to.get(..=common)) {
            siblings.entry(from.to_vec()).or_default().insert(to.to_vec());
        }
    }
    siblings
}

/// All that a module uses, and what that uses, and so on.
fn reached<'a>(graph: &'a Graph, from: &'a Module) -> BTreeSet<&'a Module> {
    let (mut reached, mut open) = (BTreeSet::new(), vec![from]);
    while let Some(next) = open.pop() {
        open.extend(graph.get(next).into_iter().flatten().filter(|used| reached.insert(*used)));
    }
    reached
}
