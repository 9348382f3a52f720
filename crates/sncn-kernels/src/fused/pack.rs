//! Weights in the layout of the kernels: (group, panel, tap or transform position, channel, column of the panel); (tap, channel) for one
//! channel a group.

use super::plan::{Algorithm, Direction, Phase, Plan};
use super::transform::Weight;
use crate::bf16::{pair, round};
use crate::conv::ConvShape;
use crate::scratch::Scratch;
use crate::simd::Form;
use rayon::prelude::*;
use std::ops::Range;

/// The precision to which the inputs and weights of convolutions are rounded; sums are f32.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Precision {
    /// f32: no rounding.
    F32,
    /// bf16: the staged values and weights of the direct algorithm, the transformed ones of Winograd's. Some shapes stay f32, where
    /// bf16 is not faster.
    Bf16,
}

impl Precision {
    /// Returns the precision and algorithm that were measured to be the fastest for a forward pass that may use bf16. They depend on
    /// the shape only, so that a model is rounded alike on every processor.
    pub fn choose(s: &ConvShape) -> (Self, Algorithm) {
        let algorithm = Algorithm::choose(s, Direction::Forward);
        let (inner, outer) = (s.c_in / s.groups, s.c_out / s.groups);
        // one channel is paired with a zero, which is not faster; three gain a quarter, which does not pay for few columns
        if inner == 1 || (inner == 3 && outer <= 16) {
            return (Self::F32, algorithm);
        }
        let fits = Self::Bf16.fits(s, algorithm);
        (Self::Bf16, if fits { algorithm } else { Algorithm::Direct })
    }

    /// Returns whether the algorithm can compute the forward pass of this shape in this precision: bf16 pairs must not belong to two
    /// groups.
    pub fn fits(self, s: &ConvShape, algorithm: Algorithm) -> bool {
        if algorithm == Algorithm::Depthwise {
            return self == Self::F32 && s.depthwise();
        }
        let whole = self == Self::F32 || s.groups == 1 || (s.c_in / s.groups).is_multiple_of(2);
        algorithm.fits(s, Direction::Forward) && (whole || algorithm == Algorithm::Direct)
    }
}

/// A weight (c_out, c_in / groups, kh, kw), packed for one direction, algorithm and form, and for any batch and map size.
pub struct PackedWeight {
    pub(super) shape: ConvShape,
    pub(super) direction: Direction,
    pub(super) algorithm: Algorithm,
    pub(super) form: Form,
    pub(super) precision: Precision,
    pub(super) phases: Vec<Phase>,
    /// Where each phase's panels start.
    pub(super) starts: Vec<usize>,
    pub(super) data: Scratch,
    /// The weight itself, kept by the naive form only.
    pub(super) plain: Vec<f32>,
}

impl PackedWeight {
    /// Packs a weight for the current form and the algorithm of [`Algorithm::choose`].
    ///
    /// # Panics
    /// Panics where the weight has another length than the shape says, or channels are not a multiple of the groups.
    pub fn new(shape: &ConvShape, direction: Direction, weight: &[f32]) -> Self {
        Self::by(Form::current(), Algorithm::choose(shape, direction), shape, direction, weight)
    }

    /// Packs a weight for a forward pass in bf16 where [`Precision::choose`] says so; for inference.
    ///
    /// # Panics
    /// As [`PackedWeight::new`].
    pub fn bf16(shape: &ConvShape, weight: &[f32]) -> Self {
        let (precision, algorithm) = Precision::choose(shape);
        Self::pack(Form::current(), algorithm, precision, shape, Direction::Forward, weight)
    }

    /// Packs a weight for a forward pass in bf16 in a given form and by a given algorithm.
    ///
    /// # Panics
    /// As [`PackedWeight::new`], and where the algorithm cannot compute this shape.
    pub fn bf16_by(form: Form, algorithm: Algorithm, shape: &ConvShape, weight: &[f32]) -> Self {
        assert!(Precision::Bf16.fits(shape, algorithm), "{algorithm:?} cannot compute {shape:?} in bf16");
        Self::pack(form, algorithm, Precision::Bf16, shape, Direction::Forward, weight)
    }

    /// Packs a weight for a given form and algorithm.
    ///
    /// # Panics
    /// As [`PackedWeight::new`], and where the algorithm cannot compute this shape.
    pub fn by(form: Form, algorithm: Algorithm, shape: &ConvShape, direction: Direction, weight: &[f32]) -> Self {
        Self::pack(form, algorithm, Precision::F32, shape, direction, weight)
    }

