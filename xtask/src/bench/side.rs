//! The two sides: the command `bench` of our programs, and a peer's Python file together with figures that it does not measure.

use super::figure::{self, Figure};
use anyhow::{Context, Result, anyhow};
use serde_json::Value;
use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::Command;

/// Python code for the figures that the peer's file does not measure.
const SNIPPETS: &str = concat!(
    include_str!("peer/common.py"),
    include_str!("peer/networks.py"),
    include_str!("peer/imagenet.py"),
    include_str!("peer/images.py"),
    include_str!("peer/loading.py"),
    include_str!("peer/photographs.py"),
    include_str!("peer/fixmatch.py"),
    include_str!("peer/main.py")
);

/// Our side.
pub(crate) struct Ours {
    /// The name of the program.
    pub(crate) name: &'static str,
    /// Its path.
    pub(crate) program: PathBuf,
    /// The number of measurements of each figure.
    pub(crate) runs: u32,
    /// The cases that it does not know.
    pub(crate) unknown: BTreeSet<String>,
}

impl Ours {
    /// The figures of a case; none, with a message, if the program does not know the case.
    ///
    /// # Errors
    /// If the program fails.
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

/// The peer's side.
pub(crate) struct Peer {
    /// The interpreter.
    pub(crate) python: PathBuf,
    /// The path of the peer's file.
    pub(crate) path: PathBuf,
    /// The number of measurements of each figure.
    pub(crate) runs: u32,
    /// The number of threads.
    pub(crate) threads: u32,
    /// The measurements that failed on this machine.
    pub(crate) given_up: BTreeSet<String>,
}

impl Peer {
    /// The figures that the peer's file prints.
    ///
    /// # Errors
    /// If it fails.
    pub(crate) fn figures(&self, words: &[&str]) -> Result<Vec<Figure>> {
        let mut command = Command::new(&self.python);
        command.arg(&self.path).args(words);
        self.run(command, &words.join(" "))
    }

    /// As [`Peer::figures`], for measurements that not every machine supports: none, with a message, if it fails, and it is not tried
    /// again.
    ///
    /// # Errors
    /// If this program is interrupted.
    pub(crate) fn perhaps(&mut self, words: &[&str]) -> Result<Vec<Figure>> {
        let name = words.join(" ");
        let found = |peer: &Self| peer.figures(words);
        self.unless_given_up(name, found)
    }

    /// As [`Peer::perhaps`], for the project's own Python code.
    ///
    /// # Errors
    /// If this program is interrupted.
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

    /// The figures of the project's own Python code; with `of_peer` it gets the peer's file.
    ///
    /// # Errors
    /// If it fails.
    pub(crate) fn own(&self, case: &str, of_peer: bool) -> Result<Vec<Figure>> {
        let mut command = Command::new(&self.python);
        command.args(["-c", SNIPPETS, case]).args(of_peer.then_some(&self.path));
        self.run(command, case)
    }

    /// The versions of the peer's packages; null, with a message, if they are unknown.
    ///
    /// # Errors
    /// If this program is interrupted.
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
