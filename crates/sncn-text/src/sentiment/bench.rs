//! What `sncn-sentiment bench` measures: whole steps of the text encoder.

use crate::backbone::{Encoder, EncoderConfig, Head};
use anyhow::Result;
use candle_core::{DType, Device, Tensor};
use serde_json::json;
use sncn_core::loss::cross_entropy;
use sncn_core::optim::{Optimizer, OptimizerConfig};
use sncn_core::{LayerConfig, Network, Pass, Seed, Vars, backward};
use sncn_train::harness::bench::{Case, Meter};
use std::sync::Arc;

/// Everything that is measured.
pub(super) const CASES: &[Case] = &[
    Case {
        name: "text",
        about: "an encoder of 4 layers of 256 channels on 32 texts of 32 to 128 tokens: training and inference",
        run: |meter, _| text(meter, "", &[], 0),
    },
    Case {
        name: "attached",
        about: "the same with CrossNorm, active at every site, and SelfNorm at `sum` and at `attention`",
        run: |meter, _| {
            ["sum", "attention"].into_iter().try_for_each(|position| {
                let both = ["crossnorm", "selfnorm"].map(|kind| LayerConfig::new(kind, position));
                text(meter, &format!(", CrossNorm and SelfNorm at {position}"), &both, LAYERS)
            })
        },
    },
];

const TEXTS: usize = 32;
const LONGEST: usize = 128;
const WIDTH: usize = 256;
const LAYERS: usize = 4;
const WORDS: usize = 30522;

/// Tokens of text `n`: 32 to 128, 80 on average.
fn length(n: usize) -> usize {
    32 + n * 96 / (TEXTS - 1)
}

/// Additions and multiplications of a forward pass over the tokens that are no padding.
fn operations() -> f64 {
    let of = |len: usize| LAYERS * (len * 12 * WIDTH * WIDTH + 2 * len * len * WIDTH);
    2. * (0..TEXTS).map(|n| of(length(n))).sum::<usize>() as f64
}

/// An encoder, with layers attached to it, and what is measured of it.
fn text(meter: &Meter, what: &str, layers: &[LayerConfig], active: usize) -> Result<()> {
    let config: EncoderConfig = serde_json::from_value(json!({
        "vocab_size": WORDS, "hidden_size": WIDTH, "num_hidden_layers": LAYERS, "num_attention_heads": 4,
        "intermediate_size": 4 * WIDTH, "max_position_embeddings": LONGEST,
    }))?;
    let vars = Vars::new(Seed::new(0), DType::F32, &Device::Cpu);
    let network = Encoder::new(&config, 2, Head::Pooler, layers, &vars)?;
    let token = |n: usize, i: usize| 1 + ((i * 7919 + n * 104_729) % (WORDS - 1)) as u32;
    let ids: Vec<u32> = (0..TEXTS).flat_map(|n| (0..length(n)).map(move |i| token(n, i))).collect();
    let (ids, lengths) = (Tensor::new(ids, &Device::Cpu)?, (0..TEXTS).map(length).collect::<Arc<[usize]>>());
    let labels: Vec<u32> = (0..TEXTS as u32).map(|n| n % 2).collect();
    let adamw = OptimizerConfig::AdamW { betas: (0.9, 0.999), eps: 1e-8, weight_decay: 0.01 };
    let (mut optimizer, mut step) = (Optimizer::new(adamw, vars.trainable())?, 0);
    let case = format!("encoder {LAYERS}x{WIDTH}");
    let rate = |what: &str, operations: f64, seconds: f64| {
        meter.rate(&case, &format!("{what} {TEXTS}x{LONGEST}"), (TEXTS, operations / TEXTS as f64), seconds, "sequences/s");
    };
    let seconds = meter.seconds(|| {
        step += 1;
        let pass = Pass::mixing(network.sites(), active, Seed::new(step)).with_lengths(lengths.clone());
        let loss = cross_entropy(&network.forward(&ids, &pass)?, &labels, None)?;
        Ok(optimizer.step(&backward(&loss)?, 1e-4)?)
    })?;
    rate(&format!("train{what}"), 3. * operations(), seconds);
    let pass = Pass::eval().keeping_weights().with_lengths(lengths.clone());
    let seconds = meter.seconds(|| Ok(network.forward(&ids, &pass)?))?;
    rate(&format!("inference{what}"), operations(), seconds);
    Ok(())
}
