//! `Hooks`: the layers attached to a block, at positions that the block names.
//!
//! The paper's CNSN unit is two layers attached at one position, CrossNorm first, then SelfNorm.

use super::base::Layer;
use super::context::BuildContext;
use super::norm::{Norm, NormConfig};
use super::registry::Registry;
use crate::graph::{FeatureMap, TokenMap};
use crate::packing::Packing;
use crate::pass::Pass;
use candle_core::{Error, Result, Tensor, bail};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// A layer to attach: its kind, the position, and its settings; an entry of `layers` in a table.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LayerConfig {
    /// The layer's name in the registry, such as `"selfnorm"`; [`super::LAYERS`] lists those of this crate.
    pub kind: String,
    /// The position: one that the network's blocks name, such as `"post"`.
    pub at: String,
    /// The stages of the network, from 1, in whose blocks it is attached; `None`: all stages.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stages: Option<Vec<usize>>,
    /// The layer's own settings.
    #[serde(flatten)]
    pub settings: Map<String, Value>,
}

impl LayerConfig {
    /// A layer with default settings, in all stages.
    pub fn new(kind: impl Into<String>, at: impl Into<String>) -> Self {
        Self { kind: kind.into(), at: at.into(), stages: None, settings: Map::new() }
    }

    /// Returns whether the layer is attached in that stage.
    pub fn is_in(&self, stage: usize) -> bool {
        self.stages.as_ref().is_none_or(|stages| stages.contains(&stage))
    }
}

/// The layers to attach to a network, what stands in the place of its norms, and the registry that builds both. A slice of
/// [`LayerConfig`] converts into this, with the registry of this crate's layers and the network's usual norms.
#[derive(Clone, Copy, Debug)]
pub struct Layers<'a> {
    /// The layers, in the order in which those at one position are applied.
    pub configs: &'a [LayerConfig],
    /// The registry that builds them.
    pub registry: &'a Registry,
    /// What stands in the place of the network's norms; `None`: the usual ones.
    pub norm: Option<&'a NormConfig>,
}

impl<'a> Layers<'a> {
    /// Layers that `registry` builds, in a network with its usual norms.
    pub fn new(configs: &'a [LayerConfig], registry: &'a Registry) -> Self {
        Self { configs, registry, norm: None }
    }

