//! The `train` command: trains one cell of a table, going on where it stopped.

use super::cli::{self, Ending};
use super::evaluate::Evaluate;
use super::folder::RunFolder;
use super::progress::Progress;
use super::start::{Start, Started};
use super::task::{Begin, Prepared, Score, Task};
use super::way::Way;
use super::{Run, provenance};
use crate::DataDir;
use crate::checkpoint::{self, Checkpoint, FORMAT, Header, SELECTED, Validation};
use crate::files::write_atomically;
use crate::learner::Learner;
use crate::train::{Control, train};
use anyhow::{Context, Result, bail, ensure};
use clap::{Args, FromArgMatches};
use sncn_core::{Pass, WeightAverage};
use sncn_record::checkpoint::{Epoch, LOSS, Told};
use sncn_record::{EarlyStopping, SeededRun};
use std::ffi::OsString;
use std::path::PathBuf;

/// The file of the table that stands for a run, beside its checkpoints.
pub(crate) const TABLE: &str = "table.json";

/// Train a row of a table, or --data without a table; run it again to resume.
#[derive(clap::Args, Debug)]
pub struct Train<T: Task> {
    #[command(flatten)]
    start: Start,
    /// Folder of the checkpoints; where it holds some, training goes on from them.
    #[arg(long, value_name = "DIR")]
    run_dir: PathBuf,
    /// Folder that holds the data sets (default: $SNCN_DATA).
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// Steps between checkpoints.
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u64).range(1..))]
    checkpoint_every: u64,
    /// Stop after this step, as Ctrl-C would: with a checkpoint.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    stop_after: Option<u64>,
    /// Folder of event files for TensorBoard.
    #[arg(long, value_name = "DIR")]
    tensorboard: Option<PathBuf>,
    /// Threads (default: all processors); the result does not depend on it.
    #[arg(long, value_name = "N")]
    threads: Option<usize>,
    #[command(flatten)]
    options: T::Train,
}

/// Of equal scores the first counts.
fn best(scores: &[Validation]) -> Option<&Validation> {
    scores.iter().reduce(|best, other| if other.score > best.score { other } else { best })
}

/// Whether so many epochs brought no better score.
fn is_over(scores: &[Validation], early_stopping: EarlyStopping) -> bool {
    let since = scores.iter().rev().position(|one| Some(one) == best(scores));
    since.is_some_and(|epochs| epochs >= early_stopping.patience)
}

impl<T: Task> Train<T> {
    /// Runs the command.
    ///
    /// # Errors
    /// If the table, the data or a checkpoint does not fit, another process trains in the run's folder, or training fails.
    pub fn run(&self) -> Result<Ending> {
        cli::threads(self.threads)?;
        let seed = self.start.seed;
        let Started { run, data_dir, table, said, evaluation } = self.start.read::<T>(cli::data_dir(self.data_dir.as_deref()))?;
        let resolved = SeededRun { run: run.resolved()?, seed };
        let mut folder = RunFolder::open(&self.run_dir)?;
        let saved = folder.newest()?;
        if let Some(saved) = &saved {
            saved.check_run(&resolved)?;
            let Header { step, total, .. } = saved.header;
            if step >= total {
                eprintln!("{}: training is complete ({step} steps)", self.run_dir.display());
                // it may have been stopped in what follows training
                evaluation.map_or(Ok(()), |arguments| self.evaluate(&data_dir, &arguments))?;
                return Ok(Ending::Done);
            }
        }
        said.iter().for_each(|said| eprintln!("{said}"));
        let begin = Begin {
            run: &run,
            seed,
            data_dir: &data_dir,
            options: &self.options,
            folder: Some(&self.run_dir),
            is_fresh: saved.is_none(),
        };
        let prepared = begin.prepare()?;
        if let Some(table) = table {
            let path = folder.owned()?.join(TABLE);
            write_atomically(&path, table.as_bytes())?;
            eprintln!("{}: the table of this run, to be changed and used again (--table, --row {})", path.display(), run.name);
        }
        let fit = Fit {
            command: self,
            run: &run,
            resolved,
            prepared: &prepared,
            scores: Vec::new(),
            epochs: Vec::new(),
            told: Vec::new(),
            average: None,
        };
        let ending = fit.run(folder, saved).with_context(|| format!("run {:?}, seed {seed}", run.name))?;
        if let Some(arguments) = evaluation.filter(|_| ending == Ending::Done) {
            self.evaluate(&data_dir, &[arguments, T::evaluation(&self.options)].concat())?;
        }
        Ok(ending)
    }

