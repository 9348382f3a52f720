//! `Blueprint`: what a network is built from, and how its name is read.

use super::network::TextNetwork;
use candle_core::Result;
use sncn_core::{Layers, Vars};

/// What a network is built from.
pub struct Blueprint<'a> {
    /// Classes of the data set.
    pub classes: usize,
    /// Layers to attach to it.
    pub layers: Layers<'a>,
    /// Where its variables are created.
    pub vars: &'a Vars,
    /// Tokens of the vocabulary.
    pub words: usize,
    /// The id of padding.
    pub pad: u32,
    /// The most tokens of a text.
    pub longest: usize,
}

/// A network, if the name is one of a family's.
pub(super) type Named = Option<Result<Box<dyn TextNetwork>>>;

/// Two numbers of a name, `<before>12_34`.
pub(super) fn numbers(name: &str, before: &str) -> Option<(usize, usize)> {
    let (one, two) = name.strip_prefix(before)?.split_once('_')?;
    Some((one.parse().ok()?, two.parse().ok()?))
}
