//! What only programs need: tables resolved into runs, and records of results.

pub mod record;
pub mod run;

pub use record::{Measurement, RecordHeader, Recorder};
pub use run::{Run, Table};
