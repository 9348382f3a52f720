//! Text networks of sncn: SelfNorm and CrossNorm over the tokens of each embedding dimension, padding excluded.
//!
//! A batch is a tensor of token ids (N, L), u32, padded behind each sequence with the network's padding id.

#[macro_use(out)]
extern crate sncn_train;

pub mod backbone;
pub mod dataset;
pub mod examples;
pub mod glove;
mod pieces;
pub mod pretrained;
pub mod sentiment;
pub mod shift;
mod tokens;
pub mod vectors;
pub mod vocabulary;

pub use glove::GloveConfig;
pub use pretrained::Pretrained;
pub use tokens::{Tokens, padded_lengths};
pub use vectors::Vectors;
pub use vocabulary::{Vocabulary, VocabularyConfig};

/// The example of the README, as a test.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
pub struct Readme;
