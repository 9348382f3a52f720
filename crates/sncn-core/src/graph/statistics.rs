//! A rule on a recording: its tables become the view of a map, or are written into token vectors; backward, its gradient
//! joins that of the values.
//!
//! With y = a·(x − c) + b inside some positions, G the gradient of y: Σ G·(x − c) is that of a, −a·Σ G that of c, Σ G that of b.
//! What the rule gives back for the mean and variance over p positions is spread over them:
//! dμ/p + 2·dv·(x − μ)/p.

use super::body::{Body, Terms};
use super::buffer::Values;
use super::map::Map;
use super::observe::done;
use super::recording::{Gradients, Parameter, Recording, Sums};
use crate::rule::{MapShape, Moments, Outcome, Region, Subject};
use crate::stats::Positions;
use candle_core::Result;
use std::cell::RefCell;

/// q and r of a region, each (N, C).
type Spread = (Vec<f32>, Vec<f32>);

/// The pending scale and bias of a map; the identity of other values.
fn pending(map: Option<&Map>, i: usize) -> (f64, f64) {
    map.map_or((1., 0.), |map| map.at(i))
}

/// What a rule looks at: statistics of values, under the view of a map where they have one.
pub(super) struct Seen<'a> {
    pub(super) sizes: MapShape,
    pub(super) map: Option<&'a Map>,
    /// Mean and variance before the view.
    pub(super) moments: &'a dyn Fn(&Positions) -> Moments,
    /// The means before the view of everything that was asked for, in order.
    pub(super) centres: RefCell<Vec<Vec<f32>>>,
}

impl Subject for Seen<'_> {
    fn shape(&self) -> MapShape {
        self.sizes.clone()
    }

    fn moments(&self, positions: &Positions) -> Result<Moments> {
        let raw = (self.moments)(positions);
        self.centres.borrow_mut().push(raw.mean.iter().map(|&mean| mean as f32).collect());
        Ok(self.map.map_or_else(|| raw.clone(), |map| map.seen(&raw)))
    }
}

/// The tables that a reader applies to the values before the view: scale and bias (N, C).
pub(super) fn composed(outcome: &Outcome, map: Option<&Map>) -> (Vec<f32>, Vec<f32>) {
    let [centre, scale, bias] = outcome.matrices();
    let at = |i: usize| pending(map, i);
    let scales = (0..scale.len()).map(|i| (scale[i] * at(i).0) as f32).collect();
    (scales, (0..scale.len()).map(|i| (scale[i] * (at(i).1 - centre[i]) + bias[i]) as f32).collect())
}

/// What the backward pass of a rule needs.
pub(super) struct Back {
    pub(super) name: &'static str,
    pub(super) outcome: Outcome,
    pub(super) body: Body,
    /// The map whose body that is, where it is one.
    pub(super) map: Option<Map>,
    /// Means before the view of every region.
    pub(super) centres: Vec<Vec<f32>>,
    /// All positions.
    pub(super) whole: Positions,
    /// The slots of what goes in and what comes out.
    pub(super) slots: (usize, usize),
}

impl Back {
    /// Records the backward pass.
    pub(super) fn record(self, recording: &Recording) {
        if !recording.mode().record {
            return;
        }
        let parameters: Vec<_> = self.outcome.parameters.iter().map(|(tensor, _)| recording.parameter(tensor)).collect();
        let wanted = recording.wants(self.slots.0);
        recording.record(move |gradients| {
            let Some(gradient) = gradients.take(self.slots.1) else { return };
            let (p, spreads) = self.pull(gradients, &gradient, &parameters);
            if wanted {
                self.give(gradients, gradient, p, spreads);
            }
            done(self.name);
        });
    }

    fn region(&self, positions: &Positions) -> Option<usize> {
        self.outcome.regions.iter().position(|region| region.positions == *positions)
    }

    fn pending(&self, i: usize) -> (f64, f64) {
        pending(self.map.as_ref(), i)
    }

