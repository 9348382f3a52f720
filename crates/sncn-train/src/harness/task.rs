//! `Task`: what a program is about. Train, evaluate, predict, plan, export and bench are written once over it.
//!
//! A task defines how its settings are read, how data is opened and a network built, and how the network's outputs become a score.
//! `docs/extending.md` adds one step by step; `tests/` of this crate has a whole one.

use super::Recorder;
use super::bench::Case;
use super::given::{Given, Row};
use super::run::{Empty, Run};
use super::summary;
use super::way::Way;
use crate::DataDir;
use crate::checkpoint::Header;
use crate::confusion::Confusion;
use crate::data::Dataset;
use crate::evaluate::Evaluation;
use crate::temperature::Scored;
use anyhow::{Result, bail};
use serde_json::Value;
use sncn_core::{Network, Pass, Vars};
use sncn_record::Measurement;
use sncn_record::corruption_error::Reference;
use std::fmt::Debug;
use std::path::Path;

/// A kind of problem: what goes in, what comes out, and how good that is.
pub trait Task: Sized + Debug + 'static {
    /// Its name, its program, its metrics and the words of its reports.
    const INFO: &'static sncn_record::Task;
    /// The first line of the program's help.
    const ABOUT: &'static str;
    /// The end of the program's help: commands to begin with, one a line.
    const FIRST_STEPS: &'static str;
    /// The help of `evaluate --test`: which test sets the task has.
    const TESTS: &'static str;

    /// Files that lie beside a checkpoint and that its model cannot do without, where there are such.
    const BESIDE: &'static [&'static str] = &[];

    /// Examples of a batch to whose statistics a network adapts, where the key `adapt` does not say.
    const ADAPT_BATCH: usize = 200;

    /// The settings of a row that only this task knows: its `input`, `augment` and `evaluate`.
    type Settings: Clone + Debug + PartialEq;
    /// A network, with what is needed to put something in and to read what comes out.
    type Model;
    /// One part of a test set.
    type Set: Dataset;
    /// What is found on a part of a test set.
    type Score: Score;
    /// Options of `train` that only this task has.
    type Train: clap::Args + Debug + Default;
    /// Options of `evaluate` that only this task has.
    type Evaluate: clap::Args + Debug;
    /// Options and inputs of `predict`.
    type Predict: clap::Args + Debug;
    /// Commands that only this task has.
    type Command: Command;

    /// Reads the settings of a row that only this task knows. Called when the table is read.
    ///
    /// # Errors
    /// Names the key that does not fit, that the task would ignore, or that does not go with the row's objective.
    fn settings(run: &Run<Empty>) -> Result<Self::Settings>;

    /// The key `input` as checkpoints hold it, where a row may give a name instead of settings.
    ///
    /// # Errors
    /// If it cannot be written as JSON.
    fn input(_settings: &Self::Settings) -> Result<Option<Value>> {
        Ok(None)
    }

    /// The row that stands for data, a network and a method, for users without a table.
    ///
    /// # Errors
    /// If the data does not exist, or the method is unknown (the known ones are listed).
    fn row(given: &Given<'_>) -> Result<Row>;

    /// Arguments of `evaluate` that go with options of `train`, such as what is done about files that cannot be read.
    fn evaluation(_options: &Self::Train) -> Vec<String> {
        Vec::new()
    }

    /// The network of a model.
    fn network(model: &Self::Model) -> &dyn Network;

    /// Opens the training data of a run and builds its network.
    ///
    /// # Errors
    /// If data is missing or damaged, or the network or a layer is unknown.
    fn prepare(begin: &Begin<'_, Self>) -> Result<Prepared<Self>>;

    /// Builds the model of a checkpoint with fresh variables, into which its weights are loaded afterwards.
    ///
    /// # Errors
    /// If the network or a layer is unknown, or a file that belongs beside the checkpoint is missing.
    fn rebuild(rebuild: &Rebuild<'_, Self>) -> Result<(Self::Model, Vars)>;

    /// What lies in a folder without a checkpoint but was trained elsewhere and can be used as it is; nothing where the task
    /// reads no such folders.
    ///
    /// # Errors
    /// If a file in the folder is damaged.
    fn elsewhere(_folder: &Path) -> Result<Option<Trained<Self>>> {
        Ok(None)
    }

    /// Opens what test sets are taken from.
    ///
    /// # Errors
    /// If data is missing or damaged.
    fn test_sets<'a>(testing: Testing<'a, Self>) -> Result<Box<dyn TestSets<Self> + 'a>>;

    /// Changes a model as the options of `evaluate` ask, and gives a note on it for the results.
    ///
    /// # Errors
    /// If an option is out of range.
    fn configure(_model: &mut Self::Model, _options: &Self::Evaluate) -> Result<Option<String>> {
        Ok(None)
    }

    /// The evaluation pass that the options ask for; the second is the exact one that it is compared with, where they differ.
    fn passes(_options: &Self::Evaluate) -> (Pass, Option<Pass>) {
        (Pass::eval(), None)
    }

    /// Scores a model on a part of a test set in this way, that is with its network, which may be one that adapts; `observe` is called
    /// with the number of examples done since the last call.
    ///
    /// # Errors
    /// If an example cannot be read or the network does not take it.
    fn score(model: &Self::Model, way: &Way<'_>, classes: usize, set: &Self::Set, observe: Observe<'_>) -> Result<Self::Score>;

    /// Prints what was measured.
    fn print(measurements: &[Measurement], _classes: &[String]) {
        summary::print(Self::INFO, measurements);
    }

    /// Whether `evaluate --csv` has something to write of these test sets; asked before they are measured.
    ///
    /// # Errors
    /// Says which test set to add.
    fn check_csv(tests: &[String]) -> Result<()> {
        summary::check_csv(tests)
    }

    /// The text of `evaluate --csv`: by default the main metric of shifted sets, a row for each shift.
    fn csv(measurements: &[Measurement], _classes: &[String]) -> String {
        summary::csv(Self::INFO, measurements)
    }

    /// Runs the `predict` command.
    ///
    /// # Errors
    /// If an input cannot be read or a file cannot be written.
    fn predict(trained: &Trained<Self>, options: &Self::Predict) -> Result<()>;

    /// The data sets of this task, each with what was found of it in a data folder, for `doctor`.
    fn found(_data_dir: &DataDir) -> Vec<(String, Result<String>)> {
        Vec::new()
    }

    /// A model as an ONNX file, with what is needed to use it.
    ///
    /// # Errors
    /// If this task's networks, or this one, have no such form.
    fn onnx(_trained: &Trained<Self>) -> Result<Vec<u8>> {
        bail!("{} writes no ONNX files; name a file that ends in .safetensors", Self::INFO.program)
    }

    /// What `bench` measures besides a training step of a table's row.
    fn benches() -> &'static [Case] {
        &[]
    }
}

