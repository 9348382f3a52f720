//! DSU (Li et al. 2022, arXiv 2202.03958): in training, an instance's mean and standard deviation are moved at random, by as much as
//! they differ within the batch.
//!
//! y = (x − μ)/σ·(σ + ε₁·S(σ)) + μ + ε₂·S(μ), with ε ~ N(0, 1) for every (instance, channel), and S(t) = √(var(t) + eps), the unbiased
//! variance over the instances that mix, usually the whole batch. σ is unbiased; eps is 1e-6 in both roots. Gradients flow through everything. It is active at sites, as
//! CrossNorm is; published with probability 0.5 at six sites of a ResNet: after the stem's convolution and pool and after every stage.

use super::context::BuildContext;
use super::partners::{check_probability, for_mixing, mixing};
use crate::pass::Pass;
use crate::rule::{Affine, Instances, Matrix, Rule};
use candle_core::{Result, bail};
use rand::Rng;
use rand_distr::{Distribution, StandardNormal};
use serde::{Deserialize, Serialize};

/// eps under the roots.
const EPS: f64 = 1e-6;

/// Settings of [`Dsu`].
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DsuConfig {
    /// The probability with which an active site acts.
    pub probability: f64,
}

impl Default for DsuConfig {
    fn default() -> Self {
        Self { probability: 1. }
    }
}

/// What one DSU layer drew for one pass: standard normal values (N, C), row-major. It is a [`Rule`] itself.
#[derive(Clone, Debug, PartialEq)]
pub struct DsuDraw {
    /// By how many spreads S(μ) the means move.
    pub mean: Vec<f64>,
    /// By how many spreads S(σ) the standard deviations move.
    pub std: Vec<f64>,
}

impl DsuDraw {
    /// Draws for a map of so many instances and channels.
    pub fn sample(instances: usize, channels: usize, rng: &mut impl Rng) -> Self {
        let mut normal = || StandardNormal.sample_iter(&mut *rng).take(instances * channels).collect();
        Self { mean: normal(), std: normal() }
    }
}

/// √(var + eps) of a matrix (N, C) over its rows, with the unbiased variance: (1, C).
fn spread(matrix: &Matrix) -> Result<Matrix> {
    let n = matrix.dims().0 as f64;
    Ok(matrix.sub(&matrix.mean_rows())?.sqr().mean_rows().affine(n / (n - 1.), EPS).sqrt())
}

impl Rule for DsuDraw {
    fn rule(&self, map: &Instances<'_>, pass: &Pass) -> Result<Option<Affine>> {
        let (n, c) = (map.shape().instances, map.shape().channels);
        let who = mixing("DSU", pass, n)?;
        if let k @ ..2 = who.len() {
            bail!("DSU needs at least 2 instances, this batch has {k}: use a batch size that leaves no batch of one")
        }
        if self.mean.len() != n * c || self.std.len() != n * c {
            let (means, stds) = (self.mean.len(), self.std.len());
            bail!("DSU: {means} and {stds} values are no draw for {n} instances of {c} channels: {} are needed of both", n * c)
        }
        let statistics = map.statistics()?;
        let (mean, std) = (&statistics.mean, statistics.std(EPS)?);
        let moved = |matrix: &Matrix, by: &[f64]| {
            let mixing = if who.len() == n { matrix.clone() } else { matrix.select_rows(&who)? };
            matrix.add(&spread(&mixing)?.mul(&map.constant(n, c, by.to_vec())?)?)
        };
        let (scale, bias) = (moved(&std, &self.std)?.div(&std)?, moved(mean, &self.mean)?);
        for_mixing(Affine::new(mean.clone(), scale, bias), map, pass)
    }
}

/// The DSU layer: a site of the network, and the identity unless the pass activates the site. [`Pass::with_draws`] gives it a
/// [`DsuDraw`].
pub struct Dsu {
    config: DsuConfig,
    site: usize,
}

impl Dsu {
    /// Builds the layer at the network's next site; it has no variables.
    ///
    /// # Errors
    /// Returns an error where `probability` is not above 0 and at most 1.
    pub fn new(config: DsuConfig, cx: &BuildContext) -> Result<Self> {
        check_probability("dsu", config.probability)?;
        Ok(Self { config, site: cx.next_site() })
    }
}

impl Rule for Dsu {
    fn rule(&self, map: &Instances<'_>, pass: &Pass) -> Result<Option<Affine>> {
        let (n, c) = (map.shape().instances, map.shape().channels);
        let draw = |rng: &mut _| {
            let who = mixing("dsu", pass, n)?;
            // instances that do not mix have no draw
            let rows = |drawn: Vec<f64>| {
                let mut all = vec![0.; n * c];
                who.iter().zip(drawn.chunks_exact(c)).for_each(|(&n, row)| all[n * c..][..c].copy_from_slice(row));
                all
            };
            let DsuDraw { mean, std } = DsuDraw::sample(who.len(), c, rng);
            Ok(DsuDraw { mean: rows(mean), std: rows(std) })
        };
        let draw = pass.draw_sometimes(self.site, "dsu", self.config.probability, draw)?;
        draw.map_or(Ok(None), |draw: DsuDraw| draw.rule(map, pass))
    }
}
