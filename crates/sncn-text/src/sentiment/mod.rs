//! Sentiment of texts: the task of `sncn-sentiment`, its test sets and its further commands.

mod begin;
mod bench;
mod lines;
mod model;
mod predict;
mod robustness;
mod setup;
mod show;
mod start;
mod task;
mod test_sets;
mod vocab;

pub use lines::Lines;
pub use model::{Model, Sentiment};
pub use robustness::{Robustness, Shift};
pub use setup::{Augment, Input, Settings, VectorsConfig};
pub use task::{Command, Score};
