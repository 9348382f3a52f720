//! The `export` command: a checkpoint's weights for PyTorch, as a plain safetensors file, or its network as an ONNX file.

use super::saved::{self, Saved};
use super::task::{Task, Trained};
use super::zoo::{self, Words};
use crate::files::write_atomically;
use anyhow::{Result, ensure};
use serde_json::Value;
use std::path::{Path, PathBuf};

/// Write a checkpoint's weights as safetensors, or its network as ONNX
#[derive(clap::Args, Debug)]
pub struct Export {
    /// A checkpoint file, the folder of a run, or the name of a model of models/zoo.
    checkpoint: PathBuf,
    /// The file to write: weights.safetensors, or network.onnx for a network.
    #[arg(long)]
    output: PathBuf,
    /// For a model of the zoo, a folder as --output: the results of its evaluation.
    #[arg(long, value_name = "FILE")]
    results: Option<PathBuf>,
    #[command(flatten)]
    words: Words,
}

/// Refuses an output that would replace the input.
///
/// # Errors
/// If both are one file.
pub fn differ(input: &Path, output: &Path) -> Result<()> {
    let same = matches!((input.canonicalize(), output.canonicalize()), (Ok(input), Ok(output)) if input == output);
    ensure!(!same, "--output is {}, the file that is read; choose another name", output.display());
    Ok(())
}

impl Export {
    /// Runs the command.
    ///
    /// # Errors
    /// If the checkpoint is damaged or the file cannot be written.
    pub fn run<T: Task>(&self) -> Result<()> {
        differ(&self.checkpoint, &self.output)?;
        if let Some(results) = &self.results {
            return zoo::write::<T>(&self.checkpoint, results, &self.words, &self.output);
        }
        let saved = Saved::at(&self.checkpoint);
        if self.output.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("onnx")) {
            let bytes = T::onnx(&Trained::<T>::read(&saved)?)?;
            write_atomically(&self.output, &bytes)?;
            crate::out!("{}: {} bytes", self.output.display(), bytes.len());
            return Ok(());
        }
        let checkpoint = saved.read()?;
        differ(checkpoint.path(), &self.output)?;
        let run = saved::run_of::<T>(&checkpoint)?;
        let input = T::input(&run.settings)?.or_else(|| Some(run.input.clone()).filter(|input| !input.is_null()));
        let norm = run.norm.as_ref().map(serde_json::to_value).transpose()?;
        let notes: Vec<(&str, Value)> =
            [("input", input), ("norm", norm)].into_iter().filter_map(|(key, value)| Some((key, value?))).collect();
        let count = checkpoint.export(&self.output, &notes)?;
        crate::out!("{}: {count} tensors", self.output.display());
        Ok(())
    }
}
