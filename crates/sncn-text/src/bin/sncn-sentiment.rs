//! `sncn-sentiment`: train, evaluate and use text classifiers that keep working when the data shifts.

use clap::{Parser, Subcommand};
use sncn_text::sentiment::{bench, evaluate, predict, setup, show, train, vocab};
use sncn_train::harness::{cli, export, plan};
use std::process::ExitCode;

/// Train, evaluate and use text classifiers that keep working when the data shifts.
///
/// A table file (models/*.json) says what is trained; the command line says where, which and how much.
#[derive(Parser)]
#[command(
    version,
    after_help = "First steps:
  sncn-sentiment train --table models/reviews.json --row encoder/cnsn --seed 0 --run-dir runs/mine
  sncn-sentiment evaluate --run-dir runs/mine
  echo 'not bad at all' | sncn-sentiment predict --run-dir runs/mine
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
    Vocab(vocab::Vocab),
    Plan(plan::Plan),
    Export(export::Export),
    Bench(bench::Bench),
}

fn main() -> ExitCode {
    cli::exit(match Cli::parse().command {
        Command::Train(command) => command.run(),
        Command::Evaluate(command) => command.run(),
        Command::Predict(command) => command.run(),
        Command::Show(command) => command.run(),
        Command::Vocab(command) => command.run(),
        Command::Plan(command) => command.run(setup::TASK, |run| setup::settings(run).map(drop)),
        Command::Export(command) => command.run(),
        Command::Bench(command) => command.run(),
    })
}
