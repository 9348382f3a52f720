//! `sncn-sentiment predict`: lines of text in, JSON lines out, as they come.

use super::lines::Lines;
use super::setup::{self, Trained};
use anyhow::Result;
use candle_core::{Device, Tensor};
use serde_json::{Map, json};
use sncn_core::Pass;
use sncn_train::harness::cli;
use sncn_train::harness::saved::Saved;
use sncn_train::predict::{argmax, probabilities};

/// Label texts with a trained network: a text a line in, a JSON object a line out.
#[derive(clap::Args, Debug)]
pub struct Predict {
    #[command(flatten)]
    saved: Saved,
    /// Threads (default: all processors).
    #[arg(long)]
    threads: Option<usize>,
    #[command(flatten)]
    lines: Lines,
}

impl Predict {
    /// Runs the command.
    ///
    /// # Errors
    /// Where the checkpoint does not fit or a file cannot be read.
    pub fn run(&self) -> Result<()> {
        cli::threads(self.threads)?;
        let Trained { header, input, vocabulary, network, .. } = setup::trained(&self.saved)?;
        self.lines.each(|text| {
            let ids = vocabulary.encode(&[text], input.longest)?.concat();
            let row = probabilities(&*network, &Tensor::new(vec![ids], &Device::Cpu)?, &Pass::eval())?.concat();
            let shares: Map<_, _> =
                header.classes.iter().zip(&row).map(|(class, p)| (class.clone(), json!((p * 1e4).round() / 1e4))).collect();
            out!("{}", json!({"text": text, "label": header.classes.get(argmax(&row)), "probabilities": shares}));
            Ok(())
        })
    }
}
