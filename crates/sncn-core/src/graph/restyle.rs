//! New statistics for a recorded map, computed from its own and not differentiated: y = slope·(x − μ) + centre.

use super::Graph;
use super::map::{Map, Tables};
use super::observe::done;
use candle_core::{Result, bail};

/// The map with the statistics that `tables` makes of its means and unbiased deviations √(variance + eps), each (N, C):
/// a slope and a centre for every instance and channel, which carry no gradient.
pub(super) fn restyle(
    graph: &Graph,
    map: &Map,
    eps: f64,
    tables: impl FnOnce(&[f64], &[f64]) -> Result<(Vec<f64>, Vec<f64>)>,
) -> Result<Map> {
    let (n, h, w, c) = map.dims;
    let positions = (h * w) as f64;
    if positions < 2. {
        bail!("the deviation over {positions} position(s) is not defined: style mixing needs maps of at least 2 positions")
    }
    let unbiased = positions / (positions - 1.);
    let raw = map.raw();
    let mean: Vec<f64> = (0..n * c).map(|i| map.scale(i) * raw.mean[i] + map.shift(i)).collect();
    let deviation: Vec<f64> = (0..n * c).map(|i| (map.scale(i).powi(2) * raw.variance[i] * unbiased + eps).sqrt()).collect();
    let (slope, centre) = tables(&mean, &deviation)?;
    let scale = (0..n * c).map(|i| (slope[i] * map.scale(i)) as f32).collect();
    let shift = (0..n * c).map(|i| (slope[i] * (map.shift(i) - mean[i]) + centre[i]) as f32).collect();
    let restyled = map.viewed(graph, scale, shift);
    let (slot, map) = (restyled.slot, map.clone());
    let p: Vec<f32> = slope.iter().map(|&slope| slope as f32).collect();
    graph.record(move |gradients| {
        let Some(gradient) = gradients.take(slot) else { return };
        map.give(gradients, gradient, &Tables { p: p.clone(), q: vec![0.; n * c], r: vec![0.; n * c] });
        done("restyle: backward");
    });
    done("restyle: forward");
    Ok(restyled)
}
