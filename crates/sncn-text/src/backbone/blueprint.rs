//! `Blueprint`: the arguments of building a network, and the parsing of its name.

use super::network::TextNetwork;
use candle_core::Result;
use sncn_core::{Layers, Vars};

/// The arguments of `build` other than the name.
pub struct Blueprint<'a> {
    /// The number of classes.
    pub classes: usize,
    /// Layers to attach to the network.
    pub layers: Layers<'a>,
    /// The store in which the variables are created.
    pub vars: &'a Vars,
    /// The number of tokens in the vocabulary.
    pub words: usize,
    /// The token id of padding.
    pub pad: u32,
    /// The largest number of tokens in a text.
    pub longest: usize,
}

/// The network, or `None` if the name belongs to another family.
pub(super) type Named = Option<Result<Box<dyn TextNetwork>>>;

/// The two numbers of a name of the form `<before>12_34`.
pub(super) fn numbers(name: &str, before: &str) -> Option<(usize, usize)> {
    let (one, two) = name.strip_prefix(before)?.split_once('_')?;
    Some((one.parse().ok()?, two.parse().ok()?))
}
