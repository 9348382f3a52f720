//! `Subject`: the network that is measured, from an ONNX file or a checkpoint, with how images become its inputs.

use super::super::scoring::Protocol as Windows;
use super::super::setup::Segment;
use crate::classify::noted::{CLASSES, INPUT};
use crate::preprocess::{Normalisation, Preprocessing};
use anyhow::{Context, Result, bail, ensure};
use sha2::{Digest, Sha256};
use sncn_core::Network;
use sncn_onnx::{Reading, Segmenter};
use sncn_train::digest::hex;
use sncn_train::harness::Trained;
use sncn_train::harness::robustness::given::called;
use sncn_train::harness::saved::Saved;
use std::path::{Path, PathBuf};

/// Which network.
#[derive(clap::Args, Debug)]
pub(super) struct Options {
    /// An ONNX file, a checkpoint, a run's folder, or a name of models/zoo.
    #[arg(long, value_name = "FILE")]
    model: Option<PathBuf>,
    /// Mean and standard deviation of an ONNX network's inputs: imagenet, another name, or JSON; sizes in it do not count.
    #[arg(long, requires = "model")]
    input: Option<String>,
    /// The ONNX output with the scores (default: the first).
    #[arg(long, value_name = "NAME", requires = "model")]
    output_name: Option<String>,
    /// Side of a sliding window in place of the run's protocol; windows overlap by a third.
    #[arg(long, requires = "model")]
    window: Option<usize>,
}

/// A network that is measured.
pub(super) struct Subject {
    pub(super) network: Box<dyn Network>,
    /// How many classes it tells apart.
    pub(super) count: usize,
    /// Their names, where they are known.
    pub(super) names: Option<Vec<String>>,
    pub(super) normalisation: Normalisation,
    /// Whole images or sliding windows.
    pub(super) windows: Windows,
    /// The name of its file, or of its run.
    pub(super) name: String,
    /// SHA-256 of its file, of a checkpoint that of its weights.
    pub(super) sha256: String,
    /// What a reader should know of it.
    pub(super) describe: String,
}

impl Options {
    /// Opens the network, for images of this size first.
    ///
    /// # Errors
    /// If there is none, it is damaged or none that labels pixels, or how images become its inputs is not known.
    pub(super) fn open(&self, size: (usize, usize)) -> Result<Subject> {
        let path = self.model.as_deref().context("--model is not given")?;
        let is_onnx = path.extension().is_some_and(|end| end.eq_ignore_ascii_case("onnx"));
        let mut subject = if is_onnx { self.onnx(path, size)? } else { self.checkpoint(path)? };
        if let Some(side) = self.window {
            subject.windows = Windows::sliding(side).context("--window")?;
        }
        Ok(subject)
    }

    fn onnx(&self, path: &Path, size: (usize, usize)) -> Result<Subject> {
        let file = sncn_onnx::File::read(path)?;
        let Some(input) = self.input.as_deref().or(file.note(INPUT)) else {
            bail!("{}: how images become its inputs is not known: give --input, such as imagenet", path.display())
        };
        let read = serde_json::from_str(input).unwrap_or_else(|_| serde_json::Value::from(input));
        let Preprocessing { mean, std, .. } = Preprocessing::read(&read).context("--input")?;
        let names = file.note(CLASSES).map(serde_json::from_str).transpose();
        let names: Option<Vec<String>> = names.with_context(|| format!("{}: its note {CLASSES}", path.display()))?;
        // a window is the size that the network sees
        let size = self.window.map_or(size, |side| (side.min(size.0), side.min(size.1)));
        let reading = Reading { output: self.output_name.clone(), ..Reading::default() };
        let model = Segmenter::new(file, reading, size)?;
        let bytes = std::fs::read(path).with_context(|| path.display().to_string())?;
        let (name, count) = (called(path), model.classes());
        let classes = if names.is_some() { "" } else { "; classes are those of the set in their order" };
        let describe = format!("{name}: {}{classes}", model.describe());
        Ok(Subject {
            network: Box::new(model),
            count,
            names,
            normalisation: Normalisation { mean, std },
            windows: Windows::default(),
            name,
            sha256: hex(&Sha256::digest(bytes)),
            describe,
        })
    }

    fn checkpoint(&self, path: &Path) -> Result<Subject> {
        for (option, is_given) in [("--input", self.input.is_some()), ("--output-name", self.output_name.is_some())] {
            ensure!(!is_given, "{option} is for ONNX files, and {} is none", path.display());
        }
        let Trained { header, run, model, seed, .. } = Trained::<Segment>::read(&Saved::at(path))?;
        ensure!(
            run.adapt.is_none(),
            "{}: its row adapts to test images, which evaluate does; networks are measured as they are here",
            path.display()
        );
        let name = format!("{}, seed {seed}", run.name);
        let describe = format!("{name}: {}, trained on {}", run.backbone, run.train);
        Ok(Subject {
            network: model.network,
            count: header.classes.len(),
            names: Some(header.classes),
            normalisation: Normalisation::CIFAR,
            windows: model.protocol,
            name,
            sha256: header.sha256,
            describe,
        })
    }
}
