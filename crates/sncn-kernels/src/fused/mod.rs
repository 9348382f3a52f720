//! Channels-last f32 convolutions whose maps are staged and finished by the caller, unit by unit, while they are in cache.
//!
//! A unit is a band of target rows of one image, or a few small images. For each, `stage(n, row, values)` writes source rows
//! (w × c values each) into the unit's scratch, the products are formed, and `finish(n, rows, values)` sees the finished
//! target rows. What is done there (a norm on the way in; a residual, a mask, sums on the way out) costs no pass of its own.
//! Both are entered with the form's instructions on, so that plain loops in them vectorise as wide as the kernels.
//! Source rows that two bands share are staged for both. Units are independent, so results do not depend on threads.
//!
//! A weight packed by [`PackedWeight::bf16`] makes the same call round the factors of its products to bf16: what is staged
//! and finished stays f32.

mod direct;
mod forward;
mod gradient;
mod pack;
mod plan;
mod stage;
mod transform;
mod wide;
mod winograd;

pub use forward::{conv_forward, conv_input_gradient};
pub use gradient::{conv_weight_gradient, conv_weight_gradient_by};
pub use pack::{PackedWeight, Precision};
pub use plan::{Algorithm, Direction};
pub use stage::{copy_rows, keep};
