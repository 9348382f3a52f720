//! Sentiment of texts: the task of `sncn-sentiment`, its test sets and its further commands.

mod begin;
mod bench;
mod lines;
mod predict;
mod setup;
mod show;
mod task;
mod test_sets;
mod vocab;

pub use lines::Lines;
pub use setup::{Augment, Input, Settings, VectorsConfig};
pub use task::{Command, Model, Score, Sentiment};
