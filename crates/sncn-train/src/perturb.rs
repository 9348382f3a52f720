//! Perturbed inputs for training: Mixup, CutMix, and adversarial steps.

use candle_core::{Result, Tensor, Var, bail};
use rand::RngExt;
use rand::seq::SliceRandom;
use rand_distr::{Beta, Distribution};
use serde::{Deserialize, Serialize};
use sncn_core::Seed;
use sncn_core::pass::BoundingBox;

/// A batch in which each instance is mixed with another, its partner.
pub struct Blend {
    /// The mixed inputs, with the shape of the inputs.
    pub inputs: Tensor,
    /// Instance n is mixed with instance `partner[n]`.
    pub partner: Vec<usize>,
    /// λ, the weight of each instance; its partner has 1 − λ.
    pub lambda: f64,
}

/// Draws a permutation of the batch and λ ~ Beta(α, α).
fn draw(instances: usize, alpha: f64, seed: Seed) -> Result<(Vec<usize>, f64)> {
    let Ok(beta) = Beta::new(alpha, alpha) else { bail!("alpha is {alpha}; a positive number is accepted") };
    let mut partner: Vec<usize> = (0..instances).collect();
    partner.shuffle(&mut seed.named("partner").rng());
    Ok((partner, beta.sample(&mut seed.named("share").rng())))
}

fn of_partners(xs: &Tensor, partner: &[usize]) -> Result<Tensor> {
    xs.index_select(&Tensor::from_iter(partner.iter().map(|&i| i as u32), xs.device())?, 0)
}

/// Mixup (Zhang et al. 2018, arXiv 1710.09412): λ·x + (1 − λ)·x′ with one λ ~ Beta(α, α) per batch.
///
/// # Errors
/// If α is not positive.
pub fn mixup(xs: &Tensor, alpha: f64, seed: Seed) -> Result<Blend> {
    let (partner, lambda) = draw(xs.dim(0)?, alpha, seed)?;
    let inputs = ((xs * lambda)? + (of_partners(xs, &partner)? * (1. - lambda))?)?;
    Ok(Blend { inputs, partner, lambda })
}

/// The box of CutMix for images of `height` × `width`: √(1 − λ) of both sides, around a centre (row, column), clipped.
fn cutmix_box(height: usize, width: usize, lambda: f64, (row, column): (usize, usize)) -> BoundingBox {
    let half = |side: usize| (side as f64 * (1. - lambda).max(0.).sqrt()) as usize / 2;
    let (down, right) = (half(height), half(width));
    let (top, left) = (row.saturating_sub(down), column.saturating_sub(right));
    BoundingBox { top, left, bottom: (row + down).min(height), right: (column + right).min(width) }
}

/// CutMix (Yun et al. 2019, arXiv 1905.04899): with probability `probability`, a box of each image (N, H, W, C) is
/// replaced by the partner's; λ is then the area fraction that the image keeps.
///
/// # Errors
/// If α is not positive, or the inputs do not have four dimensions.
pub fn cutmix(xs: &Tensor, alpha: f64, probability: f64, seed: Seed) -> Result<Blend> {
    let (n, h, w, _) = xs.dims4()?;
    let (partner, lambda) = draw(n, alpha, seed)?;
    let mut rng = seed.named("box").rng();
    let acts = rng.random_bool(probability.clamp(0., 1.));
    let window = cutmix_box(h, w, lambda, (rng.random_range(0..h), rng.random_range(0..w)));
    let size = (window.bottom - window.top) * (window.right - window.left);
    if !acts || size == 0 {
        return Ok(Blend { inputs: xs.clone(), partner, lambda: 1. });
    }
    let (rows, columns) = (window.top..window.bottom, window.left..window.right);
    let patch = of_partners(xs, &partner)?.narrow(1, rows.start, rows.len())?.narrow(2, columns.start, columns.len())?;
    let inputs = xs.slice_assign(&[0..n, rows, columns, 0..xs.dim(3)?], &patch.contiguous()?)?;
    Ok(Blend { inputs, partner, lambda: 1. - size as f64 / (h * w) as f64 })
}

