//! The register tile that carries every product: a few rows times two vectors of columns, all sums in registers.
//!
//! `c[r, j] (+)= Σ_s Σ_k a[r·a_row + offset_s + k·a_step] · b[(s·len + k)·b_step + j]`: rows of a matrix, neighbouring
//! pixels of an image under a kernel (one offset a kernel row or tap), or, with a_row 1, the columns of a transposed one.

use crate::simd::{Form, Kernel, Vector};

/// The product of `rows` rows with one panel of columns.
pub(crate) struct Rows<'a> {
    pub(crate) a: &'a [f32],
    /// Distance between rows.
    pub(crate) a_row: usize,
    /// Distance between successive terms of a segment.
    pub(crate) a_step: usize,
    /// Where each segment starts.
    pub(crate) offsets: &'a [usize],
    /// Terms of a segment.
    pub(crate) len: usize,
    pub(crate) b: &'a [f32],
    /// Distance between successive terms.
    pub(crate) b_step: usize,
    pub(crate) c: &'a mut [f32],
    /// Distance between rows.
    pub(crate) c_row: usize,
    pub(crate) rows: usize,
    /// Columns wanted, at most a panel; those of `b` up to the next whole vector are read.
    pub(crate) columns: usize,
    /// Adds to `c`.
    pub(crate) add: bool,
}

impl Rows<'_> {
    /// Panics where a slice does not reach as far as the product does.
    fn check<V: Vector>(&self) {
        assert!(self.columns <= 2 * V::LANES, "columns");
        assert!((self.rows - 1) * self.c_row + self.columns <= self.c.len(), "output");
        let Some(far) = self.offsets.iter().max().filter(|_| self.len > 0) else { return };
        assert!(far + (self.rows - 1) * self.a_row + (self.len - 1) * self.a_step < self.a.len(), "left side");
        let read = self.columns.next_multiple_of(V::LANES);
        assert!((self.offsets.len() * self.len - 1) * self.b_step + read <= self.b.len(), "right side");
    }

    /// Rows `first..first + R`.
    #[inline(always)]
    unsafe fn tile<V: Vector, const R: usize, const C: usize>(&mut self, first: usize) {
        // SAFETY: `check` proved that every index below stays inside its slice: rows first..first + R exist, columns read
        // from b and c end where it says, and partial vectors touch their lanes only.
        unsafe {
            let last = self.columns - (C - 1) * V::LANES;
            let c = self.c.as_mut_ptr().add(first * self.c_row);
            let mut sums = [[V::splat(0.0); C]; R];
            if self.add {
                for (r, sums) in sums.iter_mut().enumerate() {
                    for (j, sum) in sums.iter_mut().enumerate() {
                        let at = c.add(r * self.c_row + j * V::LANES);
                        *sum = if j + 1 == C && last < V::LANES { V::load_part(at, last) } else { V::load(at) };
                    }
                }
            }
            let mut b = self.b.as_ptr();
            for &offset in self.offsets {
                let mut a = self.a.as_ptr().wrapping_add(first * self.a_row + offset);
                for _ in 0..self.len {
                    let mut columns = [V::splat(0.0); C];
                    for (j, column) in columns.iter_mut().enumerate() {
                        *column = V::load(b.add(j * V::LANES));
                    }
                    for (r, sums) in sums.iter_mut().enumerate() {
                        let x = V::splat(*a.add(r * self.a_row));
                        for (sum, &column) in sums.iter_mut().zip(&columns) {
                            *sum = x.fma(column, *sum);
                        }
                    }
                    // wrapping: the last step may leave the slice, and is not read
                    a = a.wrapping_add(self.a_step);
                    b = b.wrapping_add(self.b_step);
                }
            }
            for (r, sums) in sums.iter().enumerate() {
                for (j, sum) in sums.iter().enumerate() {
                    let at = c.add(r * self.c_row + j * V::LANES);
                    if j + 1 == C && last < V::LANES { sum.store_part(at, last) } else { sum.store(at) }
                }
            }
        }
    }

    #[inline(always)]
    unsafe fn blocks<V: Vector, const C: usize>(&mut self) {
        // even blocks: 33 rows are 7 + 7 + 7 + 6 + 6, not four times 8 and a lone row that waits for its own sums
        let blocks = self.rows.div_ceil(V::ROWS);
        let (size, longer) = (self.rows / blocks, self.rows % blocks);
        let mut first = 0;
        for block in 0..blocks {
            let rows = size + usize::from(block < longer);
            // SAFETY: first + rows never exceeds the checked number of rows.
            unsafe {
                match rows {
                    8 => self.tile::<V, 8, C>(first),
                    7 => self.tile::<V, 7, C>(first),
                    6 => self.tile::<V, 6, C>(first),
                    5 => self.tile::<V, 5, C>(first),
                    4 => self.tile::<V, 4, C>(first),
                    3 => self.tile::<V, 3, C>(first),
                    2 => self.tile::<V, 2, C>(first),
                    _ => self.tile::<V, 1, C>(first),
                }
            }
            first += rows;
        }
    }
}

impl Kernel for Rows<'_> {
    #[inline(always)]
    unsafe fn run<V: Vector>(mut self) {
        if self.rows == 0 || self.columns == 0 {
            return;
        }
        self.check::<V>();
        // SAFETY: extents are checked, the processor by the caller.
        unsafe { if self.columns > V::LANES { self.blocks::<V, 2>() } else { self.blocks::<V, 1>() } }
    }
}

/// Independent chains of multiply-adds in registers.
struct Chains<'a>(usize, &'a mut f32);

impl Kernel for Chains<'_> {
    #[inline(always)]
    unsafe fn run<V: Vector>(self) {
        // SAFETY: the caller vouches for the processor.
        unsafe {
            let (a, b) = (V::splat(std::hint::black_box(0.999)), V::splat(std::hint::black_box(0.001)));
            let mut sums = [b; 10];
            for _ in 0..self.0 {
                for sum in &mut sums {
                    *sum = sum.fma(a, b);
                }
            }
            let total = sums.into_iter().fold(b, |t, s| t.add(s));
            total.store_part(self.1, 1);
        }
    }
}

impl Form {
    /// Multiply-adds of one thread in registers, in GF/s: what the kernels are measured against.
    pub fn peak(self) -> f64 {
        const STEPS: usize = 400_000;
        let mut best = f64::MAX;
        for _ in 0..20 {
            let (start, mut sink) = (std::time::Instant::now(), 0.0);
            self.run(Chains(STEPS, &mut sink));
            std::hint::black_box(sink);
            best = best.min(start.elapsed().as_secs_f64());
        }
        (STEPS * 10 * self.panel()) as f64 * 1e-9 / best
    }
}