    fn pack(
        form: Form,
        algorithm: Algorithm,
        precision: Precision,
        shape: &ConvShape,
        direction: Direction,
        weight: &[f32],
    ) -> Self {
        assert_eq!(weight.len(), shape.c_out * (shape.c_in / shape.groups) * shape.kh * shape.kw, "weight length");
        assert!(
            shape.c_in.is_multiple_of(shape.groups) && shape.c_out.is_multiple_of(shape.groups),
            "channels are no multiple of groups"
        );
        assert!(algorithm.fits(shape, direction), "{algorithm:?} cannot compute {shape:?} ({direction:?})");
        let plan = Plan::new(shape, direction, algorithm);
        // half as wide, twice as many: a few columns (the gradient of a colour image) waste fewer lanes
        let few = algorithm != Algorithm::Depthwise
            && form == Form::Avx512
            && precision == Precision::F32
            && plan.group().1 <= Form::Avx2.panel() / 2;
        let form = if few { Form::Avx2 } else { form };
        let mut packed = Self {
            shape: *shape,
            direction,
            algorithm,
            form,
            precision,
            phases: Vec::new(),
            starts: Vec::new(),
            data: Scratch::take(0),
            plain: Vec::new(),
        };
        if form == Form::Naive {
            packed.plain = weight.to_vec();
            if packed.paired() {
                packed.plain.iter_mut().for_each(|w| *w = round(*w));
            }
        }
        if form == Form::Naive || weight.is_empty() {
            return packed;
        }
        match algorithm {
            Algorithm::Direct => packed.direct(&plan, weight),
            Algorithm::Depthwise => packed.depthwise(&plan, weight),
            Algorithm::Winograd => packed.winograd(&plan, weight),
        }
        packed
    }

    /// Returns whether packing a weight for this forward pass, in bf16 or not, would give the same.
    pub fn is_for(&self, s: &ConvShape, bf16: bool) -> bool {
        let algorithm = Algorithm::choose(s, Direction::Forward);
        let chosen = if bf16 { Precision::choose(s) } else { (Precision::F32, algorithm) };
        let own = ConvShape { n: s.n, h: s.h, w: s.w, ..self.shape };
        self.direction == Direction::Forward && own == *s && (self.precision, self.algorithm) == chosen
    }

    /// Whether what is staged are pairs of bf16.
    pub(super) fn paired(&self) -> bool {
        self.precision == Precision::Bf16 && self.algorithm == Algorithm::Direct
    }

    /// The plan of what is staged: a pair of bf16 counts as one channel.
    pub(super) fn staged(&self, plan: &Plan) -> Plan {
        let mut staged = *plan;
        if self.paired() {
            staged.source.c = plan.shape.groups * plan.group().0.div_ceil(2);
            staged.shape.c_in = staged.source.c;
        }
        staged
    }

    /// Panics where the weight was packed for another convolution.
    pub(super) fn check(&self, s: &ConvShape) {
        let own = ConvShape { n: s.n, h: s.h, w: s.w, ..self.shape };
        assert!(own == *s, "weight packed for {:?}, used for {s:?}", self.shape);
    }

    fn direct(&mut self, plan: &Plan, weight: &[f32]) {
        self.phases = plan.phases();
        let (width, (channels, outer), groups) = (self.form.panel(), plan.group(), plan.shape.groups);
        let (paired, inner) = (self.paired(), self.staged(plan).group().0);
        let panels = groups * outer.div_ceil(width);
        let mut len = 0;
        for phase in &self.phases {
            self.starts.push(len);
            len += panels * phase.taps.len() * inner * width;
        }
        self.data = Scratch::take(len);
        for (phase, &start) in self.phases.iter().zip(&self.starts) {
            let depth = phase.taps.len() * inner;
            let taps: Vec<usize> = phase.taps.iter().map(|tap| tap.index).collect();
            let part = &mut self.data[start..start + panels * depth * width];
            part.par_chunks_exact_mut((depth * width).max(1)).enumerate().for_each_init(
                || Scratch::take(taps.len() * at_a_time(plan) * width),
                |block, (p, panel)| {
                    for range in blocks(channels, at_a_time(plan)) {
                        let plane = range.len() * width;
                        gather(plan, weight, p, range.clone(), &taps, width, block);
                        for (rows, panel) in block.chunks_exact(plane).zip(panel.chunks_exact_mut(inner * width)) {
                            match paired {
                                false => panel[range.start * width..][..plane].copy_from_slice(rows),
                                true => pair_rows(rows, width, &mut panel[range.start / 2 * width..]),
                            }
                        }
                    }
                },
            );
        }
    }

    /// (tap, channel) for every phase.
    fn depthwise(&mut self, plan: &Plan, weight: &[f32]) {
        self.phases = plan.phases();
        let (channels, count) = (plan.source.c, plan.shape.kh * plan.shape.kw);
        self.data = Scratch::take(self.phases.iter().map(|phase| phase.taps.len() * channels).sum());
        let mut at = 0;
        for phase in &self.phases {
            self.starts.push(at);
            for tap in &phase.taps {
                let row = self.data[at..at + channels].iter_mut().zip(weight.chunks_exact(count));
                row.for_each(|(to, kernel)| *to = kernel[tap.index]);
                at += channels;
            }
        }
    }