    /// Evaluates the run that has ended, as `evaluate` does with these arguments.
    fn evaluate(&self, data_dir: &DataDir, arguments: &[String]) -> Result<()> {
        let shown: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let data = data_dir.path.as_ref().map_or(String::new(), |path| format!(" --data {}", path.display()));
        eprintln!("{} evaluate --run-dir {}{data} {}", T::INFO.program, self.run_dir.display(), shown.join(" "));
        let mut all = vec![OsString::from("evaluate"), "--run-dir".into(), self.run_dir.clone().into()];
        all.extend(data_dir.path.iter().flat_map(|path| [OsString::from("--data"), path.clone().into()]));
        all.extend(arguments.iter().map(OsString::from));
        let matches = Evaluate::<T>::augment_args(clap::Command::new("evaluate")).try_get_matches_from(all)?;
        Evaluate::<T>::from_arg_matches(&matches)?.run()
    }
}

/// A run in training.
struct Fit<'a, T: Task> {
    command: &'a Train<T>,
    run: &'a Run<T::Settings>,
    resolved: SeededRun,
    prepared: &'a Prepared<T>,
    scores: Vec<Validation>,
    epochs: Vec<Epoch>,
    /// What training has told of the epoch so far.
    told: Vec<Told>,
    average: Option<WeightAverage>,
}

