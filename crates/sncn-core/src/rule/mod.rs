//! Rules: layers that change a map's statistics, each written once for every kind of map.
//!
//! ```text
//! x ──► statistics (N, C) ──► rule ──► centre, scale, bias (N, C) ──► y = scale·(x − centre) + bias
//! ```
//!
//! A rule computes with small [`Matrix`] values. The caller takes the statistics, applies the result and runs the rule's backward
//! pass, so a rule has no gradient code. The same rule runs on recorded maps, packed token vectors and tensors on any device.

mod function;
mod instances;
mod matrix;
mod plain;
mod rows;
mod run;
mod tape;
mod traced;

pub use function::{Function, unbiased};
pub use instances::{Affine, Instances, MapShape, Statistics};
pub(crate) use instances::{Moments, Region, RuleInput, host_values};
pub use matrix::Matrix;
pub(crate) use plain::on_tensor;
pub use run::Rule;
pub(crate) use run::{Evaluated, run};
pub use tape::Pair;
pub use traced::{MatrixOperation, Traced};
