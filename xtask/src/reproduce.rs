//! `cargo xtask reproduce`: starts what is missing of a table, then renders its report.
//!
//! The state is on disk alone: a results file that exists, is complete and was made with the run that the table resolves to
//! is kept; everything else is trained (from its newest checkpoint) and evaluated. The same command again has nothing to do.

use crate::child::{self, Ending};
use crate::results::{self, Results};
use crate::table::{self, Table};
use crate::{checkpoint, manifest, program, report};
use anyhow::{Context, Result, bail, ensure};
use sncn_record::{Cell, Run, SeededRun, TrainedBy};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

/// Train and evaluate what is missing of a table, then render its report.
#[derive(clap::Args, Debug)]
pub(crate) struct Reproduce {
    /// Table files, or names of some in models/ (default: quick, scenes and reviews).
    #[arg(long, value_delimiter = ',')]
    table: Vec<String>,
    /// Only these rows.
    #[arg(long, value_delimiter = ',')]
    rows: Vec<String>,
    /// These seeds instead of the table's.
    #[arg(long, value_delimiter = ',')]
    seeds: Vec<u64>,
    /// Folder that holds the data sets (default: $SNCN_DATA, then data/cache).
    #[arg(long)]
    data_dir: Option<PathBuf>,
    /// Folder of the frost photographs (default: generated frost).
    #[arg(long)]
    frost_dir: Option<PathBuf>,
    /// Threads (default: all processors); the result does not depend on it.
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..))]
    threads: Option<u32>,
    /// Print what would run, and run nothing.
    #[arg(long)]
    dry_run: bool,
    /// The table models/smoke.json: the whole way in a minute, no result.
    #[arg(long, conflicts_with = "table")]
    smoke: bool,
}

/// What a command that was started came to.
enum Step {
    Done,
    Interrupted,
}

impl Reproduce {
    /// Runs the command.
    ///
    /// # Errors
    /// Where the table is unknown, or a cell fails (it is named; what is done is kept).
    pub(crate) fn run(mut self, here: &Path) -> Result<ExitCode> {
        let named: Vec<&str> = match (self.smoke, self.table.as_slice()) {
            (true, _) => vec![table::SMOKE],
            (_, []) => table::DEFAULTS.to_vec(),
            (_, tables) => tables.iter().map(String::as_str).collect(),
        };
        let tables = named.iter().map(|table| Table::read(table, here)).collect::<Result<Vec<_>>>()?;
        let cache = Path::new(crate::data::CACHE);
        self.data_dir = match self.data_dir.take() {
            None if std::env::var_os("SNCN_DATA").is_none() && cache.is_dir() => Some(cache.to_path_buf()),
            given => given.map(|folder| here.join(folder)),
        };
        self.frost_dir = self.frost_dir.take().map(|folder| here.join(folder));
        child::catch_interrupts()?;
        for table in &tables {
            if tables.len() > 1 {
                eprintln!("{}: {}", table.path.display(), table.title);
            }
            let code = self.one(here, table)?;
            if code != ExitCode::SUCCESS {
                return Ok(code);
            }
        }
        Ok(ExitCode::SUCCESS)
    }

    /// Makes what is missing of one table.
    fn one(&self, here: &Path, table: &Table) -> Result<ExitCode> {
        let Some(program) = program::built(here, table.task())? else { return Ok(ExitCode::from(130)) };
        let Some(cells) = Self::planned(&program, table, &self.rows, &self.seeds)? else { return Ok(ExitCode::from(130)) };
        let (mut kept, mut made) = (0, 0);
        for (index, cell) in cells.iter().enumerate() {
            let name = format!("[{}/{}] {}, seed {}", index + 1, cells.len(), cell.row, cell.seed);
            let Some(why) = self.wanted(table, cell) else {
                eprintln!("{name}: up to date");
                kept += 1;
                continue;
            };
            eprintln!("{name}: {why}");
            match self.make(&program, table, cell).with_context(|| format!("row {:?}, seed {}", cell.row, cell.seed))? {
                Step::Done => made += 1,
                Step::Interrupted => {
                    eprintln!(
                        "interrupted at {name}; {} of {} cells are done: run the same command to resume",
                        kept + made,
                        cells.len()
                    );
                    return Ok(ExitCode::from(130));
                }
            }
        }
        if self.dry_run {
            out!("{}: {kept} cells are up to date, {made} would be made", table.path.display());
            return Ok(ExitCode::SUCCESS);
        }
        match made {
            0 => eprintln!("nothing to do: all {kept} cells are up to date"),
            _ => eprintln!("{made} cells made, {kept} were up to date"),
        }
        report::render(table)?;
        Ok(ExitCode::SUCCESS)
    }

