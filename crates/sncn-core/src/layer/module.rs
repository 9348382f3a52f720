//! The way between layers and candle's modules, and between the two orders of axes.

use super::base::Layer;
use crate::graph::{FeatureMap, TokenMap};
use crate::packing::Packing;
use crate::pass::Pass;
use candle_core::{Result, Tensor};
use candle_nn::ModuleT;
use std::sync::{Arc, Mutex, PoisonError};

/// A candle module that keeps a map's shape, as a layer: it sees (N, H, W, C), or (N, L, C). A network that has one runs as
/// tensor operations.
///
/// ```
/// use candle_core::{DType, Device, Tensor};
/// use sncn_core::layer::FromModule;
/// use sncn_core::{Layer, Pass};
///
/// # fn main() -> candle_core::Result<()> {
/// let layer = FromModule(candle_nn::Dropout::new(0.1));
/// let xs = Tensor::ones((2, 4, 4, 3), DType::F32, &Device::Cpu)?;
/// assert_eq!(layer.forward(&xs, &Pass::eval())?.dims(), xs.dims());
/// # Ok(())
/// # }
/// ```
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

/// A layer for tensors with the channels first: [`Layer::forward`] takes (N, C, H, W) and (N, C, L), as PyTorch and candle's
/// convolutions have them.
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

/// The pass that modules made of layers run in while they train: candle's [`ModuleT`] is told only whether it trains, and
/// layers want to know which sites mix, and with which draws. Clones share it; give a new one before every step.
#[derive(Clone)]
pub struct SharedPass(Arc<Mutex<Pass>>);

impl SharedPass {
    /// Begins with this pass.
    pub fn new(pass: Pass) -> Self {
        Self(Arc::new(Mutex::new(pass)))
    }

    /// From now on training runs in this pass.
    pub fn set(&self, pass: Pass) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = pass;
    }

    /// The pass that training runs in.
    pub fn get(&self) -> Pass {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// A layer as a candle module, with the channels last; wrap it in [`ChannelsFirst`] for channels first. In training it runs in
/// the shared pass, otherwise in an evaluation pass.
///
/// ```
/// use candle_core::{DType, Device};
/// use candle_nn::ModuleT;
/// use sncn_core::layer::{AsModule, ChannelsFirst, CrossNorm, CrossNormConfig, BuildContext, SharedPass};
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
    /// That layer, in this pass while it trains.
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
