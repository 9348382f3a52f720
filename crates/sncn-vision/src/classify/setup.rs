//! What several commands share: the task and its settings, some of a set's images, and the network of a run.

use crate::augment::Augment;
use crate::backbone::{self, Blueprint};
use crate::dataset::Images;
use crate::dataset::subset::Subset;
use anyhow::{Context, Result};
use candle_core::{DType, Device};
use sncn_core::{Network, Seed, Vars};
use sncn_train::harness::Run;
use std::sync::Arc;

/// Image classification.
#[derive(Debug)]
pub struct Classify;

/// How training images are augmented, if they are.
pub type Settings = Option<Augment>;

/// The first `limit` images.
pub(super) fn limited(images: &Arc<dyn Images>, limit: Option<usize>) -> Arc<dyn Images> {
    match limit {
        Some(limit) if limit < images.len() => Arc::new(Subset::first(images.clone(), limit)),
        _ => images.clone(),
    }
}

/// The network of a run with fresh variables.
///
/// # Errors
/// If the backbone or a layer is unknown, or mixing is asked for without a layer that mixes.
pub(super) fn network(run: &Run<Settings>, classes: usize, seed: u64) -> Result<(Box<dyn Network>, Vars)> {
    let vars = Vars::new(Seed::new(seed), DType::F32, &Device::Cpu);
    let network = backbone::build(&run.backbone, &Blueprint { classes, layers: (&run.layers).into(), vars: &vars })
        .with_context(|| format!("run {:?}", run.name))?;
    run.check_mixing(&*network)?;
    Ok((network, vars))
}
