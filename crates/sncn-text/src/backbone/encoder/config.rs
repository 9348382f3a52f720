//! `EncoderConfig`: the sizes of an encoder, with the keys of Hugging Face's `config.json` for BERT, RoBERTa and DistilBERT.

use candle_core::{Result, bail};
use candle_transformers::models::{bert, xlm_roberta};
use serde::{Deserialize, Serialize};

/// The model family, which determines variable names, positions and the classifier.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Family {
    /// BERT (Devlin et al. 2019).
    #[default]
    Bert,
    /// RoBERTa (Liu et al. 2019), and XLM-RoBERTa and CamemBERT, which differ in their vocabularies: positions are numbered from the
    /// padding id + 1.
    #[serde(alias = "xlm-roberta", alias = "camembert")]
    Roberta,
    /// DistilBERT (Sanh et al. 2019): no token types and no pooler; a dense layer precedes its classifier.
    Distilbert,
}

/// The position of the LayerNorms.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum NormPosition {
    /// After every residual sum, as published (post-norm).
    #[default]
    Post,
    /// Before attention and feed-forward block, and after the last layer (pre-norm, Xiong et al. 2020).
    Pre,
}

/// The input of the classifier.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Head {
    /// The first token's vector, after the family's dense layer.
    #[default]
    Pooler,
    /// The mean of the vectors of a sequence.
    Mean,
}

/// The sizes of an encoder, with Hugging Face's keys.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EncoderConfig {
    /// The model family.
    #[serde(default, rename = "model_type")]
    pub family: Family,
    /// The number of word embeddings.
    pub vocab_size: usize,
    /// The number of channels.
    #[serde(alias = "dim")]
    pub hidden_size: usize,
    /// The number of layers.
    #[serde(alias = "n_layers")]
    pub num_hidden_layers: usize,
    /// The number of attention heads.
    #[serde(alias = "n_heads")]
    pub num_attention_heads: usize,
    /// The number of channels inside the feed-forward block.
    #[serde(alias = "hidden_dim")]
    pub intermediate_size: usize,
    /// The number of position embeddings.
    pub max_position_embeddings: usize,
    /// The number of token type embeddings.
    #[serde(default)]
    pub type_vocab_size: usize,
    /// ε of the LayerNorms.
    #[serde(default = "small")]
    pub layer_norm_eps: f64,
    /// The token id of padding.
    #[serde(default)]
    pub pad_token_id: u32,
    /// Dropout rate of the embeddings and of the results of attention and feed-forward block.
    #[serde(default = "tenth", alias = "dropout")]
    pub hidden_dropout_prob: f64,
    /// Dropout rate of the attention weights.
    #[serde(default = "tenth", alias = "attention_dropout")]
    pub attention_probs_dropout_prob: f64,
    /// Dropout rate of the classifier's input; if absent, `hidden_dropout_prob`.
    #[serde(default, alias = "seq_classif_dropout")]
    pub classifier_dropout: Option<f64>,
    /// The activation inside the feed-forward block.
    #[serde(default, alias = "activation")]
    pub hidden_act: Activation,
    /// The kind of position embedding.
    #[serde(default)]
    pub position_embedding_type: Positions,
    /// The position of the LayerNorms.
    #[serde(default)]
    pub norm: NormPosition,
}

/// The activation of the three families.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Activation {
    /// GELU with the error function.
    #[default]
    #[serde(alias = "gelu_python")]
    Gelu,
}

/// The position embedding of the three families.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Positions {
    /// A learned vector for every position.
    #[default]
    Absolute,
}

fn small() -> f64 {
    1e-12
}

fn tenth() -> f64 {
    0.1
}

/// Conversion from candle-transformers' configurations, which have the same sizes.
macro_rules! from_candle {
    ($config:ty, $family:expr, $gelu:expr, $attention_dropout:expr, $classifier_dropout:expr) => {
        impl TryFrom<&$config> for EncoderConfig {
            type Error = candle_core::Error;

            fn try_from(config: &$config) -> Result<Self> {
                if config.hidden_act != $gelu {
                    bail!("hidden_act is {:?}; gelu is accepted", config.hidden_act)
                }
                Ok(Self {
                    family: $family,
                    vocab_size: config.vocab_size,
                    hidden_size: config.hidden_size,
                    num_hidden_layers: config.num_hidden_layers,
                    num_attention_heads: config.num_attention_heads,
                    intermediate_size: config.intermediate_size,
                    max_position_embeddings: config.max_position_embeddings,
                    type_vocab_size: config.type_vocab_size,
                    layer_norm_eps: config.layer_norm_eps,
                    pad_token_id: config.pad_token_id as u32,
                    hidden_dropout_prob: config.hidden_dropout_prob.into(),
                    attention_probs_dropout_prob: $attention_dropout(config),
                    classifier_dropout: $classifier_dropout(config),
                    hidden_act: Activation::Gelu,
                    position_embedding_type: Positions::Absolute,
                    norm: NormPosition::Post,
                })
            }
        }
    };
}

from_candle!(bert::Config, Family::Bert, bert::HiddenAct::Gelu, |_: &bert::Config| tenth(), |config: &bert::Config| config
    .classifier_dropout);
from_candle!(
    xlm_roberta::Config,
    Family::Roberta,
    candle_nn::Activation::Gelu,
    |config: &xlm_roberta::Config| config.attention_probs_dropout_prob.into(),
    |_: &xlm_roberta::Config| None
);

impl EncoderConfig {
    /// The largest number of tokens in a sequence.
    pub fn longest(&self) -> usize {
        self.max_position_embeddings.saturating_sub(self.first_position())
    }

    /// The position number of a sequence's first token.
    pub(super) fn first_position(&self) -> usize {
        if self.family == Family::Roberta { self.pad_token_id as usize + 1 } else { 0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn published_configurations_are_read() {
        let bert = r#"{"architectures":["BertForMaskedLM"],"attention_probs_dropout_prob":0.1,"hidden_act":"gelu",
            "hidden_dropout_prob":0.1,"hidden_size":768,"initializer_range":0.02,"intermediate_size":3072,"layer_norm_eps":1e-12,
            "max_position_embeddings":512,"model_type":"bert","num_attention_heads":12,"num_hidden_layers":12,"pad_token_id":0,
            "type_vocab_size":2,"vocab_size":30522}"#;
        let bert: EncoderConfig = serde_json::from_str(bert).unwrap();
        assert_eq!((bert.family, bert.longest(), bert.norm), (Family::Bert, 512, NormPosition::Post));
        let roberta: EncoderConfig = serde_json::from_str(
            r#"{"model_type":"roberta","hidden_size":768,"num_hidden_layers":12,"num_attention_heads":12,"intermediate_size":3072,
            "layer_norm_eps":1e-05,"max_position_embeddings":514,"pad_token_id":1,"type_vocab_size":1,"vocab_size":50265}"#,
        )
        .unwrap();
        assert_eq!((roberta.longest(), roberta.first_position()), (512, 2));
        let distil: EncoderConfig = serde_json::from_str(
            r#"{"activation":"gelu","attention_dropout":0.2,"dim":768,"dropout":0.3,"hidden_dim":3072,"max_position_embeddings":512,
            "model_type":"distilbert","n_heads":12,"n_layers":6,"pad_token_id":0,"vocab_size":30522}"#,
        )
        .unwrap();
        assert_eq!((distil.num_hidden_layers, distil.hidden_dropout_prob, distil.attention_probs_dropout_prob), (6, 0.3, 0.2));
        assert_eq!((distil.type_vocab_size, distil.intermediate_size), (0, 3072));
    }
}
