//! The weight gradient: sums over positions (direct) or over tiles (Winograd) of products of x and gy, in 8 fixed parts of the
//! units, added in order; where the sums outgrow the cache, [`super::wide`] forms them.

use super::depthwise;
use super::plan::{Algorithm, Direction, Phase, Plan, Unit, Window};
use super::source::Source;
use super::stage::{place, stage, stage_all};
use super::transform::{Gradient, Input, Planes, Tile, WeightGradient};
use super::wide;
use super::winograd::{block, steps, tiles};
use crate::conv::{ConvShape, naive};
use crate::parts::sum_parts;
use crate::scratch::Scratch;
use crate::simd::Form;
use crate::tile::Rows;
use rayon::prelude::*;

/// Positions summed in registers before the sums go back to memory.
const DEPTH: usize = 128;

/// Computes the gradient of the weight, (c_out, c_in / groups, kh, kw), from x and gy, whose rows `stage_x` and `stage_gy` write. Rows
/// of x that two bands share are staged twice.
///
/// # Panics
/// Panics where `dw` has another length.
pub fn conv_weight_gradient<S, G>(shape: &ConvShape, stage_x: &S, stage_gy: &G, dw: &mut [f32])
where
    S: Source,
    G: Source,
{
    conv_weight_gradient_by(Form::current(), Algorithm::choose(shape, Direction::Forward), shape, stage_x, stage_gy, dw);
}

/// [`conv_weight_gradient`] in a given form and by a given algorithm.
///
/// # Panics
/// Panics where `dw` has another length, the algorithm cannot compute this shape, or the processor lacks the form.
pub fn conv_weight_gradient_by<S, G>(form: Form, algorithm: Algorithm, s: &ConvShape, stage_x: &S, stage_gy: &G, dw: &mut [f32])
where
    S: Source,
    G: Source,
{
    assert!(s.c_in.is_multiple_of(s.groups) && s.c_out.is_multiple_of(s.groups), "channels are no multiple of groups");
    assert_eq!(dw.len(), s.c_out * (s.c_in / s.groups) * s.kh * s.kw, "weight gradient: length");
    assert!(algorithm.fits(s, Direction::Forward), "{algorithm:?} cannot compute {s:?}");
    let plan = Plan::new(s, Direction::Forward, algorithm);
    if dw.is_empty() || s.n == 0 || plan.source.len() == 0 || plan.target.len() == 0 {
        return dw.fill(0.0);
    }
    if form == Form::Naive {
        let (x, gy) = (stage_all(plan.source, s.n, stage_x), stage_all(plan.target, s.n, stage_gy));
        return naive::weight_gradient(&x, &gy, s, dw);
    }
    if algorithm == Algorithm::Depthwise {
        return depthwise::weight_gradient(form, &plan, stage_x, stage_gy, dw);
    }
    if wide::fits(&plan) {
        return wide::weight_gradient(form, &plan, stage_x, stage_gy, dw);
    }
    let ((inner, outer), width, taps) = (plan.group(), form.panel(), s.kh * s.kw);
    let panels = outer.div_ceil(width);
    let phases = Plan { algorithm: Algorithm::Direct, ..plan }.phases();
    let units = plan.units();
    let mut total = Scratch::take(s.groups * panels * taps * inner * width);
    sum_parts(units.len(), &mut total, |part, sum| {
        let mut job = Job { form, plan: &plan, phase: &phases[0], offsets: Vec::new(), tiles: Vec::new() };
        let channels = inner * s.groups * panels * width;
        let mut sums = Scratch::take(if algorithm == Algorithm::Winograd { 16 * channels } else { 0 });
        sums.fill(0.0);
        if algorithm == Algorithm::Direct {
            sum.fill(0.0);
        }
        for unit in &units[part] {
            let (window, x, gy) = stage(form, &plan, unit, stage_x, stage_gy);
            match algorithm {
                Algorithm::Direct | Algorithm::Depthwise => job.direct(unit, &window, &x, &gy, sum),
                Algorithm::Winograd => job.winograd(unit, &window, &x, &gy, &mut sums),
            }
        }
        if algorithm == Algorithm::Winograd {
            let len = inner * width;
            for (gp, sum) in sum.chunks_exact_mut(9 * len).enumerate() {
                form.run(WeightGradient { sums: &sums[gp * len..], plane: channels, len, out: sum });
            }
        }
    });
    let rows = inner * taps;
    let panel = |at: usize| &total[at * rows * width..][..rows * width];
    dw.par_chunks_exact_mut(outer * rows).enumerate().for_each(|(g, dw)| {
        dw.par_chunks_mut(width * rows).enumerate().for_each(|(p, dw)| {
            for start in (0..inner).step_by(ROWS) {
                let sums = &panel(g * panels + p)[start * width..];
                place(sums, inner * width, width, start..inner.min(start + ROWS), (inner, taps), dw);
            }
        });
    });
}

