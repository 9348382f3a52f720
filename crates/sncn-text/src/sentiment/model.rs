//! The task, and the model that its commands share.

use crate::Vocabulary;
use crate::backbone::TextNetwork;
use anyhow::Result;
use candle_core::{Device, Tensor};

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
}

impl Model {
    /// The token ids of a text, as the network takes them and as they are.
    pub(super) fn encode(&self, text: &str) -> Result<(Tensor, Vec<u32>)> {
        let ids = self.vocabulary.encode(&[text], self.longest)?.concat();
        Ok((Tensor::new(vec![ids.clone()], &Device::Cpu)?, ids))
    }
}