/// Projected gradient ascent on the input within an L∞ ball (Madry et al. 2018, arXiv 1706.06083).
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Attack {
    /// The largest change of a value, in units of the input; images are in [−1, 1], so 8/255 of the full range is 16/255.
    pub epsilon: f64,
    /// The size of a step, in the same unit.
    pub step: f64,
    /// The number of steps.
    pub steps: usize,
    /// The smallest valid input value.
    #[serde(default = "minus_one")]
    pub low: f64,
    /// The largest valid input value.
    #[serde(default = "one")]
    pub high: f64,
}

fn minus_one() -> f64 {
    -1.
}

fn one() -> f64 {
    1.
}

impl Attack {
    /// Perturbs the inputs to increase the loss: from a uniform random start, x ← clip(x + step·sign(∇loss)) within epsilon. The
    /// caller runs `loss` in training passes, so BatchNorm uses batch statistics and updates its running statistics.
    ///
    /// # Errors
    /// If the loss fails or does not depend on the input.
    pub fn perturb(&self, xs: &Tensor, seed: Seed, loss: impl Fn(&Tensor) -> Result<Tensor>) -> Result<Tensor> {
        let (low, high) = ((xs - self.epsilon)?.clamp(self.low, self.high)?, (xs + self.epsilon)?.clamp(self.low, self.high)?);
        let within = |xs: &Tensor| xs.maximum(&low)?.minimum(&high);
        let mut rng = seed.rng();
        let noise = (0..xs.elem_count()).map(|_| rng.random_range(-self.epsilon..=self.epsilon));
        let noise = Tensor::from_iter(noise, xs.device())?.to_dtype(xs.dtype())?.reshape(xs.shape())?;
        let mut moved = within(&(xs + noise)?)?;
        for _ in 0..self.steps {
            let input = Var::from_tensor(&moved)?;
            let grads = sncn_core::backward(&loss(input.as_tensor())?)?;
            let Some(gradient) = grads.get(input.as_tensor()) else { bail!("no gradient reaches the input") };
            moved = within(&(&moved + (gradient.sign()? * self.step)?)?)?;
        }
        Ok(moved)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::Device;

    fn images(n: usize, h: usize, w: usize) -> Result<Tensor> {
        Tensor::from_iter((0..n * h * w * 3).map(|i| (i % 17) as f32 / 16.), &Device::Cpu)?.reshape((n, h, w, 3))
    }

    #[test]
    fn mixup_lies_between_and_cutmix_copies_a_box_of_its_share() -> Result<()> {
        let xs = images(6, 8, 10)?;
        let blend = mixup(&xs, 1., Seed::new(3))?;
        assert!((0. ..=1.).contains(&blend.share));
        for number in 0..40 {
            let blend = cutmix(&xs, 1., 0.5, Seed::new(number))?;
            let changed = blend.inputs.ne(&xs)?.to_dtype(candle_core::DType::F32)?.mean_all()?.to_scalar::<f32>()?;
            assert!(f64::from(changed) <= 1. - blend.share + 1e-6, "{changed} against {}", blend.share);
            let theirs = of_partners(&xs, &blend.partner)?;
            let either = blend.inputs.eq(&xs)?.add(&blend.inputs.eq(&theirs)?)?.min_all()?.to_scalar::<u8>()?;
            assert!(either >= 1, "a value that is neither the instance's nor its partner's");
        }
        Ok(())
    }

    #[test]
    fn the_box_of_cutmix_covers_what_lambda_leaves() {
        assert_eq!(cutmix_box(32, 32, 0.75, (16, 16)), BoundingBox { top: 8, left: 8, bottom: 24, right: 24 });
        assert_eq!(cutmix_box(32, 32, 0., (0, 31)), BoundingBox { top: 0, left: 15, bottom: 16, right: 32 });
    }

    #[test]
    fn the_adversary_climbs_within_its_bounds() -> Result<()> {
        let xs = images(2, 4, 4)?;
        let attack = Attack { epsilon: 0.1, step: 0.04, steps: 5, low: -1., high: 1. };
        let height = |xs: &Tensor| (xs.sqr()? * 3.)?.sum_all();
        let moved = attack.perturb(&xs, Seed::new(1), height)?;
        let far = (&moved - &xs)?.abs()?.max_all()?.to_scalar::<f32>()?;
        assert!(far <= 0.1 + 1e-6 && moved.max_all()?.to_scalar::<f32>()? <= 1.);
        assert!(height(&moved)?.to_scalar::<f32>()? > height(&xs)?.to_scalar::<f32>()?);
        Ok(())
    }
}
