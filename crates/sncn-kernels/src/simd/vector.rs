//! `Kernel` and `Vector`: what an algorithm is written over, so that it is written once for every instruction set.

use crate::bf16::pair;

/// A computation over vectors; implementations are `#[inline(always)]`, so that they take on the features of their caller.
pub(crate) trait Kernel {
    /// Computes.
    ///
    /// # Safety
    /// The processor must have the instructions of `V`.
    unsafe fn run<V: Vector>(self);
}

/// Some lanes of f32.
///
/// # Safety (of every method)
/// The processor must have the instructions of the type; pointers must be valid for the lanes read or written. No alignment is needed.
pub(crate) trait Vector: Copy {
    /// Lanes.
    const LANES: usize;
    /// Rows of the register tile of two vectors a row.
    const ROWS: usize;
    /// `x` in every lane.
    unsafe fn splat(x: f32) -> Self;
    /// All lanes from memory.
    unsafe fn load(p: *const f32) -> Self;
    /// All lanes to memory.
    unsafe fn store(self, p: *mut f32);
    /// The first `count` lanes from memory (at most `LANES`), zeros after them.
    unsafe fn load_part(p: *const f32, count: usize) -> Self;
    /// The first `count` lanes to memory (at most `LANES`).
    unsafe fn store_part(self, p: *mut f32, count: usize);
    /// self + other.
    unsafe fn add(self, other: Self) -> Self;
    /// self − other.
    unsafe fn sub(self, other: Self) -> Self;
    /// self · other.
    unsafe fn mul(self, other: Self) -> Self;
    /// self · a + b, fused where the processor can.
    unsafe fn fma(self, a: Self, b: Self) -> Self;
    /// The low bf16 of every lane's pair as f32.
    unsafe fn low(self) -> Self;
    /// The high bf16 of every lane's pair as f32.
    unsafe fn high(self) -> Self;
    /// self · a + b, where self and a are pairs of bf16: both products are added.
    #[inline(always)]
    unsafe fn dot(self, a: Self, b: Self) -> Self {
        // SAFETY: arithmetic only.
        unsafe { self.high().fma(a.high(), self.low().fma(a.low(), b)) }
    }
    /// Pairs from twice `LANES` values in memory, rounded.
    #[inline(always)]
    unsafe fn pairs(p: *const f32) -> Self {
        let mut pairs = [0.0; 16];
        for (i, to) in pairs.iter_mut().enumerate().take(Self::LANES) {
            // SAFETY: the caller vouches for twice LANES values.
            *to = unsafe { pair(*p.add(2 * i), *p.add(2 * i + 1)) };
        }
        // SAFETY: no vector has more than 16 lanes.
        unsafe { Self::load(pairs.as_ptr()) }
    }
    /// All lanes rounded to bf16 to memory: half as many pairs.
    #[inline(always)]
    unsafe fn store_pairs(self, p: *mut f32) {
        let mut values = [0.0; 16];
        // SAFETY: no vector has more than 16 lanes; the caller vouches for half of them in memory.
        unsafe {
            self.store(values.as_mut_ptr());
            for i in 0..Self::LANES / 2 {
                *p.add(i) = pair(values[2 * i], values[2 * i + 1]);
            }
        }
    }
    /// The larger of self and `floor`; NaN where self is.
    unsafe fn max(self, floor: Self) -> Self;
    /// The smaller of self and `ceiling`; NaN where self is.
    unsafe fn min(self, ceiling: Self) -> Self;
    /// self where `test` is positive (or NaN), else 0.
    unsafe fn where_positive(self, test: Self) -> Self;
    /// self / other.
    unsafe fn div(self, other: Self) -> Self;
    /// The square root.
    unsafe fn sqrt(self) -> Self;
    /// 2 to the power of self, a whole number from −127 (which gives 0) to 127; finite where self is NaN.
    unsafe fn power_of_two(self) -> Self;
    /// `a` where self is larger than `best` or is NaN, else `b`; only the bits of `a` and `b` are moved.
    unsafe fn pick_larger(self, best: Self, a: Self, b: Self) -> Self;
    /// self where `a` and `b` are the same bits, else 0.
    unsafe fn where_same(self, a: Self, b: Self) -> Self;
}
