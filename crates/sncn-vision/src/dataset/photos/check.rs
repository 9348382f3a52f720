//! Whether image files can be read, before hours of training depend on them.

use super::files::PhotoFiles;
use crate::picture::{self, Limit};
use anyhow::{Result, bail};
use rayon::prelude::*;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// Told after every file that was looked at.
pub(crate) type Seen = Box<dyn Fn() + Send + Sync>;

/// How files are looked at before training starts.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Check {
    /// Whether they are decoded; otherwise only their headers are read.
    pub(crate) decodes: bool,
    /// Whether files that cannot be read are left out.
    pub(crate) skips: bool,
    /// Whether test sets are looked at, and not what is trained on.
    pub(crate) tests: bool,
    /// Called with the number of files before the first is looked at.
    pub(crate) begin: Option<fn(usize) -> Seen>,
}

/// Faults that are told one by one.
const TOLD: usize = 20;

/// Looks at every file of the sets; those that cannot be read are an error, or are left out and counted.
///
/// # Errors
/// Lists the files that cannot be read, with their faults.
pub(super) fn look(sets: Vec<&mut PhotoFiles>, how: Check) -> Result<()> {
    let all: Vec<&Path> = sets.iter().flat_map(|set| &set.files).map(|(path, _)| path.as_path()).collect();
    let (count, faults) = (all.len(), faults(&all, how));
    let Some(origin) = sets.first().map(|set| set.origin.clone()).filter(|_| !faults.is_empty()) else { return Ok(()) };
    let lines = faults.iter().map(|(path, fault)| format!("{}: {fault}", path.display())).collect::<Vec<_>>();
    let (told, wrong) = (told(&lines), faults.len());
    if !how.skips {
        bail!(
            "{origin}: {wrong} of {count} files cannot be read:\n{told}\nmend or remove them, or leave them out with --skip-unreadable"
        )
    }
    eprintln!("{origin}: {wrong} of {count} files cannot be read and are left out:\n{told}");
    let faulty: BTreeSet<PathBuf> = faults.into_iter().map(|(path, _)| path.to_path_buf()).collect();
    for set in sets {
        let before = set.files.len();
        set.files.retain(|(path, _)| !faulty.contains(path));
        let left_out = before - set.files.len();
        if left_out > 0 {
            set.remarks.push(format!("{left_out} unreadable left out"));
        }
    }
    Ok(())
}

/// The files that cannot be read, each with its fault.
fn faults<'a>(files: &[&'a Path], how: Check) -> Vec<(&'a Path, String)> {
    let seen = how.begin.map(|begin| begin(files.len()));
    let fault = |path: &&'a Path| {
        let found = picture::check(path, Limit::default(), how.decodes);
        seen.iter().for_each(|seen| seen());
        // the path is told beside it
        let causes = |error: anyhow::Error| {
            error.chain().skip(usize::from(error.chain().len() > 1)).map(ToString::to_string).collect::<Vec<_>>()
        };
        found.err().map(|error| (*path, causes(error).join(": ").trim().to_string()))
    };
    files.par_iter().filter_map(fault).collect()
}

/// The first lines, and how many more there are.
fn told(lines: &[String]) -> String {
    let more = lines.len().saturating_sub(TOLD);
    let rest = (more > 0).then(|| format!("and {more} more"));
    lines.iter().take(TOLD).cloned().chain(rest).map(|line| format!("  {line}")).collect::<Vec<_>>().join("\n")
}
