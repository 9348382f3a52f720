//! `Segment`: every pixel of an image to a class, as a [`Task`].

use super::examples::PairExamples;
use super::predict::{self, Predict};
use super::robustness::Robustness;
use super::scoring::{Protocol, Scorer};
use super::setup::{self, Model, Segment, Settings};
use super::show::Show;
use super::start;
use super::summary;
use super::test_sets::TestSets;
use super::transform::Transform;
use crate::classify::Options;
use crate::classify::corrupted::VALIDATION;
use crate::classify::noted::{CLASSES, INPUT};
use crate::dataset::pairs::{self, PairSubset};
use crate::initial;
use anyhow::{Context, Result, ensure};
use sncn_core::{Network, Pass, Vars};
use sncn_train::harness::given::{Given, Row};
use sncn_train::harness::{
    self, Begin, Empty, Measurement, Observe, Pixels, Prepared, Rebuild, Run, Task, Testing, Trained, Way, settings,
};
use sncn_train::objective::Objective;

/// Options of `sncn-segment evaluate`.
#[derive(clap::Args, Debug)]
pub struct Evaluate {
    #[command(flatten)]
    images: Options,
    /// Side of a sliding window in place of the run's protocol; windows overlap by a third.
    #[arg(long)]
    window: Option<usize>,
}

/// Commands that only `sncn-segment` has.
#[derive(clap::Subcommand, Debug)]
pub enum Command {
    /// Draw images of a test set with their labels and with those that trained networks give them.
    Show(Show),
    /// Measure a network, or the label images of any program, under corruption.
    Robustness(Box<Robustness>),
}

impl harness::Command for Command {
    fn run(&self) -> Result<()> {
        match self {
            Self::Show(command) => command.run(),
            Self::Robustness(command) => command.run(),
        }
    }
}

/// The height and width of an image by which a network is traced: maps of different stages differ in both.
const TRACED: (usize, usize) = (168, 232);

impl Task for Segment {
    const INFO: &'static sncn_record::Task = &sncn_record::task::SEGMENT;
    const ABOUT: &'static str = "Train, evaluate and use networks that label every pixel and keep working when the data shifts";
    const FIRST_STEPS: &'static str = "  \
  sncn-segment train --table models/scenes.json --row cnsn --seed 0 --run-dir runs/mine
  sncn-segment train --data streets/ --method cnsn --run-dir runs/own
  sncn-segment evaluate --run-dir runs/mine
  sncn-segment predict --run-dir runs/mine --output labelled photo.png
  sncn-segment show --run-dirs runs/mine --test scenes-weather --output sheet.png";
    const TESTS: &'static str = "Test sets instead of the run's: camvid-dusk; camvid-dusk-c (15 corruptions × 5 severities); \
        camvid-validation and camvid-validation-c (what is kept out of training, and this with the four extra corruptions); \
        cityscapes-crop713 (the middle of every image); the first test set of another data set by its name";

    const ADAPT_BATCH: usize = 1;

    type Settings = Settings;
    type Model = Model;
    type Set = PairExamples;
    type Score = Pixels;
    type Train = Empty;
    type Evaluate = Evaluate;
    type Predict = Predict;
    type Command = Command;

    fn settings(run: &Run<Empty>) -> Result<Settings> {
        settings::unused("input", &run.input, Self::INFO)?;
        settings::no_parts(run, Self::INFO)?;
        ensure!(
            matches!(run.objective, Objective::Segment { .. }),
            "the objective is not for labelled pixels; {{\"kind\": \"segment\"}} is accepted"
        );
        initial::check(run.weights.as_ref())?;
        Ok(Settings { transform: Transform::read(&run.augment)?, protocol: Protocol::read(&run.evaluate)? })
    }

    fn row(given: &Given<'_>) -> Result<Row> {
        start::row(given)
    }

    fn network(model: &Model) -> &dyn Network {
        &*model.network
    }

