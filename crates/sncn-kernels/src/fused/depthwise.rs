//! Depthwise convolutions, one channel a group: vectors of channels, with a few target positions (for the weight gradient a few taps)
//! in registers at a time.

use super::pack::PackedWeight;
use super::plan::{Direction, Plan, Unit, Window};
use super::source::Source;
use super::stage::stage;
use crate::columns::{Columns, each, load, run, store, zeros};
use crate::parts::sum_parts;
use crate::scratch::Scratch;
use crate::simd::{Form, Vector};
use rayon::prelude::*;

/// Positions whose products are summed in registers before the sums go back to memory.
const DEPTH: usize = 128;
/// Most target positions of a tile.
const TILE: usize = 6;

/// Target rows of the unit from its staged windows.
pub(super) fn unit(plan: &Plan, weight: &PackedWeight, unit: &Unit, window: &Window, source: &[f32], out: &mut [f32]) {
    let (channels, target, rows) = (plan.source.c, plan.target, unit.rows.len());
    let (from, to) = if plan.direction == Direction::Forward { (plan.shape.stride, 1) } else { (1, plan.shape.stride) };
    for (phase, &start) in weight.phases.iter().zip(&weight.starts) {
        let (first, left) = phase.start;
        if first >= rows || left >= target.w {
            continue;
        }
        let offsets = phase.offsets(window, channels);
        for image in 0..unit.images.len() {
            let mut band = Band {
                source: &source[image * window.rows * window.width * channels..],
                source_row: from * window.width * channels,
                source_step: from * channels,
                offsets: &offsets,
                weight: &weight.data[start..start + offsets.len() * channels],
                channels,
                out: &mut out[((image * rows + first) * target.w + left) * channels..],
                out_row: to * target.row(),
                out_step: to * channels,
                rows: (rows - first).div_ceil(to),
                count: (target.w - left).div_ceil(to),
            };
            band.check();
            run(weight.form, &mut band, channels);
        }
    }
}

/// `out[r, t, c] = Σ source[r·source_row + t·source_step + offset + c] · weight[tap, c]` over the taps.
struct Band<'a> {
    source: &'a [f32],
    /// Distances between the source positions of neighbouring targets.
    source_row: usize,
    source_step: usize,
    /// Where each tap starts.
    offsets: &'a [usize],
    /// (taps, channels).
    weight: &'a [f32],
    channels: usize,
    out: &'a mut [f32],
    /// Distances between neighbouring targets.
    out_row: usize,
    out_step: usize,
    /// Target rows, and positions of each.
    rows: usize,
    count: usize,
}

/// Panics where positions of a map lie outside its slice.
fn check(len: usize, (rows, row): (usize, usize), (count, step): (usize, usize), channels: usize) {
    assert!((rows - 1) * row + (count - 1) * step + channels <= len, "depthwise: {len} values are too few");
}

impl Band<'_> {
    /// `T` positions of a row from `first` on, channels from `start` on.
    #[inline(always)]
    unsafe fn tile<V: Vector, const NV: usize, const FULL: bool, const T: usize>(
        &mut self,
        (row, first): (usize, usize),
        (start, count): (usize, usize),
    ) {
        // SAFETY: `check` found that the slices hold all rows, positions, taps and channels; partial vectors touch their lanes only.
        unsafe {
            let source = self.source.as_ptr().add(row * self.source_row + first * self.source_step + start);
            let mut weight = self.weight.as_ptr().add(start);
            let mut sums = [zeros::<V, NV>(); T];
            for &offset in self.offsets {
                let (tap, w) = (source.add(offset), load::<V, NV, FULL>(weight, count));
                for (t, sum) in sums.iter_mut().enumerate() {
                    let x = load::<V, NV, FULL>(tap.add(t * self.source_step), count);
                    for i in 0..NV {
                        sum[i] = x[i].fma(w[i], sum[i]);
                    }
                }
                // wrapping: after the last tap it may leave the slice, and is not read
                weight = weight.wrapping_add(self.channels);
            }
            let out = self.out.as_mut_ptr().add(row * self.out_row + first * self.out_step + start);
            for (t, sum) in sums.into_iter().enumerate() {
                store::<V, NV, FULL>(sum, out.add(t * self.out_step), count);
            }
        }
    }

    /// Panics where a slice does not reach as far as the positions, taps and channels do.
    fn check(&self) {
        let channels = self.channels;
        check(self.out.len(), (self.rows, self.out_row), (self.count, self.out_step), channels);
        if let Some(far) = self.offsets.iter().max() {
            check(self.source.len() - far, (self.rows, self.source_row), (self.count, self.source_step), channels);
            assert!(self.offsets.len() * channels <= self.weight.len(), "depthwise: weight");
        }
    }
}

