//! Text classification for sncn: networks, data sets, vocabularies and word vectors. SelfNorm and CrossNorm act on the statistics of
//! each embedding dimension over the tokens of a text, without padding.
//!
//! A batch is a tensor of token ids, u32: packed (tokens) with the lengths in the pass, or (N, L), padded at the end of each
//! sequence with the network's padding id.

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
