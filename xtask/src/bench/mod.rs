//! `cargo xtask bench`: our figures and a peer's, measured in alternation, each ratio compared with its bar.
//!
//! Both sides print one JSON object per line with the same names. In every round ours runs first and then the peer, so both see
//! the same machine state; a ratio is that of the medians over the rounds, above 1 if ours is faster, or smaller.

mod bars;
mod compare;
mod figure;
mod picture;
mod roofline;
mod save;
mod show;
mod side;

use crate::{child, files, program};
use anyhow::Result;
use bars::Case;
use compare::{Round, Row};
use figure::{Figure, Interrupted};
use roofline::Roofline;
use serde_json::{Value, json};
use side::{Ours, Peer};
use sncn_record::task::{CLASSIFY, SENTIMENT};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// The load average above which other programs measurably slow the measurement.
const BUSY: f64 = 0.5;

/// Measure speed and memory; with --peer beside PyTorch's, each ratio held to its bar.
#[derive(clap::Args, Debug)]
#[command(after_help = "Without --peer: our figures alone, and no bar is held.
With --peer: `python FILE wrn|layers|fcn|text --threads N --runs R` prints the same figures of the other side.
`wrn --compile`, `engines`, and what needs Pillow or imagecorruptions are left out, with a message, where they fail.
A ratio above 1 means that ours is faster, or smaller.
Exit codes: 0 every measured bar holds, 1 one is missed or a program failed, 2 wrong arguments,
130 interrupted.")]
pub(crate) struct Bench {
    /// The peer's Python file.
    #[arg(long, value_name = "FILE")]
    peer: Option<PathBuf>,
    /// The interpreter that has the peer's packages.
    #[arg(long, default_value = "python3")]
    python: PathBuf,
    /// Times that both sides are started, in alternation.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
    /// Measurements of each figure in one start; their median counts.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..))]
    runs: u32,
    /// Threads of both sides (default: all processors).
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..))]
    threads: Option<u32>,
    /// What is measured.
    #[arg(long, value_enum, value_delimiter = ',', default_values_t = Case::ALL)]
    cases: Vec<Case>,
    /// Keep the figures in results/bench, with a picture of the training step.
    #[arg(long)]
    save: bool,
    /// Print one JSON object a line instead of a table.
    #[arg(long)]
    json: bool,
}

impl Bench {
    /// Runs the command.
    ///
    /// # Errors
    /// If a side fails, or a file cannot be written.
    pub(crate) fn run(mut self, here: &Path) -> Result<ExitCode> {
        self.peer = self.peer.take().map(|path| here.join(path));
        if let Some(path) = self.peer.as_deref().filter(|path| !path.is_file()) {
            eprintln!("error: --peer {}: no such file; give the peer's Python file", path.display());
            return Ok(ExitCode::from(2));
        }
        child::catch_interrupts()?;
        let interrupted = ExitCode::from(130);
        let Some(program) = program::built(here, &CLASSIFY)? else { return Ok(interrupted) };
        let of_text = if self.cases.contains(&Case::Text) {
            let Some(program) = program::built(here, &SENTIMENT)? else { return Ok(interrupted) };
            Some(program)
        } else {
            None
        };
        match self.measure(program, of_text, here) {
            Err(error) if error.is::<Interrupted>() => {
                eprintln!("interrupted; nothing is kept: run the same command to measure again");
                Ok(interrupted)
            }
            result => result,
        }
    }

