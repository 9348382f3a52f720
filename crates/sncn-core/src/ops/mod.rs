//! Differentiable operations on tensors with the channels last: images (N, H, W, C), sequences (N, L, C).
//!
//! On the CPU in f32 and f64 each is a kernel ([`has_kernel`]); elsewhere it is its reference implementation (`reference.rs`), which
//! is made of candle's operations and runs on every device. Tests compare the two.

mod activation;
mod common;
mod conv;
mod cross_entropy;
mod dropout;
mod linear;
mod pool;
mod reference;
mod resize;
mod settings;
mod weighted;

pub use activation::{gelu_erf, leaky_relu, quick_gelu, relu, relu6, sigmoid, tanh};
pub use common::has_kernel;
pub(crate) use common::{add_in_place, by_dtype, constants, elements, with_values};
pub(crate) use conv::conv_shape;
pub use conv::{conv1d, conv2d, conv2d_with_precision};
pub(crate) use cross_entropy::cross_entropy;
pub use dropout::dropout;
pub(crate) use dropout::{check as check_rate, drop_of};
pub use linear::{concatenate, linear};
pub(crate) use pool::pool_shape;
pub use pool::{avg_pool2d, global_avg_pool, max_pool2d};
pub(crate) use resize::resize_shape;
pub use resize::{resize_bilinear, resize_nearest};
pub use settings::Conv;
