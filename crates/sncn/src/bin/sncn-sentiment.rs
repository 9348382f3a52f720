//! `sncn-sentiment`: train, evaluate and use text classifiers that keep working when the data shifts.

use sncn_text::sentiment::Sentiment;
use std::process::ExitCode;

fn main() -> ExitCode {
    sncn_train::harness::main::<Sentiment>(sncn::built())
}
