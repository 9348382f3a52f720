//! What a run asks of its texts, its vocabulary and its network.

use super::model::{Model, Sentiment};
use crate::backbone::{self, Encoder, Head, TextNetwork};
use crate::glove::GloveConfig;
use crate::pretrained::{CONFIG, Pretrained};
use crate::shift::SEVERITIES;
use crate::{Vocabulary, VocabularyConfig};
use anyhow::{Context, Result, ensure};
use candle_core::{DType, Device};
use serde::Deserialize;
use serde_json::json;
use sncn_core::{Seed, Vars};
use sncn_record::task::SENTIMENT;
use sncn_train::DataDir;
use sncn_train::harness::{Empty, Run, Trained, saved, settings, table};
use sncn_train::objective::Objective;
use std::path::{Path, PathBuf};

/// The file of a run's vocabulary, beside its checkpoints.
pub(super) const VOCABULARY: &str = "tokenizer.json";

/// The backbone that is read from a folder in Hugging Face's layout.
pub(super) const PRETRAINED: &str = "pretrained";

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
    /// The folder of a pre-trained encoder in Hugging Face's layout; looked for below the data folder too where the path is relative.
    #[serde(default)]
    pub pretrained: Option<PathBuf>,
}

/// Where word vectors come from.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum VectorsConfig {
    /// A file in GloVe's or word2vec's text format.
    File {
        /// Where; looked for below the data folder too where the path is relative.
        path: PathBuf,
    },
    /// Learnt from the training texts by GloVe.
    Glove(GloveConfig),
}

/// How training texts are changed (`augment` of a run).
#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Augment {
    /// A fraction of the words becomes the unknown token (Iyyer et al. 2015).
    WordDropout {
        /// The fraction.
        rate: f64,
    },
    /// Two views for the objective `fixmatch`: the text with word dropout, and the text after two shifts that are drawn.
    Fixmatch {
        /// The fraction of the words of the first that becomes the unknown token.
        #[serde(default = "tenth")]
        rate: f64,
        /// The severity of the second's shifts, 1 to 5.
        #[serde(default = "middle")]
        severity: usize,
    },
}

const fn tenth() -> f64 {
    0.1
}

const fn middle() -> usize {
    3
}

impl Augment {
    /// The number of views that it makes of a text.
    const fn views(self) -> usize {
        if matches!(self, Self::Fixmatch { .. }) { 2 } else { 1 }
    }
}

/// The settings of a run that only this task knows.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// How texts become token ids.
    pub input: Input,
    /// How training texts are changed, if they are.
    pub augment: Option<Augment>,
}

impl Settings {
    /// Reads those of a row.
    ///
    /// # Errors
    /// Names the key that does not fit, that is missing, or that does not go with another.
    pub(super) fn read(run: &Run<Empty>) -> Result<Self> {
        settings::unused("evaluate", &run.evaluate, &SENTIMENT)?;
        settings::no_parts(run, &SENTIMENT)?;
        settings::no_weights(run, &SENTIMENT).context("texts begin with input.pretrained or input.vectors")?;
        let input: Option<Input> = settings::optional("input", &run.input, None)?;
        let input = input.context("input is missing; {\"vocabulary\": …, \"longest\": …} is wanted")?;
        let is_pretrained = run.backbone == PRETRAINED;
        ensure!(
            is_pretrained == input.pretrained.is_some(),
            "input.pretrained (a folder) and backbone {PRETRAINED:?} go together; backbone is {:?}",
            run.backbone
        );
        ensure!(
            is_pretrained || input.vocabulary.is_some(),
            "input.vocabulary is missing; {{\"kind\": \"words\" or \"pieces\", \"size\": …}} or {{\"kind\": \"file\", \"path\": …}} is wanted"
        );
        ensure!(
            run.norm.is_none() || !run.backbone.starts_with("convnet"),
            "norm is set, and the backbone {:?} has no norms: take the key away",
            run.backbone
        );
        ensure!(input.longest > 2, "input.longest is {}; more than 2 is accepted", input.longest);
        let augment = settings::optional("augment", &run.augment, None)?;
        if let Some(Augment::WordDropout { rate } | Augment::Fixmatch { rate, .. }) = augment {
            ensure!((0. ..1.).contains(&rate), "augment.rate is {rate}; 0 or more and less than 1 is accepted");
        }
        ensure!(
            matches!(run.objective, Objective::Plain {} | Objective::Consistency { .. } | Objective::Fixmatch(_)),
            "the objective works on images; \"plain\", \"consistency\" and \"fixmatch\" are accepted for texts"
        );
        if let Some(Augment::Fixmatch { severity, .. }) = augment {
            ensure!((1..=SEVERITIES).contains(&severity), "augment.severity is {severity}; 1 to {SEVERITIES} is accepted");
        }
        let (views, wanted) = (augment.map_or(1, Augment::views), run.objective.views());
        ensure!(
            views == wanted,
            "the objective takes {wanted} view(s) of a text, augment gives {views}; objective and augment of kind \"fixmatch\" go together"
        );
        Ok(Self { input, augment })
    }
}

