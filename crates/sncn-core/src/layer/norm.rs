//! `NormConfig`: which layer stands in the place of a network's norms; the key `norm` of a row.
//!
//! A network says of every norm where it is ([`Place`]) and what it usually is; [`super::Layers::norm`] builds that, or what a row wants
//! there.
//! `ibn_a` and `ibn_b` are those of Pan et al. 2018 (arXiv 1807.09441): half of the channels of a block's first norm are InstanceNorm in all
//! stages but the last; or the stem's norm is InstanceNorm, and one follows the addition at the end of stages 1 and 2.

use super::base::Layer;
use super::context::BuildContext;
use super::registry::Registry;
use crate::graph::{FeatureMap, TokenMap};
use crate::packing::Packing;
use crate::pass::Pass;
use candle_core::{Result, bail};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// The forms of Pan et al. 2018, which say themselves where they are.
const IBN: [&str; 2] = ["ibn_a", "ibn_b"];

/// The last stage at whose end `ibn_b` has an InstanceNorm.
const LAST_ENDED: usize = 2;

/// Which norms of a network are replaced.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Where {
    /// All of them.
    #[default]
    All,
    /// The first of the network alone.
    First,
    /// In every block that between its convolutions: after the 3×3 convolution of a bottleneck, after the first of two convolutions.
    Middle,
}

/// Where in its network a norm is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// After the convolution before the first block.
    Stem,
    /// The first norm of a block, which is not that between its convolutions.
    First,
    /// That between the convolutions of a block, where another comes first.
    Middle,
    /// The first norm of a block, which is also that between its convolutions.
    FirstAndMiddle,
    /// Any other: at the end of a branch, in a shortcut, between stages, in a head.
    Other,
}

/// The layer in the place of a network's norms.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct NormConfig {
    /// The layer's name: one of [`super::NORMS`], one that a program registered as a norm, `ibn_a` or `ibn_b`.
    pub kind: String,
    /// Which norms are replaced; `None` is [`Where::All`], and of `ibn_a` and `ibn_b` what these say.
    #[serde(default, rename = "where", skip_serializing_if = "Option::is_none")]
    pub place: Option<Where>,
    /// The layer's own settings.
    #[serde(flatten)]
    pub settings: Map<String, Value>,
}

impl NormConfig {
    /// A norm with default settings, in the place of all norms.
    pub fn new(kind: impl Into<String>) -> Self {
        Self { kind: kind.into(), place: None, settings: Map::new() }
    }

    /// The same with the default of `where` written out.
    pub fn resolved(mut self) -> Self {
        if !self.is_ibn() {
            self.place.get_or_insert_default();
        }
        self
    }

    fn is_ibn(&self) -> bool {
        IBN.contains(&self.kind.as_str())
    }

    /// Checks what needs no network.
    ///
    /// # Errors
    /// Returns an error where no norm of that name is in the registry (the known ones are listed), the layer is no norm, or `ibn_a` or
    /// `ibn_b` has settings.
    pub fn check(&self, registry: &Registry) -> Result<()> {
        let kind = &self.kind;
        if self.is_ibn() {
            let key = self.place.map(|_| "where").or_else(|| self.settings.keys().next().map(String::as_str));
            return match key {
                Some(key) => bail!("{kind:?}: unknown key {key:?}; it says itself where it is and has no settings"),
                None => Ok(()),
            };
        }
        if registry.is_norm(kind) {
            return Ok(());
        }
        let known = registry.names().filter(|name| registry.is_norm(name)).chain(IBN).collect::<Vec<_>>().join(", ");
        match registry.names().any(|name| name == kind) {
            true => bail!("the layer {kind:?} is no norm: attach it by layers; known norms: {known}"),
            false => bail!("unknown norm {kind:?}; known: {known}"),
        }
    }

    /// The layer that is wanted at a place, if its usual norm is replaced there. `number` is how many norms of the network came before.
    pub(super) fn at(&self, place: Place, cx: &BuildContext, number: usize) -> Option<&str> {
        let is_first = matches!(place, Place::First | Place::FirstAndMiddle);
        match self.kind.as_str() {
            "ibn_a" => (is_first && cx.stage() < cx.stages()).then_some("ibn"),
            "ibn_b" => (place == Place::Stem).then_some("instance_norm"),
            kind => match self.place.unwrap_or_default() {
                Where::All => true,
                Where::First => number == 0,
                Where::Middle => matches!(place, Place::Middle | Place::FirstAndMiddle),
            }
            .then_some(kind),
        }
    }

    /// Whether a norm follows the last addition of the context's stage.
    pub(super) fn ends(&self, cx: &BuildContext) -> bool {
        self.kind == "ibn_b" && cx.stage() <= LAST_ENDED
    }

    /// Checks that a network has a place for the norm: `replaced` are the norms in whose place it stands, `ends` those it added.
    ///
    /// # Errors
    /// Returns an error that says what the network lacks.
    pub(super) fn check_placed(&self, replaced: usize, ends: usize) -> Result<()> {
        let lacking = match (self.kind.as_str(), self.place.unwrap_or_default()) {
            ("ibn_b", _) if ends == 0 => {
                "it follows the addition at the end of stages 1 and 2, and this network has no such stages"
            }
            ("ibn_b", _) => return Ok(()),
            _ if replaced > 0 => return Ok(()),
            ("ibn_a", _) => "it is the first norm of the blocks of all stages but the last, and this network has none",
            (_, Where::Middle) => {
                "where is \"middle\", and this network has no norm between the convolutions of a block; \"all\" and \"first\" are accepted"
            }
            _ => "this network has no norms; take the key away",
        };
        bail!("norm {:?}: {lacking}", self.kind)
    }
}

/// A norm of a network: the usual one, or what stands in its place.
pub struct Norm(pub(super) Box<dyn Layer>);

impl Norm {
    /// Applies the norm to a map.
    ///
    /// # Errors
    /// As [`Layer::on_map`].
    pub fn on_map(&self, xs: &FeatureMap, pass: &Pass) -> Result<FeatureMap> {
        self.0.on_map(xs, pass)
    }

    /// Applies the norm, then ReLU.
    ///
    /// # Errors
    /// As [`Layer::on_map`].
    pub fn norm_relu(&self, xs: &FeatureMap, pass: &Pass) -> Result<FeatureMap> {
        self.0.on_map(xs, pass)?.relu()
    }

    /// Applies the norm, then leaky ReLU with this slope below 0.
    ///
    /// # Errors
    /// As [`Layer::on_map`].
    pub fn norm_leaky_relu(&self, xs: &FeatureMap, slope: f64, pass: &Pass) -> Result<FeatureMap> {
        self.0.on_map(xs, pass)?.leaky_relu(slope)
    }

    /// Applies the norm to the token vectors of packed sequences.
    ///
    /// # Errors
    /// As [`Layer::on_sequences`].
    pub fn on_sequences(&self, xs: &TokenMap, packing: &Packing, pass: &Pass) -> Result<TokenMap> {
        self.0.on_sequences(xs, packing, pass)
    }
}
