//! Tests of the programs that need what a machine may lack: a browser, Python, data. One that cannot run is reported as ignored, with the
//! reason.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "helpers of tests may stop")]

mod browser;
#[path = "../programs/common.rs"]
#[allow(dead_code, reason = "what all tests of the programs share")]
mod common;
#[path = "../programs/measured.rs"]
mod measured;
mod onnx;
mod python;
mod tensorboard;
mod zoo;

use sncn_golden::{Needy, run};

fn main() -> std::process::ExitCode {
    run(vec![
        Needy::new("browser::pages_are_shown", browser::pages_are_shown, browser::missing()),
        Needy::new(
            "onnx::the_example_of_the_documentation_answers_as_the_program",
            onnx::the_example_of_the_documentation_answers_as_the_program,
            onnx::missing(),
        ),
        Needy::new(
            "python::the_example_of_the_documentation_works",
            python::the_example_of_the_documentation_works,
            python::missing(),
        ),
        Needy::new("tensorboard::the_curves_are_read_back", tensorboard::the_curves_are_read_back, tensorboard::missing()),
        Needy::new("zoo::every_model_does_what_its_card_says", zoo::every_model_does_what_its_card_says, zoo::missing()),
    ])
}
