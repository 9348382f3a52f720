//! Rules: a layer that changes a map's statistics, written once.
//!
//! ```text
//! x ──► statistics (N, C) ──► rule ──► centre, scale, bias (N, C) ──► y = scale·(x − centre) + bias
//! ```
//!
//! A rule computes with small [`Matrix`]s; whoever runs it takes the statistics, applies the result and takes the rule's
//! gradient. Recorded maps, packed token vectors and plain tensors on any device run the same rule.

mod instances;
mod matrix;
mod plain;
mod run;
mod tape;

pub use instances::{Affine, Instances, MapShape, Statistics};
pub(crate) use instances::{Moments, Region, Subject};
pub use matrix::Matrix;
pub(crate) use plain::on_tensor;
pub use run::Rule;
pub(crate) use run::{Outcome, run};
