//! Buffers that are reused across steps: fresh pages cost more than the arithmetic done in them.

use candle_core::{CpuStorage, Storage, Tensor};
use rayon::prelude::*;
use std::collections::HashMap;
use std::ops::{Deref, DerefMut, Range};
use std::sync::{Mutex, PoisonError};

/// Values that one thread copies at a time.
const BLOCK: usize = 1 << 16;

static POOL: Mutex<Option<HashMap<usize, Vec<Vec<f32>>>>> = Mutex::new(None);

/// A map's values; goes back to the pool when dropped.
pub(super) struct Buffer(Vec<f32>);

impl Buffer {
    /// `len` values, whatever was left in them.
    pub(super) fn take(len: usize) -> Self {
        let mut pool = POOL.lock().unwrap_or_else(PoisonError::into_inner);
        let kept = pool.get_or_insert_default().get_mut(&len).and_then(Vec::pop);
        drop(pool);
        Self(kept.unwrap_or_else(|| vec![0.; len]))
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
        std::mem::take(&mut self.0)
    }
}

impl Deref for Buffer {
    type Target = [f32];
    fn deref(&self) -> &[f32] {
        &self.0
    }
}

impl DerefMut for Buffer {
    fn deref_mut(&mut self) -> &mut [f32] {
        &mut self.0
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        let values = std::mem::take(&mut self.0);
        if values.is_empty() {
            return;
        }
        let mut pool = POOL.lock().unwrap_or_else(PoisonError::into_inner);
        pool.get_or_insert_default().entry(values.len()).or_default().push(values);
    }
}

/// The values of a map or a gradient: our own, or those of a tensor that is only read.
pub(super) enum Values {
    Own(Buffer),
    /// Contiguous, f32, on the CPU.
    Tensor(Tensor),
}

impl Values {
    pub(super) fn len(&self) -> usize {
        match self {
            Self::Own(buffer) => buffer.len(),
            Self::Tensor(tensor) => tensor.elem_count(),
        }
    }

    /// Some of them.
    pub(super) fn part(&self, range: Range<usize>) -> Part<'_> {
        match self {
            Self::Own(buffer) => Part::Own(&buffer[range]),
            Self::Tensor(tensor) => {
                let (storage, layout) = tensor.storage_and_layout();
                let start = layout.start_offset();
                Part::Tensor(Box::new(storage), range.start + start..range.end + start)
            }
        }
    }

    /// The values as our own, copied where they are a tensor's.
    pub(super) fn into_buffer(self) -> Buffer {
        match self {
            Self::Own(buffer) => buffer,
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