    fn measure(&self, program: PathBuf, of_text: Option<PathBuf>, here: &Path) -> Result<ExitCode> {
        let processors = std::thread::available_parallelism().map_or(1, usize::from);
        let threads = self.threads.unwrap_or_else(|| u32::try_from(processors).unwrap_or(1));
        let mut sides = Sides {
            ours: Ours { name: CLASSIFY.program, program, runs: self.runs, unknown: BTreeSet::new() },
            of_text: of_text.map(|program| Ours { name: SENTIMENT.program, program, runs: self.runs, unknown: BTreeSet::new() }),
            peer: self.peer.clone().map(|path| Peer {
                python: program::named(&self.python, here),
                path,
                runs: self.runs,
                threads,
                given_up: BTreeSet::new(),
            }),
            threads,
        };
        let versions = match &sides.peer {
            Some(peer) if self.save => peer.versions()?,
            _ => Value::Null,
        };
        let load = save::load();
        if let Some(load) = load.filter(|load| *load > BUSY) {
            eprintln!("other programs keep this machine busy (load {load}): ratios will scatter; measure again when it is quiet");
        }
        let mut rows = Vec::new();
        for case in Case::ALL.into_iter().filter(|case| self.cases.contains(case)) {
            rows.extend(self.rows(case, &mut sides)?);
        }
        let roofline = Roofline::take(&mut rows, threads);
        let lines: Vec<Value> = rows.iter().map(|row| show::json(row, &roofline)).collect();
        if self.json {
            lines.iter().for_each(|line| out!("{line}"));
        } else {
            print!("{}", show::table(&rows, &roofline));
        }
        if self.save {
            let facts = save::Facts::here();
            let built = if program::is_given(&CLASSIFY) { "given by SNCN_CLASSIFY" } else { "built from this tree" };
            let (rounds, runs) = (self.rounds, self.runs);
            let header = facts.header(&[
                ("threads", json!(threads)),
                ("rounds", json!(rounds)),
                ("runs", json!(runs)),
                ("load", json!(load)),
                ("program", json!(built)),
                ("peer", versions),
            ]);
            eprintln!("written: {}", facts.save(&header, &lines)?.display());
            if self.cases.contains(&Case::Wrn) {
                picture(&mut sides)?;
            }
        }
        if sides.peer.is_none() {
            return Ok(ExitCode::SUCCESS);
        }
        let (text, good) = show::verdict(&rows, &self.cases);
        if self.json {
            eprintln!("{text}")
        } else {
            out!("{text}")
        }
        Ok(if good { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }

    /// The rows of a case, over all rounds.
    fn rows(&self, case: Case, sides: &mut Sides) -> Result<Vec<Row>> {
        let (mut main, mut memory, mut cores) = (Vec::new(), Vec::new(), Vec::new());
        for round in 1..=self.rounds {
            let name = format!("{case:?}").to_lowercase();
            eprintln!("{name}, round {round} of {}", self.rounds);
            match case {
                Case::Wrn => {
                    main.push(sides.wrn()?);
                    memory.push(sides.memory()?);
                    cores.push(sides.cores("wrn", bars::STEP)?);
                }
                Case::Layers => main.push(sides.layers()?),
                Case::Linear => main.push(sides.linear()?),
                Case::Networks => main.push(sides.networks()?),
                Case::Images => main.push(sides.images()?),
                Case::Loading => main.push(sides.loading()?),
                Case::Imagenet => main.push(sides.imagenet()?),
                Case::Photographs => main.push(sides.photographs()?),
                Case::Folder => cores.push(sides.cores("folder", bars::FOLDER)?),
                Case::Fixmatch => main.push(sides.fixmatch()?),
                Case::Fcn => main.push(sides.fcn()?),
                Case::Text => main.push(sides.text()?),
            }
        }
        let held = sides.peer.is_some();
        let mut rows: Vec<Row> = [main, memory, cores].iter().flat_map(|rounds| compare::rows(rounds, held)).collect();
        rows.extend(
            [bars::CONVOLUTION, bars::NETWORK, bars::CORRUPTION, bars::PHOTOGRAPH]
                .iter()
                .filter_map(|case| compare::together(&rows, case))
                .collect::<Vec<_>>(),
        );
        Ok(rows)
    }
}

/// Both sides, and the threads that they are given.
struct Sides {
    ours: Ours,
    /// The program for texts, if it is measured.
    of_text: Option<Ours>,
    peer: Option<Peer>,
    threads: u32,
}

impl Sides {
    fn wrn(&mut self) -> Result<Round> {
        let mut round = Round { ours: self.ours.figures("wrn", self.threads)?, theirs: Vec::new() };
        // memory is compared between fresh processes that only train
        round.ours.retain(|figure| figure.what != bars::MEMORY);
        if let Some(peer) = &mut self.peer {
            round.theirs = peer.figures(&["wrn"])?;
            let mut compiled = peer.perhaps(&["wrn", "--compile"])?;
            compiled.iter_mut().for_each(|figure| rename(figure, bars::COMPILED));
            round.theirs.extend(compiled);
            round.theirs.extend(peer.perhaps(&["engines"])?);
        }
        Ok(round)
    }

    fn memory(&mut self) -> Result<Round> {
        let ours = self.ours.figures("memory", self.threads)?;
        Ok(Round { ours, theirs: self.peer.as_ref().map_or(Ok(Vec::new()), |peer| peer.own("memory", true))? })
    }

    /// Our own figure with two threads as ours, with one thread as the peer's.
    fn cores(&mut self, case: &str, what: &str) -> Result<Round> {
        if std::thread::available_parallelism().is_ok_and(|cores| cores.get() < 2) {
            eprintln!("  this machine has one processor: what a second one brings is left out");
            return Ok(Round::default());
        }
        let mut with = |threads: u32| -> Result<Vec<Figure>> {
            let mut figures = self.ours.figures(case, threads)?;
            figures.retain(|figure| figure.what == what);
            figures.iter_mut().for_each(|figure| rename(figure, bars::CORES));
            Ok(figures)
        };
        Ok(Round { ours: with(2)?, theirs: with(1)? })
    }

    fn layers(&mut self) -> Result<Round> {
        let ours = self.ours.figures("layers", self.threads)?;
        Ok(Round { ours, theirs: self.peer.as_ref().map_or(Ok(Vec::new()), |peer| peer.figures(&["layers"]))? })
    }

    fn fcn(&mut self) -> Result<Round> {
        let ours = self.ours.figures("fcn", self.threads)?;
        Ok(Round { ours, theirs: self.peer.as_ref().map_or(Ok(Vec::new()), |peer| peer.figures(&["fcn"]))? })
    }

    fn text(&mut self) -> Result<Round> {
        let ours = self.of_text.as_mut().map_or(Ok(Vec::new()), |ours| ours.figures("text", self.threads))?;
        Ok(Round { ours, theirs: self.peer.as_ref().map_or(Ok(Vec::new()), |peer| peer.figures(&["text"]))? })
    }

    fn linear(&mut self) -> Result<Round> {
        let ours = self.ours.figures("linear", self.threads)?;
        Ok(Round { ours, theirs: self.peer.as_ref().map_or(Ok(Vec::new()), |peer| peer.own("linear", false))? })
    }

    fn networks(&mut self) -> Result<Round> {
        let ours = self.ours.figures("networks", self.threads)?;
        Ok(Round { ours, theirs: self.peer.as_ref().map_or(Ok(Vec::new()), |peer| peer.own("networks", true))? })
    }

    /// Loading beside the peer's; and an epoch on files as ours beside the same in memory.
    fn loading(&mut self) -> Result<Round> {
        let mut ours = self.ours.figures("loading", self.threads)?;
        let mut theirs = self.peer.as_mut().map_or(Ok(Vec::new()), |peer| peer.perhaps_own("loading"))?;
        let both = self.ours.figures("epoch", self.threads)?;
        let named = |what: &str| -> Vec<Figure> {
            let of = both.iter().filter(|figure| figure.what == what).cloned();
            of.map(|figure| Figure { what: "from JPEG files, beside memory".to_string(), ..figure }).collect()
        };
        ours.extend(named("from JPEG files"));
        theirs.extend(named("from memory"));
        Ok(Round { ours, theirs })
    }

    fn imagenet(&mut self) -> Result<Round> {
        let ours = self.ours.figures("imagenet", self.threads)?;
        Ok(Round { ours, theirs: self.peer.as_ref().map_or(Ok(Vec::new()), |peer| peer.own("imagenet", false))? })
    }

    fn fixmatch(&mut self) -> Result<Round> {
        let ours = self.ours.figures("fixmatch", self.threads)?;
        Ok(Round { ours, theirs: self.peer.as_ref().map_or(Ok(Vec::new()), |peer| peer.own("fixmatch", false))? })
    }

    /// One thread on both sides.
    fn photographs(&mut self) -> Result<Round> {
        let ours = self.ours.figures("photographs", 1)?;
        let theirs = self.peer.as_mut().map_or(Ok(Vec::new()), |peer| peer.perhaps_own("photographs"))?;
        Ok(Round { ours, theirs })
    }

    fn images(&mut self) -> Result<Round> {
        let mut round = Round { ours: self.ours.figures("images", self.threads)?, theirs: Vec::new() };
        if let Some(peer) = &mut self.peer {
            round.theirs = peer.perhaps_own("augmix")?;
            round.theirs.extend(peer.perhaps_own("corruptions")?);
        }
        Ok(round)
    }
}

/// Appends a variant to the name of a figure.
fn rename(figure: &mut Figure, form: &str) {
    figure.what = format!("{}, {form}", figure.what);
}

/// Draws the time of each operation of our training step.
fn picture(sides: &mut Sides) -> Result<()> {
    let figures = sides.ours.figures("profile", sides.threads)?;
    let title = figures.first().map(|figure| figure.case.clone()).unwrap_or_default();
    let Some(svg) = picture::svg(&title, &figures) else { return Ok(()) };
    let path = Path::new(save::FOLDER).join("step.svg");
    files::write_atomically(&path, svg.as_bytes())?;
    eprintln!("written: {}", path.display());
    Ok(())
}
