//! `sncn-segment`: train, evaluate and use networks that label every pixel that keep working when the data shifts.

use sncn_vision::segment::Segment;
use std::process::ExitCode;

fn main() -> ExitCode {
    sncn_train::harness::main::<Segment>(sncn::built())
}
