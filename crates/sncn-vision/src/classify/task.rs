//! `Classify`: images to classes, as a [`Task`].

use super::bench;
use super::corrupt::Corrupt;
use super::import::Import;
use super::noted::{CLASSES, INPUT, Noted};
use super::options::{EvaluateOptions, Files};
use super::predict::{self, Predict};
use super::robustness::Robustness;
use super::setup::{self, Classify, Settings};
use super::show::Show;
use super::start;
use super::stylise::Stylise;
use super::test_sets::TestSets;
use crate::augment::Augment;
use crate::dataset::{self, Parts};
use crate::examples::Examples;
use crate::initial;
use crate::preprocess::Preprocessing;
use crate::restyle::Styles;
use anyhow::{Result, ensure};
use serde_json::Value;
use sncn_core::{Network, Pass, Vars};
use sncn_train::DataDir;
use sncn_train::evaluate::Evaluation;
use sncn_train::harness::given::{Given, Row};
use sncn_train::harness::{self, Begin, Empty, Observe, Prepared, Rebuild, Run, Task, Testing, Trained, Way, bench::Case};
use sncn_train::objective::Objective;

/// Commands that only `sncn-classify` has.
#[derive(clap::Subcommand, Debug)]
pub enum Command {
    /// Write corrupted copies of a data set (.npy), a folder of images or an image.
    Corrupt(Corrupt),
    /// Measure a model (ONNX, checkpoint) or predictions of any program under corruption.
    Robustness(Robustness),
    /// Write restyled copies of a folder of images, with the styles of another folder.
    Stylise(Stylise),
    /// Draw contents (rows) in styles (columns): CrossNorm on pixels or inside a network.
    Show(Show),
    /// Make a checkpoint of published weights, for evaluate and predict.
    Import(Import),
}

impl harness::Command for Command {
    fn run(&self) -> Result<()> {
        match self {
            Self::Corrupt(command) => command.run(),
            Self::Robustness(command) => command.run(),
            Self::Stylise(command) => command.run(),
            Self::Show(command) => command.run(),
            Self::Import(command) => command.run(),
        }
    }
}

/// Images of a batch in evaluation.
const BATCH: usize = 100;

impl Task for Classify {
    const INFO: &'static sncn_record::Task = &sncn_record::task::CLASSIFY;
    const ABOUT: &'static str = "Train, evaluate and use image classifiers that keep working when the data shifts";
    const FIRST_STEPS: &'static str = "  \
  sncn-classify train --table models/quick.json --row cnsn --seed 0 --run-dir runs/mine
  sncn-classify evaluate --run-dir runs/mine
  sncn-classify corrupt --input shapes --output sheet.png --sheet
  sncn-classify show --input shapes --output grid.png --crop both";
    const TESTS: &'static str = "Test sets instead of the run's: cifar10; cifar10-c (corrupted here); cifar10-c-files (.npy files); \
        cifar10-validation and cifar10-validation-c (the training images after train_limit, and these with the four extra \
        corruptions); or a folder of data.npy and labels.npy in the data folder";

    type Settings = Settings;
    type Model = Box<dyn Network>;
    type Set = Examples;
    type Score = Evaluation;
    type Train = Files;
    type Evaluate = EvaluateOptions;
    type Predict = Predict;
    type Command = Command;

    fn settings(run: &Run<Empty>) -> Result<Settings> {
        ensure!(
            !matches!(run.objective, Objective::Segment { .. }),
            "the objective \"segment\" is for labelled pixels: tables of task \"segment\" have it"
        );
        let (augment, restyle) = setup::augmentation(&run.augment)?;
        let (views, wanted) = (augment.as_ref().map_or(1, Augment::views), run.objective.views());
        ensure!(
            views == wanted,
            "the objective takes {wanted} view(s) of an image, augment gives {views}; objective and augment of kind \"augmix\" \
             (3 views) go together, and those of kind \"fixmatch\" (2)"
        );
        let preprocessing = match &run.input {
            Value::Null => Preprocessing::default(),
            given => Preprocessing::read(given)?,
        };
        initial::check(run.weights.as_ref())?;
        let (parts, evaluation) = (Parts::read(&run.data)?, setup::Evaluation::read(&run.evaluate)?);
        Ok(Settings { preprocessing, augment, restyle, parts, evaluation })
    }

    fn input(settings: &Settings) -> Result<Option<Value>> {
        Ok(Some(serde_json::to_value(settings.preprocessing)?))
    }

