//! The weight gradient of wide maps, whose sums outgrow the cache.
//!
//! x and gy are laid out in panels of channels, a chunk of positions (or of transformed tiles) at a time. Every job then sums a
//! block of the weight over all of them, so that no sum is kept in parts and few are read twice.

use super::plan::{Algorithm, Plan, Unit};
use super::source::Source;
use super::stage::{place, stage};
use super::transform::{Gradient, Input, Planes, WeightGradient};
use super::winograd::{steps, tiles};
use crate::panels::regroup;
use crate::scratch::Scratch;
use crate::simd::Form;
use crate::tile::Rows;
use rayon::prelude::*;

/// Weights from which a block of its own for every job pays for the layout.
const WEIGHTS: usize = 64 * 1024;
/// Floats that are laid out at a time.
const LAID: usize = 16 << 20;
/// Panels of x and of gy in a block.
const BLOCK: (usize, usize) = (4, 8);
/// Rows of a panel that are delivered together.
const ROWS: usize = 16;

/// Whether the weight gradient of this convolution is formed here.
pub(super) fn fits(plan: &Plan) -> bool {
    let (s, (inner, outer)) = (&plan.shape, plan.group());
    s.groups == 1 && inner * outer >= WEIGHTS && (s.pointwise() || plan.algorithm == Algorithm::Winograd)
}

/// `dw` as [`super::conv_weight_gradient`] gives it.
pub(super) fn weight_gradient<S, G>(form: Form, plan: &Plan, stage_x: &S, stage_gy: &G, dw: &mut [f32])
where
    S: Source,
    G: Source,
{
    let wide = Wide::new(form, plan);
    let units = plan.units_of(&|rows| wide.terms(1, rows), plan.tiles(), plan.shape.n);
    let terms: Vec<usize> = units.iter().map(|unit| wide.terms(unit.images.len(), unit.rows.len())).collect();
    let panels = (wide.left + wide.right) * terms.iter().map(|&terms| wide.panel(terms)).max().unwrap_or(0);
    let most = (LAID / panels.max(1)).max(rayon::current_num_threads());
    let mut laid = Scratch::take(units.len().min(most) * panels);
    let mut sums = Scratch::take(wide.blocks.0 * wide.blocks.1 * wide.block());
    for (part, (units, terms)) in units.chunks(most).zip(terms.chunks(most)).enumerate() {
        laid.par_chunks_exact_mut(panels).zip(units).for_each(|(laid, unit)| wide.lay(unit, stage_x, stage_gy, laid));
        let chunks: Vec<(&[f32], usize)> = laid.chunks_exact(panels).zip(terms.iter().copied()).collect();
        sums.par_chunks_exact_mut(wide.block()).enumerate().for_each(|(at, sums)| wide.sum(at, &chunks, part > 0, sums));
    }
    let rows = wide.width * plan.group().0 * wide.taps;
    dw.par_chunks_mut(rows).enumerate().for_each(|(p, dw)| wide.deliver(p, &sums, dw));
}

struct Wide<'a> {
    form: Form,
    plan: &'a Plan,
    /// Channels of a panel.
    width: usize,
    taps: usize,
    /// Transform positions: 16, or 1 for a pointwise convolution.
    planes: usize,
    /// Panels of x and of gy.
    left: usize,
    right: usize,
    /// Blocks of both.
    blocks: (usize, usize),
}

impl<'a> Wide<'a> {
    fn new(form: Form, plan: &'a Plan) -> Self {
        let ((inner, outer), width) = (plan.group(), form.panel());
        let (left, right) = (inner.div_ceil(width), outer.div_ceil(width));
        let planes = if plan.algorithm == Algorithm::Winograd { 16 } else { 1 };
        let blocks = (left.div_ceil(BLOCK.0), right.div_ceil(BLOCK.1));
        Self { form, plan, width, taps: plan.shape.kh * plan.shape.kw, planes, left, right, blocks }
    }

    /// Terms of the sums that so many rows of so many images give.
    fn terms(&self, images: usize, rows: usize) -> usize {
        let width = self.plan.target.w;
        match self.plan.algorithm {
            Algorithm::Direct | Algorithm::Depthwise => images * rows * width,
            Algorithm::Winograd => {
                let grids = |len: usize| {
                    let d = self.plan.shape.dilation;
                    (0..d.min(len)).map(|a| (len - a).div_ceil(2 * d)).sum::<usize>()
                };
                images * grids(rows) * grids(width)
            }
        }
    }

    /// Floats between two planes, kept from powers of two.
    fn plane(&self, terms: usize) -> usize {
        terms * self.width + if self.planes > 1 { 80 } else { 0 }
    }

