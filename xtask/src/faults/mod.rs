//! `cargo xtask faults`: programs are killed, run out of disk, may not write, meet each other and lose the clock; afterwards the same command
//! must give the same bytes as one that was left in peace.

mod clock;
mod disk;
mod kill;
mod others;
mod work;

use crate::child;
use crate::program;
use anyhow::{Context, Result};
use sncn_record::task::CLASSIFY;
use sncn_report::Grid;
use std::path::Path;
use std::process::ExitCode;
use work::{Outcome, Scenario, Work};

/// Break the programs in every way, and say what they survived.
#[derive(clap::Args, Debug)]
pub(crate) struct Faults {
    /// How often each command is killed.
    #[arg(long, default_value_t = 50)]
    kills: usize,
    /// How often its disk fills up (root on Linux only: a small tmpfs is mounted).
    #[arg(long, default_value_t = 20)]
    disks: usize,
    /// Images of the evaluation whose memory must stay flat; 0 leaves it out.
    #[arg(long, default_value_t = 100_000)]
    images: usize,
    /// Only these commands, such as train.
    #[arg(long, value_delimiter = ',')]
    commands: Vec<String>,
    /// The seed of the moments.
    #[arg(long, default_value_t = 0)]
    seed: u64,
}

impl Faults {
    /// Runs the command.
    ///
    /// # Errors
    /// Where a program cannot be started, or its undisturbed run fails.
    pub(crate) fn run(&self, here: &Path) -> Result<ExitCode> {
        child::catch_interrupts()?;
        // asked before building, which may put a new file into this one's place: Linux then answers with a path that is none
        let xtask = std::env::current_exe().context("where this program lies")?;
        let Some(program) = program::built(here, &CLASSIFY)? else { return Ok(ExitCode::from(130)) };
        let work = Work::prepare(&program, &xtask, self.seed).context("what is disturbed")?;
        let heads = ["fault", "command", "tried", "survived", "same bytes", "remark"];
        let mut grid = Grid::new(heads.map(str::to_string).to_vec());
        let mut all_well = true;
        let mut add = |outcome: Outcome| {
            eprintln!("{}", outcome.told());
            all_well &= outcome.is_well();
            grid.push(outcome.line());
        };
        let wanted = |name: &str| self.commands.is_empty() || self.commands.iter().any(|wanted| wanted == name);
        for scenario in Scenario::all().into_iter().filter(|scenario| wanted(scenario.name)) {
            let reference = work.reference(&scenario).with_context(|| format!("{}, undisturbed", scenario.name))?;
            add(kill::killed(&work, &scenario, &reference, self.kills)?);
            add(disk::filled(&work, &scenario, &reference, self.disks)?);
            add(disk::read_only(&work, &scenario, &reference)?);
            add(others::two_at_once(&work, &scenario, &reference)?);
            add(clock::dated(&work, &scenario, &reference)?);
            add(clock::jumps(&work, &scenario, &reference)?);
        }
        if self.images > 0 && wanted("robustness") {
            add(others::memory(&work, self.images)?);
        }
        out!("{}\n\n{}", work.about, grid.markdown().trim_end());
        Ok(if all_well { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }
}
