//! `TextNetwork`: a network for token ids whose attached layers can be observed.

use candle_core::{Result, Tensor};
use sncn_core::{Network, Pass};

/// A place in a network with attached layers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Spot<'a> {
    /// The name of the position.
    pub position: &'a str,
    /// The number of the encoder layer, from 1; 0 before the first.
    pub stage: usize,
}

/// Reads the vectors (N, L, C) before and after the attached layers.
pub type BeforeAfter<'a> = &'a dyn Fn() -> Result<(Tensor, Tensor)>;

/// Called at every place with attached layers; the vectors are read only if the callback asks for them.
pub type Watch<'a> = &'a mut dyn FnMut(&Spot, BeforeAfter) -> Result<()>;

/// A [`Watch`] that does nothing.
pub(super) fn unwatched(_: &Spot, _: BeforeAfter) -> Result<()> {
    Ok(())
}

/// A network for token ids whose attached layers can be observed.
pub trait TextNetwork: Network {
    /// As [`Network::forward`], and calls `watch` at every place with attached layers.
    ///
    /// # Errors
    /// As [`Network::forward`], and if `watch` fails.
    fn watched(&self, ids: &Tensor, pass: &Pass, watch: Watch) -> Result<Tensor>;
}
