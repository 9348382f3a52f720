//! The programs of this workspace that other commands start, one a task.

use crate::child::{self, Ending};
use anyhow::{Context, Result, bail};
use serde_json::Value;
use sncn_record::Task;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The variable that names a program to start instead of building that of this workspace: `SNCN_CLASSIFY` and the like.
pub(crate) fn variable(program: &str) -> String {
    program.replace('-', "_").to_uppercase()
}

/// Whether a program is given instead of building the one of this workspace.
pub(crate) fn is_given(task: &Task) -> bool {
    std::env::var_os(variable(task.program)).is_some()
}

/// A program as the command line names it: a bare name is looked up in PATH, a path begins at the folder `here`.
pub(crate) fn named(program: &Path, here: &Path) -> PathBuf {
    if program.components().count() > 1 { here.join(program) } else { program.to_path_buf() }
}

/// The program that trains and evaluates for a task, built; nothing where that was interrupted. One call builds the programs of all
/// tasks, so that what they share is built once.
///
/// # Errors
/// Where it does not build.
pub(crate) fn built(here: &Path, task: &Task) -> Result<Option<PathBuf>> {
    let name = task.program;
    if let Some(program) = std::env::var_os(variable(name)).map(PathBuf::from) {
        return Ok(Some(named(&program, here)));
    }
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    // the development profile is optimised, and tests share its builds: a new user builds once
    command.args(["build", "--quiet", "--workspace", "--bins"]);
    command.arg("--message-format=json-render-diagnostics");
    eprintln!("building the programs (the first time takes minutes)");
    let output = match child::run(&mut command)? {
        Ending::Done(output) => output,
        Ending::Interrupted => return Ok(None),
        Ending::Failed(status) => bail!("{name} does not build ({status}); the reason stands above"),
    };
    let output = String::from_utf8_lossy(&output);
    let messages = output.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let executables = messages.filter_map(|message| Some(PathBuf::from(message.get("executable")?.as_str()?)));
    let mut built = executables.filter(|path| path.file_stem().is_some_and(|stem| stem == name));
    built
        .next()
        .map(Some)
        .with_context(|| format!("cargo build named no executable for {name}; set {} to its path", variable(name)))
}
