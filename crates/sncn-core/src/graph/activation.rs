//! Activations: pending until the map is read.

use super::feature_map::FeatureMap;
use crate::ops;
use crate::trace::{self, Operation};
use candle_core::{Result, Tensor};
use sncn_kernels::rows::Activation;

impl FeatureMap {
    /// Applies ReLU; on a recorded map it stays pending.
    ///
    /// # Errors
    /// Returns candle's error where the map is a tensor on a device without the operation.
    pub fn relu(&self) -> Result<Self> {
        self.with_activation(Activation::Relu, Operation::Relu, ops::relu)
    }

    /// Applies ReLU6, min(max(0, x), 6); on a recorded map it stays pending.
    ///
    /// # Errors
    /// As [`FeatureMap::relu`].
    pub fn relu6(&self) -> Result<Self> {
        self.with_activation(Activation::Relu6, Operation::Relu6, ops::relu6)
    }

    /// Applies leaky ReLU, y above 0 and slope·y elsewhere, with a slope from 0 to 1; on a recorded map it stays pending.
    ///
    /// # Errors
    /// As [`FeatureMap::relu`].
    pub fn leaky_relu(&self, slope: f64) -> Result<Self> {
        self.with_activation(Activation::LeakyRelu(slope as f32), Operation::LeakyRelu(slope), |xs| ops::leaky_relu(xs, slope))
    }

    /// Applies quick GELU, x·σ(1.702·x); on a recorded map it stays pending.
    ///
    /// # Errors
    /// As [`FeatureMap::relu`].
    pub fn quick_gelu(&self) -> Result<Self> {
        self.with_activation(Activation::QuickGelu, Operation::QuickGelu, ops::quick_gelu)
    }

    fn with_activation(
        &self,
        activation: Activation,
        traced: Operation,
        plain: impl FnOnce(&Tensor) -> Result<Tensor>,
    ) -> Result<Self> {
        let plain = |xs: &Tensor| {
            let ys = plain(xs)?;
            trace::note(|| traced, &[xs], &ys);
            Ok(ys)
        };
        self.pending(plain, |recording, map| Ok(map.with_activation(recording, activation)))
    }
}
