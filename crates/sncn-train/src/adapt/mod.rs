//! Adaptation at test time: how a network changes with the test examples it sees, without their labels.
//!
//! [`Adapt`] is the key `adapt` of a run, [`Adapting`] a network that does so as it answers. Of test-time statistics only BatchNorm's mean
//! and variance change (`sncn_core::test_time` has the formulas); TENT trains a few parameters too.

mod adapting;
mod settings;

pub use adapting::Adapting;
pub use settings::{Adapt, AdaptError, Order, Prior, Statistics, Tent};
