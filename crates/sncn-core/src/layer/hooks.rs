//! `Hooks`: the layers hung on a block at the positions that the block names; the identity where nothing hangs.
//!
//! The CNSN unit is two entries at one position, CrossNorm first, then SelfNorm.

use super::base::Layer;
use super::context::BuildContext;
use super::registry::Registry;
use crate::graph::{FeatureMap, TokenMap};
use crate::packing::Packing;
use crate::pass::Pass;
use candle_core::{Error, Result, Tensor, bail};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// One layer of a table: what, where, with which settings.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LayerConfig {
    /// A name of the registry, by default one of [`super::LAYERS`].
    pub kind: String,
    /// A position that the backbone's blocks declare.
    pub at: String,
    /// The stages of the network (from 1) whose blocks have it; absent: all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stages: Option<Vec<usize>>,
    /// The layer's own settings.
    #[serde(flatten)]
    pub settings: Map<String, Value>,
}

impl LayerConfig {
    /// A layer with its usual settings, on all stages.
    pub fn new(kind: impl Into<String>, at: impl Into<String>) -> Self {
        Self { kind: kind.into(), at: at.into(), stages: None, settings: Map::new() }
    }

    /// Whether blocks of that stage have it.
    pub fn is_in(&self, stage: usize) -> bool {
        self.stages.as_ref().is_none_or(|stages| stages.contains(&stage))
    }
}

/// The layers to attach to a network, and the registry that knows how to build them.
#[derive(Clone, Copy, Debug)]
pub struct Layers<'a> {
    /// What is attached where.
    pub configs: &'a [LayerConfig],
    /// Who builds it.
    pub registry: &'a Registry,
}

impl<'a> Layers<'a> {
    /// Layers of that registry.
    pub fn new(configs: &'a [LayerConfig], registry: &'a Registry) -> Self {
        Self { configs, registry }
    }

    /// Other layers of the same registry.
    pub fn of<'b>(&self, configs: &'b [LayerConfig]) -> Layers<'b>
    where
        'a: 'b,
    {
        Layers { configs, registry: self.registry }
    }
}

impl<'a> From<&'a [LayerConfig]> for Layers<'a> {
    fn from(configs: &'a [LayerConfig]) -> Self {
        Self::new(configs, Registry::standard())
    }
}

impl<'a> From<&'a Vec<LayerConfig>> for Layers<'a> {
    fn from(configs: &'a Vec<LayerConfig>) -> Self {
        configs.as_slice().into()
    }
}

impl<'a, const N: usize> From<&'a [LayerConfig; N]> for Layers<'a> {
    fn from(configs: &'a [LayerConfig; N]) -> Self {
        configs.as_slice().into()
    }
}

/// The layers of one block.
#[derive(Default)]
pub struct Hooks {
    layers: Vec<Hook>,
}

struct Hook {
    at: String,
    kind: String,
    /// Of its variables, under the block's place.
    path: String,
    layer: Box<dyn Layer>,
}

impl Hook {
    /// An error of this layer.
    fn told(&self, error: Error) -> Error {
        Error::Msg(format!("layer {:?} at {:?}: {error}", self.kind, self.at))
    }
}

impl Hooks {
    /// Builds the layers of `configs` for a block that declares `positions` (name, channels), in the block's order.
    ///
    /// Variables lie under `<place>/<kind>`; a second layer of that kind in the block lies under `<place>/<at>/<kind>`.
    ///
    /// # Errors
    /// Where a position is unknown (the known ones are listed), or a layer's settings do not fit.
    pub fn new(all: Layers<'_>, positions: &[(&str, usize)], cx: &BuildContext) -> Result<Self> {
        let configs = all.configs;
        Self::check(configs, positions.iter().map(|(name, _)| *name))?;
        let (mut layers, mut taken) = (Vec::new(), Vec::new());
        for (at, channels) in positions {
            for config in configs.iter().filter(|config| config.at == *at && config.is_in(cx.stage())) {
                let mut vb = cx.vb.clone();
                let mut path = config.kind.clone();
                if taken.contains(&path) {
                    vb = vb.pp(at);
                    path = format!("{at}.{}", config.kind);
                }
                if taken.contains(&path) {
                    bail!("layer {:?} hangs twice at {at:?}: once is accepted", config.kind)
                }
                taken.push(path.clone());
                let cx = cx.at(*channels, vb.pp(&config.kind));
                let layer = all.registry.build(&config.kind, config.settings.clone(), &cx)?;
                layers.push(Hook { at: at.to_string(), kind: config.kind.clone(), path, layer });
            }
        }
        Ok(Self { layers })
    }

