//! Feature inversion (Mahendran, Vedaldi 2015, arXiv:1412.0035): the image whose features are nearest to given ones, by gradient descent on
//! its values.

use candle_core::{D, DType, Result, Tensor, Var, bail};
use serde::{Deserialize, Serialize};
use sncn_core::backward;
use sncn_core::loss::value;

/// Along which axes neighbouring values are compared.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Neighbours {
    /// Rows and columns.
    #[default]
    RowsColumns,
    /// Channels and rows, as a widely used implementation has it by a slip of its indices.
    ChannelsRows,
}

/// The loss of an inversion: w·‖Φ(x) − Φ₀‖²/‖Φ₀‖² + wₐ·Σ xᵅ + wᵥ·Σ (Δ₁² + Δ₂²)^(β/2), for every image of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Inversion {
    /// w, the weight of the features' relative distance.
    pub feature_weight: f64,
    /// α, an even power of the values.
    pub alpha: i32,
    /// wₐ.
    pub alpha_weight: f64,
    /// β.
    pub variation_power: f64,
    /// wᵥ, the weight of the total variation.
    pub variation_weight: f64,
    /// The axes of its differences Δ.
    pub neighbours: Neighbours,
}

impl Default for Inversion {
    fn default() -> Self {
        Self {
            feature_weight: 0.1,
            alpha: 6,
            alpha_weight: 1e-7,
            variation_power: 2.,
            variation_weight: 1e-8,
            neighbours: Neighbours::default(),
        }
    }
}

/// The weighted parts of the loss, summed over the images of a batch.
pub struct Parts {
    /// The features' relative distance.
    pub feature: Tensor,
    /// The powers of the values.
    pub alpha: Tensor,
    /// The total variation.
    pub variation: Tensor,
}

impl Parts {
    /// Their sum.
    ///
    /// # Errors
    /// Never for parts of one loss.
    pub fn total(&self) -> Result<Tensor> {
        (&self.feature + &self.alpha)? + &self.variation
    }
}

impl Inversion {
    /// The loss of images x (N, H, W, 3) with features `features`, which are to become `wanted`, both (N, …).
    ///
    /// # Errors
    /// If shapes differ, or wanted features are all 0.
    pub fn loss(&self, xs: &Tensor, features: &Tensor, wanted: &Tensor) -> Result<Parts> {
        let (n, height, width, channels) = xs.dims4()?;
        if features.dims() != wanted.dims() || wanted.dim(0)? != n {
            bail!("inversion: features of shape {:?} for {n} images, wanted are {:?}", features.dims(), wanted.dims())
        }
        let squares = |t: &Tensor| t.reshape((n, ()))?.sqr()?.sum(D::Minus1);
        let size = squares(wanted)?;
        if size.to_dtype(DType::F64)?.to_vec1::<f64>()?.contains(&0.) {
            bail!("inversion: the wanted features of an image are all 0")
        }
        let feature = ((squares(&(features - wanted)?)? / size)?.sum_all()? * self.feature_weight)?;
        let alpha = (xs.powf(f64::from(self.alpha))?.sum_all()? * self.alpha_weight)?;
        // both differences at the positions that have both neighbours
        let (one, two, len) = match self.neighbours {
            Neighbours::RowsColumns => (1, 2, (height, width)),
            Neighbours::ChannelsRows => (3, 1, (channels, height)),
        };
        let (first, second) = (len.0.saturating_sub(1), len.1.saturating_sub(1));
        let here = xs.narrow(one, 0, first)?.narrow(two, 0, second)?;
        let along = (xs.narrow(one, 1, first)?.narrow(two, 0, second)? - &here)?;
        let across = (xs.narrow(one, 0, first)?.narrow(two, 1, second)? - &here)?;
        let sum = (along.sqr()? + across.sqr()?)?;
        let variation = if self.variation_power == 2. { sum } else { sum.powf(self.variation_power / 2.)? };
        Ok(Parts { feature, alpha, variation: (variation.sum_all()? * self.variation_weight)? })
    }
}

/// How the loss is descended: gradient descent with momentum on the values of the images.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Descent {
    /// Updates.
    pub steps: usize,
    /// The learning rate of the first update.
    pub lr: f64,
    /// buffer = momentum·buffer + gradient.
    pub momentum: f64,
    /// After update 0 and every so many the learning rate is divided.
    pub divide_every: usize,
    /// By how much.
    pub divide_by: f64,
}

/// Learning rates that are tried, each a tenth of the one before.
const TRIES: i32 = 7;

