//! Whether image files can be read, before hours of training depend on them.

use crate::picture::{self, Limit};
use rayon::prelude::*;
use sncn_train::harness::cli;
use std::path::PathBuf;

/// How files are looked at before training starts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Check {
    /// Whether they are decoded; otherwise only their headers are read.
    pub(crate) decodes: bool,
    /// Whether files that cannot be read are left out.
    pub(crate) skips: bool,
}

/// Faults that are told one by one.
const TOLD: usize = 20;

/// The files that cannot be read, by index, each with its fault.
pub(super) fn faults(files: &[(PathBuf, usize)], how: Check, what: &str) -> Vec<(usize, String)> {
    let bar = cli::progress(files.len(), &format!("check {what}"));
    let fault = |(index, (path, _)): (usize, &(PathBuf, usize))| {
        let found = picture::check(path, Limit::default(), how.decodes);
        bar.inc(1);
        // the path is told beside it
        found.err().map(|error| {
            (
                index,
                error.chain().skip(usize::from(error.chain().len() > 1)).map(ToString::to_string).collect::<Vec<_>>().join(": "),
            )
        })
    };
    let faults = files.par_iter().enumerate().filter_map(fault).collect();
    bar.finish_and_clear();
    faults
}

/// The first lines, and how many more there are.
pub(super) fn told(lines: &[String]) -> String {
    let more = lines.len().saturating_sub(TOLD);
    let rest = (more > 0).then(|| format!("and {more} more"));
    lines.iter().take(TOLD).cloned().chain(rest).map(|line| format!("  {line}")).collect::<Vec<_>>().join("\n")
}
