//! `TextNetwork`: a network for token ids that can be watched where layers hang.

use candle_core::{Result, Tensor};
use sncn_core::{Network, Pass};

/// Where layers hang.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Spot<'a> {
    /// A position that the network names.
    pub position: &'a str,
    /// The encoder's layer, from 1; 0 before the first.
    pub stage: usize,
}

/// Gives the vectors (N, L, C) that go into a layer and those that come out.
pub type Around<'a> = &'a dyn Fn() -> Result<(Tensor, Tensor)>;

/// Is told wherever layers are attached, and may ask for the vectors around them.
pub type Watch<'a> = &'a mut dyn FnMut(&Spot, Around) -> Result<()>;

/// Nobody watches.
pub(super) fn unwatched(_: &Spot, _: Around) -> Result<()> {
    Ok(())
}

/// A network for token ids (N, L) that can be watched.
pub trait TextNetwork: Network {
    /// [`Network::forward`], with somebody who watches.
    ///
    /// # Errors
    /// As it, and where `watch` fails.
    fn watched(&self, ids: &Tensor, pass: &Pass, watch: Watch) -> Result<Tensor>;
}
