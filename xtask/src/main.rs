//! `cargo xtask`: runs the experiments, fetches data, renders reports, measures speed, keeps the tree tidy.

#[macro_use]
mod files;

mod bench;
mod checkpoint;
mod child;
mod classes;
mod cycles;
mod data;
mod document;
mod domains;
mod faults;
mod fetch;
mod figures;
mod glove;
mod items;
mod launch;
mod links;
mod manifest;
mod measured;
mod modules;
mod pages;
mod program;
mod provenance;
mod report;
mod reproduce;
mod results;
mod sheet;
mod source;
mod speeds;
mod statistics;
mod table;
mod tested;
mod tidy;
mod tree;
mod unpack;
mod verdict;
mod zoo;

use clap::{Parser, Subcommand};
use std::process::ExitCode;

/// Runs the experiments, fetches data, renders reports, measures speed, keeps the tree tidy.
#[derive(Parser)]
#[command(
    version,
    bin_name = "cargo xtask",
    after_help = "First steps:
  cargo xtask reproduce --smoke          the whole way in a minute
  cargo xtask reproduce                  models/quick.json, then report/quick.md
  cargo xtask data fetch cifar10         then: cargo xtask reproduce --table cifar10-short
  cargo xtask bench                      how fast this machine trains; --peer sets PyTorch beside it
Exit codes: 0 done, 1 an error or a bar that is missed, 2 wrong arguments, 130 interrupted (the same command goes on)."
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Reproduce(reproduce::Reproduce),
    Report(report::Report),
    Data(data::Data),
    Bench(bench::Bench),
    Tidy(tidy::Tidy),
    Faults(faults::Faults),
}

fn main() -> ExitCode {
    let result = files::enter_workspace().and_then(|here| match Cli::parse().command {
        Command::Reproduce(command) => command.run(&here),
        Command::Report(command) => command.run(&here),
        Command::Data(command) => command.run(&here),
        Command::Bench(command) => command.run(&here),
        Command::Tidy(command) => command.run(),
        Command::Faults(command) => command.run(&here),
    });
    match result {
        Ok(_) if files::output_is_lost() => ExitCode::FAILURE,
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