    fn prepare(begin: &Begin<'_, Self>) -> Result<Prepared<Self>> {
        let run = begin.run;
        let splits = pairs::open(&run.train, begin.data_dir)?;
        ensure!(
            !splits.test.is_empty() || run.test.iter().all(|name| name.contains(VALIDATION)),
            "{}: no test set; expected a folder beside train with images/ and labels/",
            splits.train.describe()
        );
        let classes = splits.train.legend().classes.clone();
        let images = PairSubset::first(&splits.train, run.train_limit);
        let kept = run.early_stopping.and(splits.left_out(run.train_limit));
        let validation = kept.map(|kept| PairExamples::new(PairSubset::first(&kept, run.test_limit)));
        let describe = images.describe();
        pairs::absent(&*images)?.into_iter().for_each(|warning| eprintln!("warning: {warning}"));
        let (model, vars) = setup::network(run, classes.len(), begin.seed)?;
        if let Some(file) = run.weights.as_ref().filter(|_| begin.is_fresh) {
            let plain = |classes| setup::plain(run, classes);
            initial::begin_with(file, begin.data_dir, &vars, classes.len(), plain)?;
        }
        let style = run.settings.transform.as_ref().and_then(|transform| transform.style.as_ref());
        let styles = style.map(|style| style.open(begin.data_dir)).transpose()?.flatten();
        styles.iter().for_each(|styles| eprintln!("{}", styles.describe()));
        let data = Box::new(PairExamples::new(images).transformed(run.settings.transform.clone()).restyled(styles));
        Ok(Prepared { model, vars, data, classes, describe, validation })
    }

    fn rebuild(rebuild: &Rebuild<'_, Self>) -> Result<(Model, Vars)> {
        setup::network(rebuild.run, rebuild.classes.len(), rebuild.seed)
    }

    fn test_sets<'a>(testing: Testing<'a, Self>) -> Result<Box<dyn harness::TestSets<Self> + 'a>> {
        let Testing { trained, data_dir, options } = testing;
        Ok(Box::new(TestSets {
            splits: pairs::open(&trained.run.train, data_dir)?,
            data_dir,
            frost: options.images.frost()?,
            classes: &trained.header.classes,
            train: &trained.run.train,
            train_limit: trained.run.train_limit,
            limit: trained.run.test_limit,
            severities: options.images.severities.given().unwrap_or_else(|| (1..=5).collect()),
        }))
    }

    fn configure(model: &mut Model, options: &Evaluate) -> Result<Option<String>> {
        let Some(side) = options.window else { return Ok(None) };
        model.protocol = Protocol::sliding(side).context("--window")?;
        Ok(Some(format!("sliding window of {side} × {side} pixels, set on the command line")))
    }

    fn passes(options: &Evaluate) -> (Pass, Option<Pass>) {
        options.images.passes()
    }

    fn score(model: &Model, way: &Way<'_>, classes: usize, set: &PairExamples, observe: Observe<'_>) -> Result<Pixels> {
        let scorer = Scorer { network: way.network, ..model.scorer(classes, way.pass.clone()) };
        Ok(Pixels(scorer.score(set, &way.reading, observe)?))
    }

    fn print(measurements: &[Measurement], classes: &[String]) {
        summary::print(measurements, classes);
    }

    fn check_csv(_tests: &[String]) -> Result<()> {
        Ok(())
    }

    fn csv(measurements: &[Measurement], classes: &[String]) -> String {
        summary::csv(measurements, classes)
    }

    fn onnx(trained: &Trained<Self>) -> Result<Vec<u8>> {
        // as images are normalised here; their size does not count
        let notes = [(CLASSES, serde_json::to_string(&trained.header.classes)?), (INPUT, "cifar".to_string())];
        Ok(sncn_onnx::export(trained.network(), TRACED, &notes)?)
    }

    fn predict(trained: &Trained<Self>, options: &Predict) -> Result<()> {
        predict::run(trained, options)
    }
}
