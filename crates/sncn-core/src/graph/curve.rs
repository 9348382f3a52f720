//! Curves, the rectifier and GELU: pending until the map is read.

use super::map::{Activation, Map, View};
use super::{FeatureMap, Form, Graph};
use crate::layer::BatchNorm;
use crate::ops;
use crate::pass::Pass;
use candle_core::{Result, Tensor, bail};
use sncn_kernels::rows::Curve;
use std::sync::Arc;

impl FeatureMap {
    /// BatchNorm and rectifier.
    ///
    /// # Errors
    /// As [`BatchNorm`].
    pub fn norm_relu(&self, norm: &BatchNorm, pass: &Pass) -> Result<Self> {
        match &self.0 {
            Form::Tensor(..) => self.on_tensor(|xs| norm.norm(xs, true, pass)),
            _ => self.norm(norm, pass)?.relu(),
        }
    }

    /// The rectifier, applied by whoever reads the map.
    ///
    /// # Errors
    /// Where a tensor cannot be made.
    pub fn relu(&self) -> Result<Self> {
        self.bent(Curve::Relu, ops::relu)
    }

    /// x·σ(1.702·x), applied by whoever reads the map.
    ///
    /// # Errors
    /// Where a tensor cannot be made.
    pub fn gelu(&self) -> Result<Self> {
        self.bent(Curve::Gelu, ops::gelu_sigmoid)
    }

    fn bent(&self, curve: Curve, plain: impl FnOnce(&Tensor) -> Result<Tensor>) -> Result<Self> {
        match &self.settled()?.0 {
            Form::Tensor(xs, precision) => Ok(Self(Form::Tensor(plain(xs)?, *precision))),
            Form::Map(graph, map) => Ok(Self(Form::Activation(graph.clone(), bent(graph, map, curve)))),
            Form::Activation(..) => bail!("an activation was not settled"),
        }
    }
}

/// The map, bent by whoever reads it.
fn bent(graph: &Graph, map: &Map, curve: Curve) -> Activation {
    let entries = map.dims.0 * map.dims.3;
    let identity = || Arc::new(View { scale: vec![1.; entries], shift: vec![0.; entries] });
    let tables = map.view.clone().unwrap_or_else(identity);
    let (slot, to) = (graph.slot(), map.slot);
    graph.record(move |gradients| {
        let sums = gradients.sums[slot].take();
        if let Some(gradient) = gradients.take(slot) {
            gradients.give_summed(to, gradient, sums);
        }
    });
    Activation { map: map.clone(), slot, tables, curve }
}
