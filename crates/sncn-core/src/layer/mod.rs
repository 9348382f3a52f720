//! Layers: shape-preserving maps that a network hangs on its blocks, all in one registry.
//!
//! A layer knows (N, positions, C). Images (N, H, W, C) and sequences (N, L, C) are both that; callers that hold
//! channels-first maps say so with [`MemoryLayout`]. To add a layer: one file and one line in [`LAYERS`].

mod batch_norm;
mod crossnorm;
mod hooks;
mod mixstyle;
mod norm;
mod selfnorm;
mod squeeze;

pub use batch_norm::BatchNorm;
pub(crate) use crossnorm::EPS as CROSSNORM_EPS;
pub use crossnorm::{Crop, CrossNorm, CrossNormConfig, Mode, crop_window, mix, sample};
pub use hooks::{Hooks, LayerConfig};
pub use mixstyle::{MixStyle, MixStyleConfig, Styles};
pub use norm::{GroupNorm, Ibn, LayerNorm};
pub(crate) use selfnorm::Gate;
pub use selfnorm::{SelfNorm, SelfNormConfig};
pub use squeeze::SqueezeExcitation;

use crate::graph::FeatureMap;
use crate::pass::Pass;
use crate::stats::Extent;
use candle_core::{Result, Tensor, bail};
use candle_nn::{ModuleT, VarBuilder};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use std::cell::Cell;
use std::rc::Rc;

/// A shape-preserving map.
pub trait Layer {
    /// Applies it in this pass.
    ///
    /// # Errors
    /// Where the shape does not fit.
    fn forward(&self, xs: &Tensor, pass: &Pass) -> Result<Tensor>;

    /// Whether it has a recorded form, [`Layer::on_map`].
    fn recordable(&self) -> bool {
        false
    }

    /// Applies it to what flows inside a network.
    ///
    /// # Errors
    /// As [`Layer::forward`].
    fn on_map(&self, xs: &FeatureMap, pass: &Pass) -> Result<FeatureMap> {
        xs.on_tensor(|xs| self.forward(xs, pass))
    }
}

/// Every candle module is a layer.
impl<M: ModuleT> Layer for M {
    fn forward(&self, xs: &Tensor, pass: &Pass) -> Result<Tensor> {
        self.forward_t(xs, pass.train)
    }
}

/// Where the channels stand in a tensor.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum MemoryLayout {
    /// (N, H, W, C) and (N, L, C): the project's own order.
    #[default]
    ChannelsLast,
    /// (N, C, H, W) and (N, C, L): PyTorch's order.
    ChannelsFirst,
}

/// Where a layer is being built.
#[derive(Clone)]
pub struct Place<'a> {
    /// Channels of the map.
    pub channels: usize,
    /// Its variables.
    pub vb: VarBuilder<'a>,
    /// Order of the axes it will be given.
    pub layout: MemoryLayout,
    stage: usize,
    sites: Rc<Cell<usize>>,
}

impl<'a> Place<'a> {
    /// The first place of a network.
    pub fn new(channels: usize, vb: VarBuilder<'a>) -> Self {
        Self { channels, vb, layout: MemoryLayout::ChannelsLast, stage: 0, sites: Rc::default() }
    }

    /// The same network, other variables and channels.
    pub fn at(&self, channels: usize, vb: VarBuilder<'a>) -> Self {
        Self { channels, vb, layout: self.layout, stage: self.stage, sites: self.sites.clone() }
    }

    /// The same place as part of that stage, from 1.
    pub fn in_stage(self, stage: usize) -> Self {
        Self { stage, ..self }
    }

    /// The stage it is part of; 0 outside all stages.
    pub fn stage(&self) -> usize {
        self.stage
    }

    /// The number of the next CrossNorm site, in order of construction.
    pub fn next_site(&self) -> usize {
        self.sites.replace(self.sites.get() + 1)
    }

    /// CrossNorm sites so far.
    pub fn sites(&self) -> usize {
        self.sites.get()
    }
}

/// A map in the order in which layers compute, with the way back.
pub(crate) struct Canonical {
    /// (N, P, C).
    pub(crate) xs: Tensor,
    /// Rows of the grid.
    pub(crate) height: usize,
    /// Columns of the grid.
    pub(crate) width: usize,
    /// What takes part: all, or the unpadded tokens.
    pub(crate) extent: Extent,
    dims: Vec<usize>,
    layout: MemoryLayout,
}

