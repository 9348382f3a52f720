//! `sncn-classify`: train, evaluate and use image classifiers that keep working when the data shifts.

use clap::{Parser, Subcommand};
use sncn_train::harness::{cli, export, plan};
use sncn_vision::classify::{bench, corrupt, evaluate, import, predict, setup, show, train};
use std::process::ExitCode;

/// Train, evaluate and use image classifiers that keep working when the data shifts.
///
/// A table file (models/*.json) says what is trained; the command line says where, which and how much.
#[derive(Parser)]
#[command(
    version,
    after_help = "First steps:
  sncn-classify train --table models/quick.json --row cnsn --seed 0 --run-dir runs/mine
  sncn-classify evaluate --run-dir runs/mine
  sncn-classify corrupt --input shapes --output sheet.png --sheet
  sncn-classify show --input shapes --output grid.png --crop both
Exit codes: 0 done, 1 an error, 2 wrong arguments, 130 interrupted (a checkpoint was written)."
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Train(train::Train),
    Evaluate(evaluate::Evaluate),
    Predict(predict::Predict),
    Corrupt(corrupt::Corrupt),
    Show(show::Show),
    Plan(plan::Plan),
    Bench(bench::Bench),
    Import(import::Import),
    Export(export::Export),
}

fn main() -> ExitCode {
    cli::exit(match Cli::parse().command {
        Command::Train(command) => command.run(),
        Command::Evaluate(command) => command.run(),
        Command::Predict(command) => command.run(),
        Command::Corrupt(command) => command.run(),
        Command::Show(command) => command.run(),
        Command::Plan(command) => command.run(setup::TASK, |run| setup::augment(run).map(drop)),
        Command::Bench(command) => command.run(),
        Command::Import(command) => command.run(),
        Command::Export(command) => command.run(),
    })
}
