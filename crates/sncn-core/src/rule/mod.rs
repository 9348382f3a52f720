//! Rules: a layer that changes a map's statistics, written once.
//!
//! ```text
//! x ──► statistics (N, C) ──► rule ──► centre, scale, shift (N, C) ──► y = scale·(x − centre) + shift
//! ```
//!
//! A rule computes with small [`Table`]s; whoever runs it takes the statistics, applies the result and takes the rule's
//! gradient. Recorded maps, packed token vectors and plain tensors on any device run the same rule.

mod instances;
mod plain;
mod run;
mod table;
mod tape;

pub use instances::{Affine, Instances, Sizes, Statistics};
pub(crate) use instances::{Moments, Region, Subject};
pub(crate) use plain::on_tensor;
pub use run::Rule;
pub(crate) use run::{Outcome, run};
pub use table::Table;
