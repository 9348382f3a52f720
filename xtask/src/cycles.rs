//! Dependency cycles between files of a crate: files that take names from each other cannot be read, moved or tested separately.

use crate::modules::{Edge, Tree};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

/// Describes every cycle in every crate; `files` has the text of every file by its path.
pub(crate) fn cycles(files: &BTreeMap<String, String>) -> Vec<String> {
    let mut problems = Vec::new();
    for root in files.keys().filter(|path| is_root(path)) {
        match Tree::read(root, files) {
            Ok(tree) => problems.extend(among(&tree.edges()).iter().map(|edges| describe(edges))),
            Err(problem) => problems.push(problem),
        }
    }
    problems
}

/// Whether the file is the root of a library or a program.
fn is_root(path: &str) -> bool {
    let inside = path.starts_with("crates/") || path.starts_with("xtask/");
    let program = path.rsplit_once('/').is_some_and(|(folder, _)| folder.ends_with("/src/bin"));
    inside && (path.ends_with("/src/lib.rs") || path.ends_with("/src/main.rs") || program)
}

/// The edges of each cycle, which are those between files that reach each other.
fn among(edges: &BTreeSet<Edge>) -> Vec<Vec<&Edge>> {
    let mut next: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for (from, to, _) in edges {
        next.entry(from).or_default().insert(to);
    }
    let reached = |from: &'_ str| {
        let (mut reached, mut open) = (BTreeSet::new(), next.get(from).map_or(Vec::new(), |to| to.iter().copied().collect()));
        while let Some(file) = open.pop() {
            if reached.insert(file) {
                open.extend(next.get(file).into_iter().flatten());
            }
        }
        reached
    };
    let reach: BTreeMap<&str, BTreeSet<&str>> = next.keys().map(|from| (*from, reached(from))).collect();
    let leads = |from: &str, to: &str| reach.get(from).is_some_and(|reached| reached.contains(to));
    let mut cycles: BTreeMap<&str, Vec<&Edge>> = BTreeMap::new();
    for edge in edges.iter().filter(|(from, to, _)| leads(to, from)) {
        // a cycle is identified by the first of its files
        let first = reach[edge.0.as_str()].iter().copied().find(|file| leads(file, &edge.0)).unwrap_or(&edge.0);
        cycles.entry(first).or_default().push(edge);
    }
    cycles.into_values().collect()
}

/// Lists the files of a cycle and the names they take from each other; paths are relative to the crate's `src`.
fn describe(edges: &[&Edge]) -> String {
    let short = |file: &'_ str| file.split_once("/src/").map_or(file, |(_, inside)| inside).to_string();
    let files: BTreeSet<String> = edges.iter().map(|(from, ..)| short(from)).collect();
    let folder = edges.first().and_then(|(from, ..)| from.split_once("/src/")).map_or("", |(folder, _)| folder);
    let mut text = format!("{folder}/src: {} files form a cycle:", files.len());
    let mut names: BTreeMap<(String, String), Vec<&str>> = BTreeMap::new();
    for (from, to, name) in edges {
        names.entry((short(from), short(to))).or_default().push(name);
    }
    for ((from, to), names) in names {
        // writing to a string does not fail
        let _ = write!(text, "\n    {from} takes {} from {to}", names.join(", "));
    }
    text
}

#[cfg(test)]
#[path = "cycles_tests.rs"]
mod tests;