impl<T: Task> Fit<'_, T> {
    /// Trains to the end, or until it is interrupted.
    fn run(mut self, mut folder: RunFolder, saved: Option<Checkpoint>) -> Result<Ending> {
        let Prepared { model, vars, data, describe, .. } = self.prepared;
        let (run, data) = (self.run, &**data);
        ensure!(data.len() > 1, "{}: the training set has {} example(s); at least 2 are wanted", run.train, data.len());
        if run.early_stopping.is_some() && self.prepared.validation.is_none() {
            bail!(
                "early_stopping is set, and training leaves no example of {} for validation ({} are trained on): set train_limit to \
                 fewer than there are, or take early_stopping away",
                run.train,
                data.len()
            )
        }
        let mut learner = Learner::new(T::network(model), vars, run.optimizer(vars)?);
        learner.companion = run.companion(data)?;
        if run.epochs == 0 {
            eprintln!("{} on {describe}: {} parameters, not trained (epochs is 0)", run.backbone, vars.parameter_count());
            run.early_stopping.map_or(Ok(()), |_| self.validate(&mut folder, 0, 0))?;
            self.save(&mut folder, &learner, 0, 0)?;
            return Ok(Ending::Done);
        }
        let recipe = run.recipe(self.resolved.seed);
        let epoch = recipe.steps_per_epoch(data.len());
        let total = epoch * run.epochs;
        let mut start = 0;
        if let Some(saved) = &saved {
            saved.load_weights(vars)?;
            saved.load_beside(&mut learner)?;
            start = saved.header.step;
            let Header { validation, epochs, told, .. } = saved.header.clone();
            (self.scores, self.epochs, self.told) = (validation, epochs, told);
            eprintln!("resuming at step {start} of {total}");
        }
        self.average = run.average(vars)?;
        if let (Some(saved), Some(_)) = (saved, &self.average) {
            // the average has begun with the averages that were saved
            saved.load_trained(vars)?;
        }
        cli::catch_interrupts()?;
        eprintln!("{} on {describe}: {} parameters, {total} steps", run.backbone, vars.parameter_count());
        let stop_after = self.command.stop_after.map_or(usize::MAX, |step| step as usize);
        let mut progress = Progress::new(&run.name, (epoch, run.epochs), start, self.command.tensorboard.as_deref())?;
        let mut end = total;
        let done = if start >= stop_after {
            start
        } else {
            train(&mut learner, data, &recipe, start, |step, learner| -> Result<Control> {
                self.average.as_mut().map_or(Ok(()), WeightAverage::update)?;
                if step.done % epoch == 1 % epoch {
                    self.told.clear();
                }
                Told::add(&mut self.told, &[Told { name: LOSS.to_string(), sum: step.loss, count: 1. }]);
                Told::add(&mut self.told, &step.told);
                if step.done.is_multiple_of(epoch) || step.done == total {
                    self.epochs.push(Epoch { step: step.done, told: self.told.clone() });
                }
                if let Some(early_stopping) = run.early_stopping.filter(|_| step.done.is_multiple_of(epoch)) {
                    self.validate(&mut folder, step.done, total)?;
                    if is_over(&self.scores, early_stopping) {
                        end = step.done;
                    }
                }
                let stop = cli::interrupted() || step.done == stop_after;
                let is_last = step.done == end;
                if stop || is_last || (step.done as u64).is_multiple_of(self.command.checkpoint_every) {
                    self.save(&mut folder, learner, step.done, end)?;
                }
                progress.step(&step, &self.told, self.scores.last(), is_last);
                Ok(if stop || is_last { Control::Stop } else { Control::Continue })
            })?
        };
        progress.end();
        if done < end {
            eprintln!(
                "stopped at step {done} of {total}; a checkpoint is in {}: run the same command to resume",
                self.command.run_dir.display()
            );
            return Ok(Ending::Interrupted);
        }
        if let Some(best) = best(&self.scores) {
            eprintln!(
                "the best of {} epochs on the validation set is epoch {}: {:.2} % (kept in {SELECTED})",
                done / epoch,
                best.step / epoch,
                100. * best.score
            );
        }
        Ok(Ending::Done)
    }

    fn header(&self, step: usize, total: usize) -> Header {
        Header {
            format: FORMAT,
            step,
            total,
            run: self.resolved.clone(),
            classes: self.prepared.classes.clone(),
            validation: self.scores.clone(),
            epochs: self.epochs.clone(),
            told: self.told.clone(),
            task: T::INFO.name.to_string(),
            built: provenance::built(),
            sha256: String::new(),
        }
    }

    /// Scores the network, with its averaged weights where there are some, on the validation set; keeps its weights if there were
    /// none better.
    fn validate(&mut self, folder: &mut RunFolder, step: usize, total: usize) -> Result<()> {
        match self.average.take() {
            Some(average) => {
                let done = average.with(|| self.score(folder, step, total));
                self.average = Some(average);
                done?
            }
            None => self.score(folder, step, total),
        }
    }

    fn score(&mut self, folder: &mut RunFolder, step: usize, total: usize) -> Result<()> {
        let Prepared { model, vars, classes, validation, .. } = self.prepared;
        let set = validation.as_ref().context("no validation set")?;
        let pass = Pass::eval();
        let score = T::score(model, &Way::plain(T::network(model), &pass), classes.len(), set, &mut |_| ())?.value();
        self.scores.push(Validation { step, score });
        // before the checkpoint that counts this epoch: a run that goes on from an older checkpoint writes the same again
        if best(&self.scores) == self.scores.last() {
            checkpoint::save_weights(&folder.owned()?.join(SELECTED), vars, self.header(step, total))?;
        }
        Ok(())
    }

    fn save(&self, folder: &mut RunFolder, learner: &Learner<'_>, step: usize, total: usize) -> Result<()> {
        let header = self.header(step, total);
        checkpoint::save(folder.owned()?, learner, self.average.as_ref(), header)?;
        Ok(())
    }
}
