//! Curves, the rectifier and GELU: pending until the map is read.

use super::feature_map::{FeatureMap, Form};
use super::map::{Activation, Map, View};
use super::recording::Recording;
use crate::ops;
use candle_core::{Result, Tensor, bail};
use sncn_kernels::rows::Curve;
use std::sync::Arc;

impl FeatureMap {
    /// The rectifier, applied by whoever reads the map.
    ///
    /// # Errors
    /// Where a tensor cannot be made.
    pub fn relu(&self) -> Result<Self> {
        self.bent(Curve::Relu, ops::relu)
    }

    /// x·σ(1.702·x), the logistic approximation of GELU, applied by whoever reads the map.
    ///
    /// # Errors
    /// Where a tensor cannot be made.
    pub fn gelu_sigmoid(&self) -> Result<Self> {
        self.bent(Curve::Gelu, ops::gelu_sigmoid)
    }

    fn bent(&self, curve: Curve, plain: impl FnOnce(&Tensor) -> Result<Tensor>) -> Result<Self> {
        match &self.settled().0 {
            Form::Tensor(xs, precision) => Ok(Self(Form::Tensor(plain(xs)?, *precision))),
            Form::Map(recording, map) => Ok(Self(Form::Activation(recording.clone(), bent(recording, map, curve)))),
            Form::Activation(..) => bail!("an activation was not settled"),
        }
    }
}

/// The map, bent by whoever reads it.
fn bent(recording: &Recording, map: &Map, curve: Curve) -> Activation {
    let entries = map.dims.0 * map.dims.3;
    let identity = || Arc::new(View { scale: vec![1.; entries], shift: vec![0.; entries] });
    let tables = map.view.clone().unwrap_or_else(identity);
    let (slot, to) = (recording.slot(), map.slot);
    recording.record(move |gradients| {
        let sums = gradients.take_sums(slot);
        if let Some(gradient) = gradients.take(slot) {
            gradients.give_summed(to, gradient, sums);
        }
    });
    Activation { map: map.clone(), slot, tables, curve }
}
