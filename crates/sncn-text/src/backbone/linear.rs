//! `Linear`: an affine layer.

use candle_core::{Result, Tensor};
use candle_nn::{Init, VarBuilder};

/// A weight (out, in) and a bias.
pub(super) struct Linear {
    pub(super) weight: Tensor,
    pub(super) bias: Tensor,
}

impl Linear {
    /// A layer with weights from N(0, `std`²) and bias 0.
    pub(super) fn new(vb: VarBuilder, from: usize, to: usize, std: f64) -> Result<Self> {
        let weight = vb.get_with_hints((to, from), "weight", Init::Randn { mean: 0., stdev: std })?;
        Ok(Self { weight, bias: vb.get_with_hints(to, "bias", Init::Const(0.))? })
    }

    /// Applies the layer to rows (n, in), as tensor operations.
    pub(super) fn on_rows(&self, xs: &Tensor) -> Result<Tensor> {
        sncn_core::ops::linear(xs, &self.weight, Some(&self.bias))
    }
}
