//! `cargo xtask reproduce`: starts what is missing of a table, then renders its report.
//!
//! The state is on disk alone: a results file that exists, is complete and was made with the run that the table resolves to
//! is kept; everything else is trained (from its newest checkpoint) and evaluated. The same command again has nothing to do.

use crate::child::{self, Ending};
use crate::launch::{self, Launch, Made, Part, Work};
use crate::results::{self, Results};
use crate::table::{self, Table};
use crate::{checkpoint, manifest, program, report};
use anyhow::{Context, Result, bail, ensure};
use sncn_record::{Cell, Run, SeededRun, TrainedBy};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

/// Train and evaluate what is missing of a table, then render its report.
#[derive(clap::Args, Clone, Debug)]
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
    /// Print what has become of the cells, and make none.
    #[arg(long)]
    status: bool,
    #[command(flatten)]
    part: Part,
    #[command(flatten)]
    launch: Launch,
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
        self.launch.check()?;
        ensure!(named.len() == 1 || self.part.is_all(), "--cell and --shard count the cells of one table: give --table with one");
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
        let networks = cells.iter().map(|cell| self.network(table, cell)).collect::<Result<Vec<_>>>()?;
        if self.status {
            launch::print(table, &cells, &networks, &|cell| self.wanted(table, cell));
            return Ok(ExitCode::SUCCESS);
        }
        let groups = launch::groups(&networks);
        let chosen = self.part.of(&groups)?;
        let (wanted, kept): (Vec<_>, Vec<_>) =
            chosen.into_iter().map(|index| (index, self.wanted(table, &cells[index]))).partition(|(_, why)| why.is_some());
        kept.iter().for_each(|(index, _)| eprintln!("{}: up to date", launch::name(&cells, *index)));
        let kept = kept.len();
        let jobs = self.launch.jobs().filter(|_| !self.dry_run);
        let made = if jobs.is_some() || self.launch.is_slurm() {
            let is_wanted = |index: &usize| wanted.iter().any(|(wanted, _)| wanted == index);
            let groups = groups.into_iter().map(|group| group.into_iter().filter(is_wanted).collect::<Vec<_>>());
            let groups: Vec<_> = groups.filter(|group| !group.is_empty()).collect();
            let logs = table.logs();
            let work = Work { program: &program, table, logs: &logs, cells: &cells, groups };
            let Some(jobs) = jobs else {
                self.launch.submit(&work, &self.arguments(table), self.dry_run)?;
                return Ok(ExitCode::SUCCESS);
            };
            self.beside(&program, table, jobs, work)
        } else {
            self.in_turn(&program, table, &cells, wanted)?
        };
        if !made.interrupted.is_empty() {
            let (at, done) = (made.interrupted.join("; "), kept + made.made);
            eprintln!("interrupted at {at}; {done} of {} cells are done: run the same command to resume", cells.len());
            return Ok(ExitCode::from(130));
        }
        if self.dry_run {
            out!("{}: {kept} cells are up to date, {} would be made", table.path.display(), made.made);
            return Ok(ExitCode::SUCCESS);
        }
        match made.made {
            0 if made.failed.is_empty() => eprintln!("nothing to do: all {kept} cells are up to date"),
            count => eprintln!("{count} cells made, {kept} were up to date"),
        }
        if self.part.is_all() {
            report::render(table)?;
        } else {
            eprintln!(
                "these were some of the cells: cargo xtask report --table {} writes the report of all",
                table.path.display()
            );
        }
        ensure!(
            made.failed.is_empty(),
            "{} failed ({}); the reason is at the end of its file in {}: run the same command to go on",
            made.failed.len(),
            made.failed.join("; "),
            table.logs().display()
        );
        Ok(ExitCode::SUCCESS)
    }

    /// Makes cells one after the other; the first that fails ends it.
    fn in_turn(&self, program: &Path, table: &Table, cells: &[Cell], wanted: Vec<(usize, Option<String>)>) -> Result<Made> {
        let mut made = Made::default();
        for (index, why) in wanted {
            let cell = &cells[index];
            eprintln!("{}: {}", launch::name(cells, index), why.unwrap_or_default());
            match self.make(program, table, cell, None).with_context(|| format!("row {:?}, seed {}", cell.row, cell.seed))? {
                Step::Done => made.made += 1,
                Step::Interrupted => {
                    made.interrupted.push(launch::name(cells, index));
                    break;
                }
            }
        }
        Ok(made)
    }

    /// Makes cells `jobs` at a time, which share the threads.
    fn beside(&self, program: &Path, table: &Table, jobs: usize, work: Work<'_>) -> Made {
        let processors = std::thread::available_parallelism().map_or(1, usize::from);
        let threads = self.threads.map_or(processors, |threads| threads as usize) / jobs;
        let one = Self { threads: u32::try_from(threads.max(1)).ok(), ..self.clone() };
        let make = |cell: &Cell, log: &Path| Ok(matches!(one.make(program, table, cell, Some(log))?, Step::Done));
        launch::beside(jobs, work, &make)
    }

    /// The arguments with which a part of this command is run elsewhere.
    fn arguments(&self, table: &Table) -> Vec<String> {
        let mut arguments = vec!["--table".to_string(), table.path.display().to_string()];
        let mut with = |option: &str, value: Option<String>| {
            arguments.extend(value.into_iter().filter(|value| !value.is_empty()).flat_map(|value| [option.to_string(), value]));
        };
        with("--rows", Some(self.rows.join(",")));
        with("--seeds", Some(self.seeds.iter().map(u64::to_string).collect::<Vec<_>>().join(",")));
        with("--data-dir", self.data_dir.as_ref().map(|folder| folder.display().to_string()));
        with("--frost-dir", self.frost_dir.as_ref().map(|folder| folder.display().to_string()));
        arguments
    }

    /// The folder of the network that a cell trains or tests.
    fn network(&self, table: &Table, cell: &Cell) -> Result<PathBuf> {
        Ok(match trained_by(cell)? {
            None => table.run_dir(&cell.row, cell.seed),
            Some(by) => table.trainer(&by)?.run_dir(&by.row, cell.seed),
        })
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
    fn make(&self, program: &Path, table: &Table, cell: &Cell, log: Option<&Path>) -> Result<Step> {
        let results = table.results_file(&cell.row, cell.seed);
        let mut evaluate = Command::new(program);
        evaluate.arg("evaluate");
        let step = match trained_by(cell)? {
            None => self.train(program, table, cell, log)?,
            Some(by) => {
                evaluate.arg("--as").arg(&table.path).args(["--row", &cell.row]);
                let trainer = table.trainer(&by)?;
                let of = trainer.path.display().to_string();
                let Some(cells) = Self::planned(program, &trainer, &[by.row], &[cell.seed])? else {
                    return Ok(Step::Interrupted);
                };
                let trains = cells.first().with_context(|| format!("{of}: nothing planned"))?;
                self.train(program, &trainer, trains, log).with_context(|| format!("row {:?} of {of}", trains.row))?
            }
        };
        let Trained::In(run_dir) = step else { return Ok(Step::Interrupted) };
        self.shared(&mut evaluate, &run_dir);
        evaluate.args(["--table", &table.name]).arg("--results").arg(&results);
        if let Some(folder) = &self.frost_dir {
            evaluate.arg("--frost-dir").arg(folder);
        }
        if let Step::Interrupted = self.start(&mut evaluate, table, cell, log)? {
            return Ok(Step::Interrupted);
        }
        match results::wanted(&results, cell.seed, &cell.run) {
            Some(why) if !self.dry_run => bail!("{} ended well, but {} is {why}", table.task().program, results.display()),
            _ => Ok(Step::Done),
        }
    }

    /// Trains a cell of a table, going on from its newest checkpoint; those of another run are put aside.
    fn train(&self, program: &Path, table: &Table, cell: &Cell, log: Option<&Path>) -> Result<Trained> {
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
        Ok(match self.start(&mut train, table, cell, log)? {
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

    /// Starts a program; what it says is shown, or goes to the end of a file.
    fn start(&self, command: &mut Command, table: &Table, cell: &Cell, log: Option<&Path>) -> Result<Step> {
        if self.dry_run {
            out!("  {}", shown(table.task().program, command));
            return Ok(Step::Done);
        }
        let ending = match log {
            None => child::run(command),
            Some(log) => child::run_into(command, log),
        }?;
        let reason = log.map_or_else(|| "stands above".to_string(), |log| format!("is at the end of {}", log.display()));
        match ending {
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
                    "{} failed ({status}); the reason {reason}{advice}. Results so far are kept: run the same command to go on",
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
