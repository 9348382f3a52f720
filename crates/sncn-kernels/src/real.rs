//! The element types of the kernels (f32, f64), the matrix product, and parallel elementwise functions.

use gemm::Parallelism;
use rayon::prelude::*;
use std::ops::{Add, AddAssign, Mul, Sub};

/// An element type: f32 or f64.
pub trait Real:
    Copy + Default + PartialOrd + Send + Sync + Add<Output = Self> + Sub<Output = Self> + Mul<Output = Self> + AddAssign + 'static
{
    /// Zero.
    const ZERO: Self;
    /// One.
    const ONE: Self;
    /// Minus infinity, the padding of a max pool.
    const LOWEST: Self;
    /// Converts `v`, rounding to nearest.
    fn from_f64(v: f64) -> Self;
    /// Converts to double precision.
    fn to_f64(self) -> f64;
    /// Returns the values where the type is f32, for kernels that are written for f32 only.
    fn as_f32(_values: &[Self]) -> Option<&[f32]> {
        None
    }
    /// As [`Real::as_f32`], for writing.
    fn as_f32_mut(_values: &mut [Self]) -> Option<&mut [f32]> {
        None
    }
}

macro_rules! real {
    ($t:ty, $($hook:tt)*) => {impl Real for $t {
        const ZERO: Self = 0.0;
        const ONE: Self = 1.0;
        const LOWEST: Self = <$t>::NEG_INFINITY;
        #[inline(always)]
        fn from_f64(v: f64) -> Self {
            v as $t
        }
        #[inline(always)]
        fn to_f64(self) -> f64 {
            f64::from(self)
        }
        $($hook)*
    }};
}
real! {
    f32,
    fn as_f32(values: &[f32]) -> Option<&[f32]> {
        Some(values)
    }
    fn as_f32_mut(values: &mut [f32]) -> Option<&mut [f32]> {
        Some(values)
    }
}
real! { f64, }

/// A strided matrix: element (r, c) is `data[r * row + c * column]`.
#[derive(Clone, Copy)]
pub(crate) struct Strided<'a, T> {
    /// The elements.
    pub(crate) data: &'a [T],
    /// Distance between rows.
    pub(crate) row: usize,
    /// Distance between columns.
    pub(crate) column: usize,
}

fn reach(rows: usize, row: usize, columns: usize, column: usize) -> usize {
    (rows - 1) * row + (columns - 1) * column + 1
}

/// Computes `out = a·b`, or `out += a·b` with `add`, for `a` (m, k) and `b` (k, n); rows of `out` are `out_row` apart. Single-threaded.
pub(crate) fn matmul<T: Real>(
    (m, n, k): (usize, usize, usize),
    a: Strided<'_, T>,
    b: Strided<'_, T>,
    out: &mut [T],
    out_row: usize,
    add: bool,
) {
    if m == 0 || n == 0 {
        return;
    }
    assert!(out_row >= n && reach(m, out_row, n, 1) <= out.len(), "matmul: the output is too short");
    if k > 0 {
        assert!(reach(m, a.row, k, a.column) <= a.data.len(), "matmul: the left side is too short");
        assert!(reach(k, b.row, n, b.column) <= b.data.len(), "matmul: the right side is too short");
    }
    let (a_row, a_column, b_row, b_column) = (a.row as isize, a.column as isize, b.row as isize, b.column as isize);
    // SAFETY: the assertions above keep every index the product touches inside its slice; `out` is borrowed exclusively,
    // its rows do not overlap (out_row >= n), and T is f32 or f64, initialised throughout.
    unsafe {
        gemm::gemm(
            m,
            n,
            k,
            out.as_mut_ptr(),
            1,
            out_row as isize,
            add,
            a.data.as_ptr(),
            a_column,
            a_row,
            b.data.as_ptr(),
            b_column,
            b_row,
            T::ONE,
            T::ONE,
            false,
            false,
            false,
            Parallelism::None,
        );
    }
}

const BLOCK: usize = 1 << 14;

/// Computes `out[i] = f(x[i])` in parallel.
pub fn map<T: Real>(x: &[T], out: &mut [T], f: impl Fn(T) -> T + Sync) {
    out.par_chunks_mut(BLOCK).zip(x.par_chunks(BLOCK)).for_each(|(out, x)| {
        for (out, &x) in out.iter_mut().zip(x) {
            *out = f(x);
        }
    });
}

/// Computes `out[i] = f(x[i], g[i])` in parallel.
pub fn zip<T: Real>(x: &[T], g: &[T], out: &mut [T], f: impl Fn(T, T) -> T + Sync) {
    out.par_chunks_mut(BLOCK).zip(x.par_chunks(BLOCK).zip(g.par_chunks(BLOCK))).for_each(|(out, (x, g))| {
        for (out, (&x, &g)) in out.iter_mut().zip(x.iter().zip(g)) {
            *out = f(x, g);
        }
    });
}

/// Copies `bias` into every row of `out`.
pub(crate) fn fill_rows<T: Real>(out: &mut [T], bias: &[T]) {
    out.chunks_exact_mut(bias.len()).for_each(|row| row.copy_from_slice(bias));
}
