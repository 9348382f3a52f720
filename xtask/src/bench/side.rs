//! The two sides: `sncn-classify bench` or that of another program, and a peer's Python file with what it does not measure itself.

use super::figure::{self, Figure};
use anyhow::{Context, Result, anyhow};
use serde_json::Value;
use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::Command;

/// What the peer's own file does not measure.
const SNIPPETS: &str = concat!(
    include_str!("peer/common.py"),
    include_str!("peer/networks.py"),
    include_str!("peer/images.py"),
    include_str!("peer/main.py")
);

/// Ours.
pub(crate) struct Ours {
    /// What it is called.
    pub(crate) name: &'static str,
    /// Where it is.
    pub(crate) program: PathBuf,
    /// Measurements of each figure.
    pub(crate) runs: u32,
    /// Cases that it does not know.
    pub(crate) unknown: BTreeSet<String>,
}

impl Ours {
    /// The figures of a case; none, with a message, where this program does not know it.
    ///
    /// # Errors
    /// Where it fails.
    pub(crate) fn figures(&mut self, case: &str, threads: u32) -> Result<Vec<Figure>> {
        if self.unknown.contains(case) {
            return Ok(Vec::new());
        }
        let mut command = Command::new(&self.program);
        command.args(["bench", case, "--runs", &self.runs.to_string(), "--threads", &threads.to_string()]);
        match figure::figures(&mut command).with_context(|| format!("{} bench {case}", self.name))? {
            Ok(found) => Ok(found),
            Err(failure) if failure.is_unknown_case() => {
                eprintln!("  this {} has no `bench {case}`: left out; build a newer one to have it", self.name);
                self.unknown.insert(case.to_string());
                Ok(Vec::new())
            }
            Err(failure) => Err(anyhow!("{} bench {case} failed ({failure}); run it alone to see all it says", self.name)),
        }
    }
}

/// The peer.
pub(crate) struct Peer {
    /// The interpreter.
    pub(crate) python: PathBuf,
    /// The peer's file.
    pub(crate) path: PathBuf,
    /// Measurements of each figure.
    pub(crate) runs: u32,
    /// Its threads.
    pub(crate) threads: u32,
    /// What it cannot do here.
    pub(crate) given_up: BTreeSet<String>,
}

impl Peer {
    /// The figures that its own file prints.
    ///
    /// # Errors
    /// Where it fails.
    pub(crate) fn figures(&self, words: &[&str]) -> Result<Vec<Figure>> {
        let mut command = Command::new(&self.python);
        command.arg(&self.path).args(words);
        self.run(command, &words.join(" "))
    }

    /// The same of what not every machine can do: none, with a message, where it fails, and then it is not tried again.
    ///
    /// # Errors
    /// Where this program is interrupted.
    pub(crate) fn perhaps(&mut self, words: &[&str]) -> Result<Vec<Figure>> {
        let name = words.join(" ");
        let found = |peer: &Self| peer.figures(words);
        self.unless_given_up(name, found)
    }

    /// The same of what the project's own Python measures.
    ///
    /// # Errors
    /// Where this program is interrupted.
    pub(crate) fn perhaps_own(&mut self, case: &str) -> Result<Vec<Figure>> {
        self.unless_given_up(case.to_string(), |peer| peer.own(case, false))
    }

    fn unless_given_up(&mut self, name: String, find: impl FnOnce(&Self) -> Result<Vec<Figure>>) -> Result<Vec<Figure>> {
        if self.given_up.contains(&name) {
            return Ok(Vec::new());
        }
        match find(self) {
            Err(error) if !error.is::<figure::Interrupted>() => {
                eprintln!("  left out: {error:#}");
                self.given_up.insert(name);
                Ok(Vec::new())
            }
            found => found,
        }
    }

    /// What the project's own Python measures; with `of_peer` on the peer's file.
    ///
    /// # Errors
    /// Where it fails.
    pub(crate) fn own(&self, case: &str, of_peer: bool) -> Result<Vec<Figure>> {
        let mut command = Command::new(&self.python);
        command.args(["-c", SNIPPETS, case]).args(of_peer.then_some(&self.path));
        self.run(command, case)
    }

    /// Versions of what is measured; null, with a message, where they cannot be told.
    ///
    /// # Errors
    /// Where this program is interrupted.
    pub(crate) fn versions(&self) -> Result<Value> {
        let said = figure::printed(Command::new(&self.python).args(["-c", SNIPPETS, "versions"]))?;
        Ok(match said.map(|text| serde_json::from_str(&text)) {
            Ok(Ok(versions)) => versions,
            Ok(Err(_)) | Err(_) => {
                eprintln!("the peer's versions are not known: {} did not tell them", self.python.display());
                Value::Null
            }
        })
    }

    fn run(&self, mut command: Command, name: &str) -> Result<Vec<Figure>> {
        command.args(["--threads", &self.threads.to_string(), "--runs", &self.runs.to_string()]);
        figure::figures(&mut command).with_context(|| format!("the peer's {name}"))?.map_err(|failure| {
            let advice = "what is missing can be installed beside --python, or another one given";
            anyhow!("the peer's {name} failed ({failure}); {advice}")
        })
    }
}
