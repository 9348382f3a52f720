//! `sncn-segment robustness`: how a network's labels hold under corruption: of a network in an ONNX file or a checkpoint, or of any program,
//! told by the label images that it wrote.

mod labelled;
mod measure;
mod protocol;
mod subject;

use anyhow::{Context, Result};
use measure::Measurement;
use protocol::{Data, Options};
use sncn_train::harness::robustness::{Measured, Outputs, Published, run};
use std::path::PathBuf;

/// Measure a network, or the label images of any program, under corruption.
#[derive(clap::Args, Debug)]
pub struct Robustness {
    /// A test set, such as camvid-dusk, or a folder with images, labels and classes.txt.
    #[arg(long, value_name = "SET")]
    data: String,
    #[command(flatten)]
    model: subject::Options,
    /// Folder of label images, named as those of --images.
    #[arg(long, value_name = "FOLDER", conflicts_with = "model", required_unless_present = "model", requires = "images")]
    predictions: Option<PathBuf>,
    /// What `sncn-classify corrupt --clean` wrote of the set's images.
    #[arg(long, value_name = "FOLDER", requires = "predictions")]
    images: Option<PathBuf>,
    #[command(flatten)]
    options: Options,
    #[command(flatten)]
    outputs: Outputs,
}

impl Robustness {
    /// Runs the command.
    ///
    /// # Errors
    /// If the network or the label images do not fit the set, a file cannot be read or written, or too little is right.
    pub fn run(&self) -> Result<()> {
        self.outputs.begin()?;
        let data = self.options.open(&self.data)?;
        match (&self.predictions, &self.images) {
            (Some(predictions), Some(images)) => {
                self.options.refuse()?;
                self.measure(&labelled::Labelled::open(data, images, predictions)?)
            }
            _ => self.measure(&self.model(data)?),
        }
    }

    fn model(&self, data: Data) -> Result<Measurement> {
        let size = data.pairs.size(0).context("the first image")?;
        let subject = self.model.open(size)?;
        Measurement::new(data, subject, &self.options)
    }

    fn measure(&self, measured: &(impl Measured + protocol::Shown)) -> Result<()> {
        let about = measured.about()?;
        let (mut kept, mut recorder) = (self.outputs.kept(&about)?, about.recorder());
        run(measured, &mut kept, &mut recorder)?;
        let samples = || protocol::samples(measured);
        self.outputs.finish(&about, (&recorder, measured.shifts()), || Ok(Published::default()), samples)?;
        kept.remove();
        self.outputs.hold(&about, &recorder)
    }
}