    /// Other layers, built by the same registry, in a network with the same norms.
    pub fn of<'b>(&self, configs: &'b [LayerConfig]) -> Layers<'b>
    where
        'a: 'b,
    {
        Layers { configs, ..*self }
    }

    /// The same layers in a network with another norm; `None`: its usual ones.
    pub fn with_norm<'b>(&self, norm: Option<&'b NormConfig>) -> Layers<'b>
    where
        'a: 'b,
    {
        Layers { norm, ..*self }
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

/// The layers attached to one block. Where nothing is attached at a position, applying the hooks there is the identity.
#[derive(Default)]
pub struct Hooks {
    layers: Vec<Hook>,
    /// What follows the block's addition.
    end: Option<Norm>,
}

/// The position at a block's end, which a norm there takes the place of.
const POST: &str = "post";

struct Hook {
    at: String,
    kind: String,
    /// The path of its variables, relative to the block's.
    path: String,
    layer: Box<dyn Layer>,
}

impl Hook {
    /// Adds the layer's kind and position to an error.
    fn named(&self, error: Error) -> Error {
        Error::Msg(format!("layer {:?} at {:?}: {error}", self.kind, self.at))
    }
}

impl Hooks {
    /// Builds the layers to attach to a block that has `positions`, each a name and a number of channels, in the order in which
    /// the block applies them.
    ///
    /// Variables are created under `<kind>` of the context's `vb`, those of a second layer of the same kind under `<at>.<kind>`.
    ///
    /// # Errors
    /// Returns an error where a layer names a position or kind that does not exist (the known ones are listed), has settings
    /// that it does not accept, or is attached twice at one position.
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
                    bail!("layer {:?} is attached twice at {at:?}: attach it once", config.kind)
                }
                taken.push(path.clone());
                let cx = cx.at(*channels, vb.pp(&config.kind));
                let layer = all.registry.build(&config.kind, config.settings.clone(), &cx)?;
                cx.note_layer(layer.recordable());
                layers.push(Hook { at: at.to_string(), kind: config.kind.clone(), path, layer });
            }
        }
        Ok(Self { layers, end: None })
    }

    /// As [`Hooks::new`] for a block of an image network: variables are created under `cnsn` of the block's context, and a norm at the
    /// block's end ([`Layers::end_norm`]) takes the place of the layers at `post`.
    ///
    /// # Errors
    /// As [`Hooks::new`].
    pub fn of_block(all: Layers<'_>, positions: &[(&str, usize)], cx: &BuildContext, end: Option<Norm>) -> Result<Self> {
        let kept: Vec<_> = all.configs.iter().filter(|config| end.is_none() || config.at != POST).cloned().collect();
        Ok(Self { end, ..Self::new(all.of(&kept), positions, &cx.at(cx.channels, cx.vb.pp("cnsn")))? })
    }

    /// Returns whether a norm follows the block's addition.
    pub fn has_end(&self) -> bool {
        self.end.is_some()
    }

    /// Applies the norm that follows the block's addition, where there is one.
    ///
    /// # Errors
    /// Returns the error of the norm.
    pub fn end(&self, xs: FeatureMap, pass: &Pass) -> Result<FeatureMap> {
        match &self.end {
            Some(end) => end.on_map(&xs, pass),
            None => Ok(xs),
        }
    }

    /// Checks that all layers name positions of `known`.
    ///
    /// # Errors
    /// Returns an error with the first unknown position and the known ones.
    pub fn check<'a>(configs: &[LayerConfig], known: impl Iterator<Item = &'a str> + Clone) -> Result<()> {
        match configs.iter().find(|config| !known.clone().any(|name| name == config.at)) {
            None => Ok(()),
            Some(config) => {
                let known: Vec<_> = known.collect();
                bail!("layer {:?}: unknown position {:?}; this network has: {}", config.kind, config.at, known.join(", "))
            }
        }
    }

    /// Checks that all layers name stages that the network has; `count` is 0 for a network without stages. The network builds its
    /// blocks in contexts of [`BuildContext::in_stage`].
    ///
    /// # Errors
    /// Returns an error with the layer, the stage that does not exist, and those that do.
    pub fn check_stages(configs: &[LayerConfig], count: usize) -> Result<()> {
        for config in configs {
            let Some(stages) = &config.stages else { continue };
            if count == 0 {
                bail!("layer {:?}: stages is set; this network has no stages: remove the key", config.kind)
            }
            if stages.is_empty() {
                bail!("layer {:?}: stages is empty, so it would be attached nowhere; leave out the layer or the key", config.kind)
            }
            if let Some(stage) = stages.iter().find(|stage| !(1..=count).contains(*stage)) {
                bail!("layer {:?}: no stage {stage}; this network has the stages 1 to {count}", config.kind)
            }
        }
        Ok(())
    }

    /// Returns whether every layer can be applied to recorded maps ([`Layer::recordable`]).
    pub fn recordable(&self) -> bool {
        self.layers.iter().all(|hook| hook.layer.recordable())
    }

    /// Returns whether no layer is attached.
    pub fn is_empty(&self) -> bool {
        self.layers.is_empty()
    }

    /// Returns whether no layer is attached at `position`.
    pub fn is_empty_at(&self, position: &str) -> bool {
        self.attached(position).next().is_none()
    }

    /// Returns the paths of the variables of the layers attached at `position`, relative to the block's.
    pub fn variable_paths<'a>(&'a self, position: &'a str) -> impl Iterator<Item = &'a str> {
        self.attached(position).map(|hook| hook.path.as_str())
    }

    fn attached<'a>(&'a self, position: &'a str) -> impl Iterator<Item = &'a Hook> {
        self.layers.iter().filter(move |hook| hook.at == position)
    }

    /// Applies the layers attached at `position` to a map.
    ///
    /// # Errors
    /// Returns the error of a layer, with its kind and position.
    pub fn on_map(&self, position: &str, xs: FeatureMap, pass: &Pass) -> Result<FeatureMap> {
        self.attached(position).try_fold(xs, |xs, hook| hook.layer.on_map(&xs, pass).map_err(|error| hook.named(error)))
    }

    /// Applies the layers attached at `position` to the token vectors of packed sequences.
    ///
    /// # Errors
    /// Returns the error of a layer, with its kind and position.
    pub fn on_sequences(&self, position: &str, xs: TokenMap, packing: &Packing, pass: &Pass) -> Result<TokenMap> {
        let each = |xs: TokenMap, hook: &Hook| hook.layer.on_sequences(&xs, packing, pass).map_err(|error| hook.named(error));
        self.attached(position).try_fold(xs, each)
    }

    /// Applies the layers attached at `position` to a tensor, as [`Layer::forward`].
    ///
    /// # Errors
    /// Returns the error of a layer, with its kind and position.
    pub fn forward(&self, position: &str, xs: &Tensor, pass: &Pass) -> Result<Tensor> {
        let each = |xs: Tensor, hook: &Hook| hook.layer.forward(&xs, pass).map_err(|error| hook.named(error));
        self.attached(position).try_fold(xs.clone(), each)
    }
}
