//! `Classify`: images to classes, as a [`Task`].

use super::bench;
use super::corrupt::Corrupt;
use super::import::Import;
use super::options::Options;
use super::predict::{self, Predict};
use super::setup::{self, Classify, Settings};
use super::show::Show;
use super::test_sets::TestSets;
use crate::augment::Augment;
use crate::dataset::Images;
use crate::dataset::subset::Subset;
use crate::examples::Examples;
use anyhow::{Result, ensure};
use sncn_core::{Network, Pass, Vars};
use sncn_train::evaluate::{Evaluation, evaluate};
use sncn_train::harness::{self, Begin, Empty, Observe, Prepared, Rebuild, Run, Task, Testing, Trained, bench::Case, settings};
use sncn_train::objective::Objective;
use std::sync::Arc;

/// Commands that only `sncn-classify` has.
#[derive(clap::Subcommand, Debug)]
pub enum Command {
    /// Write corrupted copies of a data set (.npy, laid out as CIFAR-10-C), or of a folder of images or one image.
    Corrupt(Corrupt),
    /// Draw a grid of contents (rows) in styles (columns): CrossNorm on the pixels of images.
    Show(Show),
    /// Make a checkpoint of published weights (.pth or .safetensors), for evaluate and predict.
    Import(Import),
}

impl harness::Command for Command {
    fn run(&self) -> Result<()> {
        match self {
            Self::Corrupt(command) => command.run(),
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
    type Evaluate = Options;
    type Predict = Predict;
    type Command = Command;

    fn settings(run: &Run<Empty>) -> Result<Settings> {
        settings::unused("input", &run.input, Self::INFO)?;
        settings::unused("evaluate", &run.evaluate, Self::INFO)?;
        ensure!(
            !matches!(run.objective, Objective::Segment { .. }),
            "the objective \"segment\" is for labelled pixels: tables of task \"segment\" have it"
        );
        let augment: Option<Augment> = settings::optional("augment", &run.augment, Some(Augment::default()))?;
        augment.as_ref().map_or(Ok(()), Augment::check)?;
        let (views, wanted) = (augment.as_ref().map_or(1, Augment::views), run.objective.views());
        ensure!(
            views == wanted,
            "the objective takes {wanted} view(s) of an image, augment gives {views}; objective and augment of kind \"augmix\" \
             (3 views) go together"
        );
        Ok(augment)
    }

    fn network(model: &Self::Model) -> &dyn Network {
        &**model
    }

    fn prepare(begin: &Begin<'_, Self>) -> Result<Prepared<Self>> {
        let run = begin.run;
        let splits = crate::dataset::open(&run.train, begin.data_dir)?;
        let classes = splits.train.classes().to_vec();
        let images = setup::limited(&splits.train, run.train_limit);
        let limit = run.train_limit.filter(|&limit| run.early_stopping.is_some() && limit < splits.train.len());
        let validation = limit.map(|limit| {
            let after: Arc<dyn Images> = Arc::new(Subset::after(splits.train.clone(), limit));
            Examples::new(setup::limited(&after, run.test_limit))
        });
        let (model, vars) = setup::network(run, classes.len(), begin.seed)?;
        let describe = images.describe();
        let data = Box::new(Examples::augmented(images, run.settings.unwrap_or_default()));
        Ok(Prepared { model, vars, data, classes, describe, validation })
    }

    fn rebuild(rebuild: &Rebuild<'_, Self>) -> Result<(Self::Model, Vars)> {
        setup::network(rebuild.run, rebuild.classes.len(), rebuild.seed)
    }

    fn test_sets<'a>(testing: Testing<'a, Self>) -> Result<Box<dyn harness::TestSets<Self> + 'a>> {
        let Testing { trained, data_dir, options } = testing;
        Ok(Box::new(TestSets {
            run: &trained.run,
            splits: crate::dataset::open(&trained.run.train, data_dir)?,
            data_dir,
            frost: options.frost()?,
            classes: &trained.header.classes,
        }))
    }

    fn passes(options: &Options) -> (Pass, Option<Pass>) {
        options.passes()
    }

    fn score(model: &Self::Model, classes: usize, set: &Examples, pass: &Pass, observe: Observe<'_>) -> Result<Evaluation> {
        Ok(evaluate(&**model, set, classes, BATCH, pass, observe)?)
    }

    fn predict(trained: &Trained<Self>, options: &Predict) -> Result<()> {
        predict::run(trained, options)
    }

    fn benches() -> &'static [Case] {
        bench::CASES
    }
}
