//! One layer of an encoder: attention and feed-forward block, each with a residual sum.

use super::config::{EncoderConfig, Family, NormPosition};
use crate::backbone::linear::Linear;
use crate::backbone::network::{Spot, Watch};
use candle_core::Result;
use sncn_core::layer::{Hooks, LayerNorm, Layers, Norm, Place};
use sncn_core::{Attention, BuildContext, Packing, Pass, Seed, TokenMap};

/// The positions for attached layers: the result of attention, the result of the feed-forward block, and the last sum.
pub(super) const POSITIONS: [&str; 3] = ["attention", "feed_forward", "sum"];

/// Standard deviation of initial weights.
pub(super) const STDEV: f64 = 0.02;

/// The names of a layer's variables.
struct Names {
    attention: [&'static str; 4],
    norms: [&'static str; 2],
    feed_forward: [&'static str; 2],
}

const BERT: Names = Names {
    attention: ["attention.self.query", "attention.self.key", "attention.self.value", "attention.output.dense"],
    norms: ["attention.output.LayerNorm", "output.LayerNorm"],
    feed_forward: ["intermediate.dense", "output.dense"],
};

const DISTILBERT: Names = Names {
    attention: ["attention.q_lin", "attention.k_lin", "attention.v_lin", "attention.out_lin"],
    norms: ["sa_layer_norm", "output_layer_norm"],
    feed_forward: ["ffn.lin1", "ffn.lin2"],
};

pub(super) struct EncoderLayer {
    projections: [Linear; 3],
    output: Linear,
    norms: [Norm; 2],
    feed_forward: [Linear; 2],
    hooks: Hooks,
    heads: usize,
    /// Dropout rates of the results and of the attention weights.
    dropout: [f64; 2],
    norm: NormPosition,
}

/// The arguments of a layer's forward pass.
pub(super) struct LayerPass<'a> {
    pub(super) packing: &'a Packing,
    /// The pass, with the lengths of the sequences.
    pub(super) pass: &'a Pass,
    /// The stream of the layer's dropout.
    pub(super) seed: Seed,
    /// The number of the layer, from 1; 0 is the embedding.
    pub(super) stage: usize,
}

impl LayerPass<'_> {
    /// Applies dropout, in training.
    pub(super) fn dropout(&self, xs: TokenMap, rate: f64, name: &str) -> Result<TokenMap> {
        if self.pass.dropout() { xs.dropout(rate, self.seed.named(name), self.packing) } else { Ok(xs) }
    }

    /// Applies the layers attached at a position.
    pub(super) fn apply_attached(&self, hooks: &Hooks, position: &str, xs: TokenMap, watch: Watch) -> Result<TokenMap> {
        if hooks.is_empty_at(position) {
            return Ok(xs);
        }
        let ys = hooks.on_sequences(position, xs.clone(), self.packing, self.pass)?;
        watch(&Spot { position, stage: self.stage }, &|| {
            Ok((self.packing.pad(&xs.values()?)?, self.packing.pad(&ys.values()?)?))
        })?;
        Ok(ys)
    }

    /// Applies a norm.
    pub(super) fn norm(&self, norm: &Norm, xs: &TokenMap) -> Result<TokenMap> {
        norm.on_sequences(xs, self.packing, self.pass)
    }
}

impl EncoderLayer {
    pub(super) fn new(config: &EncoderConfig, layers: Layers, cx: &BuildContext) -> Result<Self> {
        let names = if config.family == Family::Distilbert { &DISTILBERT } else { &BERT };
        let (width, inner) = (config.hidden_size, config.intermediate_size);
        let linear = |name: &str, from, to| Linear::new(cx.vb.pp(name), from, to, STDEV);
        let usual = |cx: &BuildContext| LayerNorm::new(cx, config.layer_norm_eps);
        let norm = |name: &str, place| layers.norm(&cx.at(width, cx.vb.pp(name)), place, usual);
        // in PyTorch's order
        let [query, key, value, output] = names.attention;
        let projections = [linear(query, width, width)?, linear(key, width, width)?, linear(value, width, width)?];
        let output = linear(output, width, width)?;
        let first = norm(names.norms[0], Place::First)?;
        let feed_forward = [linear(names.feed_forward[0], width, inner)?, linear(names.feed_forward[1], inner, width)?];
        let norms = [first, norm(names.norms[1], Place::Other)?];
        let hooks = Hooks::new(layers, &POSITIONS.map(|name| (name, width)), cx)?;
        let dropout = [config.hidden_dropout_prob, config.attention_probs_dropout_prob];
        Ok(Self {
            projections,
            output,
            norms,
            feed_forward,
            hooks,
            heads: config.num_attention_heads,
            dropout,
            norm: config.norm,
        })
    }

    pub(super) fn forward(&self, xs: &TokenMap, run: &LayerPass, watch: Watch) -> Result<TokenMap> {
        let xs = self.block(xs, run, 0, watch, |xs| self.attend(xs, run))?;
        let xs = self.block(&xs, run, 1, watch, |xs| {
            let [first, second] = &self.feed_forward;
            xs.linear(&first.weight, &first.bias)?.gelu_erf()?.linear(&second.weight, &second.bias)
        })?;
        Ok(xs)
    }

    /// x + block(x), with the LayerNorm before the block or after the sum.
    fn block(
        &self,
        xs: &TokenMap,
        run: &LayerPass,
        index: usize,
        watch: Watch,
        block: impl FnOnce(&TokenMap) -> Result<TokenMap>,
    ) -> Result<TokenMap> {
        let (position, last) = (POSITIONS[index], index == 1);
        let ys = if self.norm == NormPosition::Pre { block(&run.norm(&self.norms[index], xs)?)? } else { block(xs)? };
        let ys = run.apply_attached(&self.hooks, position, run.dropout(ys, self.dropout[0], position)?, watch)?;
        let sum = xs.add(&ys)?;
        let sum = if last { run.apply_attached(&self.hooks, "sum", sum, watch)? } else { sum };
        if self.norm == NormPosition::Post { run.norm(&self.norms[index], &sum) } else { Ok(sum) }
    }

    fn attend(&self, xs: &TokenMap, run: &LayerPass) -> Result<TokenMap> {
        let [q, k, v] = &self.projections;
        let project = |linear: &Linear| xs.linear(&linear.weight, &linear.bias);
        let drops = run.pass.dropout();
        let dropout = drops.then(|| (self.dropout[1], run.seed.named("weights")));
        let ys = Attention { heads: self.heads, dropout }.forward(&project(q)?, &project(k)?, &project(v)?, run.packing)?;
        ys.linear(&self.output.weight, &self.output.bias)
    }
}
