//! What several commands share: what a run asks of its texts, its vocabulary and its network.

use crate::backbone;
use crate::dataset::{self, Texts};
use crate::{Vectors, Vocabulary, VocabularyConfig};
use anyhow::{Context, Result, ensure};
use candle_core::{DType, Device, Tensor};
use serde::Deserialize;
use serde_json::Value;
use sncn_core::checkpoint::Checkpoint;
use sncn_core::harness::Run;
use sncn_core::harness::saved::{self, Saved};
use sncn_core::{Network, Seed, Source, Vars};
use std::path::{Path, PathBuf};

/// The task of the tables that these commands take.
pub const TASK: &str = "sentiment";

/// The file of a run's vocabulary, beside its checkpoints.
pub const VOCABULARY: &str = "tokenizer.json";

/// How texts become token ids (`input` of a run).
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Input {
    /// Where the vocabulary comes from.
    pub vocabulary: VocabularyConfig,
    /// The most tokens of a text; the rest is cut off.
    pub longest: usize,
    /// A file of word vectors in GloVe's or word2vec's text format, which the word vectors of a ConvNet begin with; below the data
    /// folder where the path is relative.
    #[serde(default)]
    pub vectors: Option<PathBuf>,
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

/// The training texts of a run.
///
/// # Errors
/// Where they are missing or damaged.
pub fn training(run: &Run, source: &Source) -> Result<Texts> {
    Ok(dataset::training(&run.train, source)?.first(run.train_limit))
}

/// A trained network with what it was trained by.
pub struct Trained {
    /// Its checkpoint.
    pub checkpoint: Checkpoint,
    /// Its run.
    pub run: Run,
    /// The seed.
    pub seed: u64,
    /// How its texts become token ids.
    pub input: Input,
    /// The vocabulary beside the checkpoint.
    pub vocabulary: Vocabulary,
    /// With the checkpoint's weights.
    pub network: Box<dyn Network>,
}

/// Opens what was trained.
///
/// # Errors
/// Where the checkpoint or the vocabulary beside it is missing, damaged, or does not fit.
pub fn trained(saved: &Saved) -> Result<Trained> {
    let checkpoint = saved.read()?;
    let (run, seed) = saved::run_of(&checkpoint)?;
    let (input, _) = settings(&run)?;
    let path = saved.folder().unwrap_or(Path::new(".")).join(VOCABULARY);
    let vocabulary = Vocabulary::read(&path).with_context(|| format!("{VOCABULARY} belongs beside the checkpoint"))?;
    let (network, vars) = network(&run, &input, &vocabulary, checkpoint.header.classes.len(), seed)?;
    checkpoint.load_weights(&vars)?;
    Ok(Trained { checkpoint, run, seed, input, vocabulary, network })
}

/// Puts the run's word vectors, if it has some, in the place of initial ones; says how many were found.
///
/// # Errors
/// Where the file does not fit, or the network has no word vectors of that width.
pub fn with_vectors(input: &Input, vocabulary: &Vocabulary, vars: &Vars, source: &Source) -> Result<Option<String>> {
    let Some(path) = &input.vectors else { return Ok(None) };
    let path = if path.is_absolute() { path.clone() } else { source.folder("word vectors")?.join(path) };
    let vectors = Vectors::read(&path, vocabulary)?;
    let all = vars.all();
    let table = all.iter().find(|(name, _)| name == "embedding.weight").map(|(_, table)| table);
    let table = table.with_context(|| format!("input.vectors: only a convnet begins with word vectors ({})", path.display()))?;
    let mut rows: Vec<Vec<f32>> = table.to_vec2()?;
    let width = rows.first().map_or(0, Vec::len);
    ensure!(width == vectors.width, "{}: vectors of {} values for a network of {width} channels", path.display(), vectors.width);
    vectors.of.iter().for_each(|(&id, values)| rows[id as usize].clone_from(values));
    table.set(&Tensor::new(rows, &Device::Cpu)?)?;
    Ok(Some(format!(
        "{}: {} words of the vocabulary have vectors, {} have not",
        path.display(),
        vectors.of.len(),
        vectors.missing
    )))
}

/// The network of a run with fresh variables.
///
/// # Errors
/// Where the backbone or a layer does not fit.
pub fn network(run: &Run, input: &Input, vocabulary: &Vocabulary, classes: usize, seed: u64) -> Result<(Box<dyn Network>, Vars)> {
    let vars = Vars::new(Seed::new(seed), DType::F32, &Device::Cpu);
    let blueprint = backbone::Blueprint {
        classes,
        layers: &run.layers,
        vars: &vars,
        words: vocabulary.len(),
        pad: vocabulary.pad(),
        longest: input.longest,
    };
    let network = backbone::build(&run.backbone, &blueprint).with_context(|| format!("run {:?}", run.name))?;
    run.check_mixing(&*network)?;
    Ok((network, vars))
}
