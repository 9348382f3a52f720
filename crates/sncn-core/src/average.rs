//! `WeightAverage`: an exponential moving average of weights over the steps of training, which is evaluated instead of them.
//!
//! After a step: average ← decay·average + (1 − decay)·weight, beginning with a copy of the initial weights. Buffers, such as running
//! means, are not averaged: the averaged network has those of the trained one, as in FixMatch (Sohn et al. 2020) and PyTorch's
//! `AveragedModel`.

use crate::vars::Vars;
use candle_core::{Result, Tensor, Var};

/// The average of the trainable variables of a network.
///
/// ```
/// use candle_core::{DType, Device, Tensor};
/// use sncn_core::{Seed, Vars, WeightAverage};
///
/// # fn main() -> candle_core::Result<()> {
/// let vars = Vars::new(Seed::new(0), DType::F32, &Device::Cpu);
/// vars.builder().get_with_hints(2, "weight", candle_nn::Init::Const(1.))?;
/// let (_, weight) = vars.all().remove(0);
/// let mut average = WeightAverage::new(0.5, &vars)?;
/// weight.set(&Tensor::new(&[2f32, 4.], &Device::Cpu)?)?;
/// average.update()?;
/// assert_eq!(average.with(|| weight.to_vec1::<f32>())??, [1.5, 2.5]);
/// assert_eq!(weight.to_vec1::<f32>()?, [2., 4.]);
/// # Ok(())
/// # }
/// ```
pub struct WeightAverage {
    decay: f64,
    averages: Vec<(String, Var, Tensor)>,
}

impl WeightAverage {
    /// The average of the trainable variables of `vars`, which begins with their present values.
    ///
    /// # Errors
    /// Returns candle's error where a variable cannot be copied.
    pub fn new(decay: f64, vars: &Vars) -> Result<Self> {
        let averages = vars.trainable().into_iter().map(|(name, var)| {
            let value = var.as_detached_tensor().copy()?;
            Ok((name, var, value))
        });
        Ok(Self { decay, averages: averages.collect::<Result<_>>()? })
    }

    /// Takes the present values of the variables into the average, after a step. It is computed as
    /// average + (1 − decay)·(weight − average), so that what does not change stays as it is.
    ///
    /// # Errors
    /// Returns candle's error where a variable has another shape than before.
    pub fn update(&mut self) -> Result<()> {
        for (_, var, average) in &mut self.averages {
            let difference = var.as_detached_tensor().sub(average)?;
            *average = average.add(&(difference * (1. - self.decay))?)?;
        }
        Ok(())
    }

    /// The averages by name.
    pub fn values(&self) -> impl Iterator<Item = (&str, &Tensor)> {
        self.averages.iter().map(|(name, _, average)| (name.as_str(), average))
    }

    /// Runs `evaluate` while the variables have their averages for values; afterwards they have their own again.
    ///
    /// # Errors
    /// Returns candle's error where a variable cannot be set.
    pub fn with<T>(&self, evaluate: impl FnOnce() -> T) -> Result<T> {
        let own = self.averages.iter().map(|(_, var, _)| var.as_detached_tensor().copy()).collect::<Result<Vec<_>>>()?;
        let set = |to: &mut dyn Iterator<Item = &Tensor>| -> Result<()> {
            self.averages.iter().zip(to).try_for_each(|((_, var, _), value)| var.set(value))
        };
        let done = set(&mut self.averages.iter().map(|(_, _, average)| average)).map(|()| evaluate());
        set(&mut own.iter())?;
        done
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::seed::Seed;
    use candle_core::{DType, Device};
    use candle_nn::Init;

    #[test]
    fn buffers_are_not_averaged_and_what_does_not_change_stays() -> Result<()> {
        let vars = Vars::new(Seed::new(0), DType::F64, &Device::Cpu);
        for name in ["weight", "still", "running_mean"] {
            vars.builder().get_with_hints(1, name, Init::Const(0.1))?;
        }
        let value = |at: usize| vars.all()[at].1.to_vec1::<f64>().map(|values| values[0]);
        let mut average = WeightAverage::new(0.9, &vars)?;
        for step in 1..=3 {
            for at in [0, 2] {
                vars.all()[at].1.set(&Tensor::new(&[f64::from(step)], &Device::Cpu)?)?;
            }
            average.update()?;
        }
        let want = ((0.1 * 0.9 + 0.1) * 0.9 + 0.2) * 0.9 + 0.3;
        let [weight, still, mean] = average.with(|| [value(0), value(1), value(2)])?;
        assert!((weight? - want).abs() < 1e-15);
        assert_eq!((still?, mean?, value(0)?, average.values().count()), (0.1, 3., 3., 2));
        Ok(())
    }
}
