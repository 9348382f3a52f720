//! The programs of sncn, one for each task: `sncn-classify`, `sncn-segment` and `sncn-sentiment`.
//!
//! A program is [`sncn_train::harness::main`] over a task; this package adds what it was built from ([`built`]). It is a package of
//! its own so that one call builds them all, and so that a new commit rebuilds nothing else.

use sncn_record::Build;

/// The commit that this program was built from, and whether tracked files of its sources differed from it; unknown outside a git
/// checkout.
pub fn built() -> Build {
    let commit = Some(env!("SNCN_COMMIT")).filter(|commit| !commit.is_empty());
    Build { commit: commit.map(str::to_string), dirty: env!("SNCN_DIRTY") == "true" }
}