/// Commands that only one task has.
pub trait Command: clap::Subcommand + Debug {
    /// Runs the command.
    ///
    /// # Errors
    /// As the command has it.
    fn run(&self) -> Result<()>;
}

/// No further commands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::Subcommand)]
pub enum NoCommand {}

impl Command for NoCommand {
    fn run(&self) -> Result<()> {
        match *self {}
    }
}

/// What a run begins with.
#[derive(Debug)]
pub struct Begin<'a, T: Task> {
    /// The run.
    pub run: &'a Run<T::Settings>,
    /// The seed of weights, order, augmentation and mixing.
    pub seed: u64,
    /// Where data sets are.
    pub data_dir: &'a DataDir,
    /// Options of the command.
    pub options: &'a T::Train,
    /// The folder of its checkpoints, where a task may keep files of its own; absent where nothing is kept, as in `bench`.
    pub folder: Option<&'a Path>,
    /// Whether it has no checkpoint yet, so that initial weights count.
    pub is_fresh: bool,
}

impl<T: Task> Begin<'_, T> {
    /// Opens the training data of the run and builds its network; of the data, what the run's labels leave.
    ///
    /// # Errors
    /// As [`Task::prepare`], and where there are not as many labels as the run asks for.
    pub(crate) fn prepare(&self) -> Result<Prepared<T>> {
        let Prepared { model, vars, data, classes, describe, validation } = T::prepare(self)?;
        let (data, describe) = self.run.labelled(data, describe, &classes, self.seed)?;
        Ok(Prepared { model, vars, data, classes, describe, validation })
    }
}

