//! Weights of other programs: bytes in, tensors out.
//!
//! [`Pickle`] reads Python pickles without running them, [`Pth`] the state dicts that `torch.save`
//! wrote, and [`Weights`] matches the names of such a file, or of a safetensors file, with a network's variables.

pub mod pickle;
pub mod pth;
pub mod weights;

pub use pickle::Pickle;
pub use pth::Pth;
pub use weights::{NameMap, Outcome, Weights, WeightsError};

/// The example of the README, as a test.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
pub struct Readme;