    fn evaluation(options: &Files) -> Vec<String> {
        options.arguments()
    }

    fn row(given: &Given<'_>) -> Result<Row> {
        start::row(given)
    }

    fn network(model: &Self::Model) -> &dyn Network {
        &**model
    }

    fn prepare(begin: &Begin<'_, Self>) -> Result<Prepared<Self>> {
        let run = begin.run;
        let Settings { preprocessing, augment, restyle, parts, .. } = &run.settings;
        let splits = dataset::open_parts(&run.train, begin.data_dir, parts, Some(begin.options.check(false)))?;
        let noted = match &run.weights {
            Some(file) if run.epochs == 0 => Noted::read(&initial::located(file, begin.data_dir)?).classes,
            _ => None,
        };
        // a set that is only tested may have some of the network's classes alone
        let train = splits.any().filter(|_| run.epochs == 0).map_or_else(|| splits.trained(&run.train), Ok)?;
        let has = |classes: &Vec<String>| train.classes().iter().all(|class| classes.contains(class));
        let classes = noted.filter(has).unwrap_or_else(|| train.classes().to_vec());
        let images = setup::limited(train, run.train_limit);
        let kept = run.early_stopping.and(setup::left_out(&splits, run.train_limit));
        let validation = kept.map(|kept| Examples::new(setup::limited(&kept, run.test_limit), *preprocessing));
        let (model, vars) = setup::network(run, classes.len(), begin.seed)?;
        if let Some(file) = run.weights.as_ref().filter(|_| begin.is_fresh) {
            let plain = |classes| setup::plain(run, classes);
            initial::begin_with(file, begin.data_dir, &vars, classes.len(), plain)?;
        }
        let describe = images.describe();
        let mut data = Examples::new(images, *preprocessing).augmented(augment.unwrap_or_default());
        if let Some(restyle) = restyle {
            let styles = Styles::open(restyle, begin.data_dir)?;
            eprintln!("{}", styles.describe());
            data = data.restyled(styles);
        }
        Ok(Prepared { model, vars, data: Box::new(data), classes, describe, validation })
    }

    fn rebuild(rebuild: &Rebuild<'_, Self>) -> Result<(Self::Model, Vars)> {
        setup::network(rebuild.run, rebuild.classes.len(), rebuild.seed)
    }

    fn test_sets<'a>(testing: Testing<'a, Self>) -> Result<Box<dyn harness::TestSets<Self> + 'a>> {
        let Testing { trained, data_dir, options } = testing;
        let check = options.files.check(true);
        Ok(Box::new(TestSets {
            run: &trained.run,
            splits: dataset::open_parts(&trained.run.train, data_dir, &trained.run.settings.parts, Some(check))?,
            data_dir,
            check,
            severities: options.images.severities.given(),
            frost: options.images.frost()?,
            classes: &trained.header.classes,
        }))
    }

    fn passes(options: &EvaluateOptions) -> (Pass, Option<Pass>) {
        options.images.passes()
    }

    fn score(_: &Self::Model, way: &Way<'_>, classes: usize, set: &Examples, observe: Observe<'_>) -> Result<Evaluation> {
        Ok(way.evaluate(set, classes, BATCH, observe)?)
    }

    fn predict(trained: &Trained<Self>, options: &Predict) -> Result<()> {
        predict::run(trained, options)
    }

    fn found(data_dir: &DataDir) -> Vec<(String, Result<String>)> {
        let described = |name: &str| -> Result<String> {
            let splits = dataset::open(name, data_dir)?;
            let train = splits.train.iter().map(|train| train.describe());
            let tests = splits.test.iter().map(|(name, images)| format!("{name}: {} to test on", images.len()));
            Ok(train.chain(tests).collect::<Vec<_>>().join("; "))
        };
        dataset::DATASETS.iter().map(|(name, _)| (name.to_string(), described(name))).collect()
    }

    fn onnx(trained: &Trained<Self>) -> Result<Vec<u8>> {
        let (size, classes) = (trained.run.settings.preprocessing.size, &trained.header.classes);
        let notes =
            [(CLASSES, serde_json::to_string(classes)?), (INPUT, serde_json::to_string(&trained.run.settings.preprocessing)?)];
        Ok(sncn_onnx::export(trained.network(), (size, size), &notes)?)
    }

    fn benches() -> &'static [Case] {
        bench::CASES
    }
}
