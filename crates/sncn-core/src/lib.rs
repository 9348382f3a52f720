//! SelfNorm, CrossNorm and their relatives as candle layers, with what training a network of them takes: losses, optimisers,
//! named random streams, and recorded network bodies that run fast on the CPU.
//!
//! Take each instance's channel statistics, compute a scale and a shift on the small (N, C) table, apply them to the big
//! tensor: see [`stats`] for the two primitives and [`layer`] for what stands between them.

pub mod graph;
pub mod layer;
pub mod loss;
pub mod network;
pub mod ops;
pub mod optim;
pub mod pass;
pub mod seed;
pub mod stats;
pub mod vars;

pub use graph::{Attention, FeatureMap, Lookup, MapGradients, Packing, TokenMap, backward, observe};
pub use layer::{Hooks, Layer, LayerConfig, Place};
pub use network::Network;
pub use pass::{Mixture, Pass, Precision, Window};
pub use seed::Seed;
pub use vars::Vars;

/// The example of the README, as a test.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
pub struct Readme;
