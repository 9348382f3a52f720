//! `Body`: the values of instances that lie one after another, and the passes over them that a rule needs.

use super::buffer::{Buffer, Part, Values};
use super::gather::Gather;
use super::recording::{Gradients, Sums};
use crate::rule::Moments;
use crate::stats::Positions;
use rayon::prelude::*;
use sncn_kernels::rows::{self, Activation, Coefficients};
use std::ops::Range;
use std::sync::Arc;

/// Values (positions, C) of instances that may differ in length.
#[derive(Clone)]
pub(super) struct Body {
    data: Arc<Values>,
    /// The first position of each instance, and one past the last of all.
    starts: Arc<[usize]>,
    c: usize,
    /// Positions of the longest instance.
    longest: usize,
}

/// p, q, r and m of a gradient p·G + q + r·(x − m), each (N, C).
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
    /// Instances of those lengths.
    pub(super) fn new(data: Arc<Values>, lengths: impl Iterator<Item = usize>, c: usize) -> Self {
        let (mut starts, mut longest) = (vec![0], 0);
        for length in lengths {
            starts.push(starts[starts.len() - 1] + length);
            longest = longest.max(length);
        }
        Self { data, starts: starts.into(), c, longest }
    }

    fn instances(&self) -> usize {
        self.starts.len() - 1
    }

    fn row<'a, T>(&self, table: &'a [T], n: usize) -> &'a [T] {
        &table[n * self.c..(n + 1) * self.c]
    }

    /// Where positions of an instance lie among all values.
    fn at(&self, n: usize, positions: &Range<usize>) -> Range<usize> {
        let first = self.starts[n];
        (first + positions.start) * self.c..(first + positions.end) * self.c
    }

    /// All values.
    pub(super) fn len(&self) -> usize {
        self.data.len()
    }

    /// All values, shared.
    pub(super) fn data(&self) -> &Arc<Values> {
        &self.data
    }

    /// The values for whoever keeps them: a copy where others read them.
    pub(super) fn into_buffer(self) -> Buffer {
        Arc::try_unwrap(self.data).map_or_else(|shared| Buffer::of(&shared.part(0..shared.len())), Values::into_buffer)
    }

    /// The values of some positions of an instance.
    pub(super) fn part(&self, n: usize, positions: &Range<usize>) -> Part<'_> {
        self.data.part(self.at(n, positions))
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

    /// The instances of other values of the same lengths, to be written.
    fn cut<'a>(&self, mut values: &'a mut [f32]) -> Vec<&'a mut [f32]> {
        let mut parts = Vec::with_capacity(self.instances());
        for n in 0..self.instances() {
            let (part, rest) = values.split_at_mut(self.whole(n).len() * self.c);
            parts.push(part);
            values = rest;
        }
        parts
    }

    /// The values of an instance.
    pub(super) fn copy(&self, n: usize, out: &mut [f32]) {
        out.copy_from_slice(&self.part(n, &self.whole(n)));
    }

    /// Mean and variance over some positions.
    pub(super) fn moments(&self, positions: &Positions) -> Moments {
        let gather = Gather::default();
        (0..self.instances()).into_par_iter().for_each(|n| {
            self.runs(positions, n).iter().for_each(|run| gather.add(n, run.start, &self.part(n, run), self.c));
        });
        gather.moments(self.instances(), self.c)
    }

    /// Σ G and Σ G·(x − m) over some positions.
    pub(super) fn sums(&self, gradient: &Values, positions: &Positions, centres: &[f32]) -> Sums {
        let mut sums = Sums::zeros(self.instances() * self.c);
        let tables = sums.one.par_chunks_exact_mut(self.c).zip(sums.two.par_chunks_exact_mut(self.c));
        tables.enumerate().for_each(|(n, (one, two))| {
            for run in self.runs(positions, n) {
                let gradient = gradient.part(self.at(n, &run));
                rows::product_sums(&gradient, &self.part(n, &run), self.row(centres, n), one, two);
            }
        });
        sums
    }

    /// The values as `read(n, out)` gives them, but scale·x + bias within some positions; `written` is told of each instance.
    pub(super) fn rescaled(
        &self,
        within: &Positions,
        (scale, bias): (&[f32], &[f32]),
        read: impl Fn(usize, &mut [f32]) + Sync,
        written: impl Fn(usize, &[f32]) + Sync,
    ) -> Buffer {
        let mut data = Buffer::take(self.data.len());
        self.cut(&mut data).into_par_iter().enumerate().for_each(|(n, out)| {
            let runs = self.runs(within, n);
            if runs != [self.whole(n)] {
                read(n, out);
            }
            for run in runs {
                let to = &mut out[run.start * self.c..run.end * self.c];
                rows::activate(&self.part(n, &run), self.row(scale, n), self.row(bias, n), Activation::Identity, to);
            }
            written(n, out);
        });
        data
    }

    /// Gives a slot the gradient p·G + q + r·(x − m), at every position.
    pub(super) fn give(&self, gradients: &mut Gradients, slot: usize, gradient: Values, terms: &Terms) {
        let values = |n: usize| self.part(n, &self.whole(n));
        let sum = match (gradients.take(slot), gradient) {
            (Some(sum), gradient) => {
                let mut sum = sum.into_buffer();
                self.cut(&mut sum).into_par_iter().enumerate().for_each(|(n, to)| {
                    let gradient = gradient.part(self.at(n, &self.whole(n)));
                    rows::accumulate(to, &gradient, &values(n), terms.row(n, self.c));
                });
                sum
            }
            (None, Values::Own(mut gradient)) => {
                let instances = self.cut(&mut gradient).into_par_iter().enumerate();
                instances.for_each(|(n, g)| rows::combine(g, &values(n), terms.row(n, self.c)));
                gradient
            }
            (None, gradient) => {
                let mut to = Buffer::take(gradient.len());
                self.cut(&mut to).into_par_iter().enumerate().for_each(|(n, to)| {
                    let gradient = gradient.part(self.at(n, &self.whole(n)));
                    rows::combine_to(to, &gradient, &values(n), terms.row(n, self.c));
                });
                to
            }
        };
        gradients.replace(slot, Values::Own(sum));
    }

    /// Changes a gradient to p·G + q + r·(x − m) within some positions.
    pub(super) fn change(&self, gradient: &mut [f32], positions: &Positions, terms: &Terms) {
        self.cut(gradient).into_par_iter().enumerate().for_each(|(n, g)| {
            for run in self.runs(positions, n) {
                let to = &mut g[run.start * self.c..run.end * self.c];
                rows::combine(to, &self.part(n, &run), terms.row(n, self.c));
            }
        });
    }
}
