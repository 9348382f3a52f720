//! `Body`: the values of instances, stored one after another, and the passes over them that a rule needs.

use super::gather::Gather;
use super::later::{After, Later, Write};
use super::pooled::{Part, Pooled, Values};
use super::recording::{Gradients, Sums};
use crate::rule::Moments;
use crate::stats::Positions;
use rayon::prelude::*;
use sncn_kernels::rows::{self, Activation, Coefficients};
use sncn_kernels::simd::Form as Kernels;
use std::ops::Range;
use std::sync::Arc;

/// The values (positions, C) of instances, which may differ in their number of positions.
#[derive(Clone)]
pub(super) struct Body {
    data: Arc<Later>,
    /// The first position of each instance, and one past the last of all.
    starts: Arc<[usize]>,
    c: usize,
    /// Positions of the longest instance.
    longest: usize,
}

/// The coefficients (N, C) of a gradient p·G + q + r·(x − m).
pub(super) struct Terms {
    pub(super) p: Vec<f32>,
    pub(super) q: Vec<f32>,
    pub(super) r: Vec<f32>,
    pub(super) m: Vec<f32>,
}

impl Terms {
    fn row(&self, n: usize, c: usize) -> Coefficients<'_> {
        let at = n * c..(n + 1) * c;
        Coefficients { p: &self.p[at.clone()], q: &self.q[at.clone()], r: &self.r[at.clone()], m: &self.m[at] }
    }
}

impl Body {
    /// Instances with these numbers of positions.
    pub(super) fn new(data: Arc<Values>, lengths: impl Iterator<Item = usize>, c: usize) -> Self {
        Self::over(Later::of(data), lengths, c)
    }

    /// Instances with these numbers of positions, whose values are written when they are first needed.
    pub(super) fn later(write: Write, lengths: impl Iterator<Item = usize> + Clone, c: usize) -> Self {
        Self::over(Later::new(lengths.clone().sum::<usize>() * c, write), lengths, c)
    }

    fn over(data: Later, lengths: impl Iterator<Item = usize>, c: usize) -> Self {
        let (mut starts, mut longest) = (vec![0], 0);
        for length in lengths {
            starts.push(starts[starts.len() - 1] + length);
            longest = longest.max(length);
        }
        Self { data: Arc::new(data), starts: starts.into(), c, longest }
    }

    fn instances(&self) -> usize {
        self.starts.len() - 1
    }

