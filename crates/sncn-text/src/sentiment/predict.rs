//! `sncn-sentiment predict`: lines of text in, JSON lines out, as they come.

use super::setup::{self, Trained};
use anyhow::{Context, Result};
use candle_core::{Device, Tensor};
use serde_json::{Map, json};
use sncn_core::Pass;
use sncn_core::evaluate::{argmax, probabilities};
use sncn_core::harness::cli;
use sncn_core::harness::saved::Saved;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};

/// Label texts with a trained network: a text a line in, a JSON object a line out.
#[derive(clap::Args, Debug)]
pub struct Predict {
    #[command(flatten)]
    saved: Saved,
    /// Threads (default: all processors).
    #[arg(long)]
    threads: Option<usize>,
    /// Files with a text a line; standard input where there is none, or `-`.
    files: Vec<PathBuf>,
}

impl Predict {
    /// Runs the command.
    ///
    /// # Errors
    /// Where the checkpoint does not fit or a file cannot be read.
    pub fn run(&self) -> Result<()> {
        cli::threads(self.threads)?;
        let Trained { checkpoint, input, vocabulary, network, .. } = setup::trained(&self.saved)?;
        let classes = &checkpoint.header.classes;
        let stdin = [PathBuf::from("-")];
        for file in if self.files.is_empty() { &stdin[..] } else { &self.files } {
            let (mut reader, name): (Box<dyn BufRead>, _) = if file == Path::new("-") {
                (Box::new(std::io::stdin().lock()), "standard input".to_string())
            } else {
                let opened = File::open(file).with_context(|| format!("{}: not readable", file.display()))?;
                (Box::new(BufReader::new(opened)), file.display().to_string())
            };
            let mut line = Vec::new();
            loop {
                line.clear();
                if reader.read_until(b'\n', &mut line).with_context(|| name.clone())? == 0 {
                    break;
                }
                let text = String::from_utf8_lossy(&line);
                let text = text.trim_end_matches(['\n', '\r']);
                let ids = vocabulary.encode(&[text], input.longest)?.remove(0);
                let ids = Tensor::from_vec(ids.clone(), (1, ids.len()), &Device::Cpu)?;
                let row = probabilities(&*network, &ids, &Pass::eval())?.remove(0);
                let shares: Map<_, _> =
                    classes.iter().zip(&row).map(|(class, p)| (class.clone(), json!((p * 1e4).round() / 1e4))).collect();
                out!("{}", json!({"text": text, "label": classes.get(argmax(&row)), "probabilities": shares}));
            }
        }
        Ok(())
    }
}
