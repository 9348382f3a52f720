//! SelfNorm, CrossNorm and the training core of sncn, on candle.
//!
//! Take each instance's channel statistics, compute a scale and a shift on the small (N, C) table, apply them to the big
//! tensor: see [`stats`] for the two primitives and [`layer`] for what stands between them.

pub mod calibration;
pub mod checkpoint;
pub mod confusion;
pub mod data;
pub mod evaluate;
pub mod graph;
pub mod harness;
pub mod layer;
pub mod loss;
pub mod network;
pub mod objective;
pub mod ops;
pub mod optim;
pub mod pass;
pub mod perturb;
pub mod pickle;
pub mod pth;
pub mod schedule;
pub mod seed;
pub mod shift;
pub mod source;
pub mod stats;
pub mod train;
pub mod vars;
pub mod weights;

pub use graph::{Attention, FeatureMap, Lookup, MapGradients, Packing, TokenMap, backward, observe};
pub use layer::{Hooks, Layer, LayerConfig, Place};
pub use network::Network;
pub use pass::{Mixture, Pass, Precision, Window};
pub use seed::Seed;
pub use sncn_kernels::reference;
pub use source::Source;
pub use vars::Vars;
