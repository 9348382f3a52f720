//! SelfNorm, CrossNorm and related normalisation layers for candle, and what training a network with them needs: losses,
//! optimisers, named random streams, and network bodies that run fast on the CPU.
//!
//! Every such layer takes the mean and variance of each instance's channels, computes a scale and a bias for every
//! (instance, channel), and applies them to the whole map. A [`rule`] is this computation; [`layer`] has the layers of this
//! crate and the traits to write others; [`graph`] runs them in networks.
//!
//! | to do | start at |
//! |---|---|
//! | use a layer in a candle model | [`Layer`], [`layer::ChannelsFirst`], [`layer::AsModule`] |
//! | write a layer | [`rule::Rule`], or [`graph::Operation`] |
//! | build a network that tables can attach layers to | [`FeatureMap`], [`Hooks`], [`block`] |
//! | write a network in another form | [`trace`](fn@trace::trace) |
//! | train | [`Vars`], [`Pass`], [`loss`], [`backward`](fn@backward), [`optim::Optimizer`] |

mod average;
mod backward;
pub mod block;
pub mod graph;
mod kept;
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
pub mod test_time;
pub mod trace;
pub mod vars;

pub use average::WeightAverage;
pub use backward::backward;
pub use graph::{Attention, FeatureMap, Indexed, Lookup, MapGradients, TokenMap, observe};
pub use layer::{BuildContext, CrossNormDraw, Hooks, Layer, LayerConfig, Layers, NormConfig};
pub use network::Network;
pub use packing::Packing;
pub use pass::{BoundingBox, Pass, Precision};
pub use seed::Seed;
pub use sncn_kernels::reference;
pub use test_time::TestTime;
pub use vars::Vars;

/// Runs the README's example as a doctest.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
pub struct Readme;
