//! Noise on training images: the simple rivals of adversarial noise (Rusak et al. 2020, arXiv:2001.06057).
//!
//! An image with values in 0..1 becomes clip(x + σ·n) (Gaussian) or clip(x + σ·x·n) (speckle), n ~ N(0, 1) for every value, with σ drawn
//! for each image from the levels of its form. With probability `share` an image gets noise; in the paper half of every batch does.

use crate::preprocess::Normalisation;
use anyhow::{Result, ensure};
use rand::RngExt;
use rand_distr::{Distribution, StandardNormal};
use serde::{Deserialize, Serialize};
use sncn_core::Seed;

/// What the noise is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NoiseForm {
    /// Gaussian noise of five levels.
    Gaussian,
    /// Gaussian noise of one level, σ = 0.5.
    GaussianSingle,
    /// Speckle noise of five levels.
    Speckle,
}

impl NoiseForm {
    /// The levels that σ is drawn from.
    const fn levels(self) -> &'static [f64] {
        match self {
            Self::Gaussian => &[0.08, 0.12, 0.18, 0.26, 0.38],
            Self::GaussianSingle => &[0.5],
            Self::Speckle => &[0.15, 0.2, 0.35, 0.45, 0.6],
        }
    }
}

/// The settings of noise.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Noise {
    /// What it is.
    pub form: NoiseForm,
    /// The probability with which an image gets it.
    #[serde(default = "half")]
    pub share: f64,
}

const fn half() -> f64 {
    0.5
}

impl Noise {
    /// Checks the ranges of the settings; the error names the setting and the accepted values.
    pub(crate) fn check(&self) -> Result<()> {
        ensure!((0. ..=1.).contains(&self.share), "noise: share is {}; 0 to 1 is accepted", self.share);
        Ok(())
    }

    /// Writes the normalised values of an image, with noise or as they are; all draws come from `seed`.
    pub(super) fn apply(&self, image: &[u8], by: &Normalisation, seed: Seed, out: &mut [f32]) {
        let mut rng = seed.rng();
        let levels = self.form.levels();
        let (acts, sigma) = (rng.random_bool(self.share), levels[rng.random_range(0..levels.len())] as f32);
        if !acts {
            return by.of_bytes(image, out);
        }
        for (at, (out, &byte)) in out.iter_mut().zip(image).enumerate() {
            let (value, normal): (f32, f32) = (f32::from(byte) / 255., StandardNormal.sample(&mut rng));
            let size = if self.form == NoiseForm::Speckle { value } else { 1. };
            *out = ((value + sigma * size * normal).clamp(0., 1.) - by.mean[at % 3]) / by.std[at % 3];
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn noisy(form: NoiseForm, share: f64, byte: u8, seed: u64) -> Vec<f32> {
        let mut out = vec![0.; 3 * 400];
        let by = Normalisation { mean: [0.; 3], std: [1.; 3] };
        Noise { form, share }.apply(&vec![byte; out.len()], &by, Seed::new(seed), &mut out);
        out
    }

    fn deviation(values: &[f32], mean: f32) -> f32 {
        (values.iter().map(|value| (value - mean).powi(2)).sum::<f32>() / values.len() as f32).sqrt()
    }

    #[test]
    fn levels_are_drawn_for_images_and_values_stay_in_the_range() {
        for (form, levels) in [(NoiseForm::Gaussian, &[0.08, 0.12, 0.18][..]), (NoiseForm::Speckle, &[0.15, 0.2, 0.35])] {
            // speckle on half the range is half as large
            let factor = if form == NoiseForm::Speckle { 0.5 } else { 1. };
            let found: Vec<f32> = (0..60).map(|seed| deviation(&noisy(form, 1., 128, seed), 128. / 255.) / factor).collect();
            for level in levels {
                assert!(found.iter().any(|one| (one / level - 1.).abs() < 0.1), "{form:?}: no image of level {level}: {found:?}");
            }
        }
        let most = noisy(NoiseForm::GaussianSingle, 1., 200, 1);
        assert!(most.iter().all(|value| (0. ..=1.).contains(value)) && most.contains(&1.) && most.contains(&0.));
        // speckle leaves black as it is
        assert!(noisy(NoiseForm::Speckle, 1., 0, 2).iter().all(|value| *value == 0.));
    }

    #[test]
    fn as_many_images_as_asked_for_get_noise() {
        let plain = vec![100. / 255.; 3 * 400];
        let acted = |share: f64| (0..200).filter(|&seed| noisy(NoiseForm::Gaussian, share, 100, seed) != plain).count();
        assert_eq!((acted(0.), acted(1.)), (0, 200));
        assert!((70..=130).contains(&acted(0.5)), "{}", acted(0.5));
        assert!(Noise { form: NoiseForm::Speckle, share: 1.5 }.check().is_err());
    }
}
