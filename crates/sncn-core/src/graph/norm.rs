//! BatchNorm, InstanceNorm and IBN of a recorded map: their tables follow from the map's statistics, so nothing is read or
//! written forward.
//!
//! v = scale·x + shift is the map with its view, v̂ = (v − M)/√(V + eps) with mean M and variance V of the batch, or, for the
//! channels that InstanceNorm has, of each instance.

use super::map::{Map, Table, Tables, View};
use super::observe::done;
use super::{FeatureMap, Form, Graph};
use crate::layer::{BatchNorm, GroupNorm};
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

/// The norms of a map's channels: InstanceNorm of the first, BatchNorm of the rest.
pub(crate) struct Norms<'a> {
    pub(crate) instance: Option<&'a GroupNorm>,
    pub(crate) batch: Option<&'a BatchNorm>,
}

impl FeatureMap {
    /// These norms of a recorded map; `plain` is the same on a tensor.
    pub(crate) fn norms(&self, norms: &Norms, train: bool, plain: impl FnOnce(&Tensor) -> Result<Tensor>) -> Result<Self> {
        match &self.0 {
            Form::Tensor(..) => self.on_tensor(plain),
            _ => self.on_recording(|graph, map| norm(graph, map, norms, train)),
        }
    }
}

/// The map, normalised by whoever reads it.
fn norm(graph: &Graph, map: &Map, norms: &Norms, train: bool) -> Result<Map> {
    let slot = graph.slot();
    Ok(map.under(slot, tables(graph, map, norms, train, slot)?))
}

/// Mean and variance (C) that BatchNorm takes for the channels from `first` on; in training they are tracked.
fn batch_statistics(map: &Map, stats: &Table, norm: &BatchNorm, first: usize) -> Result<(Vec<f64>, Vec<f64>)> {
    let (n, _, _, c) = map.dims;
    let own = c - first;
    let (mut mean, mut variance) = (vec![0.; own], vec![0.; own]);
    let each = |k: usize| (0..n).map(move |n| n * c + first + k);
    for (k, (mean, variance)) in mean.iter_mut().zip(&mut variance).enumerate() {
        each(k).for_each(|i| *mean += stats.mean[i] / n as f64);
        each(k).for_each(|i| *variance += (stats.variance[i] + (stats.mean[i] - *mean).powi(2)) / n as f64);
    }
    track(norm, &mean, &variance, (n * map.positions()) as f64)?;
    Ok((mean, variance))
}

/// The tables of the norms, the map's view worked in; `slot` is where the gradient of what is normalised is gathered.
fn tables(graph: &Graph, map: &Map, norms: &Norms, train: bool, slot: usize) -> Result<View> {
    let (n, _, _, c) = map.dims;
    let of_instance = norms.instance.map(|norm| (norm.weight(), norm.bias(), norm.eps()));
    let of_batch = norms.batch.map(|norm| (norm.weight(), norm.bias(), norm.eps()));
    let (mut weight, mut bias, mut eps, mut slots) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for (w, b, e) in of_instance.into_iter().chain(of_batch) {
        weight.extend(doubles(w)?);
        bias.extend(doubles(b)?);
        eps.resize(weight.len(), e);
        slots.push((graph.parameter(w), graph.parameter(b)));
    }
    if weight.len() != c {
        bail!("norms of {} channels for a map of {c}", weight.len())
    }
    let first = of_instance.map_or(0, |(weight, ..)| weight.elem_count());
    let stats = if train || first > 0 { map.stats() } else { Table { mean: vec![0.; n * c], variance: vec![0.; n * c] } };
    let (mut mean, mut variance) = (stats.mean.clone(), stats.variance.clone());
    if let Some(norm) = norms.batch {
        let (m, v) = if train { batch_statistics(map, &stats, norm, first)? } else { running(norm)? };
        for i in (0..n * c).filter(|i| i % c >= first) {
            (mean[i], variance[i]) = (m[i % c - first], v[i % c - first]);
        }
    }
    let inverse: Vec<f64> = variance.iter().enumerate().map(|(i, variance)| 1. / (variance + eps[i % c]).sqrt()).collect();
    let slope: Vec<f64> = inverse.iter().enumerate().map(|(i, inverse)| weight[i % c] * inverse).collect();
    let tables = View {
        scale: (0..n * c).map(|i| (slope[i] * map.scale(i)) as f32).collect(),
        shift: (0..n * c).map(|i| (slope[i] * (map.shift(i) - mean[i]) + bias[i % c]) as f32).collect(),
    };
    done("norm: tables");
    if !train {
        return Ok(tables);
    }
    let (map, positions) = (map.clone(), map.positions() as f64);
    graph.record(move |gradients| {
        let Some(gradient) = gradients.take(slot) else { return };
        let sums = gradients.sums(slot, &map, &gradient);
        // v̂ = inverse·(scale·(x − m) + apart); Σ G and Σ G·v̂ a channel are the gradients of bias and weight
        let apart = |i: usize| stats.mean[i] - mean[i];
        let one = &sums.one;
        let two: Vec<f64> = (0..n * c).map(|i| inverse[i] * (map.scale(i) * sums.two[i] + apart(i) * one[i])).collect();
        let (mut db, mut dw) = (vec![0.; c], vec![0.; c]);
        for i in 0..n * c {
            db[i % c] += one[i];
            dw[i % c] += two[i];
        }
        // what the statistics were taken over: one instance, or the batch
        let over =
            |i: usize| if i % c < first { (one[i], two[i], positions) } else { (db[i % c], dw[i % c], n as f64 * positions) };
        let back = |i: usize| {
            let (db, dw, count) = over(i);
            (slope[i] * db / count, slope[i] * inverse[i] * dw / count)
        };
        let tables = Tables {
            p: slope.iter().map(|&slope| slope as f32).collect(),
            q: (0..n * c).map(|i| (-back(i).0 - back(i).1 * apart(i)) as f32).collect(),
            r: (0..n * c).map(|i| (-back(i).1 * map.scale(i)) as f32).collect(),
        };
        map.give(gradients, gradient, &tables);
        let mut at = 0;
        for &(weight, bias) in &slots {
            let channels = at..at + weight.len;
            gradients.add_parameter(weight, dw[channels.clone()].iter().copied());
            gradients.add_parameter(bias, db[channels.clone()].iter().copied());
            at = channels.end;
        }
        done("norm: backward");
    });
    Ok(tables)
}
