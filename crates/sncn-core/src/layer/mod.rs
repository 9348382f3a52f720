//! The layers, and how networks attach them.
//!
//! A layer takes tensors with the channels last: images (N, H, W, C) and sequences (N, L, C); wrap it in [`ChannelsFirst`] for
//! (N, C, H, W) and (N, C, L). To add a layer to this crate, write a file that implements [`crate::rule::Rule`] and add a line to
//! [`LAYERS`]; in another crate, implement `Rule` and register the layer with [`Registry::with`].

mod base;
mod batch_norm;
mod chosen;
mod context;
mod crossnorm;
mod group_norm;
mod hooks;
mod ibn;
mod layer_norm;
mod mixstyle;
mod module;
mod registry;
mod selfnorm;
mod settings;
mod squeeze;
mod stochastic_depth;

pub use base::Layer;
pub use batch_norm::BatchNorm;
pub use context::BuildContext;
pub use crossnorm::{Crop, CrossNorm, CrossNormConfig, CrossNormDraw, Mode, crop_box};
pub use group_norm::GroupNorm;
pub use hooks::{Hooks, LayerConfig, Layers};
pub use ibn::Ibn;
pub use layer_norm::LayerNorm;
pub use mixstyle::{MixStyle, MixStyleConfig, MixStyleDraw};
pub use module::{AsModule, ChannelsFirst, FromModule, SharedPass};
pub use registry::{Build, LAYERS, Registry, build};
pub use selfnorm::{SelfNorm, SelfNormConfig, is_gate_parameter};
pub use settings::Settings;
pub use squeeze::SqueezeExcitation;
pub use stochastic_depth::StochasticDepth;
