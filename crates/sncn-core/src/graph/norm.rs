//! BatchNorm of a recorded map: its tables follow from the map's statistics, so nothing is read or written forward.
//!
//! v = scale·x + shift is the map with its view, v̂ = (v − M)/√(V + eps) with the batch's mean M and variance V.

use super::Graph;
use super::map::{Map, Tables, View};
use super::observe::done;
use crate::layer::BatchNorm;
use candle_core::{DType, Device, Result, Tensor, bail};

/// A small tensor's values.
pub(super) fn doubles(tensor: &Tensor) -> Result<Vec<f64>> {
    tensor.flatten_all()?.to_dtype(DType::F64)?.to_vec1()
}

/// Running mean and variance.
pub(super) fn running(norm: &BatchNorm) -> Result<(Vec<f64>, Vec<f64>)> {
    let (mean, variance) = norm.running();
    Ok((doubles(&mean)?, doubles(&variance)?))
}

/// Takes a batch's statistics into the running ones.
pub(super) fn track(norm: &BatchNorm, mean: &[f64], variance: &[f64], total: f64) -> Result<()> {
    if total < 2. {
        bail!("BatchNorm in training needs at least 2 values a channel, this batch has {total}: use a larger batch")
    }
    let tensor = |values: &[f64]| Tensor::new(values, &Device::Cpu)?.to_dtype(norm.weight().dtype());
    norm.track(&tensor(mean)?, &tensor(variance)?, total)
}

/// The map, normalised by whoever reads it.
pub(super) fn norm(graph: &Graph, map: &Map, norm: &BatchNorm, train: bool) -> Result<Map> {
    let slot = graph.slot();
    Ok(map.under(slot, tables(graph, map, norm, train, slot)?))
}

/// The tables of the norm, the map's view worked in; `slot` is where the gradient of what is normalised is gathered.
fn tables(graph: &Graph, map: &Map, norm: &BatchNorm, train: bool, slot: usize) -> Result<View> {
    let (n, _, _, c) = map.dims;
    let positions = map.positions() as f64;
    let (weight, bias) = (doubles(norm.weight())?, doubles(norm.bias())?);
    let stats = if train { Some(map.stats()) } else { None };
    let (mean, variance) = match &stats {
        None => running(norm)?,
        Some(stats) => {
            let (mut mean, mut variance) = (vec![0.; c], vec![0.; c]);
            let each = |i: usize| (stats.mean[i], stats.variance[i]);
            (0..n * c).for_each(|i| mean[i % c] += each(i).0 / n as f64);
            (0..n * c).for_each(|i| variance[i % c] += (each(i).1 + (each(i).0 - mean[i % c]).powi(2)) / n as f64);
            track(norm, &mean, &variance, n as f64 * positions)?;
            (mean, variance)
        }
    };
    let inverse: Vec<f64> = variance.iter().map(|variance| 1. / (variance + norm.eps()).sqrt()).collect();
    let of = |k: usize, i: usize| {
        let a = weight[k] * inverse[k];
        (a * map.scale(i), a * (map.shift(i) - mean[k]) + bias[k])
    };
    let tables = View {
        scale: (0..n * c).map(|i| of(i % c, i).0 as f32).collect(),
        shift: (0..n * c).map(|i| of(i % c, i).1 as f32).collect(),
    };
    let (p_weight, p_bias) = (graph.parameter(norm.weight()), graph.parameter(norm.bias()));
    done("BatchNorm: tables");
    let Some(stats) = stats else { return Ok(tables) };
    let map = map.clone();
    graph.record(move |gradients| {
        let Some(gradient) = gradients.take(slot) else { return };
        let sums = gradients.sums(slot, &map, &gradient);
        // v̂ = inverse·(scale·(x − m) + apart); Σ G and Σ G·v̂ a channel are the gradients of bias and weight
        let apart = |i: usize| stats.mean[i] - mean[i % c];
        let (mut db, mut dw) = (vec![0.; c], vec![0.; c]);
        for i in 0..n * c {
            db[i % c] += sums.one[i];
            dw[i % c] += inverse[i % c] * (map.scale(i) * sums.two[i] + apart(i) * sums.one[i]);
        }
        let count = n as f64 * positions;
        let a: Vec<f64> = weight.iter().zip(&inverse).map(|(weight, inverse)| weight * inverse).collect();
        let slope: Vec<f64> = (0..c).map(|k| a[k] * inverse[k] * dw[k] / count).collect();
        let tables = Tables {
            p: (0..n * c).map(|i| a[i % c] as f32).collect(),
            q: (0..n * c).map(|i| (-a[i % c] * db[i % c] / count - slope[i % c] * apart(i)) as f32).collect(),
            r: (0..n * c).map(|i| (-slope[i % c] * map.scale(i)) as f32).collect(),
        };
        map.give(gradients, gradient, &tables);
        gradients.add_parameter(p_weight, dw);
        gradients.add_parameter(p_bias, db);
        done("BatchNorm: backward");
    });
    Ok(tables)
}
