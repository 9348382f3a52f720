//! `sncn-classify`: train, evaluate and use image classifiers that keep working when the data shifts.

use sncn_vision::classify::Classify;
use std::process::ExitCode;

fn main() -> ExitCode {
    sncn_train::harness::main::<Classify>(sncn::built())
}
