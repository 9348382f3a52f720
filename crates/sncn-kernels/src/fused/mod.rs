//! Channels-last f32 convolutions whose input is read, and whose result is processed, by functions of the caller while it is in the
//! cache.
//!
//! The work is cut into units: a band of output rows of one image, or a few small images. For each, `stage(n, row, values)` writes an
//! input row (w × c values) of image n, the convolution is computed, and `finish(n, rows, values)` may change the output rows. What these
//! functions do (an affine map and activation of the input; a shortcut, sums of the result) needs no pass over memory of its own. A
//! [`Source`] that needs no computing is read in place where no zeros are wanted around it. Both are called where the form's instructions are enabled, so that plain loops in them are vectorised like the kernels. Input rows that
//! two bands share are staged for both. Units are independent, so results do not depend on the number of threads.
//!
//! With a weight packed by [`PackedWeight::bf16`] input and weight are rounded to bf16; staged and finished values are f32.

mod depthwise;
mod direct;
mod forward;
mod gradient;
mod pack;
mod plan;
mod source;
mod stage;
mod transform;
mod wide;
mod winograd;

pub use forward::{conv_forward, conv_input_gradient};
pub use gradient::{conv_weight_gradient, conv_weight_gradient_by};
pub use pack::{PackedWeight, Precision};
pub use plan::{Algorithm, Direction};
pub use source::{Plain, Source, copy_rows};
pub use stage::no_finish;
