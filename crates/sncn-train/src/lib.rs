//! Training and evaluation for sncn.
//!
//! A [`Dataset`] returns batches, an [`Objective`] computes a loss from a batch and a network, [`train`](train::train) runs the
//! steps, [`evaluate`](evaluate::evaluate) measures a network on a test set, and a [`Checkpoint`] holds all that is needed to resume
//! bit for bit. [`harness`] is the common part of the programs of all tasks: command lines, tables, results files.

pub mod adapt;
pub mod adversary;
mod ahead;
pub mod calibration;
pub mod checkpoint;
pub mod confusion;
pub mod data;
pub mod data_dir;
pub mod digest;
mod error;
pub mod evaluate;
mod event_file;
pub mod files;
pub mod fixmatch;
pub mod harness;
pub mod id2label;
pub mod inversion;
pub mod labelled;
pub mod learner;
pub mod noise;
pub mod objective;
pub mod perturb;
pub mod predict;
pub mod rank;
pub mod schedule;
pub mod temperature;
pub mod text_file;
pub mod train;
pub mod train_error;

pub use adapt::{Adapt, Adapting};
pub use adversary::AdversarialNoise;
pub use checkpoint::Checkpoint;
pub use data::{Batch, DataError, Dataset};
pub use data_dir::DataDir;
pub use error::BoxError;
pub use event_file::EventFile;
pub use fixmatch::FixMatch;
pub use learner::{Companion, Learner};
pub use objective::{MixConfig, Objective};
pub use sncn_record::corruption_error;

/// The example of the README, as a test.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
pub struct Readme;
