//! The values of tensors, read in place.

use candle_core::{CpuStorage, Result, Storage, Tensor, bail};

/// Runs `f` over the values of a contiguous f32 tensor on the CPU.
pub(super) fn with_values<T>(tensor: &Tensor, f: impl FnOnce(&[f32]) -> T) -> Result<T> {
    let (storage, layout) = tensor.storage_and_layout();
    match (&*storage, layout.contiguous_offsets()) {
        (Storage::Cpu(CpuStorage::F32(values)), Some((start, end))) => Ok(f(&values[start..end])),
        _ => bail!("a contiguous f32 tensor on the CPU is wanted, not {:?} of shape {:?}", tensor.dtype(), tensor.shape()),
    }
}
