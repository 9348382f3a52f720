//! The task, and the model that its commands share.

use crate::Vocabulary;
use crate::backbone::TextNetwork;
use anyhow::Result;
use candle_core::{DType, Device, Tensor};
use sncn_core::loss::softmax;

/// Text classification.
#[derive(Debug)]
pub struct Sentiment;

/// A network for texts, with its vocabulary.
pub struct Model {
    /// The network.
    pub network: Box<dyn TextNetwork>,
    /// Texts to token ids.
    pub vocabulary: Vocabulary,
    /// The most tokens of a text.
    pub longest: usize,
    /// Whether every class has a probability of its own, so that a text may be of several.
    pub is_multi_label: bool,
}

impl Model {
    /// The token ids of a text, as the network takes them and as they are.
    pub(super) fn encode(&self, text: &str) -> Result<(Tensor, Vec<u32>)> {
        let ids = self.vocabulary.encode(&[text], self.longest)?.concat();
        Ok((Tensor::new(vec![ids.clone()], &Device::Cpu)?, ids))
    }

    /// The probabilities of the classes from the scores (1, classes) of a text: their softmax, or the logistic function of each where a
    /// text may be of several classes.
    pub(super) fn probabilities(&self, scores: &Tensor) -> Result<Vec<f64>> {
        let scores = scores.detach().to_dtype(DType::F64)?;
        if self.is_multi_label {
            return Ok(scores.to_vec2::<f64>()?.concat().into_iter().map(|score| 1. / (1. + (-score).exp())).collect());
        }
        Ok(softmax(&scores)?.to_vec2::<f64>()?.concat())
    }
}
