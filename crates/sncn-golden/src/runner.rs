//! The runner of tests that need files which may not be there: one that cannot run is reported as ignored, with the reason.

use crate::files::lacks;
use anyhow::Result;
use libtest_mimic::{Arguments, Trial};
use std::process::ExitCode;

/// A test that needs files.
pub struct Needy {
    name: &'static str,
    test: fn() -> Result<()>,
    missing: Option<String>,
}

impl Needy {
    /// A test that needs that file of the golden folder.
    pub fn new(name: &'static str, test: fn() -> Result<()>, file: &str) -> Self {
        Self { name, test, missing: lacks(file) }
    }

    /// The test, which needs something else too: nothing, or what of it is missing.
    #[must_use]
    pub fn and(mut self, missing: Option<String>) -> Self {
        self.missing = self.missing.or(missing);
        self
    }
}

/// Tests by their paths, after the file of the golden folder that they need: the name of a test is its path.
#[macro_export]
macro_rules! needy {
    ($($file:expr => [$($test:path),* $(,)?]),* $(,)?) => {
        vec![$($($crate::Needy::new(stringify!($test), $test, $file)),*),*]
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