    /// Row n of a matrix (N, C).
    fn row<'a, T>(&self, matrix: &'a [T], n: usize) -> &'a [T] {
        &matrix[n * self.c..(n + 1) * self.c]
    }

    /// The range of values of some positions of an instance.
    fn at(&self, n: usize, positions: &Range<usize>) -> Range<usize> {
        let first = self.starts[n];
        (first + positions.start) * self.c..(first + positions.end) * self.c
    }

    /// The number of values.
    pub(super) fn len(&self) -> usize {
        self.data.len()
    }

    /// The values, shared.
    pub(super) fn data(&self) -> &Arc<Values> {
        self.data.values()
    }

    /// Whether the values exist.
    pub(super) fn is_written(&self) -> bool {
        self.data.is_written()
    }

    /// The number of bodies that share the values.
    pub(super) fn holders(&self) -> usize {
        Arc::strong_count(&self.data)
    }

    /// Writes values that do not exist yet to `data`, with `after` applied to each part.
    pub(super) fn write(&self, after: &After<'_>, data: &mut [f32]) {
        self.data.write(after, data);
    }

    /// The values as owned memory: a copy where they are shared.
    pub(super) fn into_pooled(self) -> Pooled {
        let values = Arc::try_unwrap(self.data).map_or_else(|shared| shared.values().clone(), Later::into_values);
        Arc::try_unwrap(values).map_or_else(|shared| Pooled::of(&shared.part(0..shared.len())), Values::into_pooled)
    }

    /// The values of some positions of an instance.
    pub(super) fn part(&self, n: usize, positions: &Range<usize>) -> Part<'_> {
        self.data().part(self.at(n, positions))
    }

    fn whole(&self, n: usize) -> Range<usize> {
        0..self.starts[n + 1] - self.starts[n]
    }

    fn runs(&self, positions: &Positions, n: usize) -> Vec<Range<usize>> {
        match positions {
            Positions::All => vec![self.whole(n)],
            _ => positions.as_kernel().runs(n, self.longest).collect(),
        }
    }

    /// Splits values of the same shape into those of each instance.
    fn cut<'a>(&self, mut values: &'a mut [f32]) -> Vec<&'a mut [f32]> {
        let mut parts = Vec::with_capacity(self.instances());
        for n in 0..self.instances() {
            let (part, rest) = values.split_at_mut(self.whole(n).len() * self.c);
            parts.push(part);
            values = rest;
        }
        parts
    }

    /// Copies the values of an instance.
    pub(super) fn copy(&self, n: usize, out: &mut [f32]) {
        out.copy_from_slice(&self.part(n, &self.whole(n)));
    }

    /// Mean and variance over `positions`.
    pub(super) fn moments(&self, positions: &Positions) -> Moments {
        let gather = Gather::default();
        if !self.is_written() && *positions == Positions::All {
            self.data.values_after(&|n, start, ys| gather.add(n, start, ys, self.c));
            return gather.moments(self.instances(), self.c);
        }
        self.data();
        (0..self.instances()).into_par_iter().for_each(|n| {
            self.runs(positions, n).iter().for_each(|run| gather.add(n, run.start, &self.part(n, run), self.c));
        });
        gather.moments(self.instances(), self.c)
    }

    /// Σ G and Σ G·(x − m) over `positions`.
    pub(super) fn sums(&self, gradient: &Values, positions: &Positions, centres: &[f32]) -> Sums {
        let mut sums = Sums::zeros(self.instances() * self.c);
        let rows = sums.one.par_chunks_exact_mut(self.c).zip(sums.two.par_chunks_exact_mut(self.c));
        rows.enumerate().for_each(|(n, (one, two))| {
            for run in self.runs(positions, n) {
                let gradient = gradient.part(self.at(n, &run));
                rows::product_sums(Kernels::current(), &gradient, &self.part(n, &run), self.row(centres, n), one, two);
            }
        });
        sums
    }

    /// scale·x + bias at the positions `within`, and what `read(n, out)` writes at others; calls `written` for each instance.
    pub(super) fn rescaled(
        &self,
        within: &Positions,
        (scale, bias): (&[f32], &[f32]),
        read: impl Fn(usize, &mut [f32]) + Sync,
        written: impl Fn(usize, &[f32]) + Sync,
    ) -> Pooled {
        self.data();
        let mut data = Pooled::take(self.data.len());
        self.cut(&mut data).into_par_iter().enumerate().for_each(|(n, out)| {
            let runs = self.runs(within, n);
            if runs != [self.whole(n)] {
                read(n, out);
            }
            for run in runs {
                let to = &mut out[run.start * self.c..run.end * self.c];
                rows::activate(
                    Kernels::current(),
                    &self.part(n, &run),
                    self.row(scale, n),
                    self.row(bias, n),
                    Activation::Identity,
                    to,
                );
            }
            written(n, out);
        });
        data
    }

    /// Adds the gradient p·G + q + r·(x − m), at all positions, to that of a slot.
    pub(super) fn give(&self, gradients: &mut Gradients, slot: usize, gradient: Values, terms: &Terms) {
        let values = |n: usize| self.part(n, &self.whole(n));
        let sum = match (gradients.take(slot), gradient) {
            (Some(sum), gradient) => {
                let mut sum = sum.into_pooled();
                self.cut(&mut sum).into_par_iter().enumerate().for_each(|(n, to)| {
                    let gradient = gradient.part(self.at(n, &self.whole(n)));
                    rows::accumulate(Kernels::current(), to, &gradient, &values(n), terms.row(n, self.c));
                });
                sum
            }
            (None, Values::Own(mut gradient)) => {
                let instances = self.cut(&mut gradient).into_par_iter().enumerate();
                instances.for_each(|(n, g)| rows::combine(Kernels::current(), g, &values(n), terms.row(n, self.c)));
                gradient
            }
            (None, gradient) => {
                let mut to = Pooled::take(gradient.len());
                self.cut(&mut to).into_par_iter().enumerate().for_each(|(n, to)| {
                    let gradient = gradient.part(self.at(n, &self.whole(n)));
                    rows::combine_to(Kernels::current(), to, &gradient, &values(n), terms.row(n, self.c));
                });
                to
            }
        };
        gradients.replace(slot, Values::Own(sum));
    }

    /// Changes a gradient G to p·G + q + r·(x − m) at `positions`.
    pub(super) fn change(&self, gradient: &mut [f32], positions: &Positions, terms: &Terms) {
        self.cut(gradient).into_par_iter().enumerate().for_each(|(n, g)| {
            for run in self.runs(positions, n) {
                let to = &mut g[run.start * self.c..run.end * self.c];
                rows::combine(Kernels::current(), to, &self.part(n, &run), terms.row(n, self.c));
            }
        });
    }
}
