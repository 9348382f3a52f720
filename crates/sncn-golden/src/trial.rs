//! Comparison of a case with its golden values in double and in single precision.

use crate::case::Case;
use crate::rule::u;
use anyhow::{Context, Result, ensure};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::ops::Deref;

/// The error of each result that exceeds its bound, as a multiple of the bound.
type Misses = BTreeMap<String, f64>;

/// One run of a case in one precision; all comparisons are collected, the first miss does not end it.
pub struct Trial<'a> {
    case: &'a Case<'a>,
    double: bool,
    /// The stream of random perturbations of the values, and their size in units in the last place of f32.
    moved: Option<(u64, f64)>,
    misses: RefCell<Misses>,
}

impl<'a> Deref for Trial<'a> {
    type Target = Case<'a>;

    fn deref(&self) -> &Case<'a> {
        self.case
    }
}

impl<'a> Trial<'a> {
    fn misses(case: &'a Case<'a>, double: bool, moved: Option<(u64, f64)>, run: impl Fn(&Self) -> Result<()>) -> Result<Misses> {
        let trial = Self { case, double, moved, misses: RefCell::default() };
        run(&trial).with_context(|| format!("{} in {}", case.id, if double { "f64" } else { "f32" }))?;
        Ok(trial.misses.into_inner())
    }

    /// Whether it runs in double precision.
    pub fn is_double(&self) -> bool {
        self.double
    }

    /// The first argument in double precision, the second in single precision.
    pub fn bound(&self, double: f64, single: f64) -> f64 {
        if self.double && self.moved.is_none() { double } else { single }
    }

    /// Records the error of a result and its bound.
    pub fn error(&self, name: &str, error: f64, bound: f64) {
        let mut misses = self.misses.borrow_mut();
        let worst = misses.entry(name.to_string()).or_default();
        *worst = if error.is_finite() { worst.max(error / bound) } else { f64::INFINITY };
    }

    /// The values of the tensor of this name in this run, exact or perturbed.
    pub fn values(&self, name: &str, exact: &[f32]) -> Vec<f64> {
        let exact = exact.iter().map(|&v| f64::from(v));
        let Some((stream, units)) = self.moved else { return exact.collect() };
        let stream = format!("{stream}/{name}");
        let factor = |i: usize| 1. + units * u(&stream, i as u64) * f64::from(f32::EPSILON);
        exact.enumerate().map(|(i, v)| v * factor(i)).collect()
    }
}

/// The perturbations that may explain a result in single precision beyond its bound.
pub struct Rounding {
    /// The size of the perturbations in units in the last place of f32.
    pub units: f64,
    /// The number of runs on perturbed values.
    pub trials: u64,
    /// The largest accepted ratio of the error to that of one of these runs.
    pub times: f64,
}

/// Runs a case on exact values in double precision (if `double`) and in single precision. In double precision all results must be
/// within their bounds. In single precision a result may exceed its bound if inputs perturbed in their last digits give a similar
/// error in double precision.
///
/// # Errors
/// If a run fails or a result has a larger error.
pub fn holds(case: &Case, double: bool, rounding: &Rounding, run: impl Fn(&Trial) -> Result<()>) -> Result<()> {
    let told = |precision: &str, misses: Misses| {
        ensure!(misses.is_empty(), "{} in {precision}: errors as multiples of their bounds: {misses:?}", case.id);
        Ok(())
    };
    let beyond = |double| -> Result<Misses> {
        let mut misses = Trial::misses(case, double, None, &run)?;
        misses.retain(|_, miss| *miss > 1.);
        Ok(misses)
    };
    if double {
        told("f64", beyond(true)?)?;
    }
    let mut misses = beyond(false)?;
    for stream in 0..rounding.trials {
        if misses.is_empty() {
            break;
        }
        let explained = Trial::misses(case, true, Some((stream, rounding.units)), &run)?;
        misses.retain(|name, miss| miss.is_infinite() || *miss > rounding.times * explained[name]);
    }
    told("f32", misses)
}

/// The largest |got − want| over the largest |want|.
pub fn relative_error(got: &[f32], want: &[f32]) -> f64 {
    assert_eq!(got.len(), want.len(), "lengths differ");
    let scale = want.iter().fold(0f64, |m, &v| m.max(f64::from(v).abs()));
    let worst = got.iter().zip(want).fold(0f64, |m, (&g, &w)| {
        let difference = (f64::from(g) - f64::from(w)).abs();
        if difference.is_nan() { f64::INFINITY } else { m.max(difference) }
    });
    if worst == 0.0 { 0.0 } else { worst / scale.max(f64::MIN_POSITIVE) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Index;
    use std::cell::Cell;

    const ROUNDING: Rounding = Rounding { units: 1., trials: 4, times: 2. };

    #[test]
    fn golden_values_hold_and_only_rounding_explains_what_is_off() {
        let index = Index::load("layers").unwrap();
        let cases = index.cases().unwrap();
        let case = cases.iter().find(|case| case.has("x")).unwrap();
        let want = case.f32("x").unwrap().data;
        let holds = |of_double: f32, of_single: f32| {
            holds(case, true, &ROUNDING, |trial| {
                let factor = if trial.is_double() { of_double } else { of_single };
                let got: Vec<f32> = trial.values("x", &want).iter().map(|&v| v as f32 * factor).collect();
                trial.error("x", relative_error(&got, &want), trial.bound(0., 1e-9));
                Ok(())
            })
        };
        holds(1., 1. + f32::EPSILON).unwrap();
        assert!(holds(1., 1.001).unwrap_err().to_string().contains("f32"));
        assert!(holds(1., f32::NAN).unwrap_err().to_string().contains("inf"));
        assert!(holds(1.001, 1.).unwrap_err().to_string().contains("f64"));
    }

    #[test]
    fn moved_values_are_asked_for_only_where_a_result_is_off() {
        let index = Index::load("layers").unwrap();
        let runs = Cell::new(0);
        holds(&index.cases().unwrap()[0], true, &ROUNDING, |trial| {
            runs.set(runs.get() + 1);
            trial.error("x", 1., 1.);
            Ok(())
        })
        .unwrap();
        assert_eq!(runs.get(), 2);
    }
}
