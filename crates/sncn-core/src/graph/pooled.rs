//! Memory of maps that is reused across training steps: new pages cost more than the arithmetic done in them.

use candle_core::{CpuStorage, Storage, Tensor};
use rayon::prelude::*;
use std::collections::BTreeMap;
use std::ops::{Deref, DerefMut, Range};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Values that one thread copies at a time.
const BLOCK: usize = 1 << 16;

/// The pool keeps at most this many times the memory that was in use at once. A training step needs less: all maps of the forward pass
/// are in use together, and the backward pass needs a gradient or two more of each size.
const KEPT: usize = 4;
/// The most memory in use at once is that of the last 1 to 2 times this many requests, which is more than a training step makes.
const REQUESTS: u64 = 1 << 14;

static POOL: Mutex<Pool> = Mutex::new(Pool::new());

fn pool() -> MutexGuard<'static, Pool> {
    POOL.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The free blocks. They have at most `KEPT` times as many values as were recently in use at once, so the blocks of a large network are
/// freed some time after a small one replaced it, and sizes that are not used again do not accumulate.
struct Pool {
    /// By length; each with the number of requests when it was returned, the longest unused first.
    free: BTreeMap<usize, Vec<(u64, Vec<f32>)>>,
    /// Number of values in free blocks, and in blocks in use.
    kept: usize,
    used: usize,
    /// The most values in use at once, during the current `REQUESTS` requests and the ones before.
    most: [usize; 2],
    requests: u64,
}

impl Pool {
    const fn new() -> Self {
        Self { free: BTreeMap::new(), kept: 0, used: 0, most: [0; 2], requests: 0 }
    }

    /// Takes the shortest free block of `len` values up to a quarter more, so that maps of similar sizes share blocks. Where there is
    /// none, the caller allocates one of `len` values.
    fn take(&mut self, len: usize) -> Option<Vec<f32>> {
        self.requests += 1;
        if self.requests.is_multiple_of(REQUESTS) {
            self.most = [self.used, self.most[0]];
            self.free.retain(|_, blocks| !blocks.is_empty());
        }
        let found = self.free.range_mut(len..=len + len / 4).find_map(|(_, blocks)| blocks.pop()).map(|(_, block)| block);
        self.kept -= found.as_ref().map_or(0, Vec::len);
        self.used += found.as_ref().map_or(len, Vec::len);
        self.most[0] = self.most[0].max(self.used);
        found
    }

    /// Returns a block to the pool. The result is the surplus, the longest unused blocks, for the caller to free.
    fn give(&mut self, block: Vec<f32>) -> Vec<Vec<f32>> {
        self.forget(block.len());
        self.kept += block.len();
        self.free.entry(block.len()).or_default().push((self.requests, block));
        let mut surplus = Vec::new();
        while self.kept > KEPT * self.most[0].max(self.most[1]) {
            let oldest = self.free.iter().filter_map(|(&len, blocks)| Some((blocks.first()?.0, len))).min();
            let Some(blocks) = oldest.and_then(|(_, len)| self.free.get_mut(&len)) else { break };
            let (_, block) = blocks.remove(0);
            self.kept -= block.len();
            surplus.push(block);
        }
        surplus
    }

    /// A block of `len` values will not be returned.
    fn forget(&mut self, len: usize) {
        self.used = self.used.saturating_sub(len);
    }
}

/// The values of a map: the first `len` of a block, which is returned to the pool when this is dropped.
pub(super) struct Pooled {
    block: Vec<f32>,
    len: usize,
}

impl Pooled {
    /// `len` arbitrary values.
    pub(super) fn take(len: usize) -> Self {
        let kept = pool().take(len);
        Self { block: kept.unwrap_or_else(|| vec![0.; len]), len }
    }

    /// A copy of `values`.
    pub(super) fn of(values: &[f32]) -> Self {
        let mut buffer = Self::take(values.len());
        let copies = buffer.par_chunks_mut(BLOCK).zip(values.par_chunks(BLOCK));
        copies.for_each(|(to, from)| to.copy_from_slice(from));
        buffer
    }

