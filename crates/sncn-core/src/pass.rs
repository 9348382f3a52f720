//! `Pass`: everything that belongs to one forward pass and not to the model.
//!
//! Train or eval, which sites act and with which stream, and the lengths of padded sequences. Made once, never
//! mutated; clean plus two mixed passes are three `Pass` values, and nothing is reset afterwards.

use crate::Seed;
use candle_core::{Result, bail};
use rand::seq::index;
use rand_chacha::ChaCha8Rng;
pub use sncn_kernels::fused::Precision;
use std::any::Any;
use std::sync::Arc;

/// A box of a map's grid, half open: rows `top..bottom`, columns `left..right`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BoundingBox {
    /// First row.
    pub top: usize,
    /// First column.
    pub left: usize,
    /// One past the last row.
    pub bottom: usize,
    /// One past the last column.
    pub right: usize,
}

/// How an active site gets its draws.
#[derive(Clone)]
enum Draw {
    /// From this stream.
    Seeded(Seed),
    /// As given (tests, explanations): a value of the layer's own type.
    Given(Arc<dyn Any + Send + Sync>),
}

/// One forward pass.
#[derive(Clone)]
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

    /// A training pass in which these sites act with these draws, each of its layer's own type (CrossNorm's is
    /// [`crate::layer::CrossNormDraw`]).
    pub fn with_draws<T: Any + Send + Sync>(draws: impl IntoIterator<Item = (usize, T)>, seed: Seed) -> Self {
        let active = draws.into_iter().map(|(site, draw)| (site, Draw::Given(Arc::new(draw)))).collect();
        Self { active, ..Self::train(seed) }
    }

    /// The same pass over padded sequences: only the first `lengths[n]` tokens of instance n count.
    pub fn with_lengths(self, lengths: impl Into<Arc<[usize]>>) -> Self {
        Self { lengths: Some(lengths.into()), ..self }
    }

    /// The same pass with the factors of convolutions rounded to `precision`, for faster inference; sums stay f32. A
    /// training pass computes in full precision whatever is asked.
    pub fn with_precision(self, precision: Precision) -> Self {
        Self { precision, ..self }
    }

    /// What the factors of convolutions are rounded to.
    pub fn precision(&self) -> Precision {
        if self.train { Precision::F32 } else { self.precision }
    }

    /// The same pass with nothing dropped.
    pub fn without_dropout(self) -> Self {
        Self { dropout: false, ..self }
    }

    /// Whether dropout is active in this pass: in training, unless it was switched off.
    pub fn dropout(&self) -> bool {
        self.train && self.dropout
    }

    /// The draws of a site, where it acts: as given, or by `sample` from the site's own stream.
    ///
    /// # Errors
    /// As `sample`, or where draws of another layer were given; `layer` is the name for that.
    pub fn draw<T: Any + Clone>(
        &self,
        site: usize,
        layer: &str,
        sample: impl FnOnce(&mut ChaCha8Rng) -> Result<T>,
    ) -> Result<Option<T>> {
        match self.active.iter().find(|(number, _)| *number == site) {
            None => Ok(None),
            Some((_, Draw::Seeded(seed))) => sample(&mut seed.rng()).map(Some),
            Some((_, Draw::Given(given))) => match given.downcast_ref::<T>() {
                Some(draw) => Ok(Some(draw.clone())),
                None => bail!("site {site}: {layer} takes draws of type {}, and was given others", std::any::type_name::<T>()),
            },
        }
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
