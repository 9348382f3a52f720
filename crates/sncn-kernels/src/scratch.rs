//! Scratch memory that threads keep: fresh pages cost more than the arithmetic done in them. A buffer that a thread has not used
//! for long is freed, so a small network that follows a large one does not keep its memory.

use std::cell::RefCell;
use std::collections::VecDeque;

/// Floats in a cache line; scratch starts on one, because a vector that straddles two lines costs two loads.
const LINE: usize = 16;

/// Free buffers that a thread keeps at most: several times what a kernel holds at once, which is half a dozen.
const KEPT: usize = 32;
/// A buffer is freed once so many others have come back since it was used. A training step returns fewer on each thread, so it
/// always finds the buffers of the step before.
const IDLE: u64 = 1 << 16;

thread_local! {
    static POOL: RefCell<Pool> = const { RefCell::new(Pool { free: VecDeque::new(), returns: 0 }) };
}

/// The free buffers of a thread.
struct Pool {
    /// Each with the number of returns when it came back; the longest unused comes first.
    free: VecDeque<(u64, Vec<f32>)>,
    returns: u64,
}

impl Pool {
    /// The smallest free buffer of at least `len` floats; where all are shorter, a new one takes the place of the longest. Of equal
    /// buffers the last used is taken, which may still be in the cache.
    fn take(&mut self, len: usize) -> Vec<f32> {
        let key = |data: &Vec<f32>| if data.len() < len { (true, usize::MAX - data.len()) } else { (false, data.len()) };
        let best = (0..self.free.len()).rev().min_by_key(|&i| key(&self.free[i].1));
        let kept = best.and_then(|i| self.free.remove(i)).map(|(_, data)| data).unwrap_or_default();
        if kept.len() < len { vec![0.0; len] } else { kept }
    }

    fn give(&mut self, data: Vec<f32>) {
        self.returns += 1;
        self.free.push_back((self.returns, data));
        let too_many = self.free.len() > KEPT;
        if self.free.front().is_some_and(|(at, _)| too_many || self.returns - at > IDLE) {
            self.free.pop_front();
        }
    }
}

/// A buffer that begins on a cache line. Its contents are whatever was left there.
pub(crate) struct Scratch {
    data: Vec<f32>,
    start: usize,
    len: usize,
}

impl Scratch {
    /// `len` floats from this thread's pool.
    pub(crate) fn take(len: usize) -> Self {
        let data = POOL.with_borrow_mut(|pool| pool.take(len + LINE));
        // align_offset may in principle decline; then the buffer is only slower
        let start = data.as_ptr().align_offset(LINE * size_of::<f32>()).min(LINE);
        Self { data, start, len }
    }
}

impl std::ops::Deref for Scratch {
    type Target = [f32];
    fn deref(&self) -> &[f32] {
        &self.data[self.start..self.start + self.len]
    }
}

impl std::ops::DerefMut for Scratch {
    fn deref_mut(&mut self) -> &mut [f32] {
        &mut self.data[self.start..self.start + self.len]
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let data = std::mem::take(&mut self.data);
        // a thread that is going away has no pool any more
        let _ = POOL.try_with(|pool| pool.borrow_mut().give(data));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pool(sizes: &[usize]) -> Pool {
        let mut pool = Pool { free: VecDeque::new(), returns: 0 };
        sizes.iter().for_each(|&len| pool.give(vec![0.0; len]));
        pool
    }

    fn sizes(pool: &Pool) -> Vec<usize> {
        pool.free.iter().map(|(_, data)| data.len()).collect()
    }

    #[test]
    fn a_buffer_fits_what_it_is_taken_for() {
        let mut pool = pool(&[100, 10, 40]);
        assert_eq!(pool.take(30).len(), 40, "not the largest: the next may need it");
        assert_eq!(pool.take(200).len(), 200);
        assert_eq!(sizes(&pool), [10], "of those that are too small the largest gave way");
        assert_eq!((pool.take(1).len(), pool.take(1).len()), (10, 1));
    }

    #[test]
    fn a_thread_keeps_so_many_buffers_and_the_longest_unused_goes() {
        let mut pool = pool(&(1..=40).collect::<Vec<_>>());
        assert_eq!(sizes(&pool), (9..=40).collect::<Vec<_>>());
        let used = pool.take(9);
        pool.give(used);
        pool.give(vec![0.0; 50]);
        assert_eq!(sizes(&pool), [(11..=40).collect(), vec![9, 50]].concat());
    }

    #[test]
    fn what_nothing_takes_any_more_goes() {
        let mut pool = pool(&[1_000_000, 900_000, 10]);
        for _ in 0..IDLE + 2 {
            let used = pool.take(10);
            pool.give(used);
        }
        assert_eq!(sizes(&pool), [10]);
    }

    #[test]
    fn what_each_step_uses_once_stays() {
        let mut pool = pool(&[1_000_000, 10]);
        let large = pool.free[0].1.as_ptr();
        for _ in 0..4 {
            for _ in 0..IDLE - 2 {
                let used = pool.take(10);
                pool.give(used);
            }
            let used = pool.take(1_000_000);
            assert_eq!(used.as_ptr(), large);
            pool.give(used);
        }
    }
}
