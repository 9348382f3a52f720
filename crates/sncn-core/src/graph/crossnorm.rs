//! CrossNorm of a recorded map: without a content box it becomes the map's view, with one the map is written out.
//!
//! y = A·(v − μ) + λ·μ + (1 − λ)·μ′ with A = λ + (1 − λ)·σ′/σ, inside the content box.

use super::Graph;
use super::buffer::{Buffer, Values};
use super::map::{Gather, Map, Source, Table, Tables};
use super::observe::done;
use crate::layer::CROSSNORM_EPS;
use crate::pass::{Mixture, Window};
use candle_core::{Result, bail};
use rayon::prelude::*;
use sncn_kernels::rows::{self, Curve, Slopes};

/// Statistics before the view over a box, and what they are with the view.
struct Content {
    raw: Table,
    mean: Vec<f64>,
    deviation: Vec<f64>,
    count: f64,
}

impl Content {
    fn of(map: &Map, window: Option<Window>) -> Result<Self> {
        let (n, h, w, c) = map.dims;
        let window = window.unwrap_or(Window { top: 0, left: 0, bottom: h, right: w });
        if window.bottom > h || window.right > w {
            bail!("box {window:?} does not lie in a map of {h} rows and {w} columns")
        }
        let count = (window.bottom.saturating_sub(window.top) * window.right.saturating_sub(window.left)) as f64;
        if count < 2. {
            bail!(
                "the deviation over {count} position(s) is not defined: SelfNorm and CrossNorm need maps of at least 2 positions"
            )
        }
        if window == (Window { top: 0, left: 0, bottom: h, right: w }) {
            return Ok(Self::from(map, Table { mean: map.raw().mean.clone(), variance: map.raw().variance.clone() }, count));
        }
        let gather = Gather::default();
        (0..n).into_par_iter().for_each(|n| {
            runs(window, w).for_each(|(start, len)| gather.add(n, start, &map.instance(n)[start * c..(start + len) * c], c));
        });
        Ok(Self::from(map, gather.table(map.dims), count))
    }

    fn from(map: &Map, raw: Table, count: f64) -> Self {
        let (n, _, _, c) = map.dims;
        let mean = (0..n * c).map(|i| map.scale(i) * raw.mean[i] + map.shift(i)).collect();
        let unbiased = count / (count - 1.);
        let deviation = (0..n * c).map(|i| (map.scale(i).powi(2) * raw.variance[i] * unbiased + CROSSNORM_EPS).sqrt()).collect();
        Self { raw, mean, deviation, count }
    }
}

/// First position and length of every row of a box.
fn runs(window: Window, width: usize) -> impl Iterator<Item = (usize, usize)> {
    (window.top..window.bottom).map(move |row| (row * width + window.left, window.right - window.left))
}

fn f32s(values: impl Iterator<Item = f64>) -> Vec<f32> {
    values.map(|value| value as f32).collect()
}

