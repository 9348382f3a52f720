//! Networks for token ids (N, L).

mod convnet;
mod encoder;

pub use convnet::{ConvNet, ConvNetConfig};
pub use encoder::{Encoder, EncoderConfig, Family, Head, NormPlace};

use candle_core::{Result, Tensor};
use candle_nn::{Init, VarBuilder};

/// A weight (out, in) and a bias.
struct Linear {
    weight: Tensor,
    bias: Tensor,
}

impl Linear {
    /// Drawn from N(0, `stdev`²), the bias 0.
    fn new(vb: VarBuilder, from: usize, to: usize, stdev: f64) -> Result<Self> {
        let weight = vb.get_with_hints((to, from), "weight", Init::Randn { mean: 0., stdev })?;
        Ok(Self { weight, bias: vb.get_with_hints(to, "bias", Init::Const(0.))? })
    }

    /// Of rows on the tape.
    fn on_rows(&self, xs: &Tensor) -> Result<Tensor> {
        sncn_core::ops::linear(xs, &self.weight, Some(&self.bias))
    }
}