    /// Refuses positions that are not among the known ones.
    ///
    /// # Errors
    /// Names the position and lists the known ones.
    pub fn check<'a>(configs: &[LayerConfig], known: impl Iterator<Item = &'a str> + Clone) -> Result<()> {
        match configs.iter().find(|config| !known.clone().any(|name| name == config.at)) {
            None => Ok(()),
            Some(config) => {
                let known: Vec<_> = known.collect();
                bail!("layer {:?}: unknown position {:?}; this network has: {}", config.kind, config.at, known.join(", "))
            }
        }
    }

    /// Refuses stages that the network does not have; its blocks are built at places of [`BuildContext::in_stage`].
    ///
    /// # Errors
    /// Names the layer and the stage, and says which there are.
    pub fn check_stages(configs: &[LayerConfig], count: usize) -> Result<()> {
        for config in configs {
            let Some(stages) = &config.stages else { continue };
            if count == 0 {
                bail!("layer {:?}: stages is set; this network has no stages: take the key away", config.kind)
            }
            if stages.is_empty() {
                bail!("layer {:?}: stages is empty, so it would hang nowhere; leave the layer or the key out", config.kind)
            }
            if let Some(stage) = stages.iter().find(|stage| !(1..=count).contains(*stage)) {
                bail!("layer {:?}: no stage {stage}; this network has the stages 1 to {count}", config.kind)
            }
        }
        Ok(())
    }

    /// Whether every layer has a recorded form.
    pub fn recordable(&self) -> bool {
        self.layers.iter().all(|hook| hook.layer.recordable())
    }

    /// Whether nothing hangs anywhere.
    pub fn is_empty(&self) -> bool {
        self.layers.is_empty()
    }

    /// Whether nothing hangs there.
    pub fn is_empty_at(&self, position: &str) -> bool {
        self.here(position).next().is_none()
    }

    /// Where the variables of the layers that hang there lie, under the block's place.
    pub fn variable_paths<'a>(&'a self, position: &'a str) -> impl Iterator<Item = &'a str> {
        self.here(position).map(|hook| hook.path.as_str())
    }

    fn here<'a>(&'a self, position: &'a str) -> impl Iterator<Item = &'a Hook> {
        self.layers.iter().filter(move |hook| hook.at == position)
    }

    /// Applies what hangs there to a map inside a network.
    ///
    /// # Errors
    /// As the layers; the layer and the position are named.
    pub fn on_map(&self, position: &str, xs: FeatureMap, pass: &Pass) -> Result<FeatureMap> {
        self.here(position).try_fold(xs, |xs, hook| hook.layer.on_map(&xs, pass).map_err(|error| hook.told(error)))
    }

    /// Applies what hangs there to the token vectors of sequences inside a network.
    ///
    /// # Errors
    /// As the layers; the layer and the position are named.
    pub fn on_sequences(&self, position: &str, xs: TokenMap, packing: &Packing, pass: &Pass) -> Result<TokenMap> {
        let each = |xs: TokenMap, hook: &Hook| hook.layer.on_sequences(&xs, packing, pass).map_err(|error| hook.told(error));
        self.here(position).try_fold(xs, each)
    }

    /// Applies what hangs there to a tensor.
    ///
    /// # Errors
    /// As the layers; the layer and the position are named.
    pub fn at(&self, position: &str, xs: &Tensor, pass: &Pass) -> Result<Tensor> {
        let each = |xs: Tensor, hook: &Hook| hook.layer.forward(&xs, pass).map_err(|error| hook.told(error));
        self.here(position).try_fold(xs.clone(), each)
    }
}
