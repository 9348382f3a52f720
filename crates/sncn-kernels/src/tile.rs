//! The register tile that carries every product: a few rows times two vectors of columns, or three or four of AVX-512, all sums in
//! registers.
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
    /// Distance from a panel of `b` and of `c` to the next, if columns are those of two.
    pub(crate) next: (usize, usize),
    pub(crate) c: &'a mut [f32],
    /// Distance between rows.
    pub(crate) c_row: usize,
    pub(crate) rows: usize,
    /// Columns wanted, at most a panel, or two of AVX-512; those of `b` up to the next whole vector are read.
    pub(crate) columns: usize,
    /// Adds to `c`.
    pub(crate) add: bool,
}

impl Rows<'_> {
    /// Panics where a slice does not reach as far as the product does.
    fn check<V: Vector>(&self) {
        let (panels, panel) = (if Self::pairs::<V>() { 2 } else { 1 }, 2 * V::LANES);
        assert!(self.columns <= panels * panel, "columns");
        assert!((self.rows - 1) * self.c_row + self.columns.min(panel) <= self.c.len(), "output");
        let Some(far) = self.offsets.iter().max().filter(|_| self.len > 0) else { return };
        assert!(far + (self.rows - 1) * self.a_row + (self.len - 1) * self.a_step < self.a.len(), "left side");
        let read = |columns: usize| (self.offsets.len() * self.len - 1) * self.b_step + columns.next_multiple_of(V::LANES);
        assert!(read(self.columns.min(panel)) <= self.b.len(), "right side");
        if self.columns > panel {
            assert!(self.next.0 + read(self.columns - panel) <= self.b.len(), "right side, second panel");
            let written = (self.rows - 1) * self.c_row + self.next.1 + self.columns - panel;
            assert!(written <= self.c.len(), "output, second panel");
        }
    }

    /// Whether the registers hold the sums of two panels.
    const fn pairs<V: Vector>() -> bool {
        V::LANES == 16
    }

    /// Rows `first..first + R`.
    #[inline(always)]
    unsafe fn tile<V: Vector, const R: usize, const C: usize, const PAIRS: bool>(&mut self, first: usize) {
        // SAFETY: `check` proved that every index below stays inside its slice: rows first..first + R exist, columns read
        // from b and c end where it says, and partial vectors touch their lanes only.
        unsafe {
            let last = self.columns - (C - 1) * V::LANES;
            let c = self.c.as_mut_ptr().add(first * self.c_row);
            let mut sums = [[V::splat(0.0); C]; R];
            if self.add {
                for (r, sums) in sums.iter_mut().enumerate() {
                    for (j, sum) in sums.iter_mut().enumerate() {
                        let at = c.add(r * self.c_row + j / 2 * self.next.1 + j % 2 * V::LANES);
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
                        *column = V::load(b.add(j / 2 * self.next.0 + j % 2 * V::LANES));
                    }
                    for (r, sums) in sums.iter_mut().enumerate() {
                        let x = V::splat(*a.add(r * self.a_row));
                        for (sum, &column) in sums.iter_mut().zip(&columns) {
                            *sum = if PAIRS { x.dot(column, *sum) } else { x.fma(column, *sum) };
                        }
                    }
                    // wrapping: the last step may leave the slice, and is not read
                    a = a.wrapping_add(self.a_step);
                    b = b.wrapping_add(self.b_step);
                }
            }
            for (r, sums) in sums.iter().enumerate() {
                for (j, sum) in sums.iter().enumerate() {
                    let at = c.add(r * self.c_row + j / 2 * self.next.1 + j % 2 * V::LANES);
                    if j + 1 == C && last < V::LANES { sum.store_part(at, last) } else { sum.store(at) }
                }
            }
        }
    }

    #[inline(always)]
    unsafe fn blocks<V: Vector, const C: usize, const PAIRS: bool>(&mut self) {
        // even blocks: 33 rows are 7 + 7 + 7 + 6 + 6, not four times 8 and a lone row that waits for its own sums
        let blocks = self.rows.div_ceil(if C == 4 { 6 } else { V::ROWS });
        let (size, longer) = (self.rows / blocks, self.rows % blocks);
        let mut first = 0;
        for block in 0..blocks {
            let rows = size + usize::from(block < longer);
            // SAFETY: first + rows never exceeds the checked number of rows.
            unsafe {
                match rows {
                    8 => self.tile::<V, 8, C, PAIRS>(first),
                    7 => self.tile::<V, 7, C, PAIRS>(first),
                    6 => self.tile::<V, 6, C, PAIRS>(first),
                    5 => self.tile::<V, 5, C, PAIRS>(first),
                    4 => self.tile::<V, 4, C, PAIRS>(first),
                    3 => self.tile::<V, 3, C, PAIRS>(first),
                    2 => self.tile::<V, 2, C, PAIRS>(first),
                    _ => self.tile::<V, 1, C, PAIRS>(first),
                }
            }
            first += rows;
        }
    }
}

