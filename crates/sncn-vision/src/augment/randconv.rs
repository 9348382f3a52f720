//! RandConv (Xu et al. 2021, arXiv 2007.13003): the image filtered by a random convolution of 1, 3, 5 or 7 pixels, blended with the image
//! by a random fraction: α·x + (1 − α)·conv(x). Content stays, colours and local texture change.

use anyhow::{Result, ensure};
use rand::RngExt;
use rand_distr::{Distribution, Normal};
use serde::{Deserialize, Serialize};
use sncn_core::Seed;

/// RandConv: α is uniform in 0 to 1, the weights are from N(0, 1/(3·k²)).
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RandConv {
    /// Fraction of the images that are changed; ½ in the paper.
    pub probability: f64,
}

impl RandConv {
    /// Refuses settings out of range; `key` is where they stand in a row.
    ///
    /// # Errors
    /// Names the setting and what is accepted.
    pub fn check(&self, key: &str) -> Result<()> {
        let probability = self.probability;
        ensure!((0. ..=1.).contains(&probability), "{key}.probability is {probability}; 0 to 1 is accepted");
        Ok(())
    }

    /// Changes a normalised image (rows × columns × 3); beyond its edges it is 0.
    pub fn apply(&self, values: &mut [f32], (rows, columns): (usize, usize), seed: Seed) {
        let mut rng = seed.rng();
        if !rng.random_bool(self.probability) {
            return;
        }
        let side = [1usize, 3, 5, 7][rng.random_range(0..4)];
        let fraction = rng.random_range(0.0f32..1.);
        let Ok(normal) = Normal::new(0f32, (1. / (3 * side * side) as f32).sqrt()) else { return };
        let weights: Vec<f32> = (0..side * side * 9).map(|_| normal.sample(&mut rng)).collect();
        let (source, half) = (values.to_vec(), side / 2);
        for (i, pixel) in values.chunks_exact_mut(3).enumerate() {
            let (row, column) = (i / columns, i % columns);
            let mut sum = [0f32; 3];
            for down in 0..side {
                let Some(y) = (row + down).checked_sub(half).filter(|y| *y < rows) else { continue };
                for right in 0..side {
                    let Some(x) = (column + right).checked_sub(half).filter(|x| *x < columns) else { continue };
                    let (from, taps) = (&source[3 * (y * columns + x)..][..3], &weights[9 * (down * side + right)..][..9]);
                    (0..9).for_each(|k| sum[k / 3] += taps[k] * from[k % 3]);
                }
            }
            (0..3).for_each(|c| pixel[c] = fraction * pixel[c] + (1. - fraction) * sum[c]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn images_differ_by_seed_and_none_is_drawn_at_probability_zero() {
        let image: Vec<f32> = (0..8 * 9 * 3).map(|i| (i % 17) as f32 / 8. - 1.).collect();
        let styled = |probability, seed| {
            let mut values = image.clone();
            RandConv { probability }.apply(&mut values, (8, 9), Seed::new(seed));
            values
        };
        assert_eq!(styled(0., 1), image);
        assert_ne!(styled(1., 1), image);
        assert_ne!(styled(1., 1), styled(1., 2));
        assert_eq!(styled(1., 3), styled(1., 3));
        assert!(styled(1., 4).iter().all(|value| value.is_finite()));
    }
}