impl Canonical {
    pub(crate) fn of(xs: &Tensor, layout: MemoryLayout, pass: &Pass) -> Result<Self> {
        let first = layout == MemoryLayout::ChannelsFirst;
        let last = match xs.rank() {
            2 => xs.clone(),
            3 if first => xs.transpose(1, 2)?,
            4 if first => xs.permute((0, 2, 3, 1))?,
            3 | 4 => xs.clone(),
            rank => bail!("a layer takes (N, C), (N, L, C) or (N, H, W, C), not a tensor of rank {rank}"),
        };
        let dims = last.dims().to_vec();
        let (n, c) = (dims[0], dims[dims.len() - 1]);
        let (height, width) = match dims.len() {
            2 => (1, 1),
            3 => (1, dims[1]),
            _ => (dims[1], dims[2]),
        };
        let extent = match pass.lengths() {
            Some(lengths) if dims.len() == 3 => Extent::Prefix(lengths.clone()),
            _ => Extent::All,
        };
        Ok(Self { xs: last.reshape((n, height * width, c))?, height, width, extent, dims, layout })
    }

    pub(crate) fn restore(&self, ys: &Tensor) -> Result<Tensor> {
        let ys = ys.reshape(self.dims.as_slice())?;
        match (self.layout, self.dims.len()) {
            (MemoryLayout::ChannelsFirst, 3) => ys.transpose(1, 2)?.contiguous(),
            (MemoryLayout::ChannelsFirst, 4) => ys.permute((0, 3, 1, 2))?.contiguous(),
            _ => Ok(ys),
        }
    }
}

/// Builds a layer from its settings.
pub type Build = fn(Settings, &Place) -> Result<Box<dyn Layer>>;

/// Every layer that a table can name.
pub const LAYERS: &[(&str, Build)] = &[
    ("selfnorm", |settings, place| Ok(Box::new(SelfNorm::new(settings.parse::<SelfNormConfig>()?, place)?))),
    ("crossnorm", |settings, place| Ok(Box::new(CrossNorm::new(settings.parse::<CrossNormConfig>()?, place)?))),
    ("mixstyle", |settings, place| Ok(Box::new(MixStyle::new(settings.parse::<MixStyleConfig>()?, place)?))),
    ("batch_norm", |settings, place| settings.none().and_then(|()| Ok(Box::new(BatchNorm::new(place)?) as _))),
    ("instance_norm", |settings, place| settings.none().and_then(|()| Ok(Box::new(GroupNorm::instance(place)?) as _))),
    ("group_norm", |settings, place| Ok(Box::new(GroupNorm::from_settings(settings, place)?))),
    ("layer_norm", |settings, place| settings.none().and_then(|()| Ok(Box::new(LayerNorm::new(place, 1e-5)?) as _))),
    ("ibn", |settings, place| settings.none().and_then(|()| Ok(Box::new(Ibn::new(place)?) as _))),
    ("se", |settings, place| Ok(Box::new(SqueezeExcitation::from_settings(settings, place)?))),
];

/// The settings of one layer, as a table gives them.
#[derive(Clone, Debug)]
pub struct Settings {
    kind: String,
    map: Map<String, Value>,
}

impl Settings {
    /// The settings of a layer of that kind.
    pub fn new(kind: &str, map: Map<String, Value>) -> Self {
        Self { kind: kind.to_string(), map }
    }

    /// Reads them as `T`.
    ///
    /// # Errors
    /// Where a key is unknown or a value does not fit; the message lists the known keys.
    pub fn parse<T: DeserializeOwned>(self) -> Result<T> {
        let kind = self.kind;
        serde_path_to_error::deserialize(Value::Object(self.map)).or_else(|error| bail!("layer {kind}: {error}"))
    }

    fn none(self) -> Result<()> {
        match self.map.keys().next() {
            Some(key) => bail!("layer {}: unknown key {key:?}; this layer has no settings", self.kind),
            None => Ok(()),
        }
    }
}

/// Builds the layer of that kind.
///
/// # Errors
/// Where the kind is unknown (the known ones are listed) or a setting does not fit.
pub fn build(kind: &str, settings: Map<String, Value>, place: &Place) -> Result<Box<dyn Layer>> {
    match LAYERS.iter().find(|(name, _)| *name == kind) {
        Some((_, build)) => build(Settings::new(kind, settings), place),
        None => {
            let known: Vec<_> = LAYERS.iter().map(|(name, _)| *name).collect();
            bail!("unknown layer {kind:?}; known: {}", known.join(", "))
        }
    }
}
