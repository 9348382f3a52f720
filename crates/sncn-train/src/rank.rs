//! `Ranks`: how far up a network's scores the right class stands, from which top-k errors are computed.

/// The number of classes with a higher score than the label's, among all classes or among those listed. Of equal scores the first
/// counts as higher, so that the rank is 0 exactly where the label is the [`argmax`](crate::predict::argmax). A label whose score
/// is not a number is behind all others.
pub fn rank(scores: &[f64], label: usize, among: Option<&[usize]>) -> usize {
    let own = scores.get(label).copied().unwrap_or(f64::NAN);
    let above = |class: usize| class != label && (own.is_nan() || scores[class] > own || (scores[class] == own && class < label));
    match among {
        Some(classes) => classes.iter().filter(|&&class| class < scores.len() && above(class)).count(),
        None => (0..scores.len()).filter(|&class| above(class)).count(),
    }
}

/// The ranks of the labels of all items that were added.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ranks {
    counts: Vec<u64>,
}

impl Ranks {
    /// Without items; `classes` is the number of classes that can be answered.
    pub fn new(classes: usize) -> Self {
        Self { counts: vec![0; classes.max(1)] }
    }

    /// The number of classes that can be answered.
    pub fn classes(&self) -> usize {
        self.counts.len()
    }

    /// Adds an item whose label has this rank, from 0.
    pub fn add(&mut self, rank: usize) {
        let last = self.counts.len() - 1;
        self.counts[rank.min(last)] += 1;
    }

    /// The fraction of items whose label is not among the `k` classes with the highest scores; 0 without items. With k classes or
    /// fewer it is 0 by definition.
    pub fn error(&self, k: usize) -> f64 {
        let wrong: u64 = self.counts.iter().skip(k).sum();
        wrong as f64 / (self.counts.iter().sum::<u64>() as f64).max(1.)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::predict::argmax;

    #[test]
    fn the_first_rank_is_the_argmax_also_of_equal_scores() {
        let scores = [0.5, 2., -1., 2., 0.5];
        for label in 0..scores.len() {
            assert_eq!(rank(&scores, label, None) == 0, label == argmax(&scores), "{label}");
        }
        let all: Vec<usize> = (0..5).map(|label| rank(&scores, label, None)).collect();
        assert_eq!(all, [2, 0, 4, 1, 3]);
        assert_eq!(rank(&[f64::NAN, 1., 2.], 0, None), 2);
    }

    #[test]
    fn classes_that_are_not_listed_do_not_count() {
        let scores = [5., 4., 3., 2., 1.];
        assert_eq!((rank(&scores, 4, Some(&[0, 2, 4])), rank(&scores, 2, Some(&[2, 4]))), (2, 0));
        let mut ranks = Ranks::new(3);
        [2, 0, 1, 0].into_iter().for_each(|rank| ranks.add(rank));
        assert_eq!([1, 2, 3, 5].map(|k| ranks.error(k)), [0.5, 0.25, 0., 0.]);
        assert_eq!(Ranks::new(3).error(1), 0.);
    }
}
