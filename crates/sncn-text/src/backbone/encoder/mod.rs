//! `Encoder`: a transformer encoder (Vaswani et al. 2017) with a classifier, compatible with the weights of Hugging Face's BERT,
//! RoBERTa and DistilBERT; it can also be trained from scratch.

mod config;
mod layer;
mod published;

pub use config::{Activation, EncoderConfig, Family, Head, NormPosition, Positions};

use super::blueprint::{Blueprint, Named, numbers};
use super::linear::Linear;
use super::network::{TextNetwork, Watch, unwatched};
use crate::Tokens;
use candle_core::{Result, Tensor, bail};
use candle_nn::Init;
use layer::{EncoderLayer, LayerPass, POSITIONS, STDEV};
use sncn_core::layer::{Built, Hooks, LayerNorm, Layers, Norm, Place};
use sncn_core::{BuildContext, Indexed, Lookup, Network, Packing, Pass, TokenMap, Vars, ops};

/// A transformer encoder that classifies sequences of token ids: packed (tokens) with the lengths in the pass, or (N, L).
///
/// Layers attach at `embedding` and, in every encoder layer (its number is the stage), at `attention`, `feed_forward` and `sum`.
/// The output is (N, classes).
///
/// ```
/// use candle_core::{DType, Device, Tensor};
/// use sncn_core::{LayerConfig, Network, Pass, Seed, Vars};
/// use sncn_text::backbone::{Encoder, EncoderConfig, Head};
///
/// # fn main() -> candle_core::Result<()> {
/// let config: EncoderConfig = serde_json::from_str(
///     r#"{"vocab_size": 100, "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 32,
///         "max_position_embeddings": 20}"#,
/// )
/// .map_err(candle_core::Error::wrap)?;
/// let vars = Vars::new(Seed::new(0), DType::F32, &Device::Cpu);
/// let encoder = Encoder::new(&config, 2, Head::Mean, &[LayerConfig::new("selfnorm", "attention")], &vars)?;
/// let ids = Tensor::new(&[5u32, 6, 7, 8, 9], &Device::Cpu)?; // three tokens, then two
/// assert_eq!(encoder.forward(&ids, &Pass::eval().with_lengths([3, 2]))?.dims(), [2, 2]);
/// # Ok(())
/// # }
/// ```
pub struct Encoder {
    config: EncoderConfig,
    words: Tensor,
    positions: Tensor,
    types: Option<Tensor>,
    norm: Norm,
    /// The norm after the last layer, in pre-norm encoders.
    last: Option<Norm>,
    hooks: Hooks,
    layers: Vec<EncoderLayer>,
    dense: Option<Linear>,
    classifier: Linear,
    head: Head,
    unused_parameters: Vec<String>,
    built: Built,
}