/// Images that an inversion found.
pub struct Inverted {
    /// The images (N, H, W, 3).
    pub images: Tensor,
    /// The learning rate at which they were found.
    pub lr: f64,
    /// The loss at the beginning.
    pub first: f64,
    /// The loss at the end.
    pub last: f64,
}

impl Default for Descent {
    fn default() -> Self {
        Self { steps: 201, lr: 1e4, momentum: 0.9, divide_every: 40, divide_by: 10. }
    }
}

impl Descent {
    /// Finds images whose features are near the wanted ones, from `start` (N, H, W, 3), at this learning rate or, where the loss is then
    /// not finite or ends above where it began, at a tenth of it, a hundredth and so on: how large gradients are, depends on the
    /// network. `features` computes those of images in a pass that records; `observe` is given the number of an update.
    ///
    /// # Errors
    /// If the features cannot be computed, or the loss falls at none of the rates.
    pub fn invert(
        &self,
        loss: &Inversion,
        start: &Tensor,
        wanted: &Tensor,
        features: &dyn Fn(&Tensor) -> Result<Tensor>,
        mut observe: impl FnMut(usize),
    ) -> Result<Inverted> {
        for tries in 0..TRIES {
            let lr = self.lr / 10f64.powi(tries);
            let mut first = None;
            let observed = |step: usize, found: f64| {
                observe(step);
                first.get_or_insert(found);
            };
            let found = Self { lr, ..*self }.descend(loss, start, wanted, features, observed)?;
            let last = |images: &Tensor| value(&loss.loss(images, &features(images)?, wanted)?.total()?);
            if let Some(images) = found
                && let (Some(first), last) = (first, last(&images)?)
                && last < first
            {
                return Ok(Inverted { images, lr, first, last });
            }
        }
        bail!("inversion: the loss falls at no learning rate from {} to {}", self.lr, self.lr / 10f64.powi(TRIES - 1))
    }

    /// The images after all updates; `None` where the loss was not finite before one of them. `observe` is given the number of an update
    /// and the loss before it.
    ///
    /// # Errors
    /// If the features cannot be computed.
    pub fn descend(
        &self,
        loss: &Inversion,
        start: &Tensor,
        wanted: &Tensor,
        features: &dyn Fn(&Tensor) -> Result<Tensor>,
        mut observe: impl FnMut(usize, f64),
    ) -> Result<Option<Tensor>> {
        // however the wanted features came about, no gradient is wanted of them
        let wanted = &wanted.detach();
        let (mut images, mut buffer, mut lr) = (start.clone(), start.zeros_like()?, self.lr);
        for step in 0..self.steps {
            let input = Var::from_tensor(&images)?;
            let total = loss.loss(input.as_tensor(), &features(input.as_tensor())?, wanted)?.total()?;
            let found = value(&total)?;
            observe(step, found);
            if !found.is_finite() {
                return Ok(None);
            }
            let grads = backward(&total)?;
            let Some(gradient) = grads.get(input.as_tensor()) else {
                bail!("inversion: the features do not depend on the images")
            };
            buffer = ((buffer * self.momentum)? + gradient)?;
            images = (images - (&buffer * lr)?)?;
            if step.is_multiple_of(self.divide_every.max(1)) {
                lr /= self.divide_by;
            }
        }
        Ok(Some(images))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::Device;

    #[test]
    fn a_learning_rate_that_is_too_large_is_lowered() -> Result<()> {
        let values = |at: f64| Tensor::from_iter((0..2 * 4 * 4 * 3).map(|i| (f64::from(i) * at).sin()), &Device::Cpu);
        let shape = (2, 4, 4, 3);
        let (start, target) = (values(0.7)?.reshape(shape)?, values(0.3)?.reshape(shape)?);
        let features = |xs: &Tensor| xs * 30.;
        let wanted = features(&target)?;
        let (loss, descent) = (Inversion::default(), Descent { lr: 1e6, ..Descent::default() });
        assert!(descent.descend(&loss, &start, &wanted, &features, |_, _| ())?.is_none());
        let found = descent.invert(&loss, &start, &wanted, &features, |_| ())?;
        assert!(found.lr < 1e6 && found.last < 0.1 * found.first, "{} {} {}", found.lr, found.first, found.last);
        let none = |_: &Tensor| Tensor::full(f64::NAN, shape, &Device::Cpu);
        assert!(descent.invert(&loss, &start, &wanted, &none, |_| ()).is_err());
        Ok(())
    }
}
