//! `Pass`: everything that belongs to one forward pass and not to the model.
//!
//! Train or eval, which CrossNorm sites act and with what draws, and the lengths of padded sequences. Made once, never
//! mutated; clean plus two mixed passes are three `Pass` values, and nothing is reset afterwards.

use crate::Seed;
use rand::seq::index;
pub use sncn_kernels::fused::Precision;
use std::sync::Arc;

/// A box of a map's grid, half open: rows `top..bottom`, columns `left..right`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// First row.
    pub top: usize,
    /// First column.
    pub left: usize,
    /// One past the last row.
    pub bottom: usize,
    /// One past the last column.
    pub right: usize,
}

/// The draws of one CrossNorm: with it, mixing is a pure function of the map.
#[derive(Clone, Debug, PartialEq)]
pub struct Mixture {
    /// Instance n takes the statistics of instance `partner[n]`; empty where every instance is its own partner.
    pub partner: Vec<usize>,
    /// Channel c takes the statistics of the partner's channel `channels[c]`.
    pub channels: Option<Vec<usize>>,
    /// The partner's statistics come from this box.
    pub style: Option<Window>,
    /// Only this box of the instance is normalised and restyled.
    pub content: Option<Window>,
    /// y = λ·x + (1 − λ)·mixed.
    pub blend: Option<f64>,
}

/// How an active site gets its mixture.
#[derive(Clone, Debug)]
pub enum Draw {
    /// From this stream.
    Seeded(Seed),
    /// As given (tests, explanations).
    Given(Arc<Mixture>),
}

/// One forward pass.
#[derive(Clone, Debug)]
pub struct Pass {
    /// Batch statistics are used and updated, dropout drops.
    pub train: bool,
    active: Vec<(usize, Draw)>,
    seed: Seed,
    lengths: Option<Arc<[usize]>>,
    dropout: bool,
    precision: Precision,
}

impl Pass {
    /// Evaluation: running statistics, nothing is mixed or dropped.
    pub fn eval() -> Self {
        let (active, seed, precision) = (Vec::new(), Seed::new(0), Precision::F32);
        Self { train: false, active, seed, lengths: None, dropout: false, precision }
    }

    /// A training pass without mixing; `seed` feeds dropout.
    pub fn train(seed: Seed) -> Self {
        Self { train: true, active: Vec::new(), seed, lengths: None, dropout: true, precision: Precision::F32 }
    }

    /// A training pass in which `active` distinct sites of `sites` act, drawn uniformly; each draws from its own stream.
    pub fn mixing(sites: usize, active: usize, seed: Seed) -> Self {
        let mut rng = seed.named("sites").rng();
        let mut chosen = index::sample(&mut rng, sites, active.min(sites)).into_vec();
        chosen.sort_unstable();
        let active = chosen.into_iter().map(|site| (site, Draw::Seeded(seed.named("site").fold_in(site as u64)))).collect();
        Self { active, ..Self::train(seed) }
    }

    /// A training pass with these mixtures at these sites.
    pub fn given(mixtures: impl IntoIterator<Item = (usize, Mixture)>, seed: Seed) -> Self {
        let active = mixtures.into_iter().map(|(site, mixture)| (site, Draw::Given(Arc::new(mixture)))).collect();
        Self { active, ..Self::train(seed) }
    }

    /// The same pass over padded sequences: only the first `lengths[n]` tokens of instance n count.
    pub fn with_lengths(self, lengths: impl Into<Arc<[usize]>>) -> Self {
        Self { lengths: Some(lengths.into()), ..self }
    }

    /// The same pass with the factors of convolutions rounded to `precision`, for faster inference; sums stay f32. A
    /// training pass computes in full precision whatever is asked.
    pub fn rounded(self, precision: Precision) -> Self {
        Self { precision, ..self }
    }

    /// What the factors of convolutions are rounded to.
    pub fn precision(&self) -> Precision {
        if self.train { Precision::F32 } else { self.precision }
    }

    /// The same pass with nothing dropped.
    pub fn no_dropout(self) -> Self {
        Self { dropout: false, ..self }
    }

    /// Whether nothing is dropped in this pass.
    pub fn without_dropout(&self) -> bool {
        !self.dropout
    }

    /// The draw of a site, where it acts.
    pub fn draw(&self, site: usize) -> Option<&Draw> {
        self.active.iter().find(|(number, _)| *number == site).map(|(_, draw)| draw)
    }

    /// The numbers of the sites that act.
    pub fn active(&self) -> impl Iterator<Item = usize> + '_ {
        self.active.iter().map(|(site, _)| *site)
    }

    /// The stream of this pass.
    pub fn seed(&self) -> Seed {
        self.seed
    }

    /// The lengths of padded sequences.
    pub fn lengths(&self) -> Option<&Arc<[usize]>> {
        self.lengths.as_ref()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sites_are_distinct_and_uniform() {
        let mut counts = [0usize; 9];
        for step in 0..2000 {
            let pass = Pass::mixing(9, 2, Seed::new(step));
            let sites: Vec<_> = pass.active().collect();
            assert_eq!(sites.len(), 2);
            assert!(sites[0] < sites[1]);
            sites.iter().for_each(|&site| counts[site] += 1);
        }
        assert!(counts.iter().all(|&count| (370..520).contains(&count)), "{counts:?}");
    }
}
