//! `sncn-classify`, the program of this workspace that other commands start.

use crate::child::{self, Ending};
use anyhow::{Context, Result, bail};
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A program to start instead of building the one of this workspace.
const OVERRIDE: &str = "SNCN_CLASSIFY";

/// Whether a program is given instead of building the one of this workspace.
pub(crate) fn is_given() -> bool {
    std::env::var_os(OVERRIDE).is_some()
}

/// A program as the command line names it: a bare name is looked up in PATH, a path begins at the folder `here`.
pub(crate) fn named(program: &Path, here: &Path) -> PathBuf {
    if program.components().count() > 1 { here.join(program) } else { program.to_path_buf() }
}

/// The program that trains and evaluates, built; nothing where that was interrupted.
///
/// # Errors
/// Where it does not build.
pub(crate) fn built(here: &Path) -> Result<Option<PathBuf>> {
    if let Some(program) = std::env::var_os(OVERRIDE).map(PathBuf::from) {
        return Ok(Some(named(&program, here)));
    }
    eprintln!("building sncn-classify (the first time takes minutes)");
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    // the development profile is optimised, and tests share its builds: a new user builds once
    command.args(["build", "--quiet", "-p", "sncn-vision", "--bin", "sncn-classify"]);
    command.arg("--message-format=json-render-diagnostics");
    let output = match child::run(&mut command)? {
        Ending::Done(output) => output,
        Ending::Interrupted => return Ok(None),
        Ending::Failed(status) => bail!("sncn-classify does not build ({status}); the reason stands above"),
    };
    let output = String::from_utf8_lossy(&output);
    let messages = output.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let built = messages.filter_map(|message| Some(PathBuf::from(message.get("executable")?.as_str()?))).next_back();
    built.map(Some).context("cargo build named no executable for sncn-classify; set SNCN_CLASSIFY to its path")
}
