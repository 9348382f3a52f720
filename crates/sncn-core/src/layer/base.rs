//! `Layer`: a function of a map that keeps its shape.

use crate::graph::{FeatureMap, TokenMap};
use crate::packing::Packing;
use crate::pass::Pass;
use crate::rule::Rule;
use crate::trace;
use candle_core::{Result, Tensor, bail};

/// A layer that keeps the shape of its input, so that it can be attached anywhere in a network. Every [`Rule`] is a layer.
///
/// On a tensor, call [`Layer::forward`]:
///
/// ```
/// use candle_core::{DType, Device};
/// use sncn_core::layer::{BuildContext, Layer, SelfNorm, SelfNormConfig};
/// use sncn_core::{Pass, Seed, Vars};
///
/// # fn main() -> candle_core::Result<()> {
/// let vars = Vars::new(Seed::new(0), DType::F32, &Device::Cpu);
/// let layer = SelfNorm::new(SelfNormConfig::default(), &BuildContext::new(16, vars.builder()))?;
/// let xs = Seed::new(1).normal((4, 8, 8, 16))?; // (N, H, W, C)
/// let ys = layer.forward(&xs, &Pass::eval())?;
/// assert_eq!(ys.dims(), xs.dims());
/// # Ok(())
/// # }
/// ```
pub trait Layer: Send + Sync {
    /// Applies the layer to a map inside a network.
    ///
    /// # Errors
    /// Returns an error where the map has another number of channels than the layer was built for, or fewer positions than its
    /// statistics need.
    fn on_map(&self, xs: &FeatureMap, pass: &Pass) -> Result<FeatureMap>;

    /// Applies the layer to the token vectors of packed sequences inside a text network.
    ///
    /// # Errors
    /// As [`Layer::on_map`], where `packing` is that of another number of tokens, or where the layer is not defined for
    /// sequences.
    fn on_sequences(&self, xs: &TokenMap, packing: &Packing, pass: &Pass) -> Result<TokenMap>;

    /// Returns whether the layer can be applied to recorded maps. A network with a layer that cannot runs as tensor operations.
    fn recordable(&self) -> bool {
        true
    }

    /// Applies the layer to a tensor with the channels last: (N, H, W, C), (N, L, C) or (N, C); the result has the same shape.
    ///
    /// Where the pass has lengths and the tensor is (N, L, C), only the first `lengths[n]` tokens of sequence n are used; the
    /// padding after them becomes 0.
    ///
    /// # Errors
    /// Returns an error for a tensor of another rank, where the pass has lengths for another number of sequences, and as
    /// [`Layer::on_map`].
    fn forward(&self, xs: &Tensor, pass: &Pass) -> Result<Tensor> {
        // what an evaluation pass records has no backward pass, and a caller may want one
        let recorded = self.recordable() && pass.records();
        if let (&[n, longest, _], Some(lengths)) = (xs.dims(), pass.lengths()) {
            if lengths.len() != n {
                bail!("{} lengths for a batch of {n} sequences", lengths.len())
            }
            let packing = Packing::new(lengths, longest)?;
            let packed = packing.pack(xs)?;
            let packed = if recorded { TokenMap::from_tensor(&packed, pass)? } else { TokenMap::unrecorded(&packed)? };
            return packing.pad(&self.on_sequences(&packed, &packing, pass)?.to_tensor()?);
        }
        let dims = match *xs.dims() {
            [n, c] => (n, 1, 1, c),
            [n, l, c] => (n, 1, l, c),
            [n, h, w, c] => (n, h, w, c),
            _ => bail!("a layer takes (N, C), (N, L, C) or (N, H, W, C), not a tensor of shape {:?}", xs.dims()),
        };
        let whole = xs.reshape(dims)?;
        trace::note_same(xs, &whole);
        let ys = self.on_map(&FeatureMap::from_tensor(&whole, recorded, pass)?, pass)?.to_tensor()?;
        let like = ys.reshape(xs.shape())?;
        trace::note_same(&ys, &like);
        Ok(like)
    }
}

impl<R: Rule> Layer for R {
    fn on_map(&self, xs: &FeatureMap, pass: &Pass) -> Result<FeatureMap> {
        xs.apply_rule(self, pass)
    }

    fn on_sequences(&self, xs: &TokenMap, packing: &Packing, pass: &Pass) -> Result<TokenMap> {
        xs.apply_rule(packing, self, pass)
    }
}
