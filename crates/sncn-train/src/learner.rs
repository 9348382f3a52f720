//! `Learner`: what training changes, and `Companion`: what may be trained beside the network.

use crate::data::{Batch, DataError};
use crate::train_error::TrainError;
use candle_core::{Result, Tensor};
use sncn_core::optim::Optimizer;
use sncn_core::{Network, Seed, Vars};
use sncn_record::checkpoint::Told;
use std::collections::HashMap;

/// A network in training, with all that its training changes besides.
pub struct Learner<'a> {
    /// The network.
    pub network: &'a dyn Network,
    /// Its variables.
    pub vars: &'a Vars,
    /// Its optimiser.
    pub optimizer: Optimizer,
    /// What is trained beside it, if anything.
    pub companion: Option<Box<dyn Companion>>,
}

impl<'a> Learner<'a> {
    /// A network that is trained alone.
    pub fn new(network: &'a dyn Network, vars: &'a Vars, optimizer: Optimizer) -> Self {
        Self { network, vars, optimizer, companion: None }
    }

    /// The batch as the network is to be trained on it, and what the companion tells of it.
    pub(crate) fn changed(&mut self, batch: Batch, seed: Seed) -> Result<(Batch, Vec<Told>)> {
        match &mut self.companion {
            Some(companion) => companion.change(self.network, batch, seed),
            None => Ok((batch, Vec::new())),
        }
    }
}

/// Batches one after another.
pub type Batches<'a> = &'a mut dyn Iterator<Item = std::result::Result<Batch, DataError>>;

/// Something that is trained beside a network and changes the batches which the network is trained on, as a generator of adversarial noise
/// does. All that it draws comes from the seeds it is given, so that with its state a run goes on to the same bytes.
pub trait Companion {
    /// Called before the first step of an epoch. `batches` are read only as far as they are asked for, and never end.
    ///
    /// # Errors
    /// If a batch cannot be read, the network fails, or a loss is not finite.
    fn begin_epoch(
        &mut self,
        epoch: usize,
        network: &dyn Network,
        batches: Batches<'_>,
        seed: Seed,
    ) -> std::result::Result<(), TrainError>;

    /// Learns from the batch, and returns what the network is to be trained on, with what there is to tell.
    ///
    /// # Errors
    /// If the network fails.
    fn change(&mut self, network: &dyn Network, batch: Batch, seed: Seed) -> Result<(Batch, Vec<Told>)>;

    /// All that it has learnt, as named tensors.
    ///
    /// # Errors
    /// If the state cannot be copied.
    fn state(&self) -> Result<Vec<(String, Tensor)>>;

    /// Takes over a saved state.
    ///
    /// # Errors
    /// If it is that of another companion.
    fn load_state(&mut self, state: HashMap<String, Tensor>) -> Result<()>;
}
