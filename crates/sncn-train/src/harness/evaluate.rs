//! The `evaluate` command: a trained model on its test sets.

use super::manner::Manner;
use super::saved::Saved;
use super::scorer::Scorer;
use super::task::{Parts, Score, Task, Testing, Trained};
use super::{Recorder, cli, provenance, tempered};
use crate::adapt::{Adapt, AdaptError};
use crate::data::Dataset;
use crate::evaluate::Extra;
use crate::files::write_atomically;
use crate::out;
use anyhow::{Context, Result, bail};
use sncn_record::checkpoint::{Header, Told};
use sncn_record::results;
use std::path::PathBuf;

/// The split of results under which stands what training told: of its last epoch by name, of each as `<name>/<epoch>/mean`.
pub(super) const TRAINING: &str = "training";

/// Evaluate a trained network on its test sets: as they are, shifted and corrupted.
#[derive(clap::Args, Debug)]
pub struct Evaluate<T: Task> {
    /// Which checkpoint.
    #[command(flatten)]
    saved: Saved,
    #[command(flatten)]
    manner: Manner,
    /// Test sets instead of the run's.
    #[arg(long, value_delimiter = ',', help = T::TESTS)]
    test: Vec<String>,
    /// Write the measurements there, as JSON lines.
    #[arg(long)]
    results: Option<PathBuf>,
    /// Write a table of the measurements there as CSV, in percent.
    #[arg(long)]
    csv: Option<PathBuf>,
    /// Print JSON lines instead of tables.
    #[arg(long)]
    json: bool,
    /// Name of the table, for the results file.
    #[arg(long, default_value = "")]
    table: String,
    /// Folder that holds the data sets (default: $SNCN_DATA), or your own data that the run was trained on.
    #[arg(long, visible_alias = "data")]
    data_dir: Option<PathBuf>,
    /// Threads (default: all processors); the result does not depend on it.
    #[arg(long)]
    threads: Option<usize>,
    #[command(flatten)]
    options: T::Evaluate,
}

/// Adds what training told.
fn training(header: &Header, recorder: &mut Recorder) {
    let mut add = |told: &Told, metric: &str| {
        told.mean().into_iter().for_each(|mean| recorder.add(TRAINING, metric, mean, told.count as usize));
    };
    header.told.iter().for_each(|told| add(told, &told.name));
    for (index, epoch) in header.epochs.iter().enumerate() {
        epoch.told.iter().for_each(|told| add(told, &format!("{}/{}/mean", told.name, index + 1)));
    }
    for (index, validation) in header.validation.iter().enumerate() {
        recorder.add(TRAINING, &format!("validation/{}/mean", index + 1), validation.score, 1);
    }
}

impl<T: Task> Evaluate<T> {
    /// Runs the command.
    ///
    /// # Errors
    /// If the checkpoint or a test set does not fit, or a file cannot be written.
    pub fn run(&self) -> Result<()> {
        cli::threads(self.threads)?;
        let mut trained = self.manner.apply(Trained::<T>::read(&self.saved)?)?;
        let changed = T::configure(&mut trained.model, &self.options)?;
        let (trained, data_dir) = (&trained, cli::data_dir(self.data_dir.as_deref()));
        let (run, classes) = (&trained.run, &trained.header.classes);
        let sets = T::test_sets(Testing { trained, data_dir: &data_dir, options: &self.options })?;
        let tests = if self.test.is_empty() { &run.test } else { &self.test };
        self.csv.as_ref().map_or(Ok(()), |_| T::check_csv(tests).context("--csv"))?;
        let labels: Vec<String> = tests.iter().map(|test| sets.label(test)).collect();
        if let Some(at) = (1..labels.len()).find(|&at| labels[..at].contains(&labels[at])) {
            bail!("--test: {} and another test set are both called {} in results; rename one", tests[at], labels[at])
        }
        // every name is looked up before the first of them is measured
        let parts = tests.iter().map(|test| sets.parts(test)).collect::<Result<Vec<Parts<'_, T::Set>>>>()?;
        let (pass, exact) = T::passes(&self.options);
        if exact.is_some() && matches!(run.adapt, Some(Adapt::Tent(_))) {
            return Err(AdaptError::Precision.into());
        }
        let scorer = Scorer::new(trained, run.adapt.as_ref());
        let mut notes = sets.notes(tests);
        notes.extend(changed);
        let weights = run.weights.as_ref().filter(|_| run.epochs == 0);
        notes.extend(weights.map(|file| format!("weights: {file} as they are, not trained here")));
        notes.extend(exact.is_some().then(|| cli::ROUNDED.to_string()));
        notes.extend(scorer.notes());
        let mut recorder = self.recorder(trained, notes);
        let extra = match run.temperature {
            true => Extra::Temperature(tempered::fit(trained, &scorer, &*sets, &pass, &mut recorder)?),
            false => Extra::Nothing,
        };
        for part in parts.into_iter().flatten() {
            let (split, set) = part?;
            let is_whole = !split.contains('/');
            let found = scorer.score(&split, &set, &pass, extra)?;
            if let Some(exact) = exact.as_ref().filter(|_| is_whole) {
                let exact = scorer.score(&split, &set, exact, Extra::Nothing)?;
                let value = if T::INFO.low { 1. - exact.value() } else { exact.value() };
                recorder.add(&split, &format!("{}_f32", T::INFO.metric), value, set.len());
                if let Some(same) = found.agreement(&exact) {
                    recorder.add(&split, "agreement_f32", same, set.len());
                }
            }
            found.record(&mut recorder, &split, classes, is_whole);
        }
        scorer.remarks().into_iter().for_each(|remark| recorder.note(remark));
        for (test, label) in tests.iter().zip(&labels) {
            sets.reference(test).into_iter().for_each(|reference| recorder.add_normalised(label, reference));
        }
        training(&trained.header, &mut recorder);
        self.finish(&recorder, classes)
    }

    /// A recorder with a header: the run, its checkpoint, the version of this program, the machine, the notes.
    fn recorder(&self, trained: &Trained<T>, notes: Vec<String>) -> Recorder {
        let Trained { header, run, seed, .. } = trained;
        Recorder::new(results::Header {
            format: results::FORMAT,
            table: self.table.clone(),
            row: run.name.clone(),
            seed: *seed,
            run: header.run.run.clone(),
            built: provenance::built(),
            trained: header.built.clone(),
            version: env!("CARGO_PKG_VERSION").to_string(),
            machine: provenance::machine(),
            selection: run.selection().to_string(),
            notes,
            classes: header.classes.clone(),
        })
    }

    /// Prints the measurements and writes them where that was asked for: first to the screen, so that they are not lost where a
    /// file cannot be written.
    fn finish(&self, recorder: &Recorder, classes: &[String]) -> Result<()> {
        let measurements = recorder.measurements();
        if self.json {
            for measurement in measurements {
                out!("{}", serde_json::to_string(measurement)?);
            }
        } else {
            T::print(measurements, classes);
            recorder.notes().iter().for_each(|note| out!("{note}"));
        }
        if let Some(path) = &self.csv {
            write_atomically(path, T::csv(measurements, classes).as_bytes())?;
        }
        self.results.as_ref().map_or(Ok(()), |path| recorder.write(path))
    }
}
