//! Activations: pending until the map is read.

use super::feature_map::FeatureMap;
use crate::ops;
use candle_core::{Result, Tensor};
use sncn_kernels::rows::Activation;

impl FeatureMap {
    /// Applies ReLU; on a recorded map it stays pending.
    ///
    /// # Errors
    /// Returns candle's error where the map is a tensor on a device without the operation.
    pub fn relu(&self) -> Result<Self> {
        self.with_activation(Activation::Relu, ops::relu)
    }

    /// Applies ReLU6, min(max(0, x), 6); on a recorded map it stays pending.
    ///
    /// # Errors
    /// As [`FeatureMap::relu`].
    pub fn relu6(&self) -> Result<Self> {
        self.with_activation(Activation::Relu6, ops::relu6)
    }

    /// Applies leaky ReLU, y above 0 and slope·y elsewhere, with a slope from 0 to 1; on a recorded map it stays pending.
    ///
    /// # Errors
    /// As [`FeatureMap::relu`].
    pub fn leaky_relu(&self, slope: f64) -> Result<Self> {
        self.with_activation(Activation::LeakyRelu(slope as f32), |xs| ops::leaky_relu(xs, slope))
    }

    /// Applies quick GELU, x·σ(1.702·x); on a recorded map it stays pending.
    ///
    /// # Errors
    /// As [`FeatureMap::relu`].
    pub fn quick_gelu(&self) -> Result<Self> {
        self.with_activation(Activation::QuickGelu, ops::quick_gelu)
    }

    fn with_activation(&self, activation: Activation, plain: impl FnOnce(&Tensor) -> Result<Tensor>) -> Result<Self> {
        self.pending(plain, |recording, map| Ok(map.with_activation(recording, activation)))
    }
}
