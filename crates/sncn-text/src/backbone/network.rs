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

/// Is told, wherever layers hang, of the vectors (N, L, C) that go in and those that come out.
pub type Watch<'a> = &'a mut dyn FnMut(&Spot, &Tensor, &Tensor) -> Result<()>;

/// Nobody watches.
pub(super) fn unwatched(_: &Spot, _: &Tensor, _: &Tensor) -> Result<()> {
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
