//! Temperature scaling (Guo et al. 2017, arXiv 1706.04599, section 4.2): scores are divided by one number T > 0, which makes the
//! likelihood of held-out examples largest. What is answered stays the same; the confidence changes.

/// Scores of an example, and the index of its label among them.
pub type Scored = (Vec<f64>, usize);

/// A temperature that was fitted.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Fitted {
    /// T.
    pub temperature: f64,
    /// The mean negative log-likelihood at T = 1.
    pub before: f64,
    /// That at T.
    pub after: f64,
}

/// Why no temperature was fitted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TemperatureError {
    /// No examples.
    #[error("there is no example to fit a temperature on")]
    Empty,
    /// A score is not finite, or a label is not among the scores.
    #[error("example {0}: its scores are not finite, or its label is not among them")]
    Example(usize),
    /// The likelihood grows without end as T goes to 0.
    #[error(
        "all {0} examples have the highest score at their labels, so that no temperature above 0 is best: fit on more or harder ones"
    )]
    AllRight(usize),
    /// The likelihood grows without end with T.
    #[error(
        "no temperature makes the {0} examples likelier than even odds: their labels have lower scores than the other classes on average"
    )]
    Worthless(usize),
}

/// The mean negative log-likelihood of the labels, given scores times `inverse`, with its first and second derivative by `inverse`.
fn likelihood(examples: &[Scored], inverse: f64) -> [f64; 3] {
    let mut sums = [0.; 3];
    for (scores, label) in examples {
        let most = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let (mut total, mut first, mut second) = (0., 0., 0.);
        for score in scores {
            let relative = score - most;
            let weight = (inverse * relative).exp();
            total += weight;
            first += weight * relative;
            second += weight * relative * relative;
        }
        let (mean, labelled) = (first / total, scores[*label] - most);
        sums[0] += total.ln() - inverse * labelled;
        sums[1] += mean - labelled;
        sums[2] += second / total - mean * mean;
    }
    sums.map(|sum| sum / examples.len() as f64)
}

/// The temperature T > 0 that makes the mean negative log-likelihood of the labels smallest, exactly: by Newton's method on 1/T, in which it
/// is convex, kept between bounds that are halved where a step would leave them.
///
/// # Errors
/// If there is no example, a score is not finite, or no temperature is best.
pub fn fit(examples: &[Scored]) -> Result<Fitted, TemperatureError> {
    let count = examples.len();
    if count == 0 {
        return Err(TemperatureError::Empty);
    }
    let fits = |(scores, label): &Scored| *label < scores.len() && scores.iter().all(|score| score.is_finite());
    if let Some(at) = examples.iter().position(|example| !fits(example)) {
        return Err(TemperatureError::Example(at));
    }
    let is_right = |(scores, label): &Scored| scores.iter().all(|score| *score <= scores[*label]);
    if examples.iter().all(is_right) {
        return Err(TemperatureError::AllRight(count));
    }
    let slope = |inverse: f64| likelihood(examples, inverse)[1];
    if slope(0.) >= 0. {
        return Err(TemperatureError::Worthless(count));
    }
    let (mut low, mut high) = (0., 1.);
    // the slope ends above 0, since an example is wrong
    while slope(high) < 0. && high < f64::MAX / 2. {
        (low, high) = (high, 2. * high);
    }
    let mut inverse = if low == 0. { 0.5 * high } else { low };
    for _ in 0..200 {
        let [_, first, second] = likelihood(examples, inverse);
        if first < 0. {
            low = inverse
        } else {
            high = inverse
        }
        let step = inverse - first / second;
        let next = if step > low && step < high { step } else { 0.5 * (low + high) };
        let moved = (next - inverse).abs();
        inverse = next;
        if moved <= 1e-15 * inverse {
            break;
        }
    }
    Ok(Fitted { temperature: inverse.recip(), before: likelihood(examples, 1.)[0], after: likelihood(examples, inverse)[0] })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_best_temperature_is_found_however_far_it_is() {
        // of two classes with scores ±s/2, a fraction p right: p = σ(s/T)
        for (gap, right, of) in [(10., 3, 4), (0.01, 3, 4), (1., 501, 1000), (4., 999, 1000)] {
            let examples: Vec<Scored> = (0..of).map(|at| (vec![gap / 2., -gap / 2.], usize::from(at >= right))).collect();
            let odds = f64::from(right) / f64::from(of - right);
            let fitted = fit(&examples).unwrap();
            let want = gap / odds.ln();
            assert!((fitted.temperature / want - 1.).abs() < 1e-9, "{}: {want}", fitted.temperature);
            assert!(fitted.after <= fitted.before);
        }
    }

    #[test]
    fn sets_without_a_best_temperature_are_refused() {
        assert_eq!(fit(&[]), Err(TemperatureError::Empty));
        assert_eq!(fit(&[(vec![1., 0.], 0), (vec![2., 3.], 1)]), Err(TemperatureError::AllRight(2)));
        assert_eq!(fit(&[(vec![1., 0.], 1)]), Err(TemperatureError::Worthless(1)));
        assert_eq!(fit(&[(vec![1., f64::NAN], 1)]), Err(TemperatureError::Example(0)));
        assert_eq!(fit(&[(vec![1., 0.], 2)]), Err(TemperatureError::Example(0)));
    }
}
