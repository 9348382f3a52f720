//! The task, its settings and its model: what its commands share.

use super::scoring::{Protocol, Scorer};
use super::transform::Transform;
use crate::backbone::{Blueprint, segment};
use anyhow::{Context, Result};
use candle_core::{DType, Device};
use sncn_core::{Layers, Network, Pass, Seed, Vars};
use sncn_train::harness::Run;

/// Semantic segmentation.
#[derive(Debug)]
pub struct Segment;

/// How training images are changed, and how test images are evaluated.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// Changes of image and labels together; absent: none.
    pub transform: Option<Transform>,
    /// Whole images or sliding windows.
    pub protocol: Protocol,
}

/// A network that labels pixels.
pub struct Model {
    pub(super) network: Box<dyn Network>,
    pub(super) protocol: Protocol,
}

impl Model {
    /// What labels pixels by this model, in this pass.
    pub(super) fn scorer(&self, classes: usize, pass: Pass) -> Scorer<'_> {
        Scorer { network: &*self.network, classes, protocol: self.protocol.clone(), pass: pass.keeping_weights() }
    }
}

/// The model of a run with fresh variables.
///
/// # Errors
/// If the network or a layer is unknown, or mixing is asked for without a layer that mixes.
pub(super) fn network(run: &Run<Settings>, classes: usize, seed: u64) -> Result<(Model, Vars)> {
    let vars = Vars::new(Seed::new(seed), DType::F32, &Device::Cpu);
    let network = build(run, classes, run.attached(), &vars)?;
    run.check_mixing(&*network)?;
    Ok((Model { network, protocol: run.settings.protocol.clone() }, vars))
}

/// The variables of a run's network without attached layers.
///
/// # Errors
/// If the network is unknown.
pub(super) fn plain(run: &Run<Settings>, classes: usize) -> Result<Vars> {
    let vars = Vars::new(Seed::new(0), DType::F32, &Device::Cpu);
    build(run, classes, run.attached().of(&[]), &vars)?;
    Ok(vars)
}

fn build(run: &Run<Settings>, classes: usize, layers: Layers<'_>, vars: &Vars) -> Result<Box<dyn Network>> {
    segment::build(&run.backbone, &Blueprint { classes, layers, vars }).with_context(|| format!("run {:?}", run.name))
}