/// What is trained on what.
pub struct Prepared<T: Task> {
    /// The network, and what belongs to it.
    pub model: T::Model,
    /// Its variables.
    pub vars: Vars,
    /// The training set.
    pub data: Box<dyn Dataset>,
    /// Class names, in label order.
    pub classes: Vec<String>,
    /// What the training set is, in words.
    pub describe: String,
    /// Examples that are kept out of training, for runs with early stopping; nothing where there are none, which is then refused.
    pub validation: Option<T::Set>,
}

/// What a model is rebuilt from.
#[derive(Debug)]
pub struct Rebuild<'a, T: Task> {
    /// The run.
    pub run: &'a Run<T::Settings>,
    /// Its seed.
    pub seed: u64,
    /// Class names, in label order.
    pub classes: &'a [String],
    /// The folder of the checkpoint.
    pub folder: &'a Path,
}

/// A trained model.
pub struct Trained<T: Task> {
    /// The header of its checkpoint.
    pub header: Header,
    /// The run that it was trained by.
    pub run: Run<T::Settings>,
    /// The seed.
    pub seed: u64,
    /// The model, with the checkpoint's weights.
    pub model: T::Model,
    /// Its variables.
    pub vars: Vars,
}

/// What test sets are opened for.
pub struct Testing<'a, T: Task> {
    /// The model and its run.
    pub trained: &'a Trained<T>,
    /// Where data sets are.
    pub data_dir: &'a DataDir,
    /// Options of the command.
    pub options: &'a T::Evaluate,
}

/// Called with the number of examples done since the last call.
pub type Observe<'a> = &'a mut dyn FnMut(usize);

/// The parts of a test set, each with its name: `<set>`, or `<set>/<shift>/<severity>`. They are made one after another.
pub type Parts<'a, S> = Box<dyn Iterator<Item = Result<(String, S)>> + 'a>;

/// Test sets by name.
pub trait TestSets<T: Task> {
    /// The parts of the test set of that name.
    ///
    /// # Errors
    /// If the name is unknown (the known ones are listed), or its classes are not the model's.
    fn parts(&self, name: &str) -> Result<Parts<'_, T::Set>>;

    /// What a test set is called in results: its name, unless the name is a path, since `/` parts a set from its shifts there.
    fn label(&self, name: &str) -> String {
        name.to_string()
    }

    /// The network by whose errors those of a corrupted test set are divided too, where that means something: AlexNet for the
    /// corruptions of ImageNet's 1000 classes. What is measured is recorded as it is beside.
    fn reference(&self, _name: &str) -> Option<&'static Reference> {
        None
    }

    /// What a reader of the numbers on these test sets should know.
    fn notes(&self, _names: &[String]) -> Vec<String> {
        Vec::new()
    }
}

/// What was found on a part of a test set.
pub trait Score {
    /// The higher, the better: what early stopping goes by.
    fn value(&self) -> f64;

    /// Adds its numbers to a record; those that take many lines only with `detail`.
    fn record(&self, recorder: &mut Recorder, split: &str, classes: &[String], detail: bool);

    /// The scores of every example over the classes that can be answered, where these were asked for and are known.
    fn scored(&self) -> Option<&[Scored]> {
        None
    }

    /// How many batches of more than one example had examples of one class only, where that is known.
    fn uniform_batches(&self) -> usize {
        0
    }

    /// The fraction of examples on which another score of the same examples names the same class, where that is known.
    fn agreement(&self, _other: &Self) -> Option<f64> {
        None
    }
}

impl Score for Evaluation {
    fn value(&self) -> f64 {
        1. - self.confusion.error()
    }

    fn record(&self, recorder: &mut Recorder, split: &str, _classes: &[String], detail: bool) {
        recorder.add_evaluation(split, self, detail);
    }

    fn scored(&self) -> Option<&[Scored]> {
        self.scored.as_deref()
    }

    fn uniform_batches(&self) -> usize {
        self.uniform
    }

    fn agreement(&self, other: &Self) -> Option<f64> {
        let same = self.predictions.iter().zip(&other.predictions).filter(|(a, b)| a == b).count();
        Some(same as f64 / self.predictions.len().max(1) as f64)
    }
}

/// The counts of a test set's pixels.
#[derive(Clone, Debug)]
pub struct Pixels(pub Confusion);

impl Score for Pixels {
    fn value(&self) -> f64 {
        self.0.mean_iou()
    }

    fn record(&self, recorder: &mut Recorder, split: &str, classes: &[String], detail: bool) {
        recorder.add_segmentation(split, &self.0, classes, detail);
    }
}
