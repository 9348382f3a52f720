//! pAdaIN (Nuriel, Benaim, Wolf 2021, arXiv 2010.05785): in training, an instance is normalised and given the statistics of another, as
//! by AdaIN.
//!
//! y = (x − μ)/(σ + eps)·sg(σ′) + sg(μ′), with σ = √(v + eps) of the unbiased variance v and eps 1e-5, which the published code adds
//! twice to the instance's own. What the partner gives gets no gradient, which is what tells it from CrossNorm. Maps of one position
//! stay as they are. It is active at sites, as CrossNorm is; published after every convolution, each with probability 0.01.

use super::context::BuildContext;
use super::partners;
use crate::pass::Pass;
use crate::rule::{Affine, Instances, Rule};
use candle_core::Result;
use rand::Rng;
use serde::{Deserialize, Serialize};

/// eps under the root of the standard deviation, and added to it.
const EPS: f64 = 1e-5;

/// Settings of [`PAdaIn`].
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PAdaInConfig {
    /// The probability with which an active site mixes.
    pub probability: f64,
}

impl Default for PAdaInConfig {
    fn default() -> Self {
        Self { probability: 1. }
    }
}

/// What one pAdaIN layer drew for one pass. It is a [`Rule`] itself.
#[derive(Clone, Debug, PartialEq)]
pub struct PAdaInDraw {
    /// Instance n takes the statistics of instance `partner[n]`.
    pub partner: Vec<usize>,
}

impl PAdaInDraw {
    /// Draws a permutation of `instances` instances.
    pub fn sample(instances: usize, rng: &mut impl Rng) -> Self {
        Self { partner: partners::permutation(instances, rng) }
    }
}

impl Rule for PAdaInDraw {
    fn rule(&self, map: &Instances<'_>, pass: &Pass) -> Result<Option<Affine>> {
        partners::check("pAdaIN", &self.partner, None, map.shape().instances)?;
        let statistics = map.statistics()?;
        if statistics.counts().iter().all(|&count| count == 1) {
            return Ok(None);
        }
        let (mean, std) = (&statistics.mean, statistics.std(EPS)?);
        let theirs = std.detach().select_rows(&self.partner)?;
        let bias = mean.detach().select_rows(&self.partner)?;
        partners::for_mixing(Affine::new(mean.clone(), theirs.div(&std.affine(1., EPS))?, bias), map, pass)
    }
}

/// The pAdaIN layer: a site of the network, and the identity unless the pass activates the site. [`Pass::with_draws`] gives it a
/// [`PAdaInDraw`].
pub struct PAdaIn {
    config: PAdaInConfig,
    site: usize,
}

impl PAdaIn {
    /// Builds the layer at the network's next site; it has no variables.
    ///
    /// # Errors
    /// Returns an error where `probability` is not above 0 and at most 1.
    pub fn new(config: PAdaInConfig, cx: &BuildContext) -> Result<Self> {
        partners::check_probability("padain", config.probability)?;
        Ok(Self { config, site: cx.next_site() })
    }
}

impl Rule for PAdaIn {
    fn rule(&self, map: &Instances<'_>, pass: &Pass) -> Result<Option<Affine>> {
        let n = map.shape().instances;
        let draw = |rng: &mut _| {
            let who = partners::mixing("padain", pass, n)?;
            let PAdaInDraw { partner } = PAdaInDraw::sample(who.len(), rng);
            Ok(PAdaInDraw { partner: partners::spread_partners(&who, &partner, n) })
        };
        let draw = pass.draw_sometimes(self.site, "padain", self.config.probability, draw)?;
        draw.map_or(Ok(None), |draw: PAdaInDraw| draw.rule(map, pass))
    }
}
