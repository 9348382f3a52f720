//! Weights that other programs saved: bytes in, tensors out.
//!
//! [`Pickle`] reads Python pickles without running them, [`Pth`] reads state dicts that `torch.save` wrote, and [`Weights`] loads such
//! a file, or a safetensors file, into the variables of a network.

pub mod pickle;
pub mod pth;
pub mod weights;

pub use pickle::Pickle;
pub use pth::Pth;
pub use weights::{NameMap, Outcome, Weights, WeightsError};

/// Runs the README's example as a doctest.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
pub struct Readme;
