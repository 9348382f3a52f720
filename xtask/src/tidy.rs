//! `cargo xtask tidy`: checks the files of the tree against the rules of ARCHITECTURE.md.

use crate::cycles::cycles;
use crate::links::Tree;
use crate::manifest::Manifest;
use crate::pages::Pages;
use crate::source::{Line, has_word, lines};
use crate::tree::{is_document, tracked};
use anyhow::{Context, Result};
use sncn_record::TASKS;
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::{Command, ExitCode};

/// The largest number of lines of a source file.
const LINES: usize = 400;
/// The largest number of dependencies that one comment may explain.
const GROUP: usize = 3;
/// The rank of each crate, which may depend only on crates of lower rank.
const RANKS: &[(&str, u32)] = &[
    ("sncn-golden", 0),
    ("sncn-kernels", 0),
    ("sncn-report", 0),
    ("sncn-core", 1),
    ("sncn-weights", 2),
    ("sncn-onnx", 2),
    ("sncn-record", 2),
    ("sncn-train", 3),
    ("sncn-vision", 4),
    ("sncn-text", 4),
    ("sncn", 5),
];
/// Crates without candle.
const NO_CANDLE: [&str; 5] = ["sncn-golden", "sncn-kernels", "sncn-record", "sncn-report", "xtask"];
/// The crates of the workspace that `xtask` uses.
const OF_XTASK: [&str; 2] = ["sncn-record", "sncn-report"];
/// Crates that convert bytes and text to values: they do no I/O, print nothing and read no clock.
const PURE: [&str; 4] = ["sncn-core", "sncn-weights", "sncn-record", "sncn-report"];
/// Crates whose errors are typed.
const TYPED: [&str; 6] = ["sncn-kernels", "sncn-core", "sncn-weights", "sncn-onnx", "sncn-record", "sncn-train"];
/// Folders of programs and of fuzz targets, which may use the harness as the folders of tasks do.
const PROGRAMS: [&str; 2] = ["/src/bin/", "/fuzz_targets/"];
/// Names of I/O, clock and environment.
const OUTSIDE: [&str; 12] = [
    "fs::",
    "env::",
    "net::",
    "process::",
    "Instant::",
    "SystemTime::",
    "stdin(",
    "stdout(",
    "stderr(",
    "File::",
    "include_bytes!",
    "include_str!",
];
/// Macros that print.
const PRINTING: [&str; 5] = ["println!", "eprintln!", "print!", "eprint!", "dbg!"];
/// Random generators without a seed.
const UNSEEDED: [&str; 6] = ["thread_rng", "from_os_rng", "from_entropy", "try_from_os_rng", "rand::rng(", "rand::random"];
/// Names of network access.
const NETWORK: [&str; 4] = ["std::net", "ureq", "reqwest", "hyper"];
/// Words of a domain, which general layers must not use.
const DOMAIN: [&str; 6] = ["image", "images", "pixel", "pixels", "token", "tokens"];
/// Macros for unfinished code.
const UNFINISHED: [&str; 2] = ["todo!", "unimplemented!"];

/// Check the tree against ARCHITECTURE.md; prints problems with file and line.
#[derive(clap::Args, Debug)]
pub(crate) struct Tidy {}

