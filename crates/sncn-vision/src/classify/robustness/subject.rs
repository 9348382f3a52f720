//! `Subject`: the model that is measured, from an ONNX file, a checkpoint, or weights of a network of candle-transformers, with how images become its inputs.

use super::super::noted::{CLASSES, INPUT, Noted, class_names};
use super::super::setup::Classify;
use super::candle::{self, Candle};
use crate::dataset::Images;
use crate::dataset::relabelled::Relabelled;
use crate::preprocess::Preprocessing;
use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;
use sha2::{Digest, Sha256};
use sncn_core::Network;
use sncn_onnx::{Classifier, Layout, Reading};
use sncn_train::digest::hex;
use sncn_train::harness::Trained;
use sncn_train::harness::robustness::given::called;
use sncn_train::harness::saved::Saved;
use sncn_train::id2label::classes;
use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Where the channels of an ONNX model's input are.
#[derive(clap::ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
enum Channels {
    /// N × 3 × H × W.
    Nchw,
    /// N × H × W × 3.
    Nhwc,
}

/// Which model.
#[derive(clap::Args, Debug)]
pub(super) struct Options {
    /// ONNX file, checkpoint, run's folder, name of models/zoo, or weights.
    #[arg(long, value_name = "FILE")]
    model: Option<PathBuf>,
    /// Network of published weights (default: as config.json says).
    #[arg(long, value_name = "NAME", requires = "model")]
    network: Option<String>,
    /// Inputs of an ONNX model or of weights: a name, or JSON (default: as noted).
    #[arg(long, requires = "model")]
    input: Option<String>,
    /// Names of the model's outputs, one a line (default: the folders', sorted).
    #[arg(long, value_name = "FILE", requires = "model")]
    class_names: Option<PathBuf>,
    /// nchw or nhwc, of an ONNX input (default: as its shape tells).
    #[arg(long, value_enum, hide_possible_values = true, requires = "model")]
    layout: Option<Channels>,
    /// The ONNX output with the scores (default: the first).
    #[arg(long, value_name = "NAME", requires = "model")]
    output_name: Option<String>,
}

/// A model that is measured.
pub(super) struct Subject {
    pub(super) network: Box<dyn Network>,
    /// How many classes it answers with.
    count: usize,
    /// Their names, in the order of its outputs, where they are known.
    names: Option<Vec<String>>,
    /// How images become its inputs.
    pub(super) preprocessing: Preprocessing,
    /// The name of its file, or of its run.
    pub(super) name: String,
    /// SHA-256 of its file, of a checkpoint that of its weights.
    pub(super) sha256: String,
    /// What a reader should know of it.
    pub(super) describe: String,
}

/// The file of Hugging Face's image models that says how images become inputs.
const BESIDE: &str = "preprocessor_config.json";

impl Options {
    /// Opens the model.
    ///
    /// # Errors
    /// If there is none, it is damaged or none that classifies images, or how images become its inputs is not known.
    pub(super) fn open(&self) -> Result<Subject> {
        let path = self.model.as_deref().context("--model is not given")?;
        let is_weights = path.is_file() && is_safetensors(path)?;
        let is_named_onnx = path.extension().is_some_and(|end| end.eq_ignore_ascii_case("onnx"));
        ensure!(
            self.network.is_none() || !is_named_onnx,
            "--network is for weights of candle-transformers, and {} is an ONNX file, which says what it is: take --network away",
            path.display()
        );
        let is_own = match path.is_dir() {
            true => !Saved::at(path).is_empty()?,
            false => is_weights && Noted::read(path).is_checkpoint,
        };
        let mut subject = match path.exists() {
            true if self.network.is_some() || !is_own && candle::is_described(path) => self.candle(path)?,
            true if path.is_file() && !is_weights => self.onnx(path)?,
            _ => self.checkpoint(path)?,
        };
        if let Some(file) = &self.class_names {
            let names = class_names(file)?;
            ensure!(
                names.len() == subject.count,
                "{}: {} names, and {} has {} classes: one a line is wanted, in the order of its outputs",
                file.display(),
                names.len(),
                path.display(),
                subject.count
            );
            subject.names = Some(names);
        }
        Ok(subject)
    }

    fn onnx(&self, path: &Path) -> Result<Subject> {
        let file = sncn_onnx::File::read(path)?;
        let preprocessing = self.preprocessing(path, file.note(INPUT))?;
        let layout = self.layout.map(|layout| if layout == Channels::Nchw { Layout::Nchw } else { Layout::Nhwc });
        let reading = Reading { size: preprocessing.size, layout, output: self.output_name.clone() };
        let model = Classifier::new(&file, &reading)?;
        let bytes = fs::read(path).with_context(|| path.display().to_string())?;
        let (name, sha256) = (called(path), hex(&Sha256::digest(bytes)));
        let (count, describe) = (model.classes(), format!("{name}: {}", model.describe()));
        let noted = || format!("{}: its note {CLASSES}", path.display());
        let names: Option<Vec<String>> = file.note(CLASSES).map(serde_json::from_str).transpose().with_context(noted)?;
        let fits = names.as_ref().is_none_or(|names| names.len() == count);
        ensure!(fits, "{} is of another number of classes than the {count} that it answers with; remove the note", noted());
        Ok(Subject { network: Box::new(model), count, names, preprocessing, name, sha256, describe })
    }

