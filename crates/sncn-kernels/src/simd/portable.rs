//! Four lanes as an array: correct on any processor, and what its baseline vectors make of it.

use super::vector::Vector;

#[derive(Clone, Copy)]
pub(crate) struct F32x4([f32; 4]);

impl F32x4 {
    #[inline(always)]
    fn zip(self, other: Self, f: impl Fn(f32, f32) -> f32) -> Self {
        Self(std::array::from_fn(|i| f(self.0[i], other.0[i])))
    }
}

impl Vector for F32x4 {
    const LANES: usize = 4;
    const ROWS: usize = 4;
    #[inline(always)]
    unsafe fn splat(x: f32) -> Self {
        Self([x; 4])
    }
    #[inline(always)]
    unsafe fn load(p: *const f32) -> Self {
        // SAFETY: the caller vouches for four elements; an array of f32 has the alignment of f32.
        Self(unsafe { *p.cast() })
    }
    #[inline(always)]
    unsafe fn store(self, p: *mut f32) {
        // SAFETY: as above.
        unsafe { *p.cast() = self.0 }
    }
    #[inline(always)]
    unsafe fn load_part(p: *const f32, count: usize) -> Self {
        // SAFETY: only the first `count` elements are read.
        Self(std::array::from_fn(|i| if i < count { unsafe { *p.add(i) } } else { 0.0 }))
    }
    #[inline(always)]
    unsafe fn store_part(self, p: *mut f32, count: usize) {
        for (i, &x) in self.0.iter().enumerate().take(count) {
            // SAFETY: only the first `count` elements are written.
            unsafe { *p.add(i) = x }
        }
    }
    #[inline(always)]
    unsafe fn add(self, other: Self) -> Self {
        self.zip(other, |x, y| x + y)
    }
    #[inline(always)]
    unsafe fn sub(self, other: Self) -> Self {
        self.zip(other, |x, y| x - y)
    }
    #[inline(always)]
    unsafe fn mul(self, other: Self) -> Self {
        self.zip(other, |x, y| x * y)
    }
    #[inline(always)]
    unsafe fn fma(self, a: Self, b: Self) -> Self {
        self.zip(a, |x, y| x * y).zip(b, |x, y| x + y)
    }
    #[inline(always)]
    unsafe fn low(self) -> Self {
        Self(self.0.map(|x| f32::from_bits(x.to_bits() << 16)))
    }
    #[inline(always)]
    unsafe fn high(self) -> Self {
        Self(self.0.map(|x| f32::from_bits(x.to_bits() & 0xffff_0000)))
    }
    #[inline(always)]
    unsafe fn max(self, floor: Self) -> Self {
        self.zip(floor, |x, floor| if floor > x { floor } else { x })
    }
    #[inline(always)]
    unsafe fn min(self, ceiling: Self) -> Self {
        self.zip(ceiling, |x, ceiling| if ceiling < x { ceiling } else { x })
    }
    #[inline(always)]
    unsafe fn where_positive(self, test: Self) -> Self {
        self.zip(test, |x, test| if test <= 0.0 { 0.0 } else { x })
    }
    #[inline(always)]
    unsafe fn div(self, other: Self) -> Self {
        self.zip(other, |x, y| x / y)
    }
    #[inline(always)]
    unsafe fn sqrt(self) -> Self {
        Self(self.0.map(f32::sqrt))
    }
    #[inline(always)]
    unsafe fn power_of_two(self) -> Self {
        Self(self.0.map(|n| f32::from_bits(((n as i32 + 127) as u32) << 23)))
    }
    #[inline(always)]
    unsafe fn pick_larger(self, best: Self, a: Self, b: Self) -> Self {
        Self(std::array::from_fn(|i| if self.0[i] > best.0[i] || self.0[i].is_nan() { a.0[i] } else { b.0[i] }))
    }
    #[inline(always)]
    unsafe fn where_same(self, a: Self, b: Self) -> Self {
        Self(std::array::from_fn(|i| if a.0[i].to_bits() == b.0[i].to_bits() { self.0[i] } else { 0.0 }))
    }
}
