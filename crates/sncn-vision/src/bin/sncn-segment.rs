//! `sncn-segment`: train, evaluate and use networks that label every pixel and keep working when the data shifts.

use clap::{Parser, Subcommand};
use sncn_train::harness::{cli, export, plan};
use sncn_vision::segment::{evaluate, predict, setup, show, train};
use std::process::ExitCode;

/// Train, evaluate and use networks that label every pixel and keep working when the data shifts.
///
/// A table file (models/*.json) says what is trained; the command line says where, which and how much.
#[derive(Parser)]
#[command(
    version,
    after_help = "First steps:
  sncn-segment train --table models/scenes.json --row cnsn --seed 0 --run-dir runs/mine
  sncn-segment evaluate --run-dir runs/mine
  sncn-segment predict --run-dir runs/mine --output labelled photo.png
  sncn-segment show --run-dirs runs/mine --test scenes-weather --output sheet.png
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
    Show(show::Show),
    Plan(plan::Plan),
    Export(export::Export),
}

fn main() -> ExitCode {
    cli::exit(match Cli::parse().command {
        Command::Train(command) => command.run(),
        Command::Evaluate(command) => command.run(),
        Command::Predict(command) => command.run(),
        Command::Show(command) => command.run(),
        Command::Plan(command) => command.run(setup::TASK, |run| setup::settings(run).map(drop)),
        Command::Export(command) => command.run(),
    })
}