impl Rows<'_> {
    #[inline(always)]
    unsafe fn product<V: Vector, const PAIRS: bool>(mut self) {
        if self.rows == 0 || self.columns == 0 {
            return;
        }
        self.check::<V>();
        // SAFETY: extents are checked, the processor by the caller.
        unsafe {
            match self.columns.div_ceil(V::LANES) {
                1 => self.blocks::<V, 1, PAIRS>(),
                2 => self.blocks::<V, 2, PAIRS>(),
                3 if Self::pairs::<V>() => self.blocks::<V, 3, PAIRS>(),
                _ if Self::pairs::<V>() => self.blocks::<V, 4, PAIRS>(),
                _ => {}
            }
        }
    }
}

impl Kernel for Rows<'_> {
    #[inline(always)]
    unsafe fn run<V: Vector>(self) {
        // SAFETY: the caller vouches for the processor.
        unsafe { self.product::<V, false>() }
    }
}

/// The same product where every element of `a` and `b` is a pair of bf16: two terms a step. Run by [`Form::run_pairs`].
pub(crate) struct Pairs<'a>(pub(crate) Rows<'a>);

impl Kernel for Pairs<'_> {
    #[inline(always)]
    unsafe fn run<V: Vector>(self) {
        // SAFETY: the caller vouches for the processor.
        unsafe { self.0.product::<V, true>() }
    }
}

/// Independent chains of multiply-adds in registers.
struct Chains<'a, const PAIRS: bool>(usize, &'a mut f32);

impl<const PAIRS: bool> Kernel for Chains<'_, PAIRS> {
    #[inline(always)]
    unsafe fn run<V: Vector>(self) {
        // SAFETY: the caller vouches for the processor.
        unsafe {
            let (a, b) = (V::splat(std::hint::black_box(0.999)), V::splat(std::hint::black_box(0.001)));
            let mut sums = [b; 10];
            for _ in 0..self.0 {
                for sum in &mut sums {
                    *sum = if PAIRS { a.dot(b, *sum) } else { sum.fma(a, b) };
                }
            }
            let total = sums.into_iter().fold(b, |t, s| t.add(s));
            total.store_part(self.1, 1);
        }
    }
}

impl Form {
    /// Measures the multiply-adds of one thread in registers, in GF/s: the upper bound for the kernels.
    pub fn peak(self) -> f64 {
        fastest(|sink| self.run(Chains::<false>(STEPS, sink))) * self.panel() as f64
    }

    /// The same as [`Form::peak`] for products of bf16.
    pub fn peak_bf16(self) -> f64 {
        fastest(|sink| self.run_pairs(Chains::<true>(STEPS, sink))) * 2.0 * self.panel() as f64
    }
}

/// Steps of the chains.
const STEPS: usize = 400_000;

/// Steps of a chain a nanosecond, ten chains together, at best.
fn fastest(run: impl Fn(&mut f32)) -> f64 {
    let mut best = f64::MAX;
    for _ in 0..20 {
        let (start, mut sink) = (std::time::Instant::now(), 0.0);
        run(&mut sink);
        std::hint::black_box(sink);
        best = best.min(start.elapsed().as_secs_f64());
    }
    (STEPS * 10) as f64 * 1e-9 / best
}
