//! The skeleton of a program: a [`Task`] defines what is trained and measured; train, evaluate, predict, plan, export and bench are
//! written once over it.

pub mod bench;
mod card;
pub mod cli;
mod doctor;
pub mod evaluate;
pub mod export;
pub mod fit;
mod folder;
pub mod given;
pub mod manner;
pub mod plan;
pub mod predict;
pub mod program;
mod progress;
pub mod provenance;
pub mod record;
pub mod robustness;
pub mod run;
pub mod saved;
mod scorer;
pub mod settings;
mod shell;
pub mod start;
pub mod summary;
pub mod table;
pub mod task;
mod tempered;
pub mod way;
mod zoo;

pub use cli::Ending;
pub use program::main;
pub use record::Recorder;
pub use run::{Empty, Run};
pub use sncn_record::Measurement;
pub use table::Table;
pub use task::{Begin, Command, NoCommand, Observe, Parts, Pixels, Prepared, Rebuild, Score, Task, TestSets, Testing, Trained};
pub use way::Way;