    fn winograd(&mut self, plan: &Plan, weight: &[f32]) {
        let (width, (inner, outer), groups) = (self.form.panel(), plan.group(), plan.shape.groups);
        let (panels, form) = (groups * outer.div_ceil(width), self.form);
        let pairs = self.precision == Precision::Bf16;
        let depth = if pairs { inner.div_ceil(2) } else { inner };
        let taps: Vec<usize> = if plan.direction == Direction::Forward { (0..9).collect() } else { (0..9).rev().collect() };
        self.data = Scratch::take(panels * 16 * depth * width);
        self.data.par_chunks_exact_mut(16 * depth * width).enumerate().for_each_init(
            || (Scratch::take(9 * CHANNELS * width), Scratch::take(if pairs { 16 * CHANNELS * width } else { 0 })),
            |(kernels, spread), (p, panel)| {
                for range in blocks(inner, CHANNELS) {
                    let len = range.len() * width;
                    gather(plan, weight, p, range.clone(), &taps, width, kernels);
                    if !pairs {
                        form.run(Weight { kernels, plane: inner * width, len, out: &mut panel[range.start * width..] });
                        continue;
                    }
                    form.run(Weight { kernels, plane: len, len, out: spread });
                    for (rows, panel) in spread.chunks_exact(len).zip(panel.chunks_exact_mut(depth * width)) {
                        pair_rows(rows, width, &mut panel[range.start / 2 * width..]);
                    }
                }
            },
        );
    }
}

/// Source channels of a 3×3 kernel gathered at a time; even, so that pairs stay together.
const CHANNELS: usize = 16;

/// Source channels gathered at a time: rows of the weight are far from each other in memory, and of each some lines in a row are read.
fn at_a_time(plan: &Plan) -> usize {
    if plan.shape.kh * plan.shape.kw == 1 { 8 * CHANNELS } else { CHANNELS }
}

fn blocks(channels: usize, most: usize) -> impl Iterator<Item = Range<usize>> {
    (0..channels).step_by(most).map(move |start| start..channels.min(start + most))
}

/// Rows of a panel, (tap, source channel, target channel of the panel), in the order in which the weight lies in memory; zeros
/// beyond the last target channel.
fn gather(plan: &Plan, weight: &[f32], p: usize, channels: Range<usize>, taps: &[usize], width: usize, out: &mut [f32]) {
    let ((inner, outer), count) = (plan.group(), plan.shape.kh * plan.shape.kw);
    let panels = outer.div_ceil(width);
    let (g, first) = (p / panels, p % panels * width);
    let columns = width.min(outer - first);
    if columns < width {
        out.fill(0.0);
    }
    if count == 1 {
        return gather_pointwise(plan, weight, (g, first), channels, width, out);
    }
    let mut place = |c: usize, j: usize, kernel: &[f32]| {
        for (i, &tap) in taps.iter().enumerate() {
            out[(i * channels.len() + c) * width + j] = kernel[tap];
        }
    };
    match plan.direction {
        Direction::Forward => (0..columns).for_each(|j| {
            let kernels = &weight[((g * outer + first + j) * inner + channels.start) * count..][..channels.len() * count];
            kernels.chunks_exact(count).enumerate().for_each(|(c, kernel)| place(c, j, kernel));
        }),
        Direction::InputGradient => channels.clone().enumerate().for_each(|(c, channel)| {
            let kernels = &weight[((g * inner + channel) * outer + first) * count..][..columns * count];
            kernels.chunks_exact(count).enumerate().for_each(|(j, kernel)| place(c, j, kernel));
        }),
    }
}

/// [`gather`] for kernels of one tap: a transposed block of the matrix, or a block as it is; from target channel `first` of group `g` on.
fn gather_pointwise(
    plan: &Plan,
    weight: &[f32],
    (g, first): (usize, usize),
    channels: Range<usize>,
    width: usize,
    out: &mut [f32],
) {
    let (inner, outer) = plan.group();
    let columns = width.min(outer - first);
    match plan.direction {
        Direction::Forward => {
            for j in 0..columns {
                let row = &weight[(g * outer + first + j) * inner + channels.start..][..channels.len()];
                out.chunks_exact_mut(width).zip(row).for_each(|(to, &w)| to[j] = w);
            }
        }
        Direction::InputGradient => {
            let from = weight[(g * inner + channels.start) * outer..].chunks(outer);
            for (to, row) in out.chunks_exact_mut(width).zip(from).take(channels.len()) {
                let row = &row[first..first + columns];
                // a constant width: a call of `memcpy` for every few floats costs more than the copy
                match (to.first_chunk_mut::<32>(), row.first_chunk::<32>()) {
                    (Some(to), Some(from)) => *to = *from,
                    _ => to[..columns].copy_from_slice(row),
                }
            }
        }
    }
}

/// Two rows of `width` values to one of pairs; a lone last row pairs with zeros.
fn pair_rows(rows: &[f32], width: usize, pairs: &mut [f32]) {
    for (two, row) in rows.chunks(2 * width).zip(pairs.chunks_exact_mut(width)) {
        let (even, odd) = two.split_at(width);
        let odd = odd.iter().copied().chain(std::iter::repeat(0.0));
        row.iter_mut().zip(even.iter().zip(odd)).for_each(|(to, (&low, high))| *to = pair(low, high));
    }
}
