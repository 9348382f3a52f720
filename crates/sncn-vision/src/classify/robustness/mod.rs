//! `sncn-classify robustness`: how a classifier's answers hold under corruption: of a model in an ONNX file, a checkpoint or published
//! weights, or of any program, told by its predictions.

mod candle;
mod measure;
mod protocol;
mod published;
mod samples;
mod subject;

use super::corrupt::Manifest;
use crate::picture::{self, Limit, Photo};
use anyhow::{Context, Result};
use protocol::Protocol;
use serde_json::Value;
use sncn_record::corruption_error::ALEXNET;
use sncn_record::task::CLASSIFY;
use sncn_train::harness::robustness::given::called;
use sncn_train::harness::robustness::{About, Copied, Copies, Outputs, Samples, run};
use std::path::{Path, PathBuf};

/// Measure a model, or the predictions of any program, under corruption.
#[derive(clap::Args, Debug)]
pub struct Robustness {
    /// Class folders, a data set, or what `corrupt --clean` wrote.
    #[arg(long, value_name = "FOLDER")]
    images: PathBuf,
    #[command(flatten)]
    model: subject::Options,
    /// CSV: path,class and, for probabilities, a column for each class.
    #[arg(long, value_name = "FILE", conflicts_with = "model", required_unless_present = "model")]
    predictions: Option<PathBuf>,
    #[command(flatten)]
    measure: measure::Options,
    #[command(flatten)]
    outputs: Outputs,
}

impl Robustness {
    /// Runs the command.
    ///
    /// # Errors
    /// If the model or the predictions do not fit the images, a file cannot be read or written, or the accuracy is too low.
    pub fn run(&self) -> Result<()> {
        self.outputs.begin()?;
        match &self.predictions {
            Some(file) => self.told(file),
            None => self.measured(),
        }
    }

    /// What another program answered.
    fn told(&self, file: &Path) -> Result<()> {
        self.measure.refuse()?;
        let (manifest, copies) = Manifest::read(&self.images)?;
        let copies = copies.into_iter().map(Copied::from).collect();
        let copies = Copies::new(&CLASSIFY, &self.images, manifest.images, copies)?;
        let (protocol, name) = (Protocol::of_copies(&manifest), called(file));
        let about = About {
            task: &CLASSIFY,
            notes: protocol.notes(&format!("predictions of {name}")),
            name,
            model: Value::Null,
            protocol: serde_json::to_value(&protocol)?,
            seed: protocol.seed,
            classes: copies.classes.clone(),
        };
        let mut recorder = about.recorder();
        let answers = copies.measure(file, &mut recorder)?;
        let samples = || self.samples(&copies, &answers, protocol.shifts().strongest());
        self.outputs.finish(&about, (&recorder, protocol.shifts()), || published::ranking(&protocol), samples)?;
        self.outputs.hold(&about, &recorder)
    }

    /// For each corruption an image whose answer it changes, at the highest severity, where there is one.
    fn samples(&self, copies: &Copies<'_>, answers: &[u32], strongest: usize) -> Result<Samples> {
        let read = |copy: &Copied| picture::read(&self.images.join(&copy.path), Limit::default()).map(Photo::from);
        samples::samples(&copies.classes, (&copies.changed(answers, strongest), strongest), |one| {
            let pair = copies.pair(one.index, one.shift, strongest);
            let (clean, corrupted) = pair.with_context(|| format!("{}: no copies", one.shift))?;
            Ok((clean.path.clone(), read(clean)?, read(corrupted)?))
        })
    }

    /// A model.
    fn measured(&self) -> Result<()> {
        let measurement = self.measure.open(&self.images, self.model.open()?)?;
        let (about, protocol) = (measurement.about()?, &measurement.protocol);
        let (mut kept, mut recorder) = (self.outputs.kept(&about)?, about.recorder());
        run(&measurement, &mut kept, &mut recorder)?;
        if measurement.is_imagenet() {
            recorder.add_normalised(&format!("{}-c", CLASSIFY.examples), &ALEXNET);
        }
        let samples = || measurement.samples(&kept);
        self.outputs.finish(&about, (&recorder, protocol.shifts()), || published::ranking(protocol), samples)?;
        kept.remove();
        self.outputs.hold(&about, &recorder)
    }
}