/// What a network is built from beside its run, and kept beside its checkpoints.
pub(super) struct Parts {
    /// Texts to token ids.
    pub(super) vocabulary: Vocabulary,
    /// The folder whose encoder this is, if it is one.
    pub(super) pretrained: Option<Pretrained>,
}

impl Parts {
    /// Those that a run keeps in `folder`.
    ///
    /// # Errors
    /// If one is missing or damaged.
    pub(super) fn kept(run: &Run<Settings>, folder: &Path) -> Result<Self> {
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
    /// If the backbone or a layer does not fit.
    pub(super) fn network(&self, run: &Run<Settings>, classes: usize, seed: u64) -> Result<(Box<dyn TextNetwork>, Vars)> {
        let input = &run.settings.input;
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
            Box::new(Encoder::new(config, classes, Head::Pooler, run.attached(), &vars).with_context(named)?)
        } else {
            let blueprint = backbone::Blueprint {
                classes,
                layers: run.attached(),
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

/// An encoder with its classifier that lies in a folder of Hugging Face's layout.
pub(super) fn published(folder: &Path) -> Result<Trained<Sentiment>> {
    let pretrained = Pretrained::open(folder)?;
    let classes = pretrained.classes.clone();
    ensure!(
        classes.len() > 1,
        "{}: id2label names {} class(es); at least 2 are wanted (a network with one output gives a score, no class)",
        folder.join(CONFIG).display(),
        classes.len()
    );
    let (vocabulary, longest) = pretrained.vocabulary()?;
    let is_multi_label = pretrained.is_multi_label;
    // how the weights were trained is not known: the run's training settings are placeholders that nothing reads
    let run = table::read::<Sentiment>(json!({
        "name": folder.display().to_string(), "train": "reviews", "test": ["reviews-films"], "backbone": PRETRAINED, "epochs": 1,
        "batch_size": 1, "lr": 1e-5, "optimizer": {"kind": "adam", "betas": [0.9, 0.999], "eps": 1e-8, "weight_decay": 0.0},
        "schedule": {"kind": "constant"}, "objective": {"kind": "plain"},
        "input": {"longest": longest, "pretrained": folder}
    }))?;
    let header = saved::foreign::<Sentiment>(&run, classes)?;
    let parts = Parts { vocabulary, pretrained: Some(pretrained) };
    let (network, vars) = parts.network(&run, header.classes.len(), 0)?;
    parts.pretrained.as_ref().map_or(Ok(()), |pretrained| pretrained.load_whole(&vars))?;
    let model = Model { network, vocabulary: parts.vocabulary, longest, is_multi_label };
    Ok(Trained { header, run, seed: 0, model, vars })
}

/// The path of a run's own file or folder: as it is, or else below the data folder.
///
/// # Errors
/// If it does not exist, is relative, and there is no data folder.
pub(super) fn located(path: &Path, what: &str, data_dir: &DataDir) -> Result<PathBuf> {
    if path.is_absolute() || path.exists() {
        return Ok(path.to_path_buf());
    }
    Ok(data_dir.folder(what).with_context(|| format!("{}: no such file or folder here", path.display()))?.join(path))
}
