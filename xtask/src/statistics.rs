//! `Estimate`: a mean over seeds with its standard error, s / √n with s over n − 1.

use std::fmt;

/// A mean over seeds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Estimate {
    /// The mean.
    pub(crate) mean: f64,
    /// Its standard error; one seed has none.
    pub(crate) error: Option<f64>,
}

impl Estimate {
    /// Of these values; none where there are none.
    pub(crate) fn of(values: &[f64]) -> Option<Self> {
        let n = values.len() as f64;
        let mean = values.iter().sum::<f64>() / n;
        let variance = values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / (n - 1.);
        (!values.is_empty()).then(|| Self { mean, error: (values.len() > 1).then(|| (variance / n).sqrt()) })
    }

    /// Whether it lies below zero by more than two standard errors, above it, or neither; unknown with one seed.
    pub(crate) fn verdict(&self) -> Verdict {
        match self.error {
            None => Verdict::OneSeed,
            Some(error) if self.mean < -2. * error => Verdict::Below,
            Some(error) if self.mean > 2. * error => Verdict::Above,
            Some(_) => Verdict::Within,
        }
    }

    /// With a sign, as a difference is written.
    pub(crate) fn signed(&self) -> String {
        match self.error {
            Some(error) => format!("{:+.2} ± {error:.2}", self.mean),
            None => format!("{:+.2}", self.mean),
        }
    }
}

impl fmt::Display for Estimate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = f.precision().unwrap_or(2);
        match self.error {
            Some(error) => write!(f, "{:.digits$} ± {error:.digits$}", self.mean),
            None => write!(f, "{:.digits$}", self.mean),
        }
    }
}

/// A difference against two of its standard errors.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Verdict {
    /// Below zero by more.
    Below,
    /// Above zero by more.
    Above,
    /// Neither.
    Within,
    /// One seed has no standard error.
    OneSeed,
}

/// The chance that a difference of mean zero lies more than two standard errors from it, in percent, by Student's t
/// with `seeds` − 1 degrees of freedom.
pub(crate) fn chance(seeds: usize) -> Option<f64> {
    const PERCENT: [f64; 9] = [29.5, 18.4, 13.9, 11.6, 10.2, 9.2, 8.6, 8.1, 7.7];
    seeds.checked_sub(2).map(|index| PERCENT.get(index).copied().unwrap_or(7.))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mean_and_standard_error() {
        let found = Estimate::of(&[1., 2., 3.]).unwrap();
        assert!((found.mean - 2.).abs() < 1e-12 && (found.error.unwrap() - 1. / 3f64.sqrt()).abs() < 1e-12);
        assert_eq!(found.to_string(), "2.00 ± 0.58");
        assert_eq!(format!("{found:.1} {:.0}", Estimate::of(&[2.]).unwrap()), "2.0 ± 0.6 2");
        assert_eq!(Estimate::of(&[]), None);
    }

    #[test]
    fn two_standard_errors_decide() {
        let verdict = |values: &[f64]| Estimate::of(values).unwrap().verdict();
        assert_eq!(verdict(&[-1., -2., -3.]), Verdict::Below);
        assert_eq!(verdict(&[1., 2., 3.]), Verdict::Above);
        assert_eq!(verdict(&[-1., 0., 3.]), Verdict::Within);
        assert_eq!(verdict(&[-1.]), Verdict::OneSeed);
    }
}
