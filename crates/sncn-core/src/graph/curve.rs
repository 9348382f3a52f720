//! Curves, the rectifier and GELU: pending until the map is read.

use super::feature_map::FeatureMap;
use crate::ops;
use candle_core::{Result, Tensor};
use sncn_kernels::rows::Curve;

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
        self.either(plain, |recording, map| Ok(map.bent(recording, curve)))
    }
}
