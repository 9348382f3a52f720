//! Curves, the rectifier and GELU: pending until the map is read.

use super::feature_map::FeatureMap;
use crate::ops;
use candle_core::{Result, Tensor};
use sncn_kernels::rows::Activation;

impl FeatureMap {
    /// The rectifier, applied by whoever reads the map.
    ///
    /// # Errors
    /// Where a tensor cannot be made.
    pub fn relu(&self) -> Result<Self> {
        self.with_activation(Activation::Relu, ops::relu)
    }

    /// x·σ(1.702·x), the logistic approximation of GELU, applied by whoever reads the map.
    ///
    /// # Errors
    /// Where a tensor cannot be made.
    pub fn quick_gelu(&self) -> Result<Self> {
        self.with_activation(Activation::QuickGelu, ops::quick_gelu)
    }

    fn with_activation(&self, activation: Activation, plain: impl FnOnce(&Tensor) -> Result<Tensor>) -> Result<Self> {
        self.either(plain, |recording, map| Ok(map.with_activation(recording, activation)))
    }
}
