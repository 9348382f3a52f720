//! The layers, and how networks attach them.
//!
//! A layer takes tensors with the channels last: images (N, H, W, C) and sequences (N, L, C); wrap it in [`ChannelsFirst`] for
//! (N, C, H, W) and (N, C, L). To add a layer to this crate, write a file that implements [`crate::rule::Rule`] and add a line to
//! [`LAYERS`]; in another crate, implement `Rule` and register the layer with [`Registry::with`].

mod attentive_norm;
mod base;
mod batch_norm;
mod built;
mod chosen;
mod context;
mod crossnorm;
mod dsu;
mod efdmix;
mod group_norm;
mod hooks;
mod ibn;
mod layer_norm;
mod matching;
mod mixstyle;
mod mode_norm;
mod module;
mod norm;
mod padain;
mod partners;
mod registry;
mod running;
mod selfnorm;
mod settings;
mod squeeze;
mod stochastic_depth;
mod switchable_norm;
mod tap;

pub use attentive_norm::{AttentiveNorm, AttentiveNormConfig};
pub use base::Layer;
pub use batch_norm::BatchNorm;
pub use built::Built;
pub use context::BuildContext;
pub use crossnorm::{Crop, CrossNorm, CrossNormConfig, CrossNormDraw, Mode, crop_box};
pub use dsu::{Dsu, DsuConfig, DsuDraw};
pub use efdmix::{EfdMix, EfdMixConfig, EfdMixDraw};
pub use group_norm::GroupNorm;
pub use hooks::{Hooks, LayerConfig, Layers};
pub use ibn::Ibn;
pub use layer_norm::LayerNorm;
pub use mixstyle::{MixStyle, MixStyleConfig, MixStyleDraw};
pub use mode_norm::{ModeNorm, ModeNormConfig};
pub use module::{AsModule, ChannelsFirst, FromModule, SharedPass};
pub use norm::{Norm, NormConfig, Place, Where};
pub use padain::{PAdaIn, PAdaInConfig, PAdaInDraw};
pub use registry::{Build, LAYERS, MIXING, NORMS, Registry, build};
pub use selfnorm::{SelfNorm, SelfNormConfig, is_gate_parameter};
pub use settings::Settings;
pub use squeeze::SqueezeExcitation;
pub use stochastic_depth::StochasticDepth;
pub use switchable_norm::SwitchableNorm;
pub use tap::{Tap, features};
