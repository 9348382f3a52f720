//! MixStyle (Zhou et al. 2021, arXiv 2104.02008): in training, an instance takes statistics between its own and another's.
//!
//! y = (λσ + (1 − λ)σ′)·(x − μ)/σ + λμ + (1 − λ)μ′, with one λ ~ Beta(α, α) an instance. All statistics are detached, so
//! the gradient is that of a scale. σ is unbiased, with eps 1e-6 under the root. It acts at sites, as CrossNorm does.
//!
//! It belongs in early stages, as published. Its gradient does not see that a map's own scale is undone, so sums of residual branches
//! grow where it hangs: on all three stages of a WideResNet-16-2 the variance before the last norm became 3,000 (with CrossNorm 0.3),
//! and the error on held-out CIFAR-10 after two short epochs 64.5 % (CrossNorm 47.6; with gradients through the statistics 44.2).

use super::{Canonical, Layer, MemoryLayout, Place};
use crate::graph::FeatureMap;
use crate::pass::{Draw, Pass};
use crate::stats::{Extent, Outside, Stats, apply_centred};
use candle_core::{DType, Result, Tensor, bail};
use rand::Rng;
use rand::seq::SliceRandom;
use rand_distr::{Beta, Distribution};
use serde::{Deserialize, Serialize};

/// eps under the root of the deviation.
const EPS: f64 = 1e-6;

/// Settings of [`MixStyle`].
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct MixStyleConfig {
    /// λ ~ Beta(α, α).
    pub alpha: f64,
}

impl Default for MixStyleConfig {
    fn default() -> Self {
        Self { alpha: 0.1 }
    }
}

/// The draws of one MixStyle: with them, restyling is a pure function of the map.
#[derive(Clone, Debug, PartialEq)]
pub struct Styles {
    /// Instance n is mixed with instance `partner[n]`.
    pub partner: Vec<usize>,
    /// λ of every instance: the share of its own statistics.
    pub lambda: Vec<f64>,
}

impl Styles {
    /// Draws a permutation of `instances` and a λ for each.
    ///
    /// # Errors
    /// Where α is not positive.
    pub fn sample(config: &MixStyleConfig, instances: usize, rng: &mut impl Rng) -> Result<Self> {
        let Ok(beta) = Beta::new(config.alpha, config.alpha) else {
            bail!("layer mixstyle: alpha is {}; a positive number is accepted", config.alpha)
        };
        let mut partner: Vec<usize> = (0..instances).collect();
        partner.shuffle(rng);
        let lambda = (0..instances).map(|_| beta.sample(rng)).collect();
        Ok(Self { partner, lambda })
    }

    /// Slope and centre (N, C) of y = slope·(x − μ) + centre.
    fn tables(&self, mean: &[f64], deviation: &[f64]) -> Result<(Vec<f64>, Vec<f64>)> {
        let n = self.partner.len();
        if n == 0 || self.lambda.len() != n || !mean.len().is_multiple_of(n) || self.partner.iter().any(|&i| i >= n) {
            bail!("MixStyle: {n} partners and {} values of λ do not fit a table of {} values", self.lambda.len(), mean.len())
        }
        let c = mean.len() / n;
        let between = |table: &[f64], i: usize| {
            let (lambda, theirs) = (self.lambda[i / c], self.partner[i / c] * c + i % c);
            lambda * table[i] + (1. - lambda) * table[theirs]
        };
        let slope = (0..n * c).map(|i| between(deviation, i) / deviation[i]).collect();
        Ok((slope, (0..n * c).map(|i| between(mean, i)).collect()))
    }

    /// Restyles x (N, P, C); padded positions (outside `extent`) become zero.
    ///
    /// # Errors
    /// Where the draws do not fit the map, or an instance has fewer than 2 positions.
    pub fn apply(&self, xs: &Tensor, extent: &Extent) -> Result<Tensor> {
        let stats = Stats::of(&xs.detach(), extent)?;
        let flat = |table: &Tensor| table.to_dtype(DType::F64)?.flatten_all()?.to_vec1::<f64>();
        let (slope, centre) = self.tables(&flat(&stats.mean)?, &flat(&stats.deviation(EPS)?)?)?;
        let table = |values| Tensor::from_vec(values, stats.mean.shape(), xs.device())?.to_dtype(xs.dtype());
        let outside = if matches!(extent, Extent::Prefix(_)) { Outside::Zero } else { Outside::Keep };
        apply_centred(xs, &stats.mean, &table(slope)?, &table(centre)?, extent, outside, false)
    }
}

/// The MixStyle layer: one site of a network, the identity unless the pass activates it.
pub struct MixStyle {
    config: MixStyleConfig,
    site: usize,
    layout: MemoryLayout,
}

impl MixStyle {
    /// Takes the next site number.
    ///
    /// # Errors
    /// Where α is not positive.
    pub fn new(config: MixStyleConfig, place: &Place) -> Result<Self> {
        if !(config.alpha.is_finite() && config.alpha > 0.) {
            bail!("layer mixstyle: alpha is {}; a positive number is accepted", config.alpha)
        }
        Ok(Self { config, site: place.next_site(), layout: place.layout })
    }

    fn draw(&self, instances: usize, pass: &Pass) -> Result<Option<Styles>> {
        match pass.draw(self.site) {
            None => Ok(None),
            Some(Draw::Seeded(seed)) => Styles::sample(&self.config, instances, &mut seed.rng()).map(Some),
            // what CrossNorm would be given: partners, and one λ for all
            Some(Draw::Given(mixture)) if mixture.style.is_none() && mixture.content.is_none() => {
                let lambda = vec![mixture.blend.unwrap_or(0.); instances];
                Ok(Some(Styles { partner: mixture.partner.clone(), lambda }))
            }
            Some(Draw::Given(mixture)) => bail!("MixStyle has no boxes, but was given {mixture:?}"),
        }
    }
}

impl Layer for MixStyle {
    fn recordable(&self) -> bool {
        self.layout == MemoryLayout::ChannelsLast
    }

    fn on_map(&self, xs: &FeatureMap, pass: &Pass) -> Result<FeatureMap> {
        match self.draw(xs.dims()?.0, pass)? {
            None => Ok(xs.clone()),
            Some(styles) => {
                xs.restyle(EPS, |mean, deviation| styles.tables(mean, deviation), |xs| styles.apply(xs, &Extent::All))
            }
        }
    }

    fn forward(&self, xs: &Tensor, pass: &Pass) -> Result<Tensor> {
        let Some(styles) = self.draw(xs.dim(0)?, pass)? else { return Ok(xs.clone()) };
        if self.recordable()
            && let Some(ys) = FeatureMap::alone(xs, pass, |xs| self.on_map(&xs, pass))?
        {
            return Ok(ys);
        }
        let map = Canonical::of(xs, self.layout, pass)?;
        map.restore(&styles.apply(&map.xs, &map.extent)?)
    }
}
