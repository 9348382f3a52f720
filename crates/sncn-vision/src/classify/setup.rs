//! What several commands share: opening data, building the network, checking what a run asks for.

use crate::augment::Augment;
use crate::backbone::{self, Blueprint};
use crate::dataset::{self, Images, Splits};
use anyhow::{Context, Result, ensure};
use candle_core::{DType, Device};
use serde_json::Value;
use sncn_core::{Network, Seed, Vars};
use sncn_train::harness::{Run, cli};
use std::path::Path;
use std::sync::Arc;

/// The task of the tables that these commands take.
pub const TASK: &str = "classify";

/// Opens a data set by name.
///
/// # Errors
/// Where the name is unknown, or its files are missing or damaged.
pub fn open(name: &str, data_dir: Option<&Path>) -> Result<Splits> {
    dataset::open(name, &cli::source(data_dir))
}

/// The first `limit` images.
pub fn limited(images: &Arc<dyn Images>, limit: Option<usize>) -> Arc<dyn Images> {
    match limit {
        Some(limit) if limit < images.len() => Arc::new(dataset::subset::Subset::first(images.clone(), limit)),
        _ => images.clone(),
    }
}

/// The network of a run with fresh variables.
///
/// # Errors
/// Where the backbone or a layer does not fit.
pub fn network(run: &Run, classes: usize, seed: u64) -> Result<(Box<dyn Network>, Vars)> {
    let vars = Vars::new(Seed::new(seed), DType::F32, &Device::Cpu);
    let network = backbone::build(&run.backbone, &Blueprint { classes, layers: (&run.layers).into(), vars: &vars })
        .with_context(|| format!("run {:?}", run.name))?;
    run.check_mixing(&*network)?;
    Ok((network, vars))
}

/// How the training images of a run are augmented, if they are.
///
/// # Errors
/// Where a setting is unknown or out of range, or the objective wants another number of views.
pub fn augment(run: &Run) -> Result<Option<Augment>> {
    ensure!(run.evaluate.is_null(), "run {:?}: evaluate is set; classification has no such settings: take it away", run.name);
    let augment = match &run.augment {
        Value::Null | Value::Bool(false) => None,
        Value::Bool(true) => Some(Augment::default()),
        settings => Some(serde_path_to_error::deserialize(settings.clone()).context("augment")?),
    };
    augment.as_ref().map_or(Ok(()), Augment::check)?;
    let (views, wanted) = (augment.as_ref().map_or(1, Augment::views), run.objective.views());
    ensure!(
        views == wanted,
        "run {:?}: its objective takes {wanted} view(s) of an image, augment gives {views}; \
        objective and augment of kind \"augmix\" (3 views) go together",
        run.name
    );
    Ok(augment)
}
