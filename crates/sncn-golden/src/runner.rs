//! The runner of tests that need what may not be there, such as files or another program: one that cannot run is reported as ignored, with
//! the reason.

use anyhow::Result;
use libtest_mimic::{Arguments, Trial};
use std::process::ExitCode;

/// A test that needs what may not be there.
pub struct Needy {
    name: &'static str,
    test: fn() -> Result<()>,
    missing: Option<String>,
}

impl Needy {
    /// A test, with what is missing that it needs, if something is.
    pub fn new(name: &'static str, test: fn() -> Result<()>, missing: Option<String>) -> Self {
        Self { name, test, missing }
    }
}

/// Tests by their paths, after the file of the golden folder that they need: the name of a test is its path.
#[macro_export]
macro_rules! needy {
    ($($file:expr => [$($test:path),* $(,)?]),* $(,)?) => {
        vec![$($($crate::Needy::new(stringify!($test), $test, $crate::lacks($file))),*),*]
    };
}

/// The `main` of a file of tests (`harness = false`): takes the arguments of the usual runner, and prints as it does.
pub fn run(tests: Vec<Needy>) -> ExitCode {
    let trial = |Needy { name, test, missing }: Needy| {
        let trial = Trial::test(name, move || test().map_err(|error| format!("{error:#}").into()));
        trial.with_ignored_flag(missing.is_some()).with_kind(missing.unwrap_or_default())
    };
    libtest_mimic::run(&Arguments::from_args(), tests.into_iter().map(trial).collect()).exit_code()
}
