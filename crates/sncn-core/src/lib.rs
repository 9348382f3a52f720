//! SelfNorm, CrossNorm and their relatives as candle layers, with what training a network of them takes: losses, optimisers,
//! named random streams, and recorded network bodies that run fast on the CPU.
//!
//! Take each instance's channel statistics, compute a scale and a bias on the small (N, C) table, apply them to the big
//! tensor: a layer is a [`rule`] for what stands in the middle, [`layer`] has those of this crate, and [`graph`] runs them in
//! recorded networks.

mod backward;
pub mod block;
pub mod graph;
pub mod layer;
pub mod loss;
pub mod network;
pub mod ops;
pub mod optim;
pub mod packing;
pub mod pass;
pub mod rule;
pub mod seed;
pub mod stats;
pub mod vars;

pub use backward::backward;
pub use graph::{Attention, FeatureMap, Lookup, MapGradients, TokenMap, observe};
pub use layer::{BuildContext, CrossNormDraw, Hooks, Layer, LayerConfig, Layers};
pub use network::Network;
pub use packing::Packing;
pub use pass::{BoundingBox, Pass, Precision};
pub use seed::Seed;
pub use sncn_kernels::reference;
pub use vars::Vars;

/// The example of the README, as a test.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
pub struct Readme;
