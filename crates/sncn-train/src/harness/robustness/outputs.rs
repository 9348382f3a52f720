//! What is done with a measurement: printed, written, shown on a page, ranked, held to a bound.

use super::about::About;
use super::kept::Kept;
use super::page::{Page, Samples};
use super::rank::{Published, Ranking};
use super::shifts::{CHANGED, Shifts};
use crate::files::write_atomically;
use crate::harness::record::Recorder;
use crate::harness::{cli, summary};
use crate::out;
use anyhow::{Result, ensure};
use serde_json::json;
use sncn_record::Task;
use std::path::PathBuf;

/// What is done with a measurement.
#[derive(clap::Args, Clone, Debug)]
pub struct Outputs {
    /// Write JSON lines there, from which a model goes on if interrupted.
    #[arg(long, value_name = "FILE")]
    results: Option<PathBuf>,
    /// Write a page for a browser there.
    #[arg(long, value_name = "FILE")]
    page: Option<PathBuf>,
    /// Rank beside published results, and these files of --results.
    #[arg(long, value_name = "FILE", num_args = 0..)]
    rank: Option<Vec<PathBuf>>,
    /// Print JSON lines instead of tables.
    #[arg(long)]
    json: bool,
    /// Fail where less is right under shift, in the mean.
    #[arg(long, value_name = "PERCENT")]
    fail_below: Option<f64>,
    /// Threads (default: all processors).
    #[arg(long, value_name = "COUNT")]
    threads: Option<usize>,
}

impl Outputs {
    /// Sets the number of threads, and refuses what cannot be; before anything is opened.
    ///
    /// # Errors
    /// If the bound is no percentage, or there are no such threads.
    pub fn begin(&self) -> Result<()> {
        cli::threads(self.threads)?;
        if let Some(least) = self.fail_below {
            ensure!((0. ..=100.).contains(&least), "--fail-below is {least}; 0 to 100 percent is accepted");
        }
        Ok(())
    }

    /// Opens what was measured of a model before an interrupt.
    ///
    /// # Errors
    /// As [`Kept::open`].
    pub fn kept(&self, about: &About) -> Result<Kept> {
        let what = json!({"model": about.model, "protocol": about.protocol, "version": env!("CARGO_PKG_VERSION")});
        Kept::open(self.results.as_deref(), &what)
    }

    /// Prints and writes what was measured, with the page and the ranking where these were asked for. `published` gives results of others of
    /// the same protocol, `samples` examples whose answer changed; each is asked where it is wanted.
    ///
    /// # Errors
    /// If a file cannot be written, or results cannot be compared; results are written before that.
    pub fn finish(
        &self,
        about: &About,
        (recorder, shifts): (&Recorder, Shifts<'_>),
        published: impl FnOnce() -> Result<Published>,
        samples: impl FnOnce() -> Result<Samples>,
    ) -> Result<()> {
        self.print(about.task, recorder);
        self.results.as_ref().map_or(Ok(()), |path| recorder.write(path))?;
        let ranking = self.rank.as_ref().map(|files| published()?.with(about, recorder, files));
        // a ranking that is refused takes nothing from the page
        let ranked = ranking.as_ref().and_then(|ranking| ranking.as_ref().ok()).map(Ranking::grid);
        if let Some(path) = &self.page {
            let page = Page { about, recorder, shifts, samples: samples()?, ranked: ranked.as_ref() };
            write_atomically(path, page.html().as_bytes())?;
            eprintln!("page: {}", path.display());
        }
        if let Some(grid) = ranked.filter(|_| !self.json) {
            out!("\n{}", grid.plain().trim_end());
        }
        ranking.transpose().map(|_| ())
    }

    fn print(&self, task: &Task, recorder: &Recorder) {
        if self.json {
            for measurement in recorder.measurements() {
                out!("{}", serde_json::to_string(measurement).unwrap_or_default());
            }
            return;
        }
        summary::print(task, recorder.measurements());
        if let Some((_, changed)) = summary::shifted(recorder.measurements(), CHANGED).first() {
            out!("predictions that differ from those on the clean {}: {:.2} % in the mean", task.examples, 100. * changed.mean());
        }
        recorder.notes().iter().for_each(|note| out!("{note}"));
    }

    /// Fails where too little is right.
    ///
    /// # Errors
    /// If the mean under shift is below what was asked for.
    pub fn hold(&self, about: &About, recorder: &Recorder) -> Result<()> {
        let task = about.task;
        let found = summary::shifted(recorder.measurements(), task.metric);
        if let (Some(least), Some((_, found))) = (self.fail_below, found.first()) {
            let right = 100. * if task.low { 1. - found.mean() } else { found.mean() };
            let called = if task.low { "accuracy" } else { task.called };
            ensure!(
                right >= least,
                "the mean {called} under {} is {right:.2} %, below the {least} % of --fail-below",
                task.shift
            );
        }
        Ok(())
    }
}
