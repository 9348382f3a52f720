//! `Pooling`: an allocator that keeps large blocks when they are freed, for programs that train.
//!
//! A training step frees and asks for the same large blocks again and again. An allocator that gives them back to the
//! system pays for it with page faults, each of which clears a page: more time than the arithmetic done in it. Here a freed
//! block goes to a list of its size class (four classes a doubling) and the next request of that class takes it. Blocks of
//! the lists lie in the freed memory itself, so keeping books needs no memory.

use std::alloc::{GlobalAlloc, Layout};
use std::ptr::null_mut;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Smallest request that is kept, as a power of two: 64 KiB.
const SMALLEST: u32 = 16;
/// Size classes: up to 2^(SMALLEST + CLASSES / 4) bytes, 1 TiB.
const CLASSES: usize = 96;
/// Alignment of kept blocks; requests that want more are passed on.
const ALIGN: usize = 64;

/// Keeps large blocks of the allocator `A`; small requests pass through.
///
/// ```
/// use sncn_kernels::alloc::Pooling;
/// use std::alloc::System;
///
/// #[global_allocator]
/// static ALLOCATOR: Pooling<System> = Pooling::new(System);
/// # fn main() {}
/// ```
pub struct Pooling<A> {
    under: A,
    /// Address of the first free block of each class, 0 where there is none; a block begins with the next one's.
    free: [Mutex<usize>; CLASSES],
}

/// Class and size of the blocks that serve a request.
fn class(layout: Layout) -> Option<(usize, Layout)> {
    let size = layout.size();
    if size < 1 << SMALLEST || layout.align() > ALIGN {
        return None;
    }
    let power = (size - 1).ilog2();
    let quarter = 1usize << (power - 2);
    let quarters = size.div_ceil(quarter); // 5 to 8
    let index = (power + 1 - SMALLEST) as usize * 4 + quarters - 5;
    let block = Layout::from_size_align(quarters * quarter, ALIGN).ok()?;
    (index < CLASSES).then_some((index, block))
}

impl<A> Pooling<A> {
    /// An allocator over `under`.
    pub const fn new(under: A) -> Self {
        Self { under, free: [const { Mutex::new(0) }; CLASSES] }
    }

    fn list(&self, index: usize) -> MutexGuard<'_, usize> {
        self.free[index].lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn pop(&self, index: usize) -> *mut u8 {
        let mut head = self.list(index);
        if *head == 0 {
            return null_mut();
        }
        let block = *head as *mut u8;
        // SAFETY: only `push` puts addresses into the list: blocks of at least 64 KiB, aligned to 64, that nobody else holds
        // and that begin with the next block's address.
        *head = unsafe { block.cast::<usize>().read() };
        block
    }

    fn push(&self, index: usize, block: *mut u8) {
        let mut head = self.list(index);
        // SAFETY: the block was just freed: it is ours, large and aligned enough for an address.
        unsafe { block.cast::<usize>().write(*head) };
        *head = block as usize;
    }
}

// SAFETY: a block that is handed out came from `under` with the size of its class, at least the size asked for, aligned to
// ALIGN, which is at least the alignment asked for; it is in no list while it is handed out. The same class follows from the
// same layout when it is freed.
unsafe impl<A: GlobalAlloc> GlobalAlloc for Pooling<A> {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let Some((index, block)) = class(layout) else {
            // SAFETY: passed on.
            return unsafe { self.under.alloc(layout) };
        };
        let kept = self.pop(index);
        // SAFETY: the class's layout is not empty.
        if kept.is_null() { unsafe { self.under.alloc(block) } } else { kept }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        let Some((index, block)) = class(layout) else {
            // SAFETY: passed on.
            return unsafe { self.under.alloc_zeroed(layout) };
        };
        let kept = self.pop(index);
        if kept.is_null() {
            // SAFETY: as in `alloc`.
            return unsafe { self.under.alloc_zeroed(block) };
        }
        // SAFETY: the block has at least that size and is ours.
        unsafe { kept.write_bytes(0, layout.size()) };
        kept
    }

    unsafe fn dealloc(&self, ptr: *mut u8, layout: Layout) {
        match class(layout) {
            Some((index, _)) => self.push(index, ptr),
            // SAFETY: it came from `under` with this layout.
            None => unsafe { self.under.dealloc(ptr, layout) },
        }
    }

    unsafe fn realloc(&self, ptr: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        let Ok(new) = Layout::from_size_align(size, layout.align()) else { return null_mut() };
        match (class(layout), class(new)) {
            // SAFETY: both small: `under` gave the block with this layout.
            (None, None) => unsafe { self.under.realloc(ptr, layout, size) },
            (Some((old, _)), Some((index, _))) if old == index => ptr,
            _ => {
                // SAFETY: the caller vouches for the size; the two blocks are apart, and the smaller size is in both.
                unsafe {
                    let moved = self.alloc(new);
                    if !moved.is_null() {
                        ptr.copy_to_nonoverlapping(moved, layout.size().min(size));
                        self.dealloc(ptr, layout);
                    }
                    moved
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::alloc::System;

    #[test]
    fn classes_hold_what_is_asked_and_waste_little() {
        assert!(class(Layout::from_size_align(65_535, 4).unwrap()).is_none());
        assert!(class(Layout::from_size_align(1 << 20, 4096).unwrap()).is_none());
        for size in (1 << 16..1 << 20).step_by(997).chain([1 << 16, (1 << 16) + 1, 1 << 24, (1 << 24) + 1, 1 << 38]) {
            let (index, block) = class(Layout::from_size_align(size, 8).unwrap()).unwrap();
            assert!(block.size() >= size && block.size() <= size + size.div_ceil(4), "{size}: {}", block.size());
            assert!(index < CLASSES);
            // a class's own size is in the class, and one byte more in the next
            assert_eq!(class(block).unwrap(), (index, block));
            let more = Layout::from_size_align(block.size() + 1, 8).unwrap();
            assert_eq!(class(more).unwrap().0, index + 1);
        }
    }

    #[test]
    fn blocks_are_kept_cleared_and_moved() {
        let pool = Pooling::new(System);
        let layout = Layout::from_size_align(300_000, 16).unwrap();
        // SAFETY: layouts are not empty; every block is used within its size and freed with its layout.
        unsafe {
            let one = pool.alloc(layout);
            one.write_bytes(7, 300_000);
            pool.dealloc(one, layout);
            let two = pool.alloc_zeroed(layout);
            assert_eq!(one, two, "kept");
            assert!((0..300_000).all(|i| *two.add(i) == 0));
            two.write_bytes(9, 300_000);
            let grown = pool.realloc(two, layout, 310_000);
            assert_eq!(grown, two, "the same class");
            let moved = pool.realloc(grown, Layout::from_size_align(310_000, 16).unwrap(), 2_000_000);
            assert!((0..300_000).all(|i| *moved.add(i) == 9));
            let small = pool.realloc(moved, Layout::from_size_align(2_000_000, 16).unwrap(), 1000);
            assert!((0..1000).all(|i| *small.add(i) == 9) && small.addr().is_multiple_of(16));
            let back = pool.realloc(small, Layout::from_size_align(1000, 16).unwrap(), 100_000);
            assert!((0..1000).all(|i| *back.add(i) == 9));
            pool.dealloc(back, Layout::from_size_align(100_000, 16).unwrap());
        }
    }
}
