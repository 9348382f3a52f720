//! `Sentiment`: texts to classes, as a [`Task`].

use super::begin;
use super::bench;
use super::lines::Lines;
use super::model::{Model, Sentiment};
use super::predict;
use super::robustness::{Robustness, Shift};
use super::setup::{self, Augment, Parts, Settings, VOCABULARY};
use super::show::Show;
use super::start;
use super::test_sets::TestSets;
use super::vocab::Vocab;
use crate::dataset;
use crate::examples::Examples;
use crate::pretrained;
use crate::shift::SEVERITIES;
use anyhow::{Context, Result};
use sncn_core::{Network, Vars};
use sncn_onnx::CLASSES;
use sncn_train::evaluate::Evaluation;
use sncn_train::harness::cli::Severities;
use sncn_train::harness::given::{Given, Row};
use sncn_train::harness::{
    self, Begin, Empty, Observe, Prepared, Rebuild, Recorder, Run, Task, Testing, Trained, Way, bench::Case,
};
use sncn_train::temperature::Scored;
use sncn_train::text_file::listed;
use std::path::Path;

/// Commands that only `sncn-sentiment` has.
#[derive(clap::Subcommand, Debug)]
pub enum Command {
    /// Show which tokens the SelfNorm gates turn up or down: a text a line in, an HTML page out.
    Show(Show),
    /// Measure a model, or the predictions of any program, where texts are shifted.
    Robustness(Robustness),
    /// Write texts as they are and under every shift, for another program to answer to (robustness --predictions).
    Shift(Shift),
    /// Learn a vocabulary from the training texts of a data set, as a tokenizer.json.
    Vocab(Vocab),
}

impl harness::Command for Command {
    fn run(&self) -> Result<()> {
        match self {
            Self::Show(command) => command.run(),
            Self::Vocab(command) => command.run(),
            Self::Robustness(command) => command.run(),
            Self::Shift(command) => command.run(),
        }
    }
}

/// What is found on a set of texts.
#[derive(Debug)]
pub struct Score(Evaluation);

impl Score {
    /// The class that is answered to every text.
    pub fn predictions(&self) -> &[u32] {
        &self.0.predictions
    }
}

impl harness::Score for Score {
    fn value(&self) -> f64 {
        self.0.value()
    }

    fn record(&self, recorder: &mut Recorder, split: &str, classes: &[String], detail: bool) {
        recorder.add(split, "accuracy", self.value(), self.0.predictions.len());
        self.0.record(recorder, split, classes, detail);
    }

    fn scored(&self) -> Option<&[Scored]> {
        self.0.scored.as_deref()
    }

    fn uniform_batches(&self) -> usize {
        self.0.uniform
    }
}

/// The name under which an ONNX file notes how texts become token ids, as a tokenizer.json.
const TOKENIZER: &str = "sncn.tokenizer";
/// The name under which it notes that a text may be of several classes, each with the logistic function of its score.
const MULTI_LABEL: &str = "sncn.multi_label";

/// Texts of a batch in evaluation.
const BATCH: usize = 64;

