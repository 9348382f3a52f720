//! What several commands share: the task and its settings, some of a set's images, and the network of a run.

use crate::augment::Augment;
use crate::backbone::{self, Blueprint};
use crate::dataset::subset::Subset;
use crate::dataset::{Images, Parts, Splits};
use crate::examples::Corrupt;
use crate::preprocess::Preprocessing;
use crate::restyle::Restyle;
use anyhow::{Context, Result};
use candle_core::{DType, Device};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sncn_core::{Layers, Network, Seed, Vars};
use sncn_train::harness::{Run, settings};
use std::sync::Arc;

/// Image classification.
#[derive(Debug)]
pub struct Classify;

/// What a row says of images.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// How images become inputs.
    pub preprocessing: Preprocessing,
    /// How training images are augmented, if they are.
    pub augment: Option<Augment>,
    /// How they are restyled before that, if they are.
    pub restyle: Option<Restyle>,
    /// Which parts of a folder are for what.
    pub parts: Parts,
    /// How test images are corrupted.
    pub evaluation: Evaluation,
}

/// Reads the key `augment` of a row. Of kind `style` it says how images are restyled, and with `then` how they are augmented after that.
///
/// # Errors
/// Names the key that does not fit, and what is accepted.
pub(super) fn augmentation(value: &Value) -> Result<(Option<Augment>, Option<Restyle>)> {
    let read = |key: &str, value: &Value| -> Result<Option<Augment>> {
        let augment: Option<Augment> = settings::optional(key, value, Some(Augment::default()))?;
        augment.as_ref().map_or(Ok(()), Augment::check)?;
        Ok(augment)
    };
    let Some(keys) = value.as_object().filter(|keys| keys.get("kind").is_some_and(|kind| kind == STYLE)) else {
        return Ok((read("augment", value)?, None));
    };
    let mut keys = keys.clone();
    let then = keys.remove("then").unwrap_or(Value::Bool(true));
    keys.remove("kind");
    let restyle: Option<Restyle> = settings::optional("augment", &Value::Object(keys), None)?;
    restyle.as_ref().map_or(Ok(()), |restyle| restyle.check("augment"))?;
    Ok((read("augment.then", &then)?, restyle))
}

/// The kind of augmentation that restyles images.
const STYLE: &str = "style";

/// How test images are corrupted: the key `evaluate` of a row.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Evaluation {
    /// Before or after they are brought to the network's size.
    #[serde(default)]
    pub corrupt: Corrupt,
    /// Severities, 1 to 5.
    #[serde(default = "Evaluation::all")]
    pub severities: Vec<usize>,
}

impl Default for Evaluation {
    fn default() -> Self {
        Self { corrupt: Corrupt::default(), severities: Self::all() }
    }
}

impl Evaluation {
    fn all() -> Vec<usize> {
        (1..=5).collect()
    }

    /// Reads the key `evaluate` of a row; absent: the benchmark's own.
    ///
    /// # Errors
    /// Names the key that does not fit, and what is accepted.
    pub fn read(value: &Value) -> Result<Self> {
        let read: Self = settings::optional("evaluate", value, Some(Self::default()))?.unwrap_or_default();
        let mut known = read.severities.clone();
        known.sort_unstable();
        known.dedup();
        anyhow::ensure!(
            !known.is_empty() && known.len() == read.severities.len() && known.iter().all(|one| (1..=5).contains(one)),
            "evaluate.severities is {:?}; some of 1 to 5 are accepted, each once",
            read.severities
        );
        Ok(read)
    }
}

/// Networks whose stems are for images of 32 pixels, by the beginnings of their names.
const FOR_CIFAR: [&str; 5] = ["wrn", "resnext", "densenet", "allconv", "cifar_"];

/// Whether a network is one for images of 32 pixels.
pub(super) fn is_for_cifar(network: &str) -> bool {
    FOR_CIFAR.iter().any(|start| network.starts_with(start))
}

/// The name of the preprocessing that is usual for a network.
pub(super) fn usual_input(network: &str) -> &'static str {
    match network {
        small if is_for_cifar(small) => "cifar",
        lite if lite.starts_with("efficientnet") => "efficientnet-lite",
        _ => "imagenet",
    }
}

/// The first `limit` images.
pub(super) fn limited(images: &Arc<dyn Images>, limit: Option<usize>) -> Arc<dyn Images> {
    match limit {
        Some(limit) if limit < images.len() => Arc::new(Subset::first(images.clone(), limit)),
        _ => images.clone(),
    }
}

/// What a run leaves out of training, to choose on: what the data set keeps for that, or what `limit` leaves.
pub(super) fn left_out(splits: &Splits, limit: Option<usize>) -> Option<Arc<dyn Images>> {
    splits.validation.clone().or_else(|| {
        let (train, limit) = (splits.train.as_ref()?, limit?);
        (limit < train.len()).then(|| Arc::new(Subset::after(train.clone(), limit)) as _)
    })
}

/// The network of a run with fresh variables.
///
/// # Errors
/// If the backbone or a layer is unknown, or mixing is asked for without a layer that mixes.
pub(super) fn network(run: &Run<Settings>, classes: usize, seed: u64) -> Result<(Box<dyn Network>, Vars)> {
    let vars = Vars::new(Seed::new(seed), DType::F32, &Device::Cpu);
    let network = build(run, classes, run.attached(), &vars)?;
    run.check_mixing(&*network)?;
    Ok((network, vars))
}

/// The variables of a run's network without attached layers.
///
/// # Errors
/// If the backbone is unknown.
pub(super) fn plain(run: &Run<Settings>, classes: usize) -> Result<Vars> {
    let vars = Vars::new(Seed::new(0), DType::F32, &Device::Cpu);
    build(run, classes, run.attached().of(&[]), &vars)?;
    Ok(vars)
}

fn build(run: &Run<Settings>, classes: usize, layers: Layers<'_>, vars: &Vars) -> Result<Box<dyn Network>> {
    backbone::build(&run.backbone, &Blueprint { classes, layers, vars }).with_context(|| format!("run {:?}", run.name))
}
