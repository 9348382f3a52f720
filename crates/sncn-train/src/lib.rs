//! Training and evaluation of sncn's networks.
//!
//! A [`Dataset`] gives batches, an [`Objective`] makes a loss of a batch and a network, [`train`](train::train) runs the steps,
//! [`evaluate`](evaluate::evaluate) counts what comes out, and a [`Checkpoint`] holds all that is needed to go on bit for bit.
//! [`harness`] is what the programs of all tasks share: command lines, tables, results files.

pub mod calibration;
pub mod checkpoint;
pub mod confusion;
pub mod data;
mod error;
pub mod evaluate;
pub mod files;
pub mod harness;
pub mod objective;
pub mod perturb;
pub mod predict;
pub mod schedule;
pub mod shift;
pub mod source;
pub mod train;

pub use checkpoint::Checkpoint;
pub use data::{Batch, DataError, Dataset};
pub use error::BoxError;
pub use objective::{MixConfig, Objective};
pub use source::Source;

/// The example of the README, as a test.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
pub struct Readme;