impl Columns for Band<'_> {
    const MOST: usize = 2;

    #[inline(always)]
    unsafe fn run<V: Vector, const NV: usize, const FULL: bool>(&mut self, start: usize, lanes: usize) {
        let tiles = self.count.div_ceil(TILE);
        let (size, longer) = (self.count / tiles, self.count % tiles);
        for row in 0..self.rows {
            let mut first = 0;
            for tile in 0..tiles {
                let (count, at, columns) = (size + usize::from(tile < longer), (row, first), (start, lanes));
                // SAFETY: the tiles cut the row without a gap.
                unsafe {
                    match count {
                        6 => self.tile::<V, NV, FULL, 6>(at, columns),
                        5 => self.tile::<V, NV, FULL, 5>(at, columns),
                        4 => self.tile::<V, NV, FULL, 4>(at, columns),
                        3 => self.tile::<V, NV, FULL, 3>(at, columns),
                        2 => self.tile::<V, NV, FULL, 2>(at, columns),
                        _ => self.tile::<V, NV, FULL, 1>(at, columns),
                    }
                }
                first += count;
            }
        }
    }
}

/// `dw` as [`super::conv_weight_gradient`] gives it.
pub(super) fn weight_gradient<S, G>(form: Form, plan: &Plan, stage_x: &S, stage_gy: &G, dw: &mut [f32])
where
    S: Source,
    G: Source,
{
    let (s, channels, target, units) = (&plan.shape, plan.source.c, plan.target, plan.units());
    let phases = plan.phases();
    let (Some(phase), taps) = (phases.first(), s.kh * s.kw) else { return dw.fill(0.0) };
    let mut total = Scratch::take(taps * channels);
    sum_parts(units.len(), &mut total, |part, sums| {
        sums.fill(0.0);
        for unit in &units[part] {
            let (window, x, gy) = stage(form, plan, unit, stage_x, stage_gy);
            let (offsets, rows) = (phase.offsets(&window, channels), unit.rows.len());
            for image in 0..unit.images.len() {
                let mut taps = Taps {
                    x: &x[image * window.rows * window.width * channels..],
                    x_row: s.stride * window.width * channels,
                    x_step: s.stride * channels,
                    offsets: &offsets,
                    gy: &gy[image * rows * target.row()..][..rows * target.row()],
                    channels,
                    rows,
                    width: target.w,
                    sums,
                };
                taps.check();
                run(form, &mut taps, channels);
            }
        }
    });
    dw.par_chunks_exact_mut(taps).enumerate().for_each(|(c, dw)| {
        dw.iter_mut().enumerate().for_each(|(t, dw)| *dw = total[t * channels + c]);
    });
}

/// `sums[tap, c] += Σ x[r·x_row + t·x_step + offset + c] · gy[r, t, c]` over rows r and positions t.
struct Taps<'a> {
    x: &'a [f32],
    /// Distances between the positions of x that neighbouring positions of gy read.
    x_row: usize,
    x_step: usize,
    /// Where each tap starts.
    offsets: &'a [usize],
    /// (rows, width, channels).
    gy: &'a [f32],
    channels: usize,
    rows: usize,
    width: usize,
    /// (taps, channels).
    sums: &'a mut [f32],
}