    /// The values as a vector, which does not return to the pool.
    pub(super) fn into_vec(mut self) -> Vec<f32> {
        let mut values = std::mem::take(&mut self.block);
        pool().forget(values.len());
        values.truncate(self.len);
        values
    }
}

impl Deref for Pooled {
    type Target = [f32];
    fn deref(&self) -> &[f32] {
        &self.block[..self.len]
    }
}

impl DerefMut for Pooled {
    fn deref_mut(&mut self) -> &mut [f32] {
        &mut self.block[..self.len]
    }
}

impl Drop for Pooled {
    fn drop(&mut self) {
        let block = std::mem::take(&mut self.block);
        if !block.is_empty() {
            // freed after the pool is unlocked
            let _surplus = pool().give(block);
        }
    }
}

/// The values of a map or a gradient: owned, shared, or those of a tensor.
pub(super) enum Values {
    Own(Pooled),
    /// Shared by several readers.
    Shared(Arc<Pooled>),
    /// A contiguous f32 tensor on the CPU, which is only read.
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

    /// A range of the values.
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

    /// The values as owned memory: a copy where they are those of a tensor or still shared.
    pub(super) fn into_pooled(self) -> Pooled {
        match self {
            Self::Own(buffer) => buffer,
            Self::Shared(buffer) => Arc::try_unwrap(buffer).unwrap_or_else(|shared| Pooled::of(&shared)),
            Self::Tensor(_) => Pooled::of(&self.part(0..self.len())),
        }
    }
}

/// A range of values.
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

    /// Takes a block as `Pooled::take` does.
    fn take(pool: &mut Pool, len: usize) -> Vec<f32> {
        pool.take(len).unwrap_or_else(|| vec![0.; len])
    }

    /// Takes blocks of these sizes, all in use at once, and gives them back; the lengths of what is freed, sorted.
    fn step(pool: &mut Pool, sizes: &[usize]) -> Vec<usize> {
        let blocks: Vec<_> = sizes.iter().map(|&len| take(pool, len)).collect();
        let mut freed: Vec<usize> = blocks.into_iter().flat_map(|block| pool.give(block)).map(|block| block.len()).collect();
        freed.sort_unstable();
        freed
    }

    #[test]
    fn near_sizes_share_a_block_and_far_ones_do_not() {
        let mut pool = Pool::new();
        step(&mut pool, &[7_001]);
        assert_eq!(pool.take(3_000), None);
        assert_eq!(pool.take(6_000).map(|block| block.len()), Some(7_001));
        assert_eq!(pool.take(6_000), None);
        assert_eq!(Pooled::take(6_000).into_vec().len(), 6_000);
    }

    #[test]
    fn steps_find_their_blocks_and_a_smaller_network_frees_them() {
        let mut pool = Pool::new();
        let large = [1_000, 1_000, 2_000, 4_000];
        for _ in 0..REQUESTS {
            assert!(step(&mut pool, &large).is_empty());
            assert_eq!((pool.kept, pool.used), (8_000, 0));
        }
        let freed: Vec<usize> = (0..2 * REQUESTS).flat_map(|_| step(&mut pool, &[10, 20])).collect();
        assert_eq!(freed.iter().sum::<usize>(), 8_000);
        assert_eq!(pool.kept, 30);
    }

    #[test]
    fn sizes_that_only_grow_do_not_pile_up() {
        let mut pool = Pool::new();
        for len in 1_000..2_000 {
            step(&mut pool, &[len, len]);
            assert!(pool.kept <= KEPT * 2 * len);
        }
        assert!(pool.free.contains_key(&1_999) && pool.free.values().map(Vec::len).sum::<usize>() <= 2 * KEPT);
        // what leaves the pool is no longer in use
        let block = take(&mut pool, 1_999);
        pool.forget(block.len());
        assert_eq!(pool.used, 0);
    }
}
