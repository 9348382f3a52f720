//! Buffers that are reused across steps: fresh pages cost more than the arithmetic done in them.

use candle_core::{CpuStorage, Storage, Tensor};
use rayon::prelude::*;
use std::collections::BTreeMap;
use std::ops::{Deref, DerefMut, Range};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Values that one thread copies at a time.
const BLOCK: usize = 1 << 16;

/// Free blocks by their length.
static POOL: Mutex<BTreeMap<usize, Vec<Vec<f32>>>> = Mutex::new(BTreeMap::new());

fn pool() -> MutexGuard<'static, BTreeMap<usize, Vec<Vec<f32>>>> {
    POOL.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A map's values: the first `len` of a block that goes back to the pool when this is dropped.
pub(super) struct Buffer {
    block: Vec<f32>,
    len: usize,
}

impl Buffer {
    /// `len` values, whatever was left in them; a block that is up to a quarter longer serves too, so that maps of many
    /// sizes share.
    pub(super) fn take(len: usize) -> Self {
        let kept = pool().range_mut(len..=len + len / 4).find_map(|(_, blocks)| blocks.pop());
        Self { block: kept.unwrap_or_else(|| vec![0.; len]), len }
    }

    /// A copy of `values`.
    pub(super) fn of(values: &[f32]) -> Self {
        let mut buffer = Self::take(values.len());
        let copies = buffer.par_chunks_mut(BLOCK).zip(values.par_chunks(BLOCK));
        copies.for_each(|(to, from)| to.copy_from_slice(from));
        buffer
    }

    /// The values, for whoever keeps them.
    pub(super) fn into_vec(mut self) -> Vec<f32> {
        let mut values = std::mem::take(&mut self.block);
        values.truncate(self.len);
        values
    }
}

impl Deref for Buffer {
    type Target = [f32];
    fn deref(&self) -> &[f32] {
        &self.block[..self.len]
    }
}

impl DerefMut for Buffer {
    fn deref_mut(&mut self) -> &mut [f32] {
        &mut self.block[..self.len]
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        let block = std::mem::take(&mut self.block);
        if !block.is_empty() {
            pool().entry(block.len()).or_default().push(block);
        }
    }
}

/// The values of a map or a gradient: our own, or those of a tensor that is only read.
pub(super) enum Values {
    Own(Buffer),
    /// Read by several.
    Shared(Arc<Buffer>),
    /// Contiguous, f32, on the CPU.
    Tensor(Tensor),
}

impl Values {
    pub(super) fn len(&self) -> usize {
        match self {
            Self::Own(buffer) => buffer.len(),
            Self::Shared(buffer) => buffer.len(),
            Self::Tensor(tensor) => tensor.elem_count(),
        }
    }

    /// Some of them.
    pub(super) fn part(&self, range: Range<usize>) -> Part<'_> {
        match self {
            Self::Own(buffer) => Part::Own(&buffer[range]),
            Self::Shared(buffer) => Part::Own(&buffer[range]),
            Self::Tensor(tensor) => {
                let (storage, layout) = tensor.storage_and_layout();
                let start = layout.start_offset();
                Part::Tensor(Box::new(storage), range.start + start..range.end + start)
            }
        }
    }

    /// The values as our own, copied where they are a tensor's or others still read them.
    pub(super) fn into_buffer(self) -> Buffer {
        match self {
            Self::Own(buffer) => buffer,
            Self::Shared(buffer) => Arc::try_unwrap(buffer).unwrap_or_else(|shared| Buffer::of(&shared)),
            Self::Tensor(_) => Buffer::of(&self.part(0..self.len())),
        }
    }
}

/// A part of some values.
pub(super) enum Part<'a> {
    Own(&'a [f32]),
    Tensor(Box<dyn Deref<Target = Storage> + 'a>, Range<usize>),
}

impl Deref for Part<'_> {
    type Target = [f32];
    fn deref(&self) -> &[f32] {
        match self {
            Self::Own(values) => values,
            Self::Tensor(storage, range) => match &***storage {
                Storage::Cpu(CpuStorage::F32(values)) => &values[range.clone()],
                // `Values::Tensor` is made of f32 tensors on the CPU only
                _ => &[],
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_sizes_share_a_block_and_far_ones_do_not() {
        let at = |buffer: &Buffer| buffer.as_ptr().addr();
        let first = Buffer::take(7_001);
        let address = at(&first);
        drop(first);
        let other = Buffer::take(3_000);
        assert_ne!(at(&other), address);
        let shorter = Buffer::take(6_000);
        assert_eq!((at(&shorter), shorter.len()), (address, 6_000));
        assert_eq!(shorter.into_vec().len(), 6_000);
    }
}
