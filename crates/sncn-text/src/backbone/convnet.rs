//! `ConvNet`: convolutions of several widths over word vectors, max pooling over time, and a classifier (Kim 2014).

use super::blueprint::{Blueprint, Named, numbers};
use super::linear::Linear;
use super::network::{Spot, TextNetwork, Watch, unwatched};
use crate::Tokens;
use candle_core::{Result, Tensor, bail};
use candle_nn::Init;
use serde::{Deserialize, Serialize};
use sncn_core::layer::{Hooks, Layers};
use sncn_core::ops::{self, Conv};
use sncn_core::{BuildContext, Indexed, Lookup, Network, Packing, Pass, TokenMap, Vars};

/// Sizes of a [`ConvNet`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ConvNetConfig {
    /// The number of words in the vocabulary.
    pub vocab_size: usize,
    /// The number of channels of a word vector.
    pub embedding_dim: usize,
    /// The number of filters of each width.
    pub filters: usize,
    /// The widths of the filters in words.
    pub widths: Vec<usize>,
    /// If true, max pooling covers only windows inside the text (at least the first); otherwise also those with padding.
    #[serde(default)]
    pub mask_windows: bool,
    /// Whether the word vectors are trained.
    #[serde(default)]
    pub learn_embeddings: bool,
    /// Dropout rate of the features.
    #[serde(default)]
    pub dropout: f64,
}

/// Classifies sequences of token ids: packed (tokens) with the lengths in the pass, or (N, L); the output is (N, classes).
///
/// Layers attach at `embedding`, to the word vectors.
pub struct ConvNet {
    config: ConvNetConfig,
    embedding: Tensor,
    filters: Vec<(Tensor, Tensor)>,
    hooks: Hooks,
    fc: Linear,
    unused_parameters: Vec<String>,
    sites: usize,
}

impl ConvNet {
    /// Builds the network with `layers` attached; its variables are created in `vars`.
    ///
    /// # Errors
    /// If a size is 0 or an attached layer does not fit.
    pub fn new<'a>(config: &ConvNetConfig, classes: usize, layers: impl Into<Layers<'a>>, vars: &Vars) -> Result<Self> {
        let layers = layers.into();
        let width = config.embedding_dim;
        if config.widths.is_empty() || config.widths.contains(&0) || width * config.filters == 0 {
            bail!("a text ConvNet needs widths, filters and channels of at least 1")
        }
        Hooks::check_stages(layers.configs, 0)?;
        let cx = BuildContext::new(width, vars.builder());
        let table = cx.vb.get_with_hints((config.vocab_size, width), "embedding.weight", Init::Randn { mean: 0., stdev: 0.1 })?;
        let hooks = Hooks::new(layers, &[("embedding", width)], &cx)?;
        let filter = |&k: &usize| {
            let bound = 1. / ((width * k) as f64).sqrt();
            let uniform = Init::Uniform { lo: -bound, up: bound };
            let weight = cx.vb.get_with_hints((config.filters, width, k), &format!("conv{k}.weight"), uniform)?;
            Ok((weight, cx.vb.get_with_hints(config.filters, &format!("conv{k}.bias"), uniform)?))
        };
        let filters = config.widths.iter().map(filter).collect::<Result<Vec<_>>>()?;
        let features = config.filters * config.widths.len();
        let fc = Linear::new(cx.vb.pp("fc"), features, classes, 1. / (features as f64).sqrt())?;
        let (embedding, unused_parameters) = match config.learn_embeddings {
            true => (table, Vec::new()),
            false => (table.detach(), vec!["embedding.".to_string()]),
        };
        Ok(Self { config: config.clone(), embedding, filters, hooks, fc, unused_parameters, sites: layers.built(&cx)?.sites })
    }

    /// Builds `convnet<channels>_<filters>`: filters of 2 to 5 words, dropout ½, and word vectors that are trained, or kept as
    /// initialised if the name ends in `frozen`.
    pub(super) fn named(name: &str, blueprint: &Blueprint) -> Named {
        let (name, learn_embeddings) = name.strip_suffix("frozen").map_or((name, true), |name| (name, false));
        let (embedding_dim, filters) = numbers(name, "convnet")?;
        let config = ConvNetConfig {
            vocab_size: blueprint.words,
            embedding_dim,
            filters,
            widths: vec![2, 3, 4, 5],
            mask_windows: true,
            learn_embeddings,
            dropout: 0.5,
        };
        let built = Self::new(&config, blueprint.classes, blueprint.layers, blueprint.vars);
        Some(built.map(|network| Box::new(network) as Box<dyn TextNetwork>))
    }

    /// Reads a batch of token ids; padded vectors have room for the widest filter.
    ///
    /// # Errors
    /// As [`Tokens::new`].
    pub fn read(&self, ids: &Tensor, pass: &Pass) -> Result<Tokens> {
        Tokens::new(ids, pass, self.config.widths.iter().copied().max().unwrap_or(1))
    }

    /// The word vectors (N, L, C) of a batch, 0 at padding.
    ///
    /// # Errors
    /// If a token id is not below `vocab_size`.
    pub fn embed(&self, tokens: &Tokens) -> Result<Tensor> {
        let ids = tokens.ids();
        if let Some(id) = ids.iter().find(|&&id| id as usize >= self.config.vocab_size) {
            bail!("token id {id}; the vocabulary has {} words", self.config.vocab_size)
        }
        let words = Lookup { weight: &self.embedding, indices: ids, rows: Indexed::Token };
        tokens.packing().pad(&TokenMap::embed(&[words], false, &Pass::eval())?.to_tensor()?)
    }

    /// The features (N, filters · widths) of word vectors (N, L, C): convolutions, ReLU and max pooling over time.
    pub fn features(&self, words: &Tensor, packing: &Packing) -> Result<Tensor> {
        let features = self.filters.iter().map(|(weight, bias)| {
            let ys = ops::relu(&ops::conv1d(words, weight, Some(bias), &Conv::default())?)?;
            packing.window_max(&ys, weight.dim(2)?, self.config.mask_windows)
        });
        ops::concatenate(&features.collect::<Result<Vec<_>>>()?.iter().collect::<Vec<_>>())
    }

    /// The scores (N, classes) of features (N, filters · widths).
    pub fn classify(&self, features: &Tensor) -> Result<Tensor> {
        self.fc.on_rows(features)
    }
}

impl TextNetwork for ConvNet {
    fn watched(&self, ids: &Tensor, pass: &Pass, watch: Watch) -> Result<Tensor> {
        let tokens = self.read(ids, pass)?;
        let pass = pass.clone().with_lengths(tokens.packing().lengths().clone());
        let embedded = self.embed(&tokens)?;
        let words = self.hooks.forward("embedding", &embedded, &pass)?;
        if !self.hooks.is_empty() {
            watch(&Spot { position: "embedding", stage: 0 }, &|| Ok((embedded.clone(), words.clone())))?;
        }
        let features = self.features(&words, tokens.packing())?;
        let drops = pass.dropout() && self.config.dropout > 0.;
        self.classify(&if drops { ops::dropout(&features, self.config.dropout, pass.seed().named("dropout"))? } else { features })
    }
}

impl Network for ConvNet {
    fn forward(&self, ids: &Tensor, pass: &Pass) -> Result<Tensor> {
        self.watched(ids, pass, &mut unwatched)
    }

    fn sites(&self) -> usize {
        self.sites
    }

    fn unused_parameters(&self) -> &[String] {
        &self.unused_parameters
    }
}
