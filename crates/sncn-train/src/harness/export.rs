//! The `export` command: a checkpoint's weights for PyTorch, as a plain safetensors file.

use super::saved;
use super::task::Task;
use crate::checkpoint::Checkpoint;
use anyhow::{Result, ensure};
use serde_json::Value;
use std::path::{Path, PathBuf};

/// Write a checkpoint's weights as safetensors, with PyTorch's names and shapes
///
/// `safetensors.torch.load_file` reads them.
/// The file's header has the classes and the settings of inputs.
#[derive(clap::Args, Debug)]
pub struct Export {
    /// A checkpoint file.
    checkpoint: PathBuf,
    /// The file to write, such as weights.safetensors.
    #[arg(long)]
    output: PathBuf,
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
        let checkpoint = Checkpoint::read(&self.checkpoint)?;
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
