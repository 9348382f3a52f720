//! The `predict` command: inputs of the user's own, through a trained model.

use super::cli;
use super::saved::Saved;
use super::task::{Task, Trained};
use anyhow::Result;

/// Use a trained network on inputs of your own.
#[derive(clap::Args, Debug)]
pub struct Predict<T: Task> {
    #[command(flatten)]
    saved: Saved,
    /// Threads (default: all processors).
    #[arg(long)]
    threads: Option<usize>,
    #[command(flatten)]
    options: T::Predict,
}

impl<T: Task> Predict<T> {
    /// Runs the command.
    ///
    /// # Errors
    /// If the checkpoint does not fit, an input cannot be read, or a file cannot be written.
    pub fn run(&self) -> Result<()> {
        cli::threads(self.threads)?;
        T::predict(&Trained::read(&self.saved)?, &self.options)
    }
}
