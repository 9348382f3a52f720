//! `Queue`: numbered pieces of work, taken in order by all threads, as many at a time as memory allows.

use anyhow::Result;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// Bytes that the pieces in work take together, for every thread; a piece that needs more is done alone.
const A_THREAD: usize = 256 << 20;

/// Pieces of work that share memory.
pub(super) struct Queue {
    next: AtomicUsize,
    failed: AtomicBool,
    /// Bytes that are taken.
    taken: Mutex<usize>,
    given_back: Condvar,
    limit: usize,
}

/// Memory that a piece of work takes while this lives.
pub(super) struct Share<'a> {
    queue: &'a Queue,
    bytes: usize,
}

impl Queue {
    /// Does the work of the pieces 0 to `count` − 1 on all threads.
    ///
    /// # Errors
    /// The first of a piece; no further ones are then begun.
    pub(super) fn run(count: usize, work: impl Fn(usize, &Self) -> Result<()> + Sync) -> Result<()> {
        let limit = A_THREAD * rayon::current_num_threads();
        let (next, failed) = (AtomicUsize::new(0), AtomicBool::new(false));
        let queue = Self { next, failed, taken: Mutex::new(0), given_back: Condvar::new(), limit };
        let results = rayon::broadcast(|_| {
            loop {
                let piece = queue.next.fetch_add(1, Ordering::Relaxed);
                if piece >= count || queue.failed.load(Ordering::Relaxed) {
                    return Ok(());
                }
                if let Err(error) = work(piece, &queue) {
                    queue.failed.store(true, Ordering::Relaxed);
                    return Err(error);
                }
            }
        });
        results.into_iter().collect()
    }

    /// Waits until the pieces in work leave room for `bytes`, or there are none.
    pub(super) fn share(&self, bytes: usize) -> Share<'_> {
        let mut taken = locked(&self.taken);
        while *taken > 0 && *taken + bytes > self.limit {
            taken = self.given_back.wait(taken).unwrap_or_else(PoisonError::into_inner);
        }
        *taken += bytes;
        Share { queue: self, bytes }
    }
}

impl Drop for Share<'_> {
    fn drop(&mut self) {
        *locked(&self.queue.taken) -= self.bytes;
        self.queue.given_back.notify_all();
    }
}

/// A lock, whatever became of the thread that had it.
pub(super) fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_piece_is_done_once_within_the_memory_and_an_error_ends_the_work() {
        let done: Vec<AtomicUsize> = (0..50).map(|_| AtomicUsize::new(0)).collect();
        let pool = rayon::ThreadPoolBuilder::new().num_threads(4).build().unwrap();
        let (now, most) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let work = |piece: usize, queue: &Queue| {
            // the first is larger than all that there is
            let bytes = if piece == 0 { 5 * A_THREAD } else { 2 * A_THREAD };
            let _share = queue.share(bytes);
            most.fetch_max(now.fetch_add(bytes, Ordering::SeqCst) + bytes, Ordering::SeqCst);
            done[piece].fetch_add(1, Ordering::SeqCst);
            now.fetch_sub(bytes, Ordering::SeqCst);
            Ok(())
        };
        pool.install(|| Queue::run(50, work)).unwrap();
        assert!(done.iter().all(|count| count.load(Ordering::SeqCst) == 1));
        assert_eq!(most.load(Ordering::SeqCst), 5 * A_THREAD);
        let begun = AtomicUsize::new(0);
        let failing = |piece: usize, _: &Queue| {
            begun.fetch_add(1, Ordering::SeqCst);
            anyhow::ensure!(piece < 3, "piece {piece}");
            Ok(())
        };
        assert!(pool.install(|| Queue::run(1000, failing)).unwrap_err().to_string().starts_with("piece "));
        assert!(begun.load(Ordering::SeqCst) < 1000);
    }
}
