//! `Way`: how a test set is scored.

use crate::data::Dataset;
use crate::evaluate::{EvaluateError, Evaluation, Reading, evaluate_with};
use sncn_core::{Network, Pass};

/// How a test set is scored.
#[derive(Clone, Copy)]
pub struct Way<'a> {
    /// The network: the model's own, or one that adapts to what it answers.
    pub network: &'a dyn Network,
    /// The evaluation pass.
    pub pass: &'a Pass,
    /// Which examples make a batch, and what is found out.
    pub reading: Reading,
}

impl<'a> Way<'a> {
    /// The network as it is.
    pub fn plain(network: &'a dyn Network, pass: &'a Pass) -> Self {
        Self { network, pass, reading: Reading::default() }
    }

    /// Evaluates it on examples with one label each, `usual` in a batch where any number will do.
    ///
    /// # Errors
    /// As [`evaluate_with`].
    pub fn evaluate(
        &self,
        data: &dyn Dataset,
        classes: usize,
        usual: usize,
        observe: impl FnMut(usize),
    ) -> Result<Evaluation, EvaluateError> {
        let reading = Reading { batch_size: self.reading.batch_size.or(Some(usual)), ..self.reading };
        evaluate_with(self.network, data, classes, self.pass, &reading, observe)
    }
}
