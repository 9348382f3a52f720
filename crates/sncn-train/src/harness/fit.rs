//! The `train` command of every task: trains one cell of a table, resuming where it stopped.

use super::Run;
use super::cli::{self, Cell};
use super::folder::RunFolder;
use super::progress::Progress;
use crate::checkpoint::{self, Checkpoint, FORMAT, Header, Held, SELECTED};
use crate::data::Dataset;
use crate::train::{Control, steps_per_epoch, train};
use anyhow::{Context, Result, bail, ensure};
use sncn_core::{Network, Vars};
use sncn_record::{SeededRun, Stopping};
use std::path::{Path, PathBuf};

/// Train one row of a table with one seed; run it again to resume.
#[derive(clap::Args, Debug)]
pub struct Fit {
    #[command(flatten)]
    cell: Cell,
    /// Folder of the checkpoints; if it holds some of this run, training goes on from the newest.
    #[arg(long)]
    run_dir: PathBuf,
    /// Folder that holds the data sets.
    #[arg(long)]
    data_dir: Option<PathBuf>,
    /// Steps between checkpoints.
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u64).range(1..))]
    checkpoint_every: u64,
    /// Stop after this step as Ctrl-C would: write a checkpoint and end with exit code 130.
    #[arg(long, value_name = "STEP", value_parser = clap::value_parser!(u64).range(1..))]
    stop_after: Option<u64>,
    /// Threads (default: all processors); the result does not depend on it.
    #[arg(long)]
    threads: Option<usize>,
}

/// A run that is not complete.
pub struct Begun {
    /// What the table says of it.
    pub run: Run,
    resolved: SeededRun,
    saved: Option<Checkpoint>,
    folder: RunFolder,
}

impl Begun {
    /// Whether it has no checkpoint yet.
    pub fn is_fresh(&self) -> bool {
        self.saved.is_none()
    }
}

/// What is trained on what.
pub struct Job<'a> {
    /// The network, with fresh variables.
    pub network: &'a dyn Network,
    /// Its variables.
    pub vars: &'a Vars,
    /// The training set.
    pub data: &'a dyn Dataset,
    /// Class names.
    pub classes: Vec<String>,
    /// What the training set is.
    pub describe: String,
    /// Scores the network on held-out examples (the higher, the better), where the task can stop early.
    pub held: Option<&'a dyn Fn() -> Result<f64>>,
}

/// Of equal scores the first counts.
fn best(held: &[Held]) -> Option<&Held> {
    held.iter().reduce(|best, other| if other.score > best.score { other } else { best })
}

/// Whether so many epochs brought no better score.
fn is_over(held: &[Held], stopping: Stopping) -> bool {
    let since = held.iter().rev().position(|one| Some(one) == best(held));
    since.is_some_and(|epochs| epochs >= stopping.patience)
}

impl Fit {
    /// Sets the threads, resolves the run of a table of that task and reads its newest checkpoint; of a complete run it says so and
    /// gives nothing.
    ///
    /// # Errors
    /// Where the table does not fit, the checkpoint is damaged or another run's, or another process trains in the run's folder.
    pub fn start(&self, task: &str) -> Result<Option<Begun>> {
        cli::threads(self.threads)?;
        let run = self.cell.run(task)?;
        let resolved = SeededRun { run: run.resolved()?, seed: self.cell.seed };
        let folder = RunFolder::open(&self.run_dir)?;
        let saved = folder.newest()?;
        if let Some(saved) = &saved {
            saved.check_run(&resolved)?;
            let Header { step, total, .. } = saved.header;
            if step >= total {
                eprintln!("{}: training is complete ({step} steps)", self.run_dir.display());
                return Ok(None);
            }
        }
        Ok(Some(Begun { run, resolved, saved, folder }))
    }

    /// The seed of the cell.
    pub fn seed(&self) -> u64 {
        self.cell.seed
    }

    /// Where the checkpoints are.
    pub fn run_dir(&self) -> &Path {
        &self.run_dir
    }

    /// Where the data sets are.
    pub fn data_dir(&self) -> Option<&Path> {
        self.data_dir.as_deref()
    }

    /// Trains to the end, or until it is interrupted or has done `--stop-after` steps: then the process ends with exit code 130.
    ///
    /// # Errors
    /// Where a checkpoint does not fit, another process trains in the run's folder, or training fails.
    pub fn run(&self, begun: Begun, job: &Job) -> Result<()> {
        let Begun { run, resolved, saved, mut folder } = begun;
        let Job { network, vars, data, classes, describe, held } = job;
        let stops = match (run.stopping, held) {
            (Some(stopping), Some(score)) => Some((stopping, *score)),
            (None, _) => None,
            (Some(_), None) => bail!("run {:?}: stopping is set; this task trains to the last epoch: take it away", run.name),
        };
        ensure!(data.len() > 1, "{}: the training set has {} example(s); at least 2 are wanted", run.train, data.len());
        let mut optimizer = run.optimizer(vars)?;
        let recipe = run.recipe(self.cell.seed);
        let epoch = steps_per_epoch(data.len(), run.batch_size);
        let total = epoch * run.epochs;
        let (mut start, mut scores) = (0, Vec::new());
        if let Some(saved) = saved {
            saved.load_weights(vars)?;
            saved.load_optimizer(&mut optimizer)?;
            start = saved.header.step;
            scores = saved.header.held;
            eprintln!("resuming at step {start} of {total}");
        }
        cli::catch_interrupts()?;
        eprintln!("{} on {describe}: {} parameters, {total} steps", run.backbone, vars.parameter_count());
        let header = |step, total, held: &[Held]| Header {
            format: FORMAT,
            step,
            total,
            run: resolved.clone(),
            classes: classes.clone(),
            held: held.to_vec(),
            sha256: String::new(),
        };
        let mut progress = Progress::new(&run.name, (epoch, run.epochs), start);
        let mut end = total;
        let done = train(*network, vars, &mut optimizer, *data, &recipe, start, |step, optimizer| -> Result<Control> {
            if let Some((stopping, score)) = stops.filter(|_| step.done.is_multiple_of(epoch)) {
                scores.push(Held { step: step.done, score: score()? });
                // before the checkpoint that says so: a run that goes on from an older one writes the same again
                if best(&scores) == scores.last() {
                    checkpoint::save_weights(&folder.owned()?.join(SELECTED), vars, header(step.done, total, &scores))?;
                }
                if is_over(&scores, stopping) {
                    end = step.done;
                }
            }
            let is_asked = self.stop_after.is_some_and(|after| step.done as u64 >= after);
            let (stop, is_last) = (is_asked || cli::interrupted(), step.done == end);
            if stop || is_last || (step.done as u64).is_multiple_of(self.checkpoint_every) {
                checkpoint::save(folder.owned()?, vars, optimizer, header(step.done, end, &scores))?;
            }
            progress.step(&step, scores.last(), is_last);
            Ok(if stop || is_last { Control::Stop } else { Control::Continue })
        })
        .with_context(|| format!("run {:?}, seed {}", run.name, self.cell.seed))?;
        progress.end();
        if let Some(best) = best(&scores).filter(|_| done == end) {
            eprintln!(
                "the best of {} epochs on held-out examples is epoch {}: {:.2} % (kept in {SELECTED})",
                done / epoch,
                best.step / epoch,
                100. * best.score
            );
        }
        if done < end {
            eprintln!(
                "stopped at step {done} of {total}; a checkpoint is in {}: run the same command to resume",
                self.run_dir.display()
            );
            std::process::exit(130);
        }
        Ok(())
    }
}