    /// The cells of these rows and seeds of a table (none: all), fully resolved; nothing where that was interrupted.
    fn planned(program: &Path, table: &Table, rows: &[String], seeds: &[u64]) -> Result<Option<Vec<Cell>>> {
        let mut command = Command::new(program);
        command.arg("plan").arg("--table").arg(&table.path);
        if !rows.is_empty() {
            command.args(["--rows", &rows.join(",")]);
        }
        if !seeds.is_empty() {
            command.args(["--seeds", &seeds.iter().map(u64::to_string).collect::<Vec<_>>().join(",")]);
        }
        let output = match child::run(&mut command)? {
            Ending::Done(output) => output,
            Ending::Interrupted => return Ok(None),
            Ending::Failed(_) => bail!("{}: it cannot be planned; the reason stands above", table.path.display()),
        };
        let output = String::from_utf8_lossy(&output);
        let cells = output.lines().map(|line| serde_json::from_str(line).with_context(|| format!("not a cell: {line}")));
        let cells: Vec<Cell> = cells.collect::<Result<_>>().with_context(|| format!("{} plan", table.task().program))?;
        ensure!(!cells.is_empty(), "{}: no cells; give it runs and seeds", table.path.display());
        Ok(Some(cells))
    }

    /// Why a cell has to be made; nothing where it is up to date.
    fn wanted(&self, table: &Table, cell: &Cell) -> Option<String> {
        let path = table.results_file(&cell.row, cell.seed);
        results::wanted(&path, cell.seed, &cell.run).or_else(|| {
            let stale = self.frost_dir.is_some() && Results::read(&path).is_ok_and(|results| results.has_generated_frost());
            stale.then(|| "its frost was generated, and --frost-dir is given: evaluated again".to_string())
        })
    }

    /// Trains a cell, or the one whose network it tests, as far as that has not been done, and evaluates it.
    fn make(&self, program: &Path, table: &Table, cell: &Cell) -> Result<Step> {
        let results = table.results_file(&cell.row, cell.seed);
        let mut evaluate = Command::new(program);
        evaluate.arg("evaluate");
        let step = match trained_by(cell)? {
            None => self.train(program, table, cell)?,
            Some(by) => {
                evaluate.arg("--as").arg(&table.path).args(["--row", &cell.row]);
                let trainer = table.trainer(&by)?;
                let of = trainer.path.display().to_string();
                let Some(cells) = Self::planned(program, &trainer, &[by.row], &[cell.seed])? else {
                    return Ok(Step::Interrupted);
                };
                let trains = cells.first().with_context(|| format!("{of}: nothing planned"))?;
                self.train(program, &trainer, trains).with_context(|| format!("row {:?} of {of}", trains.row))?
            }
        };
        let Trained::In(run_dir) = step else { return Ok(Step::Interrupted) };
        self.shared(&mut evaluate, &run_dir);
        evaluate.args(["--table", &table.name]).arg("--results").arg(&results);
        if let Some(folder) = &self.frost_dir {
            evaluate.arg("--frost-dir").arg(folder);
        }
        if let Step::Interrupted = self.start(&mut evaluate, table, cell)? {
            return Ok(Step::Interrupted);
        }
        match results::wanted(&results, cell.seed, &cell.run) {
            Some(why) if !self.dry_run => bail!("{} ended well, but {} is {why}", table.task().program, results.display()),
            _ => Ok(Step::Done),
        }
    }

