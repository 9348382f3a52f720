//! Weights that other programs saved: bytes in, tensors out.
//!
//! [`Pickle`] reads Python pickles without running them, [`Pth`] reads what `torch.save` wrote, [`Format`] tells what a file is, and
//! [`Weights`] opens a file, an index of several or a folder, finds the dictionary of tensors in it that a network's variables are in, and
//! loads it.

mod dictionary;
mod error;
mod folder;
mod format;
mod index;
mod part;
pub mod pickle;
mod prefix;
pub mod pth;
mod state_dict;
mod weights;

pub use dictionary::{Dictionary, Entry};
pub use error::WeightsError;
pub use format::Format;
pub use pickle::Pickle;
pub use pth::Pth;
pub use state_dict::{NameMap, Outcome, StateDict};
pub use weights::{Content, Weights};

/// Runs the README's example as a doctest.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
pub struct Readme;
