//! Adapters: candle modules as layers, layers as candle modules, and channels-first tensors.

use super::base::Layer;
use crate::graph::{FeatureMap, TokenMap};
use crate::packing::Packing;
use crate::pass::Pass;
use candle_core::{Result, Tensor};
use candle_nn::ModuleT;
use std::sync::{Arc, Mutex, PoisonError};

/// A candle module that keeps the shape of its input, as a layer: `FromModule(candle_nn::Dropout::new(0.1))`. The module gets
/// tensors (N, H, W, C) or (N, L, C), and trains where the pass does. A network with such a layer runs as tensor operations.
pub struct FromModule<M>(pub M);

impl<M: ModuleT + Send + Sync> Layer for FromModule<M> {
    fn on_map(&self, xs: &FeatureMap, pass: &Pass) -> Result<FeatureMap> {
        xs.on_tensor(|xs| self.0.forward_t(xs, pass.train))
    }

    fn on_sequences(&self, xs: &TokenMap, packing: &Packing, pass: &Pass) -> Result<TokenMap> {
        xs.on_padded(packing, |xs| self.0.forward_t(xs, pass.train))
    }

    fn recordable(&self) -> bool {
        false
    }
}

/// A layer whose [`Layer::forward`] takes tensors with the channels first, (N, C, H, W) and (N, C, L), as candle's convolutions
/// do. Inside networks, whose maps have the channels last, it is the layer itself.
pub struct ChannelsFirst<L>(pub L);

impl<L: Layer> Layer for ChannelsFirst<L> {
    fn on_map(&self, xs: &FeatureMap, pass: &Pass) -> Result<FeatureMap> {
        self.0.on_map(xs, pass)
    }

    fn on_sequences(&self, xs: &TokenMap, packing: &Packing, pass: &Pass) -> Result<TokenMap> {
        self.0.on_sequences(xs, packing, pass)
    }

    fn recordable(&self) -> bool {
        self.0.recordable()
    }

    fn forward(&self, xs: &Tensor, pass: &Pass) -> Result<Tensor> {
        match xs.rank() {
            3 => self.0.forward(&xs.transpose(1, 2)?.contiguous()?, pass)?.transpose(1, 2)?.contiguous(),
            4 => self.0.forward(&xs.permute((0, 2, 3, 1))?.contiguous()?, pass)?.permute((0, 3, 1, 2))?.contiguous(),
            _ => self.0.forward(xs, pass),
        }
    }
}

/// The training pass of modules made from layers. candle's [`ModuleT::forward_t`] has only a `train` flag, and layers need a
/// [`Pass`], which says which sites mix. Clones share one pass; set a new one before every training step.
#[derive(Clone)]
pub struct SharedPass(Arc<Mutex<Pass>>);

impl SharedPass {
    /// Starts with `pass`.
    pub fn new(pass: Pass) -> Self {
        Self(Arc::new(Mutex::new(pass)))
    }

    /// Replaces the pass for all clones.
    pub fn set(&self, pass: Pass) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = pass;
    }

    /// Returns the current pass.
    pub fn get(&self) -> Pass {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// A layer as a candle module. With `train` it runs in the shared pass, otherwise in [`Pass::eval`]. Wrap the layer in
/// [`ChannelsFirst`] to put it between candle's convolutions.
///
/// ```
/// use candle_core::{DType, Device};
/// use candle_nn::ModuleT;
/// use sncn_core::layer::{AsModule, BuildContext, ChannelsFirst, CrossNorm, CrossNormConfig, SharedPass};
/// use sncn_core::{Pass, Seed, Vars};
///
/// # fn main() -> candle_core::Result<()> {
/// let vars = Vars::new(Seed::new(0), DType::F32, &Device::Cpu);
/// let cx = BuildContext::new(3, vars.builder());
/// let pass = SharedPass::new(Pass::mixing(1, 1, Seed::new(0)));
/// let module = AsModule::new(ChannelsFirst(CrossNorm::new(CrossNormConfig::default(), &cx)?), &pass);
/// let xs = Seed::new(1).normal((2, 3, 8, 8))?; // (N, C, H, W)
/// assert_eq!(module.forward_t(&xs, true)?.dims(), xs.dims());
/// pass.set(Pass::mixing(1, 1, Seed::new(1))); // the next step draws anew
/// # Ok(())
/// # }
/// ```
pub struct AsModule<L> {
    layer: L,
    pass: SharedPass,
}

impl<L: Layer> AsModule<L> {
    /// Makes `layer` a module that trains in `pass`.
    pub fn new(layer: L, pass: &SharedPass) -> Self {
        Self { layer, pass: pass.clone() }
    }
}

impl<L: Layer> ModuleT for AsModule<L> {
    fn forward_t(&self, xs: &Tensor, train: bool) -> Result<Tensor> {
        let pass = if train { self.pass.get() } else { Pass::eval() };
        self.layer.forward(xs, &pass)
    }
}
