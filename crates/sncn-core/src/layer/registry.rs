//! `Registry`: layers by name.

use super::attentive_norm::{AttentiveNorm, AttentiveNormConfig};
use super::base::Layer;
use super::batch_norm::BatchNorm;
use super::context::BuildContext;
use super::crossnorm::{CrossNorm, CrossNormConfig};
use super::dsu::{Dsu, DsuConfig};
use super::efdmix::{EfdMix, EfdMixConfig};
use super::group_norm::GroupNorm;
use super::ibn::Ibn;
use super::layer_norm::LayerNorm;
use super::mixstyle::{MixStyle, MixStyleConfig};
use super::mode_norm::{ModeNorm, ModeNormConfig};
use super::padain::{PAdaIn, PAdaInConfig};
use super::selfnorm::{SelfNorm, SelfNormConfig};
use super::settings::Settings;
use super::squeeze::SqueezeExcitation;
use super::switchable_norm::SwitchableNorm;
use candle_core::{Result, bail};
use serde_json::{Map, Value};
use std::sync::OnceLock;

/// A function that builds a layer from its settings.
pub type Build = fn(Settings, &BuildContext) -> Result<Box<dyn Layer>>;

/// Every layer of this crate, by name.
pub const LAYERS: &[(&str, Build)] = &[
    ("selfnorm", |settings, cx| Ok(Box::new(SelfNorm::new(settings.parse::<SelfNormConfig>()?, cx)?))),
    ("crossnorm", |settings, cx| Ok(Box::new(CrossNorm::new(settings.parse::<CrossNormConfig>()?, cx)?))),
    ("mixstyle", |settings, cx| Ok(Box::new(MixStyle::new(settings.parse::<MixStyleConfig>()?, cx)?))),
    ("efdmix", |settings, cx| Ok(Box::new(EfdMix::new(settings.parse::<EfdMixConfig>()?, cx)?))),
    ("dsu", |settings, cx| Ok(Box::new(Dsu::new(settings.parse::<DsuConfig>()?, cx)?))),
    ("padain", |settings, cx| Ok(Box::new(PAdaIn::new(settings.parse::<PAdaInConfig>()?, cx)?))),
    ("batch_norm", |settings, cx| settings.none().and_then(|()| Ok(Box::new(BatchNorm::new(cx)?) as _))),
    ("instance_norm", |settings, cx| settings.none().and_then(|()| Ok(Box::new(GroupNorm::instance(cx)?) as _))),
    ("group_norm", |settings, cx| Ok(Box::new(GroupNorm::from_settings(settings, cx)?))),
    ("layer_norm", |settings, cx| settings.none().and_then(|()| Ok(Box::new(LayerNorm::new(cx, 1e-5)?) as _))),
    ("ibn", |settings, cx| settings.none().and_then(|()| Ok(Box::new(Ibn::new(cx)?) as _))),
    ("mode_norm", |settings, cx| Ok(Box::new(ModeNorm::new(settings.parse::<ModeNormConfig>()?, cx)?))),
    ("attentive_norm", |settings, cx| Ok(Box::new(AttentiveNorm::new(settings.parse::<AttentiveNormConfig>()?, cx)?))),
    ("switchable_norm", |settings, cx| settings.none().and_then(|()| Ok(Box::new(SwitchableNorm::new(cx)?) as _))),
    ("se", |settings, cx| Ok(Box::new(SqueezeExcitation::from_settings(settings, cx)?))),
];

/// The layers of this crate that mix instances at sites; they have no variables, and do nothing in evaluation.
pub const MIXING: &[&str] = &["crossnorm", "mixstyle", "efdmix", "dsu", "padain"];

/// The layers of this crate that can stand in the place of a network's norms, as far as they are in the registry.
pub const NORMS: &[&str] =
    &["batch_norm", "instance_norm", "group_norm", "layer_norm", "ibn", "mode_norm", "attentive_norm", "switchable_norm"];

/// The layers that tables can attach, by name: those of this crate and those that a program adds.
///
/// ```
/// use sncn_core::layer::{BatchNorm, Registry};
///
/// # fn main() -> candle_core::Result<()> {
/// let registry = Registry::default().with("my_norm", |_, place| Ok(Box::new(BatchNorm::new(place)?)))?;
/// assert!(registry.names().any(|name| name == "my_norm"));
/// assert!(registry.with("selfnorm", |_, place| Ok(Box::new(BatchNorm::new(place)?))).is_err());
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Registry {
    layers: Vec<(String, Build)>,
    /// The names of those that can stand in the place of a network's norms.
    norms: Vec<String>,
}

impl Default for Registry {
    /// The registry of [`LAYERS`].
    fn default() -> Self {
        let layers = LAYERS.iter().map(|(name, build)| (name.to_string(), *build)).collect();
        Self { layers, norms: NORMS.iter().map(ToString::to_string).collect() }
    }
}

impl Registry {
    /// Returns a shared registry of [`LAYERS`].
    pub fn standard() -> &'static Self {
        static STANDARD: OnceLock<Registry> = OnceLock::new();
        STANDARD.get_or_init(Self::default)
    }

    /// Adds a layer.
    ///
    /// # Errors
    /// Returns an error where the name is taken.
    pub fn with(mut self, name: &str, build: Build) -> Result<Self> {
        if self.names().any(|known| known == name) {
            bail!("a layer named {name:?} is registered already; choose another name (taken: {})", self.known())
        }
        self.layers.push((name.to_string(), build));
        Ok(self)
    }

    /// Adds a layer that can also stand in the place of a network's norms.
    ///
    /// # Errors
    /// As [`Registry::with`].
    pub fn with_norm(self, name: &str, build: Build) -> Result<Self> {
        let mut more = self.with(name, build)?;
        more.norms.push(name.to_string());
        Ok(more)
    }

    /// Returns whether a layer of that name can stand in the place of a network's norms.
    pub fn is_norm(&self, name: &str) -> bool {
        self.names().any(|known| known == name) && self.norms.iter().any(|norm| norm == name)
    }

    /// Returns the names, in order of registration.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.layers.iter().map(|(name, _)| name.as_str())
    }

    fn known(&self) -> String {
        self.names().collect::<Vec<_>>().join(", ")
    }

    /// Builds the layer named `kind`.
    ///
    /// # Errors
    /// Returns an error where no layer has that name (the known names are listed), a setting is unknown or out of range, or a
    /// variable exists with another shape.
    pub fn build(&self, kind: &str, settings: Map<String, Value>, cx: &BuildContext) -> Result<Box<dyn Layer>> {
        match self.layers.iter().find(|(name, _)| name == kind) {
            Some((_, build)) => build(Settings::new(kind, settings), cx),
            None => bail!("unknown layer {kind:?}; known: {}", self.known()),
        }
    }
}

/// Builds a layer of this crate by its name.
///
/// # Errors
/// As [`Registry::build`].
pub fn build(kind: &str, settings: Map<String, Value>, cx: &BuildContext) -> Result<Box<dyn Layer>> {
    Registry::standard().build(kind, settings, cx)
}
