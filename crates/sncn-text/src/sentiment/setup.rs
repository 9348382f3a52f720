//! What several commands share: what a run asks of its texts, its vocabulary and its network.

use crate::backbone::{self, Encoder, Head, TextNetwork};
use crate::dataset::{self, Texts};
use crate::glove::GloveConfig;
use crate::pretrained::{self, CONFIG, Pretrained};
use crate::{Vocabulary, VocabularyConfig};
use anyhow::{Context, Result, ensure};
use candle_core::{DType, Device};
use serde::Deserialize;
use serde_json::{Value, json};
use sncn_core::{Seed, Vars};
use sncn_train::DataDir;
use sncn_train::checkpoint::Header;
use sncn_train::harness::Run;
use sncn_train::harness::saved::{self, Saved};
use std::path::{Path, PathBuf};

/// The task of the tables that these commands take.
pub const TASK: &str = "sentiment";

/// The file of a run's vocabulary, beside its checkpoints.
pub const VOCABULARY: &str = "tokenizer.json";

/// The backbone that is read from a folder in Hugging Face's layout.
pub const PRETRAINED: &str = "pretrained";

/// How texts become token ids, and where the network begins (`input` of a run).
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Input {
    /// Where the vocabulary comes from; absent: from the folder of the pre-trained encoder.
    #[serde(default)]
    pub vocabulary: Option<VocabularyConfig>,
    /// The most tokens of a text; the rest is cut off.
    pub longest: usize,
    /// What the word vectors of a ConvNet begin with; absent: random ones.
    #[serde(default)]
    pub vectors: Option<VectorsConfig>,
    /// The folder of a pre-trained encoder in Hugging Face's layout; below the data folder where the path is relative.
    #[serde(default)]
    pub pretrained: Option<PathBuf>,
}

/// Where word vectors come from.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum VectorsConfig {
    /// A file in GloVe's or word2vec's text format.
    File {
        /// Where; below the data folder where the path is relative.
        path: PathBuf,
    },
    /// Learnt from the training texts by GloVe.
    Glove(GloveConfig),
}

/// How training texts are changed (`augment` of a run).
#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Augment {
    /// A share of the words becomes the unknown token (Iyyer et al. 2015).
    WordDropout {
        /// The share.
        rate: f64,
    },
}

/// The settings of a run that only this task knows.
///
/// # Errors
/// Where one is unknown or out of range.
pub fn settings(run: &Run) -> Result<(Input, Option<Augment>)> {
    let named = || format!("run {:?}", run.name);
    ensure!(run.evaluate.is_null(), "{}: evaluate is set; sentiment has no such settings: take it away", named());
    ensure!(!run.input.is_null(), "{}: input is missing; {{\"vocabulary\": …, \"longest\": …}} is wanted", named());
    let input: Input = serde_path_to_error::deserialize(run.input.clone()).with_context(|| format!("{}: input", named()))?;
    let is_pretrained = run.backbone == PRETRAINED;
    ensure!(
        is_pretrained == input.pretrained.is_some(),
        "{}: input.pretrained (a folder) and backbone {PRETRAINED:?} go together; backbone is {:?}",
        named(),
        run.backbone
    );
    ensure!(
        is_pretrained || input.vocabulary.is_some(),
        "{}: input.vocabulary is missing; {{\"kind\": \"words\" or \"pieces\", \"size\": …}} or {{\"kind\": \"file\", \"path\": …}} is wanted",
        named()
    );
    ensure!(input.longest > 2, "{}: input.longest is {}; more than 2 is accepted", named(), input.longest);
    let augment = match &run.augment {
        Value::Null | Value::Bool(false) => None,
        settings => Some(serde_path_to_error::deserialize(settings.clone()).with_context(|| format!("{}: augment", named()))?),
    };
    if let Some(Augment::WordDropout { rate }) = augment {
        ensure!((0. ..1.).contains(&rate), "{}: augment.rate is {rate}; 0 or more and less than 1 is accepted", named());
    }
    ensure!(run.objective.views() == 1, "{}: the objective takes several views of an example; texts have one", named());
    Ok((input, augment))
}

/// The training texts of a run, and those held out of them.
///
/// # Errors
/// Where they are missing or damaged.
pub fn training(run: &Run, source: &DataDir) -> Result<(Texts, Texts)> {
    let (train, held) = dataset::split(&run.train, source)?;
    Ok((train.first(run.train_limit), held.first(run.test_limit)))
}

/// What a network is built from beside its run, and kept beside its checkpoints.
pub struct Parts {
    /// Texts to token ids.
    pub vocabulary: Vocabulary,
    /// The folder whose encoder this is, if it is one.
    pub pretrained: Option<Pretrained>,
}

