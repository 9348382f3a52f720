//! Image classification: the task of `sncn-classify`, its test sets and its further commands.

mod bench;
pub(crate) mod corrupt;
pub(crate) mod corrupted;
pub(crate) mod digest;
mod import;
mod inside;
pub(crate) mod noted;
mod options;
mod predict;
mod queue;
mod robustness;
mod setup;
mod show;
mod start;
mod stylise;
mod task;
mod test_sets;

pub use options::Options;
pub use setup::{Classify, Settings};
pub use task::Command;