    fn panel(&self, terms: usize) -> usize {
        self.planes * self.plane(terms)
    }

    /// Floats of the sums of a block: (plane, panel of gy, panel of x, channel of x, channel of gy).
    fn block(&self) -> usize {
        self.planes * BLOCK.0 * BLOCK.1 * self.width * self.width
    }

    /// Panels of x, then of gy: (panel, plane, term, channel).
    fn lay<S, G>(&self, unit: &Unit, stage_x: &S, stage_gy: &G, out: &mut [f32])
    where
        S: Source,
        G: Source,
    {
        let (plan, width) = (self.plan, self.width);
        let (source, target) = (plan.source, plan.target);
        let terms = self.terms(unit.images.len(), unit.rows.len());
        let (panel, planes) = (self.panel(terms), Planes { plane: self.plane(terms), tile: width });
        let (window, x, gy) = stage(self.form, plan, unit, stage_x, stage_gy);
        let (left, right) = out[..(self.left + self.right) * panel].split_at_mut(self.left * panel);
        if plan.algorithm == Algorithm::Direct {
            regroup(&x[..terms * source.c], source.c, width, left);
            return regroup(&gy[..terms * target.c], target.c, width, right);
        }
        let mut all = Vec::new();
        let d = plan.shape.dilation;
        tiles(d, unit, &window, source, target, &mut all);
        let (steps_x, steps_y) = (steps(d, window.width, source.c), steps(d, target.w, target.c));
        for (p, out) in left.chunks_exact_mut(panel).enumerate() {
            let (map, channels) = (&x[p * width..], width.min(source.c - p * width));
            self.form.run(Input { map, steps: steps_x, channels, tiles: &all, planes, out });
        }
        for (p, out) in right.chunks_exact_mut(panel).enumerate() {
            let (map, channels) = (&gy[p * width..], width.min(target.c - p * width));
            self.form.run(Gradient { map, steps: steps_y, channels, tiles: &all, planes, out });
        }
    }

    /// The sums of block `at` over the chunks, each with its number of terms.
    fn sum(&self, at: usize, chunks: &[(&[f32], usize)], more: bool, sums: &mut [f32]) {
        let ((inner, outer), width) = (self.plan.group(), self.width);
        let (first, second) = (at / self.blocks.1 * BLOCK.0, at % self.blocks.1 * BLOCK.1);
        let (tile, together) = (width * width, self.form.panels());
        for (t, sums) in sums.chunks_exact_mut(BLOCK.0 * BLOCK.1 * tile).enumerate() {
            for (i, &(laid, terms)) in chunks.iter().enumerate() {
                let at = |panel: usize| &laid[panel * self.panel(terms) + t * self.plane(terms)..];
                for (p, sums) in (second..self.right).step_by(together).zip(sums.chunks_mut(together * BLOCK.0 * tile)) {
                    for l in first..self.left.min(first + BLOCK.0) {
                        self.form.run(Rows {
                            a: at(l),
                            a_row: 1,
                            a_step: width,
                            offsets: &[0],
                            len: terms,
                            b: at(self.left + p),
                            b_step: width,
                            next: (self.panel(terms), BLOCK.0 * tile),
                            c: &mut sums[(l - first) * tile..],
                            c_row: width,
                            rows: width.min(inner - l * width),
                            columns: (together * width).min(outer - p * width).next_multiple_of(width / 2),
                            add: more || i > 0,
                        });
                    }
                }
            }
        }
    }

    /// The rows of `dw` that belong to panel `p` of gy.
    fn deliver(&self, p: usize, sums: &[f32], dw: &mut [f32]) {
        let ((inner, _), width) = (self.plan.group(), self.width);
        let (tile, mut taps) = (width * width, Scratch::take(self.taps * ROWS * width));
        for start in (0..inner).step_by(ROWS.min(width)) {
            let (l, channels) = (start / width, start..inner.min(start + ROWS.min(width)));
            let block = (l / BLOCK.0 * self.blocks.1 + p / BLOCK.1) * self.block();
            let within = (p % BLOCK.1 * BLOCK.0 + l % BLOCK.0) * tile + start % width * width;
            let (sums, len) = (&sums[block + within..], channels.len() * width);
            if self.planes == 1 {
                place(sums, len, width, channels, (inner, self.taps), dw);
                continue;
            }
            self.form.run(WeightGradient { sums, plane: BLOCK.0 * BLOCK.1 * tile, len, out: &mut taps });
            place(&taps, len, width, channels, (inner, self.taps), dw);
        }
    }
}
