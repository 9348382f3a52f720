//! `main`: the program of a task.

use super::bench::Bench;
use super::cli::{self, Ending};
use super::doctor::Doctor;
use super::evaluate::Evaluate;
use super::export::Export;
use super::fit::Train;
use super::plan::Plan;
use super::predict::Predict;
use super::provenance;
use super::shell::Shell;
use super::task::{Command as _, Task};
use crate::text_file::abridged;
use anyhow::Result;
use clap::{Parser, Subcommand};
use sncn_record::Build;
use std::process::ExitCode;

const EXIT_CODES: &str = "Exit codes: 0 done, 1 an error, 2 wrong arguments, 130 interrupted (a checkpoint was written).";

/// A command line. A table file (models/*.json) defines what is trained; the command line which row, where and how much.
#[derive(Parser, Debug)]
#[command(
    name = T::INFO.program,
    bin_name = T::INFO.program,
    version,
    about = T::ABOUT,
    after_help = format!("First steps:\n{}\n{EXIT_CODES}", T::FIRST_STEPS)
)]
struct Cli<T: Task> {
    #[command(subcommand)]
    command: Command<T>,
}

#[derive(Subcommand, Debug)]
enum Command<T: Task> {
    Train(Train<T>),
    Evaluate(Evaluate<T>),
    Predict(Predict<T>),
    Plan(Plan),
    Export(Export),
    Bench(Bench),
    Doctor(Doctor),
    Shell(Shell),
    #[command(flatten)]
    Own(T::Command),
}

impl<T: Task> Command<T> {
    fn run(&self) -> Result<Ending> {
        let done = match self {
            Self::Train(command) => return command.run(),
            Self::Evaluate(command) => command.run(),
            Self::Predict(command) => command.run(),
            Self::Plan(command) => command.run::<T>(),
            Self::Export(command) => command.run::<T>(),
            Self::Bench(command) => command.run::<T>(),
            Self::Doctor(command) => command.run::<T>(),
            Self::Shell(command) => command.run(T::INFO.program, &mut <Cli<T> as clap::CommandFactory>::command()),
            Self::Own(command) => command.run(),
        };
        done.map(|()| Ending::Done)
    }
}

/// Runs the program of a task with the arguments of this process. Its checkpoints and results keep `built`.
pub fn main<T: Task>(built: Build) -> ExitCode {
    provenance::set_built(built);
    let cli = match Cli::<T>::try_parse() {
        Ok(cli) => cli,
        Err(error) if error.use_stderr() => error.exit(),
        Err(help) => {
            return match help.print() {
                Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
                    eprintln!("error: standard output cannot be written: {error}");
                    ExitCode::FAILURE
                }
                _ => ExitCode::SUCCESS,
            };
        }
    };
    match cli.command.run() {
        Ok(Ending::Done) if cli::output_is_lost() => ExitCode::FAILURE,
        Ok(Ending::Done) => ExitCode::SUCCESS,
        Ok(Ending::Interrupted) => ExitCode::from(130),
        Err(error) => {
            eprintln!("error: {}", abridged(&format!("{error:#}")));
            ExitCode::FAILURE
        }
    }
}

/// Runs a command of a task as `main` does, without ending the process: for tests of a task.
///
/// # Errors
/// If the arguments are wrong or the command fails.
pub fn run<T: Task>(arguments: &[&str]) -> Result<Ending> {
    Cli::<T>::try_parse_from(std::iter::once(T::INFO.program).chain(arguments.iter().copied()))?.command.run()
}

/// The help of a task's program and of each of its commands, as `--help` prints them, with their names.
pub fn helps<T: Task>() -> Vec<(String, String)> {
    let program = T::INFO.program;
    let help = |arguments: &[&str]| {
        let all = std::iter::once(program).chain(arguments.iter().copied()).chain(["--help"]);
        let text = Cli::<T>::try_parse_from(all).err().map_or_else(String::new, |help| help.to_string());
        ([&[program], arguments].concat().join(" "), text)
    };
    let commands = <Cli<T> as clap::CommandFactory>::command();
    let of_commands = commands.get_subcommands().map(|command| help(&[command.get_name()]));
    std::iter::once(help(&[])).chain(of_commands).collect()
}
