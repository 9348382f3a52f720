//! Corrupted test sets by their names: `<set>-c` has the 15 corruptions of the benchmark, `<set>-validation-c` the four extra ones, so
//! that nothing is chosen on those that are reported.

use crate::corruption::{Frost, Group, frost, names};
use sncn_core::Seed;
use sncn_train::harness::cli::Severities;
use sncn_train::harness::summary::unshifted;

/// The seed of the corruptions: one set of corrupted images for all runs that are compared.
pub(crate) const SEED: Seed = Seed::new(0);

/// Ending of the name of the training images that a run does not train on.
pub(crate) const VALIDATION: &str = "-validation";

/// The set that `<set>-crop<side>` is the middle of, and that side; a set as it is has none.
pub(crate) fn uncropped(name: &str) -> (&str, Option<usize>) {
    let crop = name.rsplit_once("-crop").and_then(|(set, side)| Some((set, side.parse().ok()?)));
    crop.map_or((name, None), |(set, side)| (set, Some(side)))
}

/// The corruptions of the set that is made of `base`.
pub(crate) fn corruptions(base: &str) -> impl Iterator<Item = &'static str> {
    names(if uncropped(base).0.ends_with(VALIDATION) { Group::Extra } else { Group::Benchmark })
}

/// The corruptions of the set that is made of `base`, each at every severity.
pub(crate) fn cells(base: &str, severities: &[usize]) -> Vec<(&'static str, usize)> {
    corruptions(base).flat_map(|corruption| severities.iter().map(move |&severity| (corruption, severity))).collect()
}

/// Whether a test set is corrupted here, and not read from files.
pub(crate) fn is_made(name: &str) -> bool {
    name.ends_with("-c")
}

/// What a reader of numbers on these test sets should know of how they were made.
pub(crate) fn notes(tests: &[String], frost: &Frost, severities: &[usize]) -> Vec<String> {
    let made: Vec<&str> = tests.iter().filter(|name| is_made(name)).filter_map(|name| unshifted(name)).collect();
    let takes_frost = made.iter().any(|base| corruptions(base).any(|corruption| corruption == "frost"));
    let generated = (takes_frost && frost.is_generated()).then(|| frost::GENERATED.to_string());
    generated.into_iter().chain(Severities::note(severities).filter(|_| !made.is_empty())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_are_chosen_on_other_corruptions_than_those_reported() {
        assert_eq!((cells("a", &[1, 3]).len(), cells("a-validation", &[2]).len()), (30, 4));
        assert!(corruptions("a").all(|one| corruptions("a-validation").all(|other| one != other)));
        let notes = |name: &str, severities: &[usize]| notes(&[name.to_string()], &Frost::generated(SEED), severities);
        assert_eq!(notes("a-c", &[1, 2, 3, 4, 5]), [frost::GENERATED]);
        assert_eq!(notes("a-validation-c", &[3]), ["severities 3 of 1 to 5 only"]);
        assert_eq!(notes("a-validation-crop20-c", &[1, 2, 3, 4, 5]), [""; 0]);
        assert!(notes("a-c-files", &[3]).is_empty() && notes("a", &[3]).is_empty());
    }
}
