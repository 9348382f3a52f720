//! `sncn-classify train`: trains one cell of a table, resuming where it stopped.

use super::setup::{self, Cell};
use crate::examples::Examples;
use anyhow::{Context, Result, ensure};
use sncn_core::checkpoint::{self, Header};
use sncn_core::train::{Control, steps_per_epoch, train};
use std::path::PathBuf;

/// Train one row of a table with one seed; run it again to resume.
#[derive(clap::Args, Debug)]
pub struct Train {
    #[command(flatten)]
    cell: Cell,
    /// Folder of the checkpoints; if it holds some of this run, training goes on from the newest.
    #[arg(long)]
    run_dir: PathBuf,
    /// Folder that holds the data sets.
    #[arg(long)]
    data_dir: Option<PathBuf>,
    /// Steps between checkpoints.
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u64).range(1..))]
    checkpoint_every: u64,
    /// Threads (default: all processors); the result does not depend on it.
    #[arg(long)]
    threads: Option<usize>,
}

impl Train {
    /// Runs the command.
    ///
    /// # Errors
    /// Where the table, the data or a checkpoint does not fit, or training fails.
    pub fn run(&self) -> Result<()> {
        setup::threads(self.threads)?;
        let run = self.cell.run()?;
        let augment = setup::augment(&run)?.unwrap_or_default();
        let resolved = serde_json::json!({"run": run.resolved()?, "seed": self.cell.seed});
        let splits = setup::open(&run.train, self.data_dir.as_deref())?;
        let classes = splits.train.classes().to_vec();
        let images = setup::limited(&splits.train, run.train_limit);
        ensure!(images.len() > 1, "{}: the training set has {} image(s); at least 2 are wanted", run.train, images.len());
        let (network, vars) = setup::network(&run, classes.len(), self.cell.seed)?;
        let mut optimizer = run.optimizer(&vars)?;
        let recipe = run.recipe(self.cell.seed);
        let total = steps_per_epoch(images.len(), run.batch_size) * run.epochs;
        let mut start = 0;
        if let Some(saved) = checkpoint::newest(&self.run_dir)? {
            saved.check_run(&resolved)?;
            saved.load_weights(&vars)?;
            saved.load_optimizer(&mut optimizer)?;
            start = saved.header.step;
            if start >= total {
                eprintln!("{}: training is complete ({total} steps)", self.run_dir.display());
                return Ok(());
            }
            eprintln!("resuming at step {start} of {total}");
        }
        eprintln!("{} on {}: {} parameters, {total} steps", run.backbone, images.describe(), vars.parameter_count());
        setup::catch_interrupts()?;
        let header =
            |step| Header { format: 1, step, total, run: resolved.clone(), classes: classes.clone(), sha256: String::new() };
        let bar = setup::progress(total, &format!("train {}", run.name));
        bar.set_position(start as u64);
        bar.reset_eta();
        let done =
            train(&*network, &vars, &mut optimizer, &Examples::augmented(images, augment), &recipe, start, |step, optimizer| {
                bar.set_position(step.done as u64);
                let stop = setup::interrupted();
                if stop || step.done == total || (step.done as u64).is_multiple_of(self.checkpoint_every) {
                    checkpoint::save(&self.run_dir, &vars, optimizer, header(step.done))?;
                }
                if step.done == total {
                    bar.println(format!("loss {:.4} at the last step", step.loss));
                }
                Ok(if stop && step.done < total { Control::Stop } else { Control::Continue })
            })
            .with_context(|| format!("run {:?}, seed {}", run.name, self.cell.seed))?;
        bar.finish_and_clear();
        if done < total {
            eprintln!(
                "stopped at step {done} of {total}; a checkpoint is in {}: run the same command to resume",
                self.run_dir.display()
            );
            std::process::exit(130);
        }
        Ok(())
    }
}