impl Encoder {
    /// Builds the encoder with `layers` attached; its variables are created in `vars`.
    ///
    /// # Errors
    /// If a size does not fit another, or an attached layer does not fit.
    pub fn new<'a>(
        config: &EncoderConfig,
        classes: usize,
        head: Head,
        layers: impl Into<Layers<'a>>,
        vars: &Vars,
    ) -> Result<Self> {
        let layers = layers.into();
        let (width, family) = (config.hidden_size, config.family);
        if config.num_attention_heads == 0 || !width.is_multiple_of(config.num_attention_heads) {
            bail!("hidden_size {width} is no multiple of num_attention_heads {}", config.num_attention_heads)
        }
        Hooks::check(layers.configs, std::iter::once("embedding").chain(POSITIONS))?;
        Hooks::check_stages(layers.configs, config.num_hidden_layers)?;
        let cx = BuildContext::new(width, vars.builder()).of_stages(config.num_hidden_layers);
        let under = |path: &str| cx.at(width, cx.vb.pp(path));
        let table = |count: usize, name: &str| {
            let init = Init::Randn { mean: 0., stdev: STDEV };
            cx.vb.get_with_hints((count, width), &format!("embeddings.{name}.weight"), init)
        };
        let words = table(config.vocab_size, "word_embeddings")?;
        let typed = family != Family::Distilbert && config.type_vocab_size > 0;
        let of_types = || if typed { table(config.type_vocab_size, "token_type_embeddings").map(Some) } else { Ok(None) };
        let of_positions = || table(config.max_position_embeddings, "position_embeddings");
        let usual = |cx: &BuildContext| LayerNorm::new(cx, config.layer_norm_eps);
        let of_norm = || layers.norm(&under("embeddings.LayerNorm"), Place::Stem, usual);
        // in PyTorch's order, which is different for RoBERTa
        let (positions, types, norm) = if family == Family::Roberta {
            let (types, norm) = (of_types()?, of_norm()?);
            (of_positions()?, types, norm)
        } else {
            let positions = of_positions()?;
            (positions, of_types()?, of_norm()?)
        };
        let (first, inside): (Vec<_>, Vec<_>) = layers.configs.iter().cloned().partition(|layer| layer.at == "embedding");
        let hooks = Hooks::new(layers.of(&first), &[("embedding", width)], &under("embeddings"))?;
        let stem = if family == Family::Distilbert { "transformer.layer" } else { "encoder.layer" };
        let stage = |i: usize| EncoderLayer::new(config, layers.of(&inside), &under(&format!("{stem}.{i}")).in_stage(i + 1));
        let encoder_layers = (0..config.num_hidden_layers).map(stage).collect::<Result<_>>()?;
        let last = match config.norm {
            NormPosition::Post => None,
            NormPosition::Pre => Some(layers.norm(&under("final_layer_norm"), Place::Other, usual)?),
        };
        let dense = if family == Family::Distilbert { "pre_classifier" } else { "pooler.dense" };
        // BERT's weights include the pooler even if it is not used
        let wanted = head == Head::Pooler || family != Family::Distilbert;
        let pooler = if wanted { Some(Linear::new(cx.vb.pp(dense), width, width, STDEV)?) } else { None };
        let unused_parameters = if wanted && head == Head::Mean { vec![format!("{dense}.")] } else { Vec::new() };
        let classifier = Linear::new(cx.vb.pp("classifier"), width, classes, STDEV)?;
        let (config, built) = (config.clone(), layers.built(&cx)?);
        Ok(Self {
            config,
            words,
            positions,
            types,
            norm,
            last,
            hooks,
            layers: encoder_layers,
            dense: pooler,
            classifier,
            head,
            unused_parameters,
            built,
        })
    }

    /// Builds `encoder<layers>_<channels>`: heads of up to 64 channels, 4·channels inside the feed-forward block, dropout 0.1, and
    /// the mean of a text as the classifier's input. Post-norm, or pre-norm if the name ends in `pre`.
    pub(super) fn named(name: &str, blueprint: &Blueprint) -> Named {
        let (name, norm) = name.strip_suffix("pre").map_or((name, NormPosition::Post), |name| (name, NormPosition::Pre));
        let (layers, width) = numbers(name, "encoder")?;
        let config = EncoderConfig {
            // no token types and no pooler
            family: Family::Distilbert,
            vocab_size: blueprint.words,
            hidden_size: width,
            num_hidden_layers: layers,
            num_attention_heads: width.div_ceil(64),
            intermediate_size: 4 * width,
            max_position_embeddings: blueprint.longest,
            type_vocab_size: 0,
            layer_norm_eps: 1e-12,
            pad_token_id: blueprint.pad,
            hidden_dropout_prob: 0.1,
            attention_probs_dropout_prob: 0.1,
            classifier_dropout: Some(0.),
            hidden_act: Activation::Gelu,
            position_embedding_type: Positions::Absolute,
            norm,
        };
        let built = Self::new(&config, blueprint.classes, Head::Mean, blueprint.layers, blueprint.vars);
        Some(built.map(|network| Box::new(network) as Box<dyn TextNetwork>))
    }

    /// Reads a batch of token ids.
    ///
    /// # Errors
    /// As `Tokens::new`, and if a sequence is longer than [`EncoderConfig::longest`].
    pub fn read(&self, ids: &Tensor, pass: &Pass) -> Result<Tokens> {
        let tokens = Tokens::new(ids, pass, 1)?;
        let (longest, most) = (tokens.packing().lengths().iter().copied().max().unwrap_or(0), self.config.longest());
        if longest > most {
            bail!("a sequence of {longest} tokens; this encoder takes {most}: cut the text")
        }
        Ok(tokens)
    }

    /// Calls `visit` with the vectors after the embedding and after every layer, and returns the last ones. `types` (N, L) are the
    /// token types, by default 0.
    fn run(
        &self,
        tokens: &Tokens,
        types: Option<&Tensor>,
        pass: &Pass,
        watch: Watch,
        mut visit: impl FnMut(TokenMap) -> Result<TokenMap>,
    ) -> Result<TokenMap> {
        let (packing, first) = (tokens.packing(), self.config.first_position() as u32);
        let (words, places) = (tokens.ids(), tokens.each(|_, i| first + i as u32));
        let of_types = match types.map(Tensor::to_vec2::<u32>).transpose()? {
            Some(types) => tokens.each(|n, i| types[n][i]),
            None => vec![0; words.len()],
        };
        let lookup = |weight, indices, rows| Lookup { weight, indices, rows };
        let mut lookups =
            vec![lookup(&self.words, words, Indexed::Token), lookup(&self.positions, &places, Indexed::Position { first })];
        lookups.extend(self.types.as_ref().map(|table| lookup(table, &of_types, Indexed::Type)));
        let padded = pass.clone().with_lengths(packing.lengths().clone());
        let seed = pass.seed().named("dropout");
        let run = |stage: u64| LayerPass { packing, pass: &padded, seed: seed.fold_in(stage), stage: stage as usize };
        let xs = run(0).norm(&self.norm, &TokenMap::embed(&lookups, self.built.recordable, pass)?)?;
        let xs = run(0).dropout(xs, self.config.hidden_dropout_prob, "embedding")?;
        let xs = run(0).apply_attached(&self.hooks, "embedding", xs, watch)?;
        let mut xs = visit(xs)?;
        for (i, layer) in self.layers.iter().enumerate() {
            xs = visit(layer.forward(&xs, &run(i as u64 + 1), watch)?)?;
        }
        self.last.as_ref().map_or(Ok(xs.clone()), |norm| run(0).norm(norm, &xs))
    }

    /// The vectors of the last layer, packed (tokens, C); `types` (N, L) are the token types, by default 0.
    ///
    /// # Errors
    /// As [`Encoder::read`].
    pub fn vectors(&self, tokens: &Tokens, types: Option<&Tensor>, pass: &Pass) -> Result<Tensor> {
        self.run(tokens, types, pass, &mut unwatched, Ok)?.to_tensor()
    }

    /// The vectors (tokens, C) after the embedding and after every layer.
    ///
    /// # Errors
    /// As [`Encoder::read`].
    pub fn states(&self, tokens: &Tokens, types: Option<&Tensor>, pass: &Pass) -> Result<Vec<Tensor>> {
        let mut states = Vec::new();
        self.run(tokens, types, pass, &mut unwatched, |xs| {
            states.push(xs.values()?);
            Ok(xs)
        })?;
        Ok(states)
    }

    /// The input of the classifier (N, C), computed from the vectors of the last layer (tokens, C).
    pub fn summary(&self, vectors: &Tensor, packing: &Packing) -> Result<Tensor> {
        match (&self.dense, self.head) {
            (Some(dense), Head::Pooler) => {
                let pooled = dense.on_rows(&packing.first(vectors)?)?;
                if self.config.family == Family::Distilbert { ops::relu(&pooled) } else { ops::tanh(&pooled) }
            }
            _ => packing.mean(vectors),
        }
    }

    /// The scores (N, classes) of the classifier's input (N, C).
    pub fn classify(&self, summary: &Tensor) -> Result<Tensor> {
        self.classifier.on_rows(summary)
    }
}

impl TextNetwork for Encoder {
    fn watched(&self, ids: &Tensor, pass: &Pass, watch: Watch) -> Result<Tensor> {
        let tokens = self.read(ids, pass)?;
        let vectors = self.run(&tokens, None, pass, watch, Ok)?.to_tensor()?;
        let summary = self.summary(&vectors, tokens.packing())?;
        let rate = self.config.classifier_dropout.unwrap_or(self.config.hidden_dropout_prob);
        let drops = pass.dropout() && rate > 0.;
        self.classify(&if drops { ops::dropout(&summary, rate, pass.seed().named("classifier"))? } else { summary })
    }
}

impl Network for Encoder {
    fn forward(&self, ids: &Tensor, pass: &Pass) -> Result<Tensor> {
        self.watched(ids, pass, &mut unwatched)
    }

    fn sites(&self) -> usize {
        self.built.sites
    }

    fn unused_parameters(&self) -> &[String] {
        &self.unused_parameters
    }
}