/// The map, mixed as drawn.
pub(super) fn mix(graph: &Graph, map: &Map, mixture: &Mixture) -> Result<Map> {
    let (n, h, w, c) = map.dims;
    let partner: Vec<usize> = if mixture.partner.is_empty() { (0..n).collect() } else { mixture.partner.clone() };
    let channels: Vec<usize> = mixture.channels.clone().unwrap_or_else(|| (0..c).collect());
    for (order, count, what) in [(&partner, n, "partners"), (&channels, c, "channels")] {
        if order.len() != count || order.iter().any(|&i| i >= count) {
            bail!("CrossNorm: {what} {order:?} is not a choice among {count}")
        }
    }
    let theirs = move |i: usize| partner[i / c] * c + channels[i % c];
    let (content, style) = (Content::of(map, mixture.content)?, Content::of(map, mixture.style)?);
    let (keep, window) = (mixture.blend.unwrap_or(0.), mixture.content);
    let ratio: Vec<f64> = (0..n * c).map(|i| style.deviation[theirs(i)] / content.deviation[i]).collect();
    let slope: Vec<f64> = ratio.iter().map(|ratio| keep + (1. - keep) * ratio).collect();
    let centre = |i: usize| keep * content.mean[i] + (1. - keep) * style.mean[theirs(i)];
    let scale = f32s((0..n * c).map(|i| slope[i] * map.scale(i)));
    let shift = f32s((0..n * c).map(|i| slope[i] * (map.shift(i) - content.mean[i]) + centre(i)));
    let mixed = match window {
        None => map.viewed(graph, scale, shift),
        Some(window) => {
            let (mut data, gather, source) = (Buffer::take(map.data.len()), Gather::default(), Source::from(map));
            data.par_chunks_exact_mut(map.instance_len()).enumerate().for_each(|(n, out)| {
                source.read(n, 0, out);
                for (start, len) in runs(window, w) {
                    let at = start * c..(start + len) * c;
                    rows::activate(
                        &map.instance(n)[at.clone()],
                        map.row(&scale, n),
                        map.row(&shift, n),
                        Curve::Line,
                        &mut out[at],
                    );
                }
                gather.add(n, 0, out, c);
            });
            Map::new(graph, map.dims, data).with_table(gather.table(map.dims))
        }
    };
    let whole = Window { top: 0, left: 0, bottom: h, right: w };
    let (inside, outside) = (window.unwrap_or(whole), mixture.style.unwrap_or(whole));
    let (slot, map) = (mixed.slot, map.clone());
    graph.record(move |gradients| {
        let Some(gradient) = gradients.take(slot) else { return };
        let len = map.instance_len();
        let centres = f32s(content.raw.mean.iter().copied());
        let (mut one, mut two) = (vec![0.; n * c], vec![0.; n * c]);
        one.par_chunks_exact_mut(c).zip(two.par_chunks_exact_mut(c)).enumerate().for_each(|(n, (one, two))| {
            let each = if inside == whole { vec![(0, h * w)] } else { runs(inside, w).collect() };
            for (start, count) in each {
                let at = n * len + start * c;
                let (g, x) = (gradient.part(at..at + count * c), map.positions_from(n, start, count * c));
                rows::product_sums(&g, &x, map.row(&centres, n), one, two);
            }
        });
        let (mut their_mean, mut their_deviation) = (vec![0.; n * c], vec![0.; n * c]);
        let (mut mean, mut deviation) = (vec![0.; n * c], vec![0.; n * c]);
        for i in 0..n * c {
            let change = (1. - keep) * map.scale(i) * two[i]; // of σ′/σ
            mean[i] = (keep - slope[i]) * one[i];
            deviation[i] = -change * ratio[i] / content.deviation[i];
            their_mean[theirs(i)] += (1. - keep) * one[i];
            their_deviation[theirs(i)] += change / content.deviation[i];
        }
        let tables = |p: &dyn Fn(usize) -> f64, of: &Content, mean: &[f64], deviation: &[f64]| {
            let r = |i: usize| map.scale(i) * deviation[i] / ((of.count - 1.) * of.deviation[i]);
            Tables { p: f32s((0..n * c).map(p)), q: f32s(mean.iter().map(|mean| mean / of.count)), r: f32s((0..n * c).map(r)) }
        };
        let ours = tables(&|i| slope[i], &content, &mean, &deviation);
        let partners = tables(&|_| 1., &style, &their_mean, &their_deviation);
        if inside == whole && outside == whole {
            // one pass: the statistics of both are those of the whole map
            let sum = |one: &[f32], two: &[f32]| one.iter().zip(two).map(|(one, two)| one + two).collect();
            let tables = Tables { q: sum(&ours.q, &partners.q), r: sum(&ours.r, &partners.r), p: ours.p };
            map.give(gradients, gradient, &tables);
            return done("CrossNorm: backward");
        }
        let their_centres = f32s(style.raw.mean.iter().copied());
        let mut gradient = gradient.into_buffer();
        gradient.par_chunks_exact_mut(len).enumerate().for_each(|(n, g)| {
            for (window, t, m) in [(inside, &ours, &centres), (outside, &partners, &their_centres)] {
                let slopes = Slopes { p: map.row(&t.p, n), q: map.row(&t.q, n), r: map.row(&t.r, n), m: map.row(m, n) };
                for (start, count) in runs(window, w) {
                    let at = start * c..(start + count) * c;
                    rows::combine(&mut g[at.clone()], &map.instance(n)[at], slopes);
                }
            }
        });
        gradients.give(map.slot, Values::Own(gradient));
        done("CrossNorm: backward");
    });
    done("CrossNorm: forward");
    Ok(mixed)
}
