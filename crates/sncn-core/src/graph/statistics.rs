//! Rules in a recording, and their backward pass.
//!
//! With y = a·(x − c) + b and the gradient G of y, the gradients are Σ G·(x − c) for the scale a, −a·Σ G for the centre c and Σ G for
//! the bias b, summed over the positions that change. Those of a mean μ and variance v over p positions, which the rule's backward
//! pass returns, add dμ/p + 2·dv·(x − μ)/p to the gradient of x.

use super::body::{Body, Terms};
use super::map::Map;
use super::observe::done;
use super::pooled::Values;
use super::recording::{Gradients, Parameter, Recording, Sums};
use crate::rule::{Evaluated, MapShape, Moments, Region, RuleInput};
use crate::stats::Positions;
use candle_core::Result;
use std::cell::RefCell;

/// The coefficients q and r (N, C) that a region adds to the gradient of x.
type Spread = (Vec<f32>, Vec<f32>);

/// The pending scale and bias of a map; (1, 0) where there is no map.
fn pending(map: Option<&Map>, i: usize) -> (f64, f64) {
    map.map_or((1., 0.), |map| map.pending_at(i))
}

/// The input of a rule: statistics of values, with the pending affine map of a map applied.
pub(super) struct BodyInput<'a> {
    pub(super) shape: MapShape,
    pub(super) map: Option<&'a Map>,
    /// Mean and variance of the body.
    pub(super) moments: &'a dyn Fn(&Positions) -> Moments,
    /// The means of the body for all statistics that were asked for, in order.
    pub(super) centres: RefCell<Vec<Vec<f32>>>,
}

impl RuleInput for BodyInput<'_> {
    fn shape(&self) -> MapShape {
        self.shape.clone()
    }

    fn moments(&self, positions: &Positions) -> Result<Moments> {
        let raw = (self.moments)(positions);
        self.centres.borrow_mut().push(raw.mean.iter().map(|&mean| mean as f32).collect());
        Ok(self.map.map_or_else(|| raw.clone(), |map| map.seen(&raw)))
    }
}

/// The scale and bias (N, C) to apply to the body: the rule's affine map after the pending one.
pub(super) fn composed(evaluated: &Evaluated, map: Option<&Map>) -> (Vec<f32>, Vec<f32>) {
    let [centre, scale, bias] = evaluated.matrices();
    let at = |i: usize| pending(map, i);
    let scales = (0..scale.len()).map(|i| (scale[i] * at(i).0) as f32).collect();
    (scales, (0..scale.len()).map(|i| (scale[i] * (at(i).1 - centre[i]) + bias[i]) as f32).collect())
}

/// The backward pass of a rule.
pub(super) struct RuleBackward {
    pub(super) name: &'static str,
    pub(super) evaluated: Evaluated,
    pub(super) body: Body,
    /// The map with that body, where there is one.
    pub(super) map: Option<Map>,
    /// Means of the body for every region.
    pub(super) centres: Vec<Vec<f32>>,
    /// All positions.
    pub(super) whole: Positions,
    /// The slots of input and result.
    pub(super) slots: (usize, usize),
}

impl RuleBackward {
    /// Records the backward pass.
    pub(super) fn record(self, recording: &Recording) {
        if !recording.mode().record {
            return;
        }
        let parameters: Vec<_> = self.evaluated.parameters.iter().map(|(tensor, _)| recording.parameter(tensor)).collect();
        let wanted = recording.wants(self.slots.0);
        recording.record(move |gradients| {
            let Some(gradient) = gradients.take(self.slots.1) else { return };
            let (p, spreads) = self.rule_backward(gradients, &gradient, &parameters);
            if wanted {
                self.give(gradients, gradient, p, spreads);
            }
            done(self.name);
        });
    }

    fn region(&self, positions: &Positions) -> Option<usize> {
        self.evaluated.regions.iter().position(|region| region.positions == *positions)
    }

    fn pending(&self, i: usize) -> (f64, f64) {
        pending(self.map.as_ref(), i)
    }

    /// The sums of the gradient over the positions that change, and the centres of the second sum.
    fn sums(&self, gradients: &mut Gradients, gradient: &Values) -> (Sums, Vec<f32>) {
        let inside = &self.evaluated.within;
        if let Some(map) = &self.map
            && *inside == self.whole
        {
            return (map.sums(gradients, self.slots.1, gradient), map.centres());
        }
        let centres =
            self.region(inside).map_or_else(|| vec![0.; self.evaluated.entries()], |region| self.centres[region].clone());
        (self.body.sums(gradient, inside, &centres), centres)
    }

    /// Runs the rule's backward pass; returns the scales, and the coefficients that each region adds.
    fn rule_backward(&self, gradients: &mut Gradients, gradient: &Values, parameters: &[Parameter]) -> (Vec<f32>, Vec<Spread>) {
        let (sums, centres) = self.sums(gradients, gradient);
        let [centre, scale, _] = self.evaluated.matrices();
        let entries = scale.len();
        let of_scale = |i: usize| {
            let (factor, bias) = self.pending(i);
            factor * sums.two[i] + (factor * f64::from(centres[i]) + bias - centre[i]) * sums.one[i]
        };
        let of_scale = (0..entries).map(of_scale).collect();
        let of_centre = (0..entries).map(|i| -scale[i] * sums.one[i]).collect();
        let of_inputs = self.evaluated.backward([of_centre, of_scale, sums.one]);
        for (parameter, gradient) in parameters.iter().zip(of_inputs.parameters) {
            gradients.add_parameter(*parameter, gradient.unwrap_or_default());
        }
        let spread = |(region, [mean, variance]): (&Region, [Option<Vec<f64>>; 2])| {
            let c = self.evaluated.channels();
            // by rows: a division for every entry would cost more than everything else
            let coefficients = |values: Option<Vec<f64>>, factor: &dyn Fn(usize) -> f64| -> Vec<f32> {
                let Some(values) = values else { return vec![0.; entries] };
                let fractions = region.counts.iter().map(|&count| 1. / count.max(1) as f64);
                let rows = values.chunks_exact(c).zip(fractions).enumerate();
                rows.flat_map(|(n, (row, fraction))| {
                    row.iter().enumerate().map(move |(k, &value)| (value * factor(n * c + k) * fraction) as f32)
                })
                .collect()
            };
            (coefficients(mean, &|_| 1.), coefficients(variance, &|i| 2. * self.pending(i).0))
        };
        let spreads = self.evaluated.regions.iter().zip(of_inputs.regions).map(spread).collect();
        (scale.iter().map(|&scale| scale as f32).collect(), spreads)
    }

    /// Adds the gradient of the input.
    fn give(&self, gradients: &mut Gradients, gradient: Values, p: Vec<f32>, mut spreads: Vec<Spread>) {
        let (inside, entries) = (&self.evaluated.within, p.len());
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
        let others = (0..self.evaluated.regions.len()).filter(|region| Some(*region) != ours);
        let others: Vec<_> = others.map(|region| (region, terms(region, vec![1.; entries]))).collect();
        if *inside == self.whole && others.is_empty() {
            return self.body.give(gradients, self.slots.0, gradient, &inner);
        }
        let mut gradient = gradient.into_pooled();
        self.body.change(&mut gradient, inside, &inner);
        others
            .iter()
            .for_each(|(region, terms)| self.body.change(&mut gradient, &self.evaluated.regions[*region].positions, terms));
        gradients.give(self.slots.0, Values::Own(gradient));
    }
}