/// Channels of x whose sums are put in place together.
const ROWS: usize = 16;

/// What a part keeps between its units.
struct Job<'a> {
    form: Form,
    plan: &'a Plan,
    phase: &'a Phase,
    offsets: Vec<usize>,
    tiles: Vec<Tile>,
}

impl Job<'_> {
    /// Rows of the register tile are taps and channels of x that lie side by side, terms are positions.
    fn direct(&mut self, unit: &Unit, window: &Window, x: &[f32], gy: &[f32], sum: &mut [f32]) {
        let (s, (inner, outer), target, width) = (&self.plan.shape, self.plan.group(), self.plan.target, self.form.panel());
        let c = self.plan.source.c;
        let (panels, together) = (outer.div_ceil(width), self.form.panels());
        let rows = unit.rows.len();
        let every = (DEPTH / target.w.max(1)).max(1);
        self.offsets.clear();
        self.offsets
            .extend((0..unit.images.len() * rows).map(|i| (i / rows * window.rows + i % rows * s.stride) * window.width * c));
        for (chunk, offsets) in self.offsets.chunks(every).enumerate() {
            let gy = &gy[chunk * every * target.row()..];
            for (g, p) in (0..s.groups).flat_map(|g| (0..panels).step_by(together).map(move |p| (g, p))) {
                for (segment, first) in self.phase.taps.iter().step_by(self.phase.run).enumerate() {
                    let len = self.phase.run * inner;
                    let at = (first.row * window.width + (first.column + window.left as isize) as usize) * c;
                    let to = (g * panels + p) * self.phase.taps.len() * inner + segment * len;
                    self.form.run(Rows {
                        a: &x[at + g * inner..],
                        a_row: 1,
                        a_step: s.stride * c,
                        offsets,
                        len: target.w,
                        b: &gy[g * outer + p * width..],
                        b_step: target.c,
                        next: (width, self.phase.taps.len() * inner * width),
                        c: &mut sum[to * width..],
                        c_row: width,
                        rows: len,
                        columns: (together * width).min(outer - p * width).next_multiple_of(width / 2),
                        add: true,
                    });
                }
            }
        }
    }

    /// 16 products over the tiles of a block; `sums` is (16, group, panel, channel, column).
    fn winograd(&mut self, unit: &Unit, window: &Window, x: &[f32], gy: &[f32], sums: &mut [f32]) {
        let (s, (inner, outer), target, form) = (&self.plan.shape, self.plan.group(), self.plan.target, self.form);
        let (width, source) = (form.panel(), self.plan.source);
        let (left, right) = (source.c.next_multiple_of(width / 2), target.c.next_multiple_of(width / 2));
        // sums of wide maps stream from memory for every block: the more tiles, the better
        let most = block(left.midpoint(right)).max(96);
        let (for_x, for_y) = (Planes::new(most, left), Planes::new(most, right));
        let (mut v, mut e) = (Scratch::take(for_x.len()), Scratch::take(for_y.len()));
        tiles(s.dilation, unit, window, source, target, &mut self.tiles);
        let (panels, together) = (outer.div_ceil(width), form.panels());
        let plane = s.groups * panels * inner * width;
        for tiles in self.tiles.chunks(most) {
            let (planes, steps_x) = (for_x, steps(s.dilation, window.width, source.c));
            form.run(Input { map: x, steps: steps_x, channels: source.c, tiles, planes, out: &mut v });
            let (planes, steps_y) = (for_y, steps(s.dilation, target.w, target.c));
            form.run(Gradient { map: gy, steps: steps_y, channels: target.c, tiles, planes, out: &mut e });
            for (t, sums) in sums.chunks_exact_mut(plane).enumerate() {
                for (g, p) in (0..s.groups).flat_map(|g| (0..panels).step_by(together).map(move |p| (g, p))) {
                    form.run(Rows {
                        a: &v[t * for_x.plane + g * inner..],
                        a_row: 1,
                        a_step: left,
                        offsets: &[0],
                        len: tiles.len(),
                        b: &e[t * for_y.plane + g * outer + p * width..],
                        b_step: right,
                        next: (width, inner * width),
                        c: &mut sums[(g * panels + p) * inner * width..],
                        c_row: width,
                        rows: inner,
                        columns: (together * width).min(outer - p * width).next_multiple_of(width / 2),
                        add: true,
                    });
                }
            }
        }
    }
}