impl Taps<'_> {
    /// `T` taps from `first` on, channels from `start` on.
    #[inline(always)]
    unsafe fn taps<V: Vector, const NV: usize, const FULL: bool, const T: usize>(
        &mut self,
        first: usize,
        start: usize,
        count: usize,
    ) {
        let every = DEPTH.div_ceil(self.width);
        // SAFETY: `check` found that the slices hold all rows, positions, taps and channels; partial vectors touch their lanes only.
        unsafe {
            let taps: [*const f32; T] = std::array::from_fn(|t| self.x.as_ptr().add(self.offsets[first + t] + start));
            for top in (0..self.rows).step_by(every) {
                let mut sums = [zeros::<V, NV>(); T];
                for row in top..self.rows.min(top + every) {
                    let mut gy = self.gy.as_ptr().add(row * self.width * self.channels + start);
                    let mut at = row * self.x_row;
                    for _ in 0..self.width {
                        let g = load::<V, NV, FULL>(gy, count);
                        for (tap, sum) in taps.iter().zip(&mut sums) {
                            let x = load::<V, NV, FULL>(tap.add(at), count);
                            for i in 0..NV {
                                sum[i] = x[i].fma(g[i], sum[i]);
                            }
                        }
                        at += self.x_step;
                        // wrapping: after the last position it may leave the slice, and is not read
                        gy = gy.wrapping_add(self.channels);
                    }
                }
                for (t, sum) in sums.into_iter().enumerate() {
                    let to = self.sums.as_mut_ptr().add((first + t) * self.channels + start);
                    let before = load::<V, NV, FULL>(to, count);
                    store::<V, NV, FULL>(each!(|i| before[i].add(sum[i])), to, count);
                }
            }
        }
    }

    /// Panics where a slice does not reach as far as the positions, taps and channels do.
    fn check(&self) {
        let (channels, rows, columns) = (self.channels, (self.rows, self.x_row), (self.width, self.x_step));
        check(self.gy.len(), (self.rows, self.width * channels), (self.width, channels), channels);
        if let Some(far) = self.offsets.iter().max() {
            check(self.x.len() - far, rows, columns, channels);
            assert!(self.offsets.len() * channels <= self.sums.len(), "depthwise: sums");
        }
    }
}

impl Columns for Taps<'_> {
    const MOST: usize = 2;

    #[inline(always)]
    unsafe fn run<V: Vector, const NV: usize, const FULL: bool>(&mut self, start: usize, lanes: usize) {
        let most = if V::LANES == 16 { 9 } else { 5 };
        let blocks = self.offsets.len().div_ceil(most);
        let (size, longer) = (self.offsets.len() / blocks, self.offsets.len() % blocks);
        let mut first = 0;
        for block in 0..blocks {
            let count = size + usize::from(block < longer);
            // SAFETY: the blocks cut the taps without a gap.
            unsafe {
                match count {
                    9 => self.taps::<V, NV, FULL, 9>(first, start, lanes),
                    8 => self.taps::<V, NV, FULL, 8>(first, start, lanes),
                    7 => self.taps::<V, NV, FULL, 7>(first, start, lanes),
                    6 => self.taps::<V, NV, FULL, 6>(first, start, lanes),
                    5 => self.taps::<V, NV, FULL, 5>(first, start, lanes),
                    4 => self.taps::<V, NV, FULL, 4>(first, start, lanes),
                    3 => self.taps::<V, NV, FULL, 3>(first, start, lanes),
                    2 => self.taps::<V, NV, FULL, 2>(first, start, lanes),
                    _ => self.taps::<V, NV, FULL, 1>(first, start, lanes),
                }
            }
            first += count;
        }
    }
}
