//! EFDMix (Zhang et al. 2022, arXiv 2203.07740): in training, an instance's sorted values are mixed with those of another, which
//! matches whole distributions where MixStyle matches mean and standard deviation.
//!
//! y = x + (1 − λ)·(q − sg(x)), where q is the partner's value of the same rank in the channel, λ ~ Beta(α, α) for each instance, and
//! sg(x) gets no gradient; q gets one, as in the published code. Where two instances differ in length, rank r of P positions is matched
//! with rank ⌊(r + ½)·P′/P⌋ of P′. Active at sites, as CrossNorm is; published with probability 0.5 after the first two or three
//! stages.

use super::base::Layer;
use super::context::BuildContext;
use super::matching::Matching;
use super::partners;
use crate::graph::{FeatureMap, TokenMap};
use crate::packing::Packing;
use crate::pass::Pass;
use candle_core::Result;
use rand::Rng;
use serde::{Deserialize, Serialize};

/// Settings of [`EfdMix`].
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct EfdMixConfig {
    /// α of λ ~ Beta(α, α).
    pub alpha: f64,
    /// The probability with which an active site mixes.
    pub probability: f64,
}

impl Default for EfdMixConfig {
    fn default() -> Self {
        Self { alpha: 0.1, probability: 1. }
    }
}

/// What one EFDMix layer drew for one pass. It is a [`Layer`] itself.
#[derive(Clone, Debug, PartialEq)]
pub struct EfdMixDraw {
    /// Instance n is mixed with instance `partner[n]`.
    pub partner: Vec<usize>,
    /// λ of every instance: the fraction of its own values.
    pub lambda: Vec<f64>,
}

impl EfdMixDraw {
    /// Draws a permutation of `instances` instances and a λ for each.
    ///
    /// # Errors
    /// Returns an error where `alpha` is not positive.
    pub fn sample(config: &EfdMixConfig, instances: usize, rng: &mut impl Rng) -> Result<Self> {
        let partner = partners::permutation(instances, rng);
        Ok(Self { partner, lambda: partners::fractions("efdmix", config.alpha, instances, rng)? })
    }

    /// The operation on instances with so many positions; those that do not mix take no share of their partners.
    fn matching(&self, lengths: Vec<usize>, pass: &Pass) -> Result<Matching> {
        partners::check("EFDMix", &self.partner, Some(&self.lambda), lengths.len())?;
        let who = partners::mixing("EFDMix", pass, lengths.len())?;
        let theirs: Vec<f64> = who.iter().map(|&n| 1. - self.lambda[n]).collect();
        let share = partners::spread(&who, &theirs, lengths.len(), |_| 0.);
        Ok(Matching { name: "EFDMix", partner: self.partner.clone(), share, lengths })
    }
}

impl Layer for EfdMixDraw {
    fn on_map(&self, xs: &FeatureMap, pass: &Pass) -> Result<FeatureMap> {
        let (n, h, w, _) = xs.dims()?;
        xs.apply_operation(self.matching(vec![h * w; n], pass)?)
    }

    fn on_sequences(&self, xs: &TokenMap, packing: &Packing, pass: &Pass) -> Result<TokenMap> {
        xs.apply_operation(self.matching(packing.lengths().to_vec(), pass)?)
    }
}

/// The EFDMix layer: a site of the network, and the identity unless the pass activates the site. [`Pass::with_draws`] gives it an
/// [`EfdMixDraw`].
pub struct EfdMix {
    config: EfdMixConfig,
    site: usize,
}

impl EfdMix {
    /// Builds the layer at the network's next site; it has no variables.
    ///
    /// # Errors
    /// Returns an error where `alpha` is not positive, or `probability` not above 0 and at most 1.
    pub fn new(config: EfdMixConfig, cx: &BuildContext) -> Result<Self> {
        partners::beta("efdmix", config.alpha)?;
        partners::check_probability("efdmix", config.probability)?;
        Ok(Self { config, site: cx.next_site() })
    }

    fn draw(&self, instances: usize, pass: &Pass) -> Result<Option<EfdMixDraw>> {
        let sample = |rng: &mut _| {
            let who = partners::mixing("efdmix", pass, instances)?;
            let EfdMixDraw { partner, lambda } = EfdMixDraw::sample(&self.config, who.len(), rng)?;
            let partner = partners::spread_partners(&who, &partner, instances);
            Ok(EfdMixDraw { partner, lambda: partners::spread(&who, &lambda, instances, |_| 1.) })
        };
        pass.draw_sometimes(self.site, "efdmix", self.config.probability, sample)
    }
}

impl Layer for EfdMix {
    fn on_map(&self, xs: &FeatureMap, pass: &Pass) -> Result<FeatureMap> {
        self.draw(xs.dims()?.0, pass)?.map_or_else(|| Ok(xs.clone()), |draw| draw.on_map(xs, pass))
    }

    fn on_sequences(&self, xs: &TokenMap, packing: &Packing, pass: &Pass) -> Result<TokenMap> {
        let draw = self.draw(packing.lengths().len(), pass)?;
        draw.map_or_else(|| Ok(xs.clone()), |draw| draw.on_sequences(xs, packing, pass))
    }
}
