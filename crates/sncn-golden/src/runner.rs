//! The runner of tests that need files which may not be there: one that cannot run is told as ignored, with the reason.

use libtest_mimic::{Arguments, Trial};
use std::process::ExitCode;

/// A test, by its name, with why it cannot run here.
pub type Needy = (&'static str, fn(), fn() -> Option<String>);

/// The `main` of a file of tests (`harness = false`): takes the arguments of the usual runner, and prints as it does.
pub fn run(tests: Vec<Needy>) -> ExitCode {
    let trial = |(name, test, why): Needy| {
        let (why, passing) = (why(), move || {
            test();
            Ok(())
        });
        let trial = Trial::test(name, passing).with_ignored_flag(why.is_some());
        why.map_or_else(|| Trial::test(name, passing), |why| trial.with_kind(why))
    };
    libtest_mimic::run(&Arguments::from_args(), tests.into_iter().map(trial).collect()).exit_code()
}
