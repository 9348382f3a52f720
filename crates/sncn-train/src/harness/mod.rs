//! What only programs need: tables resolved into runs, records of results, and the commands that all tasks share.

pub mod cli;
pub mod export;
pub mod fit;
mod folder;
pub mod plan;
mod progress;
pub mod record;
pub mod report;
pub mod run;
pub mod saved;
pub mod summary;

pub use record::Recorder;
pub use run::{Run, Table};
pub use sncn_record::{Measurement, TASKS};