    /// How images become inputs: as given, as the file notes, or as the file beside it says.
    fn preprocessing(&self, path: &Path, noted: Option<&str>) -> Result<Preprocessing> {
        let beside = path.with_file_name(BESIDE);
        let read = |text: &str| Preprocessing::read(&serde_json::from_str(text).unwrap_or_else(|_| Value::from(text)));
        match (&self.input, noted) {
            (Some(given), _) => read(given).context("--input"),
            (None, Some(noted)) => read(noted).with_context(|| format!("{}: its note {INPUT}", path.display())),
            (None, None) if beside.is_file() => Preprocessing::beside(&beside),
            (None, None) => bail!(
                "{}: how images become its inputs is not known: give --input, such as imagenet or \
                 '{{\"like\": \"imagenet\", \"size\": 299}}', or put {BESIDE} beside it",
                path.display()
            ),
        }
    }

    /// A network of candle-transformers.
    fn candle(&self, path: &Path) -> Result<Subject> {
        for (option, is_given) in [("--layout", self.layout.is_some()), ("--output-name", self.output_name.is_some())] {
            ensure!(!is_given, "{option} is for ONNX files, and {} is none", path.display());
        }
        let mut model = Candle::open(path, self.network.as_deref())?;
        let preprocessing = match (&self.input, model.config.get("pretrained_cfg")) {
            (None, Some(keys)) => Preprocessing::of_timm(keys).context("config.json: pretrained_cfg: give --input instead")?,
            _ => self.preprocessing(&model.path, None)?,
        };
        model.probe(preprocessing.size).with_context(|| model.path.display().to_string())?;
        let names = ["id2label", "label2id"].iter().any(|key| model.config.get(key).is_some());
        let names = names.then(|| classes(&model.config)).transpose().context("config.json")?;
        let count = model.classes;
        let fits = names.as_ref().is_none_or(|names| names.len() == count);
        ensure!(fits, "config.json names another number of classes than the {count} that {} has", model.path.display());
        let bytes = fs::read(&model.path).with_context(|| model.path.display().to_string())?;
        let (name, sha256) = (called(path), hex(&Sha256::digest(bytes)));
        let describe = format!("{name}: {} of candle-transformers, {count} classes, as operations of candle", model.name);
        Ok(Subject { network: Box::new(model), count, names, preprocessing, name, sha256, describe })
    }

    fn checkpoint(&self, path: &Path) -> Result<Subject> {
        for (option, is_given) in [
            ("--input", self.input.is_some()),
            ("--layout", self.layout.is_some()),
            ("--output-name", self.output_name.is_some()),
        ] {
            ensure!(!is_given, "{option} is for ONNX files and weights of others, and {} is a checkpoint", path.display());
        }
        let Trained { header, run, model, seed, .. } = Trained::<Classify>::read(&Saved::at(path))?;
        ensure!(
            run.adapt.is_none(),
            "{}: its row adapts to test images, which evaluate does; networks are measured as they are here",
            path.display()
        );
        let (count, preprocessing) = (header.classes.len(), run.settings.preprocessing);
        let (name, sha256) = (format!("{}, seed {seed}", run.name), header.sha256);
        let describe = format!("{name}: {}, trained on {}", run.backbone, run.train);
        Ok(Subject { network: model, count, names: Some(header.classes), preprocessing, name, sha256, describe })
    }
}

impl Subject {
    /// The images with labels that count the model's classes; and the names of these.
    ///
    /// # Errors
    /// If their classes are not the model's, or it is not known which are.
    pub(super) fn fits(&self, images: Arc<dyn Images>) -> Result<(Arc<dyn Images>, Vec<String>)> {
        let own = images.classes().to_vec();
        match &self.names {
            Some(names) if *names == own => Ok((images, own)),
            Some(names) => Ok((Arc::new(Relabelled::new(images, names)?), names.clone())),
            None => {
                ensure!(
                    own.len() == self.count,
                    "{} answers with {} classes, and the images have {}: give --class-names, a file with the {0} names of its outputs in \
                     their order, one a line",
                    self.name,
                    self.count,
                    own.len()
                );
                Ok((images, own))
            }
        }
    }

    /// What is taken for granted.
    pub(super) fn note(&self) -> Option<String> {
        self.names
            .is_none()
            .then(|| "class names: those of the folders, sorted, taken for the order of the model's outputs".to_string())
    }
}

/// Whether a file begins as those of safetensors do: 8 bytes of a length, and a brace.
fn is_safetensors(path: &Path) -> Result<bool> {
    let (mut start, mut file) = (Vec::new(), File::open(path).with_context(|| path.display().to_string())?);
    file.by_ref().take(9).read_to_end(&mut start).with_context(|| path.display().to_string())?;
    Ok(start.get(8) == Some(&b'{'))
}
