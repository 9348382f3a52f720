//! `sncn-sentiment bench`: whole steps of the text encoder; prints one JSON object a line.

use crate::backbone::{Encoder, EncoderConfig, Head};
use anyhow::Result;
use candle_core::{DType, Device, Tensor};
use serde_json::json;
use sncn_core::loss::cross_entropy;
use sncn_core::optim::{Optimizer, OptimizerConfig};
use sncn_core::{LayerConfig, Network, Pass, Seed, Vars, backward};
use sncn_kernels::simd::Form;
use sncn_train::harness::cli;
use std::sync::Arc;
use std::time::Instant;

/// What to measure.
#[derive(clap::ValueEnum, Clone, Copy, Debug)]
enum Case {
    /// An encoder of 4 layers of 256 channels on 32 texts of 32 to 128 tokens: training and inference.
    Text,
    /// The same with CrossNorm, active at every site, and SelfNorm at `sum` and at `attention`.
    Attached,
}

/// Measure whole steps; prints one JSON object a line.
#[derive(clap::Args, Debug)]
pub struct Bench {
    /// What to measure.
    #[arg(value_enum)]
    case: Case,
    /// Measurements of each figure, after one to warm up; the median is printed.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..))]
    runs: u32,
    /// Threads (default: all processors).
    #[arg(long)]
    threads: Option<usize>,
}

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

impl Bench {
    /// Runs the command.
    ///
    /// # Errors
    /// Where a step fails.
    pub fn run(&self) -> Result<()> {
        cli::threads(self.threads)?;
        match self.case {
            Case::Text => self.text("", &[], 0),
            Case::Attached => ["sum", "attention"].into_iter().try_for_each(|position| {
                let both = ["crossnorm", "selfnorm"].map(|kind| LayerConfig::new(kind, position));
                self.text(&format!(", CrossNorm and SelfNorm at {position}"), &both, LAYERS)
            }),
        }
    }

    /// An encoder, with layers attached to it, and what is measured of it.
    fn text(&self, what: &str, layers: &[LayerConfig], active: usize) -> Result<()> {
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
        let threads = rayon::current_num_threads();
        self.rate(&format!("train{what}"), 3. * operations(), threads, || {
            step += 1;
            let pass = Pass::mixing(network.sites(), active, Seed::new(step)).with_lengths(lengths.clone());
            let loss = cross_entropy(&network.forward(&ids, &pass)?, &labels, None)?;
            Ok(optimizer.step(&backward(&loss)?, 1e-4)?)
        })?;
        let pass = Pass::eval().with_lengths(lengths.clone());
        self.rate(&format!("inference{what}"), operations(), threads, || Ok(network.forward(&ids, &pass).map(drop)?))
    }

    /// Texts a second, at the median, and the most that the processors' multiply-adds allow.
    fn rate(&self, what: &str, operations: f64, threads: usize, mut step: impl FnMut() -> Result<()>) -> Result<()> {
        step()?;
        let mut seconds = Vec::new();
        for _ in 0..self.runs {
            let start = Instant::now();
            step()?;
            seconds.push(start.elapsed().as_secs_f64());
        }
        seconds.sort_by(f64::total_cmp);
        // Form::peak is of one thread, in GF/s
        let most = Form::current().peak() * 1e9 * threads as f64;
        let rounded = |value: f64| (value * 1e3).round() / 1e3;
        let (value, limit) = (TEXTS as f64 / seconds[seconds.len() / 2], TEXTS as f64 * most / operations);
        out!(
            "{}",
            json!({"case": format!("encoder {LAYERS}x{WIDTH}"), "what": format!("{what} {TEXTS}x{LONGEST}"), "value": rounded(value),
                "unit": "sequences/s", "limit": rounded(limit)})
        );
        Ok(())
    }
}