impl Task for Sentiment {
    const INFO: &'static sncn_record::Task = &sncn_record::task::SENTIMENT;
    const ABOUT: &'static str = "Train, evaluate and use text classifiers that keep working when the data shifts";
    const FIRST_STEPS: &'static str = "  \
  sncn-sentiment train --table models/reviews.json --row encoder/cnsn --seed 0 --run-dir runs/mine
  sncn-sentiment train --data reviews.csv --method cnsn --run-dir runs/own
  echo 'not bad at all' | sncn-sentiment predict --run-dir runs/mine";
    const TESTS: &'static str = "Test sets instead of the run's: sst2; imdb-validation (what training leaves); imdb-c (8 shifts × 5 \
        severities, made as it goes); the path of a .csv, .tsv, .json or .jsonl file with columns text and label, or \
        <path>:<texts>:<labels> where they have other names";
    const BESIDE: &'static [&'static str] = &[VOCABULARY, pretrained::CONFIG];

    type Settings = Settings;
    type Model = Model;
    type Set = Examples;
    type Score = Score;
    type Train = Empty;
    type Evaluate = Severities;
    type Predict = Lines;
    type Command = Command;

    fn settings(run: &Run<Empty>) -> Result<Settings> {
        Settings::read(run)
    }

    fn row(given: &Given<'_>) -> Result<Row> {
        start::row(given)
    }

    fn network(model: &Model) -> &dyn Network {
        &*model.network
    }

    fn prepare(begin: &Begin<'_, Self>) -> Result<Prepared<Self>> {
        let Begin { run, seed, data_dir, folder, is_fresh, .. } = *begin;
        let Settings { input, augment } = &run.settings;
        let (train, validation) = dataset::split(&run.train, data_dir)?;
        train.remark.iter().for_each(|remark| eprintln!("{}: {remark}", run.train));
        let (texts, validation) = (train.first(run.train_limit), validation.first(run.test_limit));
        let parts = match folder.filter(|_| !is_fresh) {
            Some(folder) => Parts::kept(run, folder)?,
            None => begin::parts(run, &texts, data_dir)?,
        };
        let (network, vars) = parts.network(run, texts.classes.len(), seed)?;
        let mut data = Examples::new(&texts, &parts.vocabulary, input.longest)?;
        if is_fresh {
            begin::weights(&parts, run, &vars)?;
            begin::vectors(input, &parts.vocabulary, &data, &vars, data_dir, seed)?;
            folder.map_or(Ok(()), |folder| begin::keep(&parts, folder))?;
        }
        let vocabulary = &parts.vocabulary;
        let describe = format!(
            "{}: {} tokens in {} texts of {} classes ({}), {} in the vocabulary",
            texts.describe,
            data.tokens(),
            texts.examples.len(),
            texts.classes.len(),
            listed(&texts.classes),
            vocabulary.len()
        );
        if let Some(Augment::WordDropout { rate } | Augment::Fixmatch { rate, .. }) = *augment {
            let unknown = vocabulary.unknown().context("the vocabulary has no unknown token, which word dropout needs")?;
            data = data.with_word_dropout(rate, unknown);
        }
        if let Some(Augment::Fixmatch { severity, .. }) = *augment {
            data = data.with_shifted_views(&texts, vocabulary, input.longest, severity);
        }
        let validation = match run.early_stopping {
            Some(_) => Some(Examples::new(&validation, vocabulary, input.longest)?),
            None => None,
        };
        let model = Model { network, vocabulary: parts.vocabulary, longest: input.longest, is_multi_label: false };
        Ok(Prepared { model, vars, data: Box::new(data), classes: texts.classes, describe, validation })
    }

    fn rebuild(rebuild: &Rebuild<'_, Self>) -> Result<(Model, Vars)> {
        let Rebuild { run, seed, classes, folder } = *rebuild;
        let parts = Parts::kept(run, folder)?;
        let (network, vars) = parts.network(run, classes.len(), seed)?;
        let longest = run.settings.input.longest;
        Ok((Model { network, vocabulary: parts.vocabulary, longest, is_multi_label: false }, vars))
    }

    fn elsewhere(folder: &Path) -> Result<Option<Trained<Self>>> {
        if pretrained::is_pretrained(folder) { setup::published(folder).map(Some) } else { Ok(None) }
    }

    fn test_sets<'a>(testing: Testing<'a, Self>) -> Result<Box<dyn harness::TestSets<Self> + 'a>> {
        let severities = testing.options.given().unwrap_or_else(|| (1..=SEVERITIES).collect());
        Ok(Box::new(TestSets { trained: testing.trained, data_dir: testing.data_dir, severities }))
    }

    fn score(_: &Model, way: &Way<'_>, classes: usize, set: &Examples, observe: Observe<'_>) -> Result<Score> {
        Ok(Score(way.evaluate(set, classes, BATCH, observe)?))
    }

    fn predict(trained: &Trained<Self>, lines: &Lines) -> Result<()> {
        predict::run(trained, lines)
    }

    fn onnx(trained: &Trained<Self>) -> Result<Vec<u8>> {
        let Model { vocabulary, longest, is_multi_label, .. } = &trained.model;
        let classes = serde_json::to_string(&trained.header.classes)?;
        let mut notes = vec![(CLASSES, classes), (TOKENIZER, vocabulary.to_json_of_batches(*longest)?)];
        if *is_multi_label {
            notes.push((MULTI_LABEL, "true".to_string()));
        }
        Ok(sncn_onnx::export_texts(trained.network(), vocabulary.len(), &notes)?)
    }

    fn benches() -> &'static [Case] {
        bench::CASES
    }
}
