//! What layers that mix instances draw: partners, and fractions of the instances' own statistics.

use crate::pass::Pass;
use crate::rule::{Affine, Instances};
use candle_core::{Result, bail};
use rand::Rng;
use rand::seq::SliceRandom;
use rand_distr::{Beta, Distribution};

/// A random permutation of `count` instances or channels.
pub(super) fn permutation(count: usize, rng: &mut impl Rng) -> Vec<usize> {
    let mut order: Vec<usize> = (0..count).collect();
    order.shuffle(rng);
    order
}

/// The numbers of the instances that mix in a pass over `count` of them.
///
/// # Errors
/// Where the pass says which instances mix, and of another number of them.
pub(super) fn mixing(layer: &str, pass: &Pass, count: usize) -> Result<Vec<usize>> {
    match pass.mixing_instances() {
        None => Ok((0..count).collect()),
        Some(mixing) if mixing.len() == count => Ok((0..count).filter(|&n| mixing[n]).collect()),
        Some(mixing) => bail!("{layer}: the pass says of {} instances whether they mix, the batch has {count}", mixing.len()),
    }
}

/// A value for each of `count` instances: `own` for those that mix, `usual(n)` for the others.
pub(super) fn spread<T: Copy>(mixing: &[usize], own: &[T], count: usize, usual: impl Fn(usize) -> T) -> Vec<T> {
    let mut all: Vec<T> = (0..count).map(usual).collect();
    mixing.iter().zip(own).for_each(|(&n, &value)| all[n] = value);
    all
}

/// The partners of all `count` instances, where those that mix drew theirs among themselves; the others have themselves.
pub(super) fn spread_partners(mixing: &[usize], drawn: &[usize], count: usize) -> Vec<usize> {
    let theirs: Vec<usize> = drawn.iter().map(|&k| mixing[k]).collect();
    spread(mixing, &theirs, count, |n| n)
}

/// What a layer's draw makes of a map in this pass: the instances that do not mix stay as they are.
pub(super) fn for_mixing(affine: Affine, map: &Instances<'_>, pass: &Pass) -> Result<Option<Affine>> {
    match pass.mixing_instances() {
        Some(mixing) => affine.only(map, mixing).map(Some),
        None => Ok(Some(affine)),
    }
}

/// Checks α of λ ~ Beta(α, α), and returns the distribution.
pub(super) fn beta(layer: &str, alpha: f64) -> Result<Beta<f64>> {
    match Beta::new(alpha, alpha) {
        Ok(beta) if alpha.is_finite() => Ok(beta),
        _ => bail!("layer {layer}: alpha is {alpha}; a positive number is accepted"),
    }
}

/// λ ~ Beta(α, α) for every instance.
pub(super) fn fractions(layer: &str, alpha: f64, instances: usize, rng: &mut impl Rng) -> Result<Vec<f64>> {
    let beta = beta(layer, alpha)?;
    Ok((0..instances).map(|_| beta.sample(rng)).collect())
}

/// Checks that every one of `n` instances has a partner among them, and a λ where there are any.
pub(super) fn check(layer: &str, partner: &[usize], lambda: Option<&[f64]>, n: usize) -> Result<()> {
    if partner.len() != n || lambda.is_some_and(|lambda| lambda.len() != n) || partner.iter().any(|&i| i >= n) {
        let lambdas = lambda.map_or_else(String::new, |lambda| format!(" and {} values of λ", lambda.len()));
        bail!("{layer}: {} partners{lambdas} are no choice for {n} instances", partner.len())
    }
    Ok(())
}

/// Checks the probability with which a site acts where the pass activates it.
pub(super) fn check_probability(layer: &str, probability: f64) -> Result<()> {
    match probability > 0. && probability <= 1. {
        true => Ok(()),
        false => bail!("layer {layer}: probability is {probability}; more than 0 and at most 1 is accepted"),
    }
}
