//! Differentiable operations, channels last: images (N, H, W, C), sequences (N, L, C).
//!
//! Each runs as a kernel where [`native`] says so, that is on the CPU, and elsewhere as its reference implementation
//! (`reference.rs`), which is made of candle's operations and runs on every device. Tests hold the two to each other.

mod activation;
mod conv;
mod cross_entropy;
mod dropout;
mod linear;
mod pool;
mod reference;
mod resize;
mod weighted;

pub use activation::{gelu_erf, gelu_sigmoid, relu, sigmoid};
pub(crate) use conv::conv_shape;
pub use conv::{Conv, conv1d, conv2d, conv2d_rounded};
pub(crate) use cross_entropy::cross_entropy;
pub use dropout::dropout;
pub(crate) use dropout::{check as check_rate, drop_of};
pub use linear::linear;
pub(crate) use pool::pool_shape;
pub use pool::{avg_pool2d, global_avg_pool, max_pool2d};
pub(crate) use resize::resize_shape;
pub use resize::{resize_bilinear, resize_nearest};

use candle_core::{CpuStorage, DType, Device, Layout, Result, Tensor, WithDType, bail};

/// Whether operations on `xs` run as this project's kernels: on the CPU, in f32 and f64, unless reference implementations are
/// forced (see [`crate::reference`]).
pub fn native(xs: &Tensor) -> bool {
    xs.device().is_cpu() && matches!(xs.dtype(), DType::F32 | DType::F64) && !crate::reference::is_forced()
}

/// A row of numbers in the type of `like` and on its device, which may have no f64.
pub(crate) fn constants(values: Vec<f64>, like: &Tensor) -> Result<Tensor> {
    let len = values.len();
    Tensor::from_vec(values, len, &Device::Cpu)?.to_dtype(like.dtype())?.to_device(like.device())
}

/// Runs `$body` with `$t` bound to the element type of `$storage`.
macro_rules! by_dtype {
    ($name:expr, $storage:expr, $t:ident => $body:expr) => {
        match $storage {
            candle_core::CpuStorage::F32(_) => {
                type $t = f32;
                $body
            }
            candle_core::CpuStorage::F64(_) => {
                type $t = f64;
                $body
            }
            _ => candle_core::bail!("{}: the input is neither f32 nor f64; convert it with to_dtype", $name),
        }
    };
}
pub(crate) use by_dtype;

/// sum += values.
pub(crate) fn add_in_place(sum: &mut [f32], values: &[f32]) {
    use rayon::prelude::*;
    const BLOCK: usize = 1 << 14;
    sum.par_chunks_mut(BLOCK).zip(values.par_chunks(BLOCK)).for_each(|(sum, values)| {
        sum.iter_mut().zip(values).for_each(|(sum, value)| *sum += value);
    });
}

/// The elements of a contiguous argument of type `T`.
pub(crate) fn elements<'a, T: WithDType>(name: &str, storage: &'a CpuStorage, layout: &Layout) -> Result<&'a [T]> {
    let Some((start, end)) = layout.contiguous_offsets() else {
        bail!("{name}: argument of shape {:?} is not contiguous; call contiguous() first", layout.shape());
    };
    Ok(&storage.as_slice::<T>()?[start..end])
}