    /// The sums of the gradient over what changes, and the centres of the second.
    fn sums(&self, gradients: &mut Gradients, gradient: &Values) -> (Sums, Vec<f32>) {
        let inside = &self.outcome.within;
        if let Some(map) = &self.map
            && *inside == self.whole
        {
            return (map.sums(gradients, self.slots.1, gradient), map.centres());
        }
        let centres = self.region(inside).map_or_else(|| vec![0.; self.outcome.entries()], |region| self.centres[region].clone());
        (self.body.sums(gradient, inside, &centres), centres)
    }

    /// Runs the rule backward: its scales, and what flows to the statistics of every region.
    fn pull(&self, gradients: &mut Gradients, gradient: &Values, parameters: &[Parameter]) -> (Vec<f32>, Vec<Spread>) {
        let (sums, centres) = self.sums(gradients, gradient);
        let [centre, scale, _] = self.outcome.matrices();
        let entries = scale.len();
        let of_scale = |i: usize| {
            let (factor, bias) = self.pending(i);
            factor * sums.two[i] + (factor * f64::from(centres[i]) + bias - centre[i]) * sums.one[i]
        };
        let of_scale = (0..entries).map(of_scale).collect();
        let of_centre = (0..entries).map(|i| -scale[i] * sums.one[i]).collect();
        let pulled = self.outcome.backward([of_centre, of_scale, sums.one]);
        for (parameter, gradient) in parameters.iter().zip(pulled.parameters) {
            gradients.add_parameter(*parameter, gradient.unwrap_or_default());
        }
        let spread = |(region, [mean, variance]): (&Region, [Option<Vec<f64>>; 2])| {
            let c = self.outcome.channels();
            // by rows: a division for every entry would cost more than all else
            let table = |values: Option<Vec<f64>>, factor: &dyn Fn(usize) -> f64| -> Vec<f32> {
                let Some(values) = values else { return vec![0.; entries] };
                let shares = region.counts.iter().map(|&count| 1. / count.max(1) as f64);
                let rows = values.chunks_exact(c).zip(shares).enumerate();
                rows.flat_map(|(n, (row, share))| {
                    row.iter().enumerate().map(move |(k, &value)| (value * factor(n * c + k) * share) as f32)
                })
                .collect()
            };
            (table(mean, &|_| 1.), table(variance, &|i| 2. * self.pending(i).0))
        };
        let spreads = self.outcome.regions.iter().zip(pulled.regions).map(spread).collect();
        (scale.iter().map(|&scale| scale as f32).collect(), spreads)
    }

    /// Gives what went in its gradient.
    fn give(&self, gradients: &mut Gradients, gradient: Values, p: Vec<f32>, mut spreads: Vec<Spread>) {
        let (inside, entries) = (&self.outcome.within, p.len());
        let mut terms = |region: usize, p: Vec<f32>| {
            let (q, r) = std::mem::take(&mut spreads[region]);
            Terms { p, q, r, m: self.centres[region].clone() }
        };
        let zeros = || vec![0.; entries];
        let ours = self.region(inside);
        let inner = match ours {
            Some(region) => terms(region, p),
            None => Terms { p, q: zeros(), r: zeros(), m: zeros() },
        };
        let others = (0..self.outcome.regions.len()).filter(|region| Some(*region) != ours);
        let others: Vec<_> = others.map(|region| (region, terms(region, vec![1.; entries]))).collect();
        if *inside == self.whole && others.is_empty() {
            return self.body.give(gradients, self.slots.0, gradient, &inner);
        }
        let mut gradient = gradient.into_buffer();
        self.body.change(&mut gradient, inside, &inner);
        others
            .iter()
            .for_each(|(region, terms)| self.body.change(&mut gradient, &self.outcome.regions[*region].positions, terms));
        gradients.give(self.slots.0, Values::Own(gradient));
    }
}