impl Tidy {
    /// Runs the command.
    ///
    /// # Errors
    /// If a file cannot be read.
    pub(crate) fn run(self) -> Result<ExitCode> {
        let problems = tidy()?;
        problems.iter().for_each(|problem| eprintln!("{problem}"));
        match problems.len() {
            0 => out!("tidy"),
            count => eprintln!("{count} problem(s); ARCHITECTURE.md and CONTRIBUTING.md say why"),
        }
        Ok(if problems.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }
}

fn tidy() -> Result<Vec<String>> {
    let (mut problems, mut sources, mut documents) = (Vec::new(), BTreeMap::new(), BTreeMap::new());
    let files = tracked()?;
    for name in &files {
        // what is no text has no lines to check
        let Ok(text) = fs::read_to_string(name) else { continue };
        let name = name.clone();
        machine_paths(&name, &text, &mut problems);
        if name.ends_with(".rs") {
            source(&name, &text, &mut problems);
        }
        if name.ends_with("Cargo.toml") {
            dependencies(&name, &text, &mut problems);
        }
        if name.ends_with(".rs") {
            sources.insert(name, text);
        } else if is_document(&name) {
            documents.insert(name, text);
        }
    }
    problems.extend(cycles(&sources));
    problems.extend(Tree::new(files.iter().map(String::as_str), &documents).dead());
    problems.extend(Pages::read()?.problems(&documents));
    if let Err(error) = Manifest::named(Path::new(crate::manifest::FOLDER), &[]) {
        problems.push(format!("{error:#}"));
    }
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let tree = Command::new(cargo).args(["tree", "-p", "xtask", "--prefix", "none"]).output().context("cargo tree")?;
    if String::from_utf8_lossy(&tree.stdout).contains(concat!("candle", "-core")) {
        problems.push("xtask links candle-core".to_string());
    }
    Ok(problems)
}

/// Absolute paths of one machine are not allowed.
fn machine_paths(name: &str, text: &str, problems: &mut Vec<String>) {
    let prefixes = [concat!("/", "home/"), concat!("/", "root/"), concat!("/", "work/")];
    for (number, line) in text.lines().enumerate() {
        let inside = |c: char| c.is_alphanumeric() || "._-/~$}".contains(c);
        let found = |prefix: &&str| line.match_indices(*prefix).any(|(at, _)| !line[..at].ends_with(inside));
        if let Some(prefix) = prefixes.iter().find(|prefix| found(prefix)) {
            problems.push(format!("{name}:{}: an absolute path of one machine ({prefix}…)", number + 1));
        }
    }
}

/// The rules of source files.
fn source(name: &str, text: &str, problems: &mut Vec<String>) {
    let count = text.lines().count();
    if count > LINES {
        problems.push(format!("{name}: {count} lines, {LINES} are allowed: split it"));
    }
    let own = |path: &str| name.contains(path);
    let tests = own("/tests/") || name.ends_with("tests.rs");
    if own("/src/") && !tests && !text.starts_with("//!") {
        problems.push(format!("{name}:1: does not open with what it is (//! …)"));
    }
    let of = |krate: &&str| name.starts_with(&format!("crates/{krate}/src/"));
    let pure = PURE.iter().find(|krate| of(krate));
    let typed = TYPED.iter().any(of) && !own("/harness/");
    let general = of(&"sncn-core") && (own("/layer/") || own("/stats"));
    let command = PROGRAMS.iter().any(|folder| own(folder))
        || TASKS.iter().any(|task| own(&format!("/src/{}/", task.name)))
        || own("/harness/")
        || own("xtask/");
    let lines: Vec<Line> = lines(text).into_iter().map(|line| Line { test: line.test || tests, ..line }).collect();
    for (index, line) in lines.iter().enumerate() {
        let mut say = |what: String| problems.push(format!("{name}:{}: {what}", index + 1));
        let uses = |words: &[&'static str]| words.iter().copied().find(|word| has_word(&line.bare, word));
        if let Some(word) = uses(&UNFINISHED) {
            say(format!("unfinished ({word})"));
        }
        if line.text.contains(concat!("FIX", "ME")) {
            say("unfinished".to_string());
        }
        if has_word(&line.bare, "unsafe") {
            if !name.starts_with("crates/sncn-kernels/") {
                say("unsafe outside sncn-kernels".to_string());
            } else if opens_unsafe(&line.bare) && !justified(&lines, index) {
                say("unsafe without a SAFETY line above it".to_string());
            }
        }
        if let Some(word) = uses(&NETWORK).filter(|_| name.starts_with("crates/")) {
            say(format!("{word}: no crate and no test reaches a network"));
        }
        if let Some(word) = uses(&UNSEEDED).filter(|_| name.starts_with("crates/")) {
            say(format!("{word}: randomness enters through a Seed only"));
        }
        if !command && !line.test && line.bare.contains("harness::") {
            say("only binaries and commands import harness".to_string());
        }
        if own("/src/")
            && !own("sncn-golden")
            && !own("xtask/")
            && (has_word(&line.bare, "sncn_golden") || line.bare.contains("fn golden"))
        {
            say("golden values are for tests/ (cargo test golden runs those alone)".to_string());
        }
        // the README as a test of documentation, and files beside the code, are a part of it
        let code = line.code.trim();
        let included =
            code == "#[doc = include_str!(\"../README.md\")]" || code.contains("= include_str!(\"") && !code.contains("..");
        if let Some(krate) = pure.filter(|_| !line.test && !included) {
            if let Some(word) = uses(&OUTSIDE) {
                say(format!("{word}: {krate} does no I/O and reads no clock or environment"));
            }
            if let Some(word) = uses(&PRINTING) {
                say(format!("{word}: {krate} prints nothing"));
            }
        }
        if typed && !line.test && has_word(&line.bare, "anyhow") {
            say("anyhow is for programs; errors of a library are typed".to_string());
        }
        if general && !line.test {
            let words = line.code.split(|c: char| !c.is_alphanumeric());
            if let Some(word) = words.map(str::to_lowercase).find(|word| DOMAIN.contains(&word.as_str())) {
                say(format!("{word}: layers and statistics know (N, positions, C) only"));
            }
        }
    }
}

/// Whether an unsafe block or implementation begins here; unsafe functions document their contract.
fn opens_unsafe(bare: &str) -> bool {
    ["unsafe {", "unsafe impl"].iter().any(|form| bare.contains(form))
}

/// Whether there is a SAFETY comment on the line or on earlier lines of the same statement.
fn justified(lines: &[Line], index: usize) -> bool {
    let statement = lines[..index].iter().rev().take(8).take_while(|line| !line.bare.trim_end().ends_with([';', '}']));
    statement.chain(std::iter::once(&lines[index])).any(|line| line.text.contains("SAFETY:"))
}

/// The rules of manifests: dependencies point one way, and each dependency of the workspace has a reason.
fn dependencies(name: &str, text: &str, problems: &mut Vec<String>) {
    let own = Path::new(name).parent().and_then(Path::file_name).map(|folder| folder.to_string_lossy().into_owned());
    let rank = |name: &str| RANKS.iter().find(|(known, _)| *known == name).map(|(_, rank)| *rank);
    let own = own.unwrap_or_default();
    if own.starts_with("sncn") && rank(&own).is_none() {
        problems.push(format!("{name}: give {own} a rank in xtask/src/tidy.rs"));
    }
    let (mut section, mut since_comment) = (String::new(), GROUP);
    for (index, line) in text.lines().map(str::trim).enumerate() {
        let mut say = |what: String| problems.push(format!("{name}:{}: {what}", index + 1));
        if line.starts_with('[') {
            section = line.trim_matches(['[', ']']).to_string();
            since_comment = GROUP;
        } else if line.starts_with('#') {
            since_comment = 0;
        } else if !line.is_empty() && section.ends_with("dependencies") {
            let dependency = line.split(['.', ' ', '=']).next().unwrap_or_default();
            if section == "workspace.dependencies" {
                if since_comment >= GROUP && rank(dependency).is_none() {
                    say(format!("{dependency}: why is it there? A comment above it (for at most {GROUP}) says so"));
                }
                since_comment += 1;
            } else if !own.is_empty() {
                // the golden tests are of every crate
                let tests = own == "sncn-golden" && section == "dev-dependencies";
                if NO_CANDLE.contains(&own.as_str()) && dependency.starts_with("candle") && !tests {
                    say(format!("{own} has no candle"));
                }
                let golden = dependency == "sncn-golden" && section == "dev-dependencies";
                let upward = match (rank(dependency), rank(&own)) {
                    (Some(theirs), Some(ours)) => theirs >= ours && !golden && !tests,
                    (Some(_), None) => own == "xtask" && !OF_XTASK.contains(&dependency),
                    (None, _) => false,
                };
                if upward || dependency == "sncn-golden" && !golden {
                    say(format!(
                        "{own} must not depend on {dependency}: vision, text → train → weights, core → kernels; vision, text → onnx; train, xtask → record, report"
                    ));
                }
            }
        }
    }
}

#[cfg(test)]
#[path = "tidy_tests.rs"]
mod tests;
