//! What operations have in common: whether there is a kernel, and access to the values of tensors.

use candle_core::{CpuStorage, DType, Device, Layout, Result, Storage, Tensor, WithDType, bail};

/// Returns whether operations on `xs` run as kernels of this project: on the CPU in f32 and f64, unless reference implementations
/// are forced (see [`crate::reference`]).
pub fn has_kernel(xs: &Tensor) -> bool {
    xs.device().is_cpu() && matches!(xs.dtype(), DType::F32 | DType::F64) && !crate::reference::is_forced()
}

/// A one-dimensional tensor of these values, in the type and on the device of `like` (some devices have no f64).
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
///
/// # Panics
/// Panics where the lengths differ; shapes were checked when the operation was recorded.
pub(crate) fn add_in_place(sum: &mut [f32], values: &[f32]) {
    use rayon::prelude::*;
    const BLOCK: usize = 1 << 14;
    assert_eq!(sum.len(), values.len(), "gradients of one map differ in length");
    sum.par_chunks_mut(BLOCK).zip(values.par_chunks(BLOCK)).for_each(|(sum, values)| {
        sum.iter_mut().zip(values).for_each(|(sum, value)| *sum += value);
    });
}

/// The values of a contiguous argument of type `T`.
pub(crate) fn elements<'a, T: WithDType>(name: &str, storage: &'a CpuStorage, layout: &Layout) -> Result<&'a [T]> {
    let Some((start, end)) = layout.contiguous_offsets() else {
        bail!("{name}: argument of shape {:?} is not contiguous; call contiguous() first", layout.shape());
    };
    Ok(&storage.as_slice::<T>()?[start..end])
}

/// Runs `f` over the values of a contiguous f32 tensor on the CPU.
pub(crate) fn with_values<T>(tensor: &Tensor, f: impl FnOnce(&[f32]) -> T) -> Result<T> {
    let (storage, layout) = tensor.storage_and_layout();
    match (&*storage, layout.contiguous_offsets()) {
        (Storage::Cpu(CpuStorage::F32(values)), Some((start, end))) => Ok(f(&values[start..end])),
        _ => bail!("expected a contiguous f32 tensor on the CPU, got {:?} of shape {:?}", tensor.dtype(), tensor.shape()),
    }
}
