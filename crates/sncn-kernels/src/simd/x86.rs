//! AVX2 and AVX-512 vectors, and the entrances that switch these instructions on.

use super::vector::{Kernel, Vector};
use std::arch::x86_64::*;
use std::mem::transmute;

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

/// # Safety
/// The processor must have AVX-512 F, DQ, BW, VL and BF16.
#[target_feature(enable = "avx512bf16,avx512f,avx512dq,avx512bw,avx512vl,avx2,fma")]
pub(super) unsafe fn avx512_bf16<K: Kernel>(kernel: K) {
    // SAFETY: passed on to the caller.
    unsafe { kernel.run::<Bf16x32>() }
}

#[derive(Clone, Copy)]
pub(crate) struct F32x8(__m256);

#[derive(Clone, Copy)]
pub(crate) struct F32x16(__m512);

/// [`F32x16`] on a processor that multiplies pairs of bf16.
#[derive(Clone, Copy)]
pub(crate) struct Bf16x32(__m512);

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
    ($name:ident, $lanes:literal, $rows:literal, $splat:ident, $load:ident, $store:ident, $add:ident, $sub:ident, $mul:ident, $fma:ident, $max:ident,
     $min:ident, $div:ident, $sqrt:ident,
     |$p:ident, $n:ident| $part:expr, |$x:ident, $q:ident, $m:ident| $store_part:expr,
     |$v:ident, $t:ident| $where_positive:expr, |$e:ident| $power:expr, |$l:ident, $best:ident, $a:ident, $b:ident| $pick:expr,
     |$s:ident, $c:ident, $d:ident| $same:expr, |$w:ident| $low:expr, |$h:ident| $high:expr, $($own:tt)*) => {
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
            unsafe fn low(self) -> Self {
                let $w = self.0;
                // SAFETY: arithmetic only.
                Self(unsafe { $low })
            }
            #[inline(always)]
            unsafe fn high(self) -> Self {
                let $h = self.0;
                // SAFETY: arithmetic only.
                Self(unsafe { $high })
            }
            $($own)*
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
            #[inline(always)]
            unsafe fn max(self, floor: Self) -> Self {
                // SAFETY: arithmetic only. Where either is NaN the instruction gives the second.
                Self(unsafe { $max(floor.0, self.0) })
            }
            #[inline(always)]
            unsafe fn min(self, ceiling: Self) -> Self {
                // SAFETY: arithmetic only. Where either is NaN the instruction gives the second.
                Self(unsafe { $min(ceiling.0, self.0) })
            }
            #[inline(always)]
            unsafe fn where_positive(self, test: Self) -> Self {
                let ($v, $t) = (self.0, test.0);
                // SAFETY: arithmetic only.
                Self(unsafe { $where_positive })
            }
            #[inline(always)]
            unsafe fn div(self, other: Self) -> Self {
                // SAFETY: arithmetic only.
                Self(unsafe { $div(self.0, other.0) })
            }
            #[inline(always)]
            unsafe fn sqrt(self) -> Self {
                // SAFETY: arithmetic only.
                Self(unsafe { $sqrt(self.0) })
            }
            #[inline(always)]
            unsafe fn power_of_two(self) -> Self {
                let $e = self.0;
                // SAFETY: arithmetic only.
                Self(unsafe { $power })
            }
            #[inline(always)]
            unsafe fn pick_larger(self, best: Self, a: Self, b: Self) -> Self {
                let ($l, $best, $a, $b) = (self.0, best.0, a.0, b.0);
                // SAFETY: arithmetic only.
                Self(unsafe { $pick })
            }
            #[inline(always)]
            unsafe fn where_same(self, a: Self, b: Self) -> Self {
                let ($s, $c, $d) = (self.0, a.0, b.0);
                // SAFETY: arithmetic only.
                Self(unsafe { $same })
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
    _mm256_max_ps,
    _mm256_min_ps,
    _mm256_div_ps,
    _mm256_sqrt_ps,
    |p, n| _mm256_maskload_ps(p, mask8(n)),
    |x, p, n| _mm256_maskstore_ps(p, mask8(n), x),
    |x, t| _mm256_and_ps(x, _mm256_cmp_ps::<_CMP_NLE_UQ>(t, _mm256_setzero_ps())),
    |n| _mm256_castsi256_ps(_mm256_slli_epi32::<23>(_mm256_add_epi32(_mm256_cvtps_epi32(n), _mm256_set1_epi32(127)))),
    |v, best, a, b| {
        let larger = _mm256_or_ps(_mm256_cmp_ps::<_CMP_GT_OQ>(v, best), _mm256_cmp_ps::<_CMP_UNORD_Q>(v, v));
        _mm256_blendv_ps(b, a, larger)
    },
    |x, a, b| _mm256_and_ps(x, _mm256_castsi256_ps(_mm256_cmpeq_epi32(_mm256_castps_si256(a), _mm256_castps_si256(b)))),
    |x| _mm256_castsi256_ps(_mm256_slli_epi32::<16>(_mm256_castps_si256(x))),
    |x| _mm256_castsi256_ps(_mm256_and_si256(_mm256_castps_si256(x), _mm256_set1_epi32(!0xffff))),
);

macro_rules! sixteen {
    ($name:ident, $($own:tt)*) => {
        vector!(
            $name,
            16,
            8,
            _mm512_set1_ps,
            _mm512_loadu_ps,
            _mm512_storeu_ps,
            _mm512_add_ps,
            _mm512_sub_ps,
            _mm512_mul_ps,
            _mm512_fmadd_ps,
            _mm512_max_ps,
            _mm512_min_ps,
            _mm512_div_ps,
            _mm512_sqrt_ps,
            |p, n| _mm512_maskz_loadu_ps(mask16(n), p),
            |x, p, n| _mm512_mask_storeu_ps(p, mask16(n), x),
            |x, t| _mm512_maskz_mov_ps(_mm512_cmp_ps_mask::<_CMP_NLE_UQ>(t, _mm512_setzero_ps()), x),
            |n| _mm512_castsi512_ps(_mm512_slli_epi32::<23>(_mm512_add_epi32(_mm512_cvtps_epi32(n), _mm512_set1_epi32(127)))),
            |v, best, a, b| {
                let larger = _mm512_cmp_ps_mask::<_CMP_GT_OQ>(v, best) | _mm512_cmp_ps_mask::<_CMP_UNORD_Q>(v, v);
                _mm512_mask_blend_ps(larger, b, a)
            },
            |x, a, b| _mm512_maskz_mov_ps(_mm512_cmpeq_epi32_mask(_mm512_castps_si512(a), _mm512_castps_si512(b)), x),
            |x| _mm512_castsi512_ps(_mm512_slli_epi32::<16>(_mm512_castps_si512(x))),
            |x| _mm512_castsi512_ps(_mm512_and_si512(_mm512_castps_si512(x), _mm512_set1_epi32(!0xffff))),
            $($own)*
        );
    };
}

sixteen! { F32x16, }
sixteen! {
    Bf16x32,
    #[inline(always)]
    unsafe fn dot(self, a: Self, b: Self) -> Self {
        // SAFETY: arithmetic only; a pair of bf16 is 32 bits, as an f32 is.
        unsafe { Self(_mm512_dpbf16_ps(b.0, transmute::<__m512, __m512bh>(self.0), transmute::<__m512, __m512bh>(a.0))) }
    }
    #[inline(always)]
    unsafe fn pairs(p: *const f32) -> Self {
        // SAFETY: the caller vouches for 32 values; 32 bf16 are 16 pairs.
        unsafe { Self(transmute::<__m512bh, __m512>(_mm512_cvtne2ps_pbh(_mm512_loadu_ps(p.add(16)), _mm512_loadu_ps(p)))) }
    }
    #[inline(always)]
    unsafe fn store_pairs(self, p: *mut f32) {
        // SAFETY: the caller vouches for eight pairs, 256 bits.
        unsafe { _mm256_storeu_si256(p.cast(), transmute::<__m256bh, __m256i>(_mm512_cvtneps_pbh(self.0))) }
    }
}
