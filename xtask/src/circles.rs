//! Circles: files of a crate that take names from each other, so that none can be read, moved or tested without the others.

use crate::modules::{Tie, Tree};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

/// Describes each circle of files in each crate; `files` holds the text of every file by its path.
pub(crate) fn circles(files: &BTreeMap<String, String>) -> Vec<String> {
    let mut problems = Vec::new();
    for root in files.keys().filter(|path| is_root(path)) {
        match Tree::read(root, files) {
            Ok(tree) => problems.extend(among(&tree.ties()).iter().map(|ties| describe(ties))),
            Err(problem) => problems.push(problem),
        }
    }
    problems
}

/// Whether a library or a program begins in this file.
fn is_root(path: &str) -> bool {
    let inside = path.starts_with("crates/") || path.starts_with("xtask/");
    let program = path.rsplit_once('/').is_some_and(|(folder, _)| folder.ends_with("/src/bin"));
    inside && (path.ends_with("/src/lib.rs") || path.ends_with("/src/main.rs") || program)
}

/// The ties of each circle: those between files of which each leads to the other.
fn among(ties: &BTreeSet<Tie>) -> Vec<Vec<&Tie>> {
    let mut next: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for (from, to, _) in ties {
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
    let mut circles: BTreeMap<&str, Vec<&Tie>> = BTreeMap::new();
    for tie in ties.iter().filter(|(from, to, _)| leads(to, from)) {
        // a circle goes by the first of its files
        let first = reach[tie.0.as_str()].iter().copied().find(|file| leads(file, &tie.0)).unwrap_or(&tie.0);
        circles.entry(first).or_default().push(tie);
    }
    circles.into_values().collect()
}

/// Names the circle's files, and below them what ties each to another; all of them as they lie in the crate's `src`.
fn describe(ties: &[&Tie]) -> String {
    let short = |file: &'_ str| file.split_once("/src/").map_or(file, |(_, inside)| inside).to_string();
    let files: BTreeSet<String> = ties.iter().map(|(from, ..)| short(from)).collect();
    let folder = ties.first().and_then(|(from, ..)| from.split_once("/src/")).map_or("", |(folder, _)| folder);
    let mut text = format!("{folder}/src: {} files form a circle:", files.len());
    let mut names: BTreeMap<(String, String), Vec<&str>> = BTreeMap::new();
    for (from, to, name) in ties {
        names.entry((short(from), short(to))).or_default().push(name);
    }
    for ((from, to), names) in names {
        // writing to a string does not fail
        let _ = write!(text, "\n    {from} takes {} from {to}", names.join(", "));
    }
    text
}

#[cfg(test)]
#[path = "circles_tests.rs"]
mod tests;
