//! AVX2 and AVX-512 vectors, and the two entrances that switch these instructions on.

use super::{Kernel, Vector};
use std::arch::x86_64::*;

/// # Safety
/// The processor must have AVX2 and FMA.
#[target_feature(enable = "avx2,fma")]
pub(super) unsafe fn avx2<K: Kernel>(kernel: K) {
    // SAFETY: passed on to the caller.
    unsafe { kernel.run::<F32x8>() }
}

/// # Safety
/// The processor must have AVX-512 F, DQ, BW and VL.
#[target_feature(enable = "avx512f,avx512dq,avx512bw,avx512vl,avx2,fma")]
pub(super) unsafe fn avx512<K: Kernel>(kernel: K) {
    // SAFETY: passed on to the caller.
    unsafe { kernel.run::<F32x16>() }
}

#[derive(Clone, Copy)]
pub(crate) struct F32x8(__m256);

#[derive(Clone, Copy)]
pub(crate) struct F32x16(__m512);

/// Eight lanes on, then eight off: the mask of n lanes starts 8 − n before the middle.
static LANES_ON: [i32; 16] = [-1, -1, -1, -1, -1, -1, -1, -1, 0, 0, 0, 0, 0, 0, 0, 0];

#[inline(always)]
unsafe fn mask8(count: usize) -> __m256i {
    // SAFETY: eight elements starting at 8 − count (count is at most 8) are inside the table.
    unsafe { _mm256_loadu_si256(LANES_ON.as_ptr().add(8 - count.min(8)).cast()) }
}

#[inline(always)]
fn mask16(count: usize) -> __mmask16 {
    ((1u32 << count.min(16)) - 1) as __mmask16
}

macro_rules! vector {
    ($name:ident, $lanes:literal, $rows:literal, $splat:ident, $load:ident, $store:ident, $add:ident, $sub:ident, $mul:ident, $fma:ident,
     |$p:ident, $n:ident| $part:expr, |$x:ident, $q:ident, $m:ident| $store_part:expr) => {
        impl Vector for $name {
            const LANES: usize = $lanes;
            const ROWS: usize = $rows;
            #[inline(always)]
            unsafe fn splat(x: f32) -> Self {
                // SAFETY: the caller vouches for the processor, here and below.
                Self(unsafe { $splat(x) })
            }
            #[inline(always)]
            unsafe fn load(p: *const f32) -> Self {
                // SAFETY: the caller vouches for all lanes.
                Self(unsafe { $load(p) })
            }
            #[inline(always)]
            unsafe fn store(self, p: *mut f32) {
                // SAFETY: the caller vouches for all lanes.
                unsafe { $store(p, self.0) }
            }
            #[inline(always)]
            unsafe fn load_part($p: *const f32, $n: usize) -> Self {
                // SAFETY: masked lanes are not read; the caller vouches for the others.
                Self(unsafe { $part })
            }
            #[inline(always)]
            unsafe fn store_part(self, $q: *mut f32, $m: usize) {
                let $x = self.0;
                // SAFETY: masked lanes are not written; the caller vouches for the others.
                unsafe { $store_part }
            }
            #[inline(always)]
            unsafe fn add(self, other: Self) -> Self {
                // SAFETY: arithmetic only.
                Self(unsafe { $add(self.0, other.0) })
            }
            #[inline(always)]
            unsafe fn sub(self, other: Self) -> Self {
                // SAFETY: arithmetic only.
                Self(unsafe { $sub(self.0, other.0) })
            }
            #[inline(always)]
            unsafe fn mul(self, other: Self) -> Self {
                // SAFETY: arithmetic only.
                Self(unsafe { $mul(self.0, other.0) })
            }
            #[inline(always)]
            unsafe fn fma(self, a: Self, b: Self) -> Self {
                // SAFETY: arithmetic only.
                Self(unsafe { $fma(self.0, a.0, b.0) })
            }
        }
    };
}

vector!(
    F32x8,
    8,
    6,
    _mm256_set1_ps,
    _mm256_loadu_ps,
    _mm256_storeu_ps,
    _mm256_add_ps,
    _mm256_sub_ps,
    _mm256_mul_ps,
    _mm256_fmadd_ps,
    |p, n| _mm256_maskload_ps(p, mask8(n)),
    |x, p, n| _mm256_maskstore_ps(p, mask8(n), x)
);
vector!(
    F32x16,
    16,
    8,
    _mm512_set1_ps,
    _mm512_loadu_ps,
    _mm512_storeu_ps,
    _mm512_add_ps,
    _mm512_sub_ps,
    _mm512_mul_ps,
    _mm512_fmadd_ps,
    |p, n| _mm512_maskz_loadu_ps(mask16(n), p),
    |x, p, n| _mm512_mask_storeu_ps(p, mask16(n), x)
);
