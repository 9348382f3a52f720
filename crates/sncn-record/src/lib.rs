//! The file formats of sncn: tables of runs, results files, the headers of checkpoints and the cards of models.
//!
//! Text in, values out: nothing here reads a file, trains or measures. The programs that train and those that report share
//! these definitions, so that what one writes the other can read. Settings whose meaning belongs to the crate that acts on them
//! (the optimiser's, a layer's) are kept as JSON; the program that trains checks them when it reads the table.

pub mod card;
pub mod checkpoint;
pub mod corruption_error;
pub mod provenance;
pub mod results;
pub mod run;
pub mod table;
pub mod task;
mod trained;

pub use card::Card;
pub use provenance::Build;
pub use results::{Machine, Measurement, Results};
pub use run::{Cell, EarlyStopping, Ema, Run, RunError, SeededRun, TrainedBy};
pub use table::{Table, TableError};
pub use task::{TASKS, Task, UnknownTask};
pub use trained::{TrainedError, beside};

/// The example of the README, as a test.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
pub struct Readme;
