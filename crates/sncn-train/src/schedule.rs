//! Learning-rate schedules.

use serde::{Deserialize, Serialize};
use std::f64::consts::PI;

/// A learning-rate schedule.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum ScheduleConfig {
    /// The base rate throughout.
    Constant {},
    /// lr·(f + (1 − f)·½(1 + cos(πk/total))), f = floor/lr, at every update k from 0.
    Cosine {
        /// The final rate.
        floor: f64,
    },
    /// The base rate times 0.1 from one third of the epochs on, times 0.01 from two thirds on.
    Step {},
    /// lr·(1 − k/total)^power.
    Polynomial {
        /// The exponent, 0.9 in segmentation.
        power: f64,
    },
    /// lr·cos(7πk/(16·total)), as in FixMatch (Sohn et al. 2020).
    FixmatchCosine {},
    /// Linear increase to the base rate during warm-up, then linear decrease to 0 (Devlin et al. 2019).
    WarmupLinear {
        /// The fraction of the updates that are warm-up, 0.1 in fine-tuning.
        warmup: f64,
    },
}

impl ScheduleConfig {
    /// The learning rate of update `step` (from 0) of `total`, with base rate `base`.
    pub fn lr_at(&self, step: usize, total: usize, steps_per_epoch: usize, base: f64) -> f64 {
        let share = step as f64 / total.max(1) as f64;
        match self {
            Self::Constant {} => base,
            Self::Cosine { floor } => {
                let low = floor / base;
                base * (low + (1. - low) * 0.5 * (1. + (PI * share).cos()))
            }
            Self::Step {} => {
                let third = (total / steps_per_epoch.max(1) / 3).max(1);
                base * [1., 0.1, 0.01][(step / steps_per_epoch.max(1) / third).min(2)]
            }
            Self::Polynomial { power } => base * (1. - share).powf(*power),
            Self::FixmatchCosine {} => base * (7. * PI * share / 16.).cos(),
            Self::WarmupLinear { warmup } => {
                let (steps, total) = ((warmup * total as f64).ceil(), total as f64);
                let step = step as f64;
                base * if step < steps { (step + 1.) / steps } else { (total - step) / (total - steps).max(1.) }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_warms_up_and_goes_down_in_straight_lines() {
        let rates =
            |warmup: f64| -> Vec<f64> { (0..10).map(|k| ScheduleConfig::WarmupLinear { warmup }.lr_at(k, 10, 5, 2.)).collect() };
        let want = [1., 2., 2., 1.75, 1.5, 1.25, 1., 0.75, 0.5, 0.25];
        assert!(rates(0.2).iter().zip(want).all(|(rate, want)| (rate - want).abs() < 1e-12), "{:?}", rates(0.2));
        assert_eq!((rates(0.)[0], rates(0.)[9]), (2., 0.2));
        assert!(rates(1.).iter().all(|rate| rate.is_finite() && *rate > 0.));
    }
}