    /// Trains a cell of a table, going on from its newest checkpoint; those of another run are put aside.
    fn train(&self, program: &Path, table: &Table, cell: &Cell) -> Result<Trained> {
        let run_dir = table.run_dir(&cell.row, cell.seed);
        let other =
            checkpoint::run_of_newest(&run_dir).is_some_and(|run| run != SeededRun { run: cell.run.clone(), seed: cell.seed });
        if other && !self.dry_run {
            let aside = results::aside(&run_dir);
            std::fs::rename(&run_dir, &aside).with_context(|| format!("{}: cannot be renamed", run_dir.display()))?;
            eprintln!("  the checkpoints of the old run are put aside in {}", aside.display());
        }
        let mut train = Command::new(program);
        train.arg("train").arg("--table").arg(&table.path).args(["--row", &cell.row, "--seed", &cell.seed.to_string()]);
        self.shared(&mut train, &run_dir);
        Ok(match self.start(&mut train, table, cell)? {
            Step::Done => Trained::In(run_dir),
            Step::Interrupted => Trained::Interrupted,
        })
    }

    /// Adds the arguments that both training and evaluation take.
    fn shared(&self, command: &mut Command, run_dir: &Path) {
        command.arg("--run-dir").arg(run_dir);
        if let Some(folder) = &self.data_dir {
            command.arg("--data-dir").arg(folder);
        }
        if let Some(threads) = self.threads {
            command.args(["--threads", &threads.to_string()]);
        }
    }

    fn start(&self, command: &mut Command, table: &Table, cell: &Cell) -> Result<Step> {
        if self.dry_run {
            out!("  {}", shown(table.task().program, command));
            return Ok(Step::Done);
        }
        match child::run(command)? {
            Ending::Done(_) => Ok(Step::Done),
            Ending::Interrupted => Ok(Step::Interrupted),
            Ending::Failed(status) => {
                let row = table.rows().iter().find(|row| row.name == cell.row);
                let sets = row.map(|row| needed(&row.run)).unwrap_or_default();
                let sets: Vec<&str> = sets.into_iter().filter(|set| manifest::path(set).is_file()).collect();
                let advice = match sets.join(" ") {
                    sets if sets.is_empty() => sets,
                    sets => format!(" (if data is missing: cargo xtask data fetch {sets})"),
                };
                bail!(
                    "{} failed ({status}); the reason stands above{advice}. Results so far are kept: run the same command to go on",
                    shown(table.task().program, command)
                )
            }
        }
    }
}

/// Where training left a network.
enum Trained {
    In(PathBuf),
    Interrupted,
}

/// The row whose network a cell tests, if it is not its own.
fn trained_by(cell: &Cell) -> Result<Option<TrainedBy>> {
    let by = cell.run.get("trained").cloned().unwrap_or_default();
    serde_json::from_value(by).with_context(|| format!("row {:?}: trained", cell.row))
}

/// The data sets that a run reads: what it trains on, and corrupted test images that come as files.
fn needed(run: &Run) -> Vec<&str> {
    let files = run.test.iter().filter_map(|test| test.strip_suffix("-files"));
    std::iter::once(run.train.as_str()).chain(files).collect()
}

/// A command line as a reader could type it.
fn shown(program: &str, command: &Command) -> String {
    let words = std::iter::once(program.into()).chain(command.get_args().map(|word| word.to_string_lossy()));
    let quoted = words.map(|word| if word.contains(' ') { format!("'{word}'").into() } else { word });
    quoted.collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::table::tests::complete;
    use serde_json::json;

    #[test]
    fn the_data_sets_of_a_run_are_named() {
        let row = json!({"name": "a", "train": "cifar10", "test": ["cifar10", "cifar10-c", "cifar10-c-files"]});
        assert_eq!(needed(&complete(&[row]).rows()[0].run), ["cifar10", "cifar10-c"]);
    }

    #[test]
    fn a_command_is_shown_as_typed() {
        let mut command = Command::new("/somewhere/sncn-classify");
        command.args(["train", "--row", "a b"]);
        assert_eq!(shown("sncn-classify", &command), "sncn-classify train --row 'a b'");
    }
}