impl Parts {
    /// Those that a run keeps in `folder`.
    ///
    /// # Errors
    /// Where one is missing or damaged.
    pub fn kept(run: &Run, folder: &Path) -> Result<Self> {
        let vocabulary =
            Vocabulary::read(&folder.join(VOCABULARY)).with_context(|| format!("{VOCABULARY} belongs beside the checkpoint"))?;
        let pretrained = if run.backbone == PRETRAINED {
            Some(Pretrained::open(folder).with_context(|| format!("{CONFIG} belongs beside the checkpoint"))?)
        } else {
            None
        };
        Ok(Self { vocabulary, pretrained })
    }

    /// The network of a run with fresh variables.
    ///
    /// # Errors
    /// Where the backbone or a layer does not fit.
    pub fn network(&self, run: &Run, input: &Input, classes: usize, seed: u64) -> Result<(Box<dyn TextNetwork>, Vars)> {
        let vars = Vars::new(Seed::new(seed), DType::F32, &Device::Cpu);
        let named = || format!("run {:?}", run.name);
        let network: Box<dyn TextNetwork> = if let Some(Pretrained { config, .. }) = &self.pretrained {
            ensure!(
                input.longest <= config.longest(),
                "{}: input.longest is {}; this encoder takes {} tokens",
                named(),
                input.longest,
                config.longest()
            );
            Box::new(Encoder::new(config, classes, Head::Pooler, &run.layers, &vars).with_context(named)?)
        } else {
            let blueprint = backbone::Blueprint {
                classes,
                layers: (&run.layers).into(),
                vars: &vars,
                words: self.vocabulary.len(),
                pad: self.vocabulary.pad(),
                longest: input.longest,
            };
            backbone::build(&run.backbone, &blueprint).with_context(named)?
        };
        run.check_mixing(&*network)?;
        Ok((network, vars))
    }
}

/// A trained network with what it was trained by.
pub struct Trained {
    /// What its checkpoint says of itself.
    pub header: Header,
    /// Its run.
    pub run: Run,
    /// The seed.
    pub seed: u64,
    /// How its texts become token ids.
    pub input: Input,
    /// The vocabulary beside the checkpoint.
    pub vocabulary: Vocabulary,
    /// With the checkpoint's weights.
    pub network: Box<dyn TextNetwork>,
}

/// Opens what was trained: here, or elsewhere and laid out as Hugging Face does.
///
/// # Errors
/// Where the checkpoint or what belongs beside it is missing, damaged, or does not fit.
pub fn trained(saved: &Saved) -> Result<Trained> {
    let folder = saved.folder().unwrap_or(Path::new("."));
    if saved.is_empty()? && pretrained::is_pretrained(folder) {
        return published(folder);
    }
    let checkpoint = saved.read()?;
    let (run, seed) = saved::run_of(&checkpoint)?;
    let (input, _) = settings(&run)?;
    let parts = Parts::kept(&run, folder)?;
    let (network, vars) = parts.network(&run, &input, checkpoint.header.classes.len(), seed)?;
    checkpoint.load_weights(&vars)?;
    Ok(Trained { header: checkpoint.header, run, seed, input, vocabulary: parts.vocabulary, network })
}

/// An encoder with its classifier, trained elsewhere.
fn published(folder: &Path) -> Result<Trained> {
    let pretrained = Pretrained::open(folder)?;
    let classes = pretrained.classes.clone();
    ensure!(
        classes.len() > 1,
        "{}: id2label names {} classes; at least 2 are wanted",
        folder.join(CONFIG).display(),
        classes.len()
    );
    // how the weights were trained is not known: what a run must say of it stands for nothing
    let run = Run::read(json!({
        "name": folder.display().to_string(), "train": "reviews", "test": ["reviews-films"], "backbone": PRETRAINED, "epochs": 1,
        "batch_size": 1, "lr": 1e-5, "optimizer": {"kind": "adam", "betas": [0.9, 0.999], "eps": 1e-8, "weight_decay": 0.0},
        "schedule": {"kind": "constant"}, "objective": {"kind": "plain"},
        "input": {"longest": pretrained.config.longest(), "pretrained": folder}
    }))?;
    let (input, _) = settings(&run)?;
    let header = saved::foreign(&run, classes)?;
    let parts = Parts { vocabulary: pretrained.vocabulary()?, pretrained: Some(pretrained) };
    let (network, vars) = parts.network(&run, &input, header.classes.len(), 0)?;
    parts.pretrained.as_ref().map_or(Ok(()), |pretrained| pretrained.load_whole(&vars))?;
    Ok(Trained { header, run, seed: 0, input, vocabulary: parts.vocabulary, network })
}

/// The path of a run's own file, below the data folder where it is relative.
///
/// # Errors
/// Where it is relative and there is no data folder.
pub fn located(path: &Path, what: &str, source: &DataDir) -> Result<PathBuf> {
    Ok(if path.is_absolute() { path.to_path_buf() } else { source.folder(what)?.join(path) })
}
