//! Layers: what is attached to a network's blocks, all in one registry.
//!
//! A layer knows (N, positions, C). Images (N, H, W, C) and sequences (N, L, C) are both that; [`ChannelsFirst`] is for tensors
//! that have the channels first. To add a layer: one file that implements [`crate::rule::Rule`] and one line in [`LAYERS`], or
//! outside this crate [`Registry::with`].

mod base;
mod batch_norm;
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
pub use selfnorm::{SelfNorm, SelfNormConfig};
pub use settings::Settings;
pub use squeeze::SqueezeExcitation;
