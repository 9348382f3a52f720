//! SelfNorm of a recorded map: its gates follow from the map's statistics and become the map's view.

use super::Graph;
use super::map::{Map, Tables};
use super::norm::{doubles, running, track};
use super::observe::done;
use crate::layer::{Gate, SelfNorm};
use crate::pass::Pass;
use candle_core::{Result, bail};

/// A gate's values (N, C) and its backward pass.
struct Gated {
    /// sigmoid(BatchNorm(w₀·μ + w₁·σ)).
    gate: Vec<f64>,
    /// The normalised z.
    hat: Vec<f64>,
    /// weight/√(variance + eps) of its BatchNorm.
    slope: Vec<f64>,
    weight: Vec<f64>,
    slots: [super::Slot; 3],
    train: bool,
}

impl Gated {
    fn new(graph: &Graph, gate: &Gate, mean: &[f64], deviation: &[f64], c: usize, train: bool) -> Result<Self> {
        let n = mean.len() / c;
        let norm = &gate.norm;
        let (weight, scale, bias) = (doubles(&gate.weight)?, doubles(norm.weight())?, doubles(norm.bias())?);
        let z: Vec<f64> = (0..n * c).map(|i| weight[2 * (i % c)] * mean[i] + weight[2 * (i % c) + 1] * deviation[i]).collect();
        let (centre, variance) = if train {
            let (mut centre, mut variance) = (vec![0.; c], vec![0.; c]);
            z.iter().enumerate().for_each(|(i, z)| centre[i % c] += z / n as f64);
            z.iter().enumerate().for_each(|(i, z)| variance[i % c] += (z - centre[i % c]).powi(2) / n as f64);
            track(norm, &centre, &variance, n as f64)?;
            (centre, variance)
        } else {
            running(norm)?
        };
        let inverse: Vec<f64> = variance.iter().map(|variance| 1. / (variance + norm.eps()).sqrt()).collect();
        let hat: Vec<f64> = z.iter().enumerate().map(|(i, z)| (z - centre[i % c]) * inverse[i % c]).collect();
        let value = |(i, hat): (usize, &f64)| 1. / (1. + (-(scale[i % c] * hat + bias[i % c])).exp());
        Ok(Self {
            gate: hat.iter().enumerate().map(value).collect(),
            slope: scale.iter().zip(&inverse).map(|(scale, inverse)| scale * inverse).collect(),
            hat,
            weight,
            slots: [&gate.weight, norm.weight(), norm.bias()].map(|tensor| graph.parameter(tensor)),
            train,
        })
    }

    /// Adds to (dμ, dσ) what the gradient `dg` of the gate gives, and to the parameters.
    fn backward(&self, gradients: &mut super::Gradients, dg: &[f64], stats: (&[f64], &[f64]), d: (&mut [f64], &mut [f64])) {
        let c = self.slope.len();
        let n = dg.len() / c;
        let dy: Vec<f64> = dg.iter().zip(&self.gate).map(|(dg, g)| dg * g * (1. - g)).collect();
        let (mut db, mut dw, mut dweight) = (vec![0.; c], vec![0.; c], vec![0.; 2 * c]);
        for (i, dy) in dy.iter().enumerate() {
            db[i % c] += dy;
            dw[i % c] += dy * self.hat[i];
        }
        for (i, dy) in dy.iter().enumerate() {
            let k = i % c;
            let centred = if self.train { dy - (db[k] + self.hat[i] * dw[k]) / n as f64 } else { *dy };
            let dz = self.slope[k] * centred;
            dweight[2 * k] += dz * stats.0[i];
            dweight[2 * k + 1] += dz * stats.1[i];
            d.0[i] += dz * self.weight[2 * k];
            d.1[i] += dz * self.weight[2 * k + 1];
        }
        gradients.add_parameter(self.slots[0], dweight);
        gradients.add_parameter(self.slots[1], dw);
        gradients.add_parameter(self.slots[2], db);
    }
}

/// The map with its gates pending.
pub(super) fn gate(graph: &Graph, map: &Map, layer: &SelfNorm, pass: &Pass) -> Result<Map> {
    let (n, _, _, c) = map.dims;
    let positions = map.positions() as f64;
    if map.positions() < 2 {
        bail!("the deviation over 1 position(s) is not defined: SelfNorm and CrossNorm need maps of at least 2 positions")
    }
    let stats = map.stats();
    let deviation: Vec<f64> =
        stats.variance.iter().map(|variance| (variance * positions / (positions - 1.) + SelfNorm::EPS).sqrt()).collect();
    let (scale, shift) = layer.gates();
    let g = Gated::new(graph, scale, &stats.mean, &deviation, c, pass.train)?;
    let f = shift.map(|gate| Gated::new(graph, gate, &stats.mean, &deviation, c, pass.train)).transpose()?;
    let apart = |i: usize| f.as_ref().map_or(0., |f| f.gate[i] - g.gate[i]);
    let gated = map.viewed(
        graph,
        (0..n * c).map(|i| (g.gate[i] * map.scale(i)) as f32).collect(),
        (0..n * c).map(|i| (g.gate[i] * map.shift(i) + stats.mean[i] * apart(i)) as f32).collect(),
    );
    let (slot, map) = (gated.slot, map.clone());
    graph.record(move |gradients| {
        let Some(gradient) = gradients.take(slot) else { return };
        let sums = gradients.sums(slot, &map, &gradient);
        let (mut dmean, mut ddeviation) = (vec![0.; n * c], vec![0.; n * c]);
        // Σ dy·(v − μ) and Σ dy·v
        let centred: Vec<f64> = (0..n * c).map(|i| map.scale(i) * sums.two[i]).collect();
        let whole = |i: usize| centred[i] + stats.mean[i] * sums.one[i];
        let of = (stats.mean.as_slice(), deviation.as_slice());
        match &f {
            None => {
                let dg: Vec<f64> = (0..n * c).map(whole).collect();
                g.backward(gradients, &dg, of, (&mut dmean, &mut ddeviation));
            }
            Some(f) => {
                let df: Vec<f64> = (0..n * c).map(|i| stats.mean[i] * sums.one[i]).collect();
                g.backward(gradients, &centred, of, (&mut dmean, &mut ddeviation));
                f.backward(gradients, &df, of, (&mut dmean, &mut ddeviation));
                (0..n * c).for_each(|i| dmean[i] += (f.gate[i] - g.gate[i]) * sums.one[i]);
            }
        }
        let slope = |i: usize| map.scale(i) * ddeviation[i] / ((positions - 1.) * deviation[i]);
        let tables = Tables {
            p: g.gate.iter().map(|&g| g as f32).collect(),
            q: dmean.iter().map(|d| (d / positions) as f32).collect(),
            r: (0..n * c).map(|i| slope(i) as f32).collect(),
        };
        map.give(gradients, gradient, &tables);
        done("SelfNorm: backward");
    });
    done("SelfNorm: tables");
    Ok(gated)
}
