//! Evaluation of a network on one test set: confusion matrix, calibration, ranks, predictions.
//!
//! A data set of only some of the network's classes ([`Dataset::class_subset`]) is scored over these alone, as ImageNet-R is
//! published; how it would be with all classes to choose from is told beside.

use crate::ahead::read_ahead;
use crate::calibration::{Calibration, LabelError};
use crate::confusion::{Confusion, ConfusionError};
use crate::data::{DataError, Dataset};
use crate::predict::{argmax, probabilities_among, scores};
use crate::rank::{Ranks, rank};
use crate::temperature::Scored;
use candle_core::Tensor;
use rand::seq::SliceRandom;
use sncn_core::loss::softmax;
use sncn_core::{Network, Pass, Seed};

/// The measurements of a network on a test set.
#[derive(Clone, Debug)]
pub struct Evaluation {
    /// The confusion matrix.
    pub confusion: Confusion,
    /// The calibration of the predictions.
    pub calibration: Calibration,
    /// The predicted class of every example.
    pub predictions: Vec<u32>,
    /// Where the label of every example stands among the classes that can be answered.
    pub ranks: Ranks,
    /// Where it stands among all classes of the network, if the data set has only some of them. All else is over these alone.
    pub all_classes: Option<Ranks>,
    /// The calibration of the predictions with all scores divided by the temperature that was asked for.
    pub scaled: Option<Calibration>,
    /// The scores of every example over the classes that can be answered, where they were asked for.
    pub scored: Option<Vec<Scored>>,
    /// How many batches of more than one example had examples of one class only.
    pub uniform: usize,
}

/// How the examples of a test set are read, and what is found out.
#[derive(Clone, Copy, Debug, Default)]
pub struct Reading {
    /// Examples of a batch where the numbers depend on it; absent: as many as suit the task.
    pub batch_size: Option<usize>,
    /// The stream that shuffles the examples; absent: their own order.
    pub order: Option<Seed>,
    /// What is found out besides.
    pub extra: Extra,
}

impl Reading {
    /// The indices of the batches of so many examples, `usual` in each where any number will do.
    pub fn batches(&self, examples: usize, usual: usize) -> Vec<Vec<usize>> {
        let mut indices: Vec<usize> = (0..examples).collect();
        self.order.iter().for_each(|seed| indices.shuffle(&mut seed.rng()));
        indices.chunks(self.batch_size.unwrap_or(usual).max(1)).map(<[usize]>::to_vec).collect()
    }
}

/// What an evaluation finds out besides, for temperature scaling.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum Extra {
    /// Nothing.
    #[default]
    Nothing,
    /// The scores of every example, on which a temperature can be fitted.
    Scores,
    /// The calibration with scores divided by this temperature.
    Temperature(f64),
}

/// Why an evaluation failed.
#[derive(Debug, thiserror::Error)]
pub enum EvaluateError {
    /// A batch could not be read.
    #[error(transparent)]
    Data(#[from] DataError),
    /// The network failed.
    #[error(transparent)]
    Tensor(#[from] candle_core::Error),
    /// A label is not a class.
    #[error(transparent)]
    Confusion(#[from] ConfusionError),
    /// A label is not one of the network's classes.
    #[error(transparent)]
    Label(#[from] LabelError),
    /// The classes that a data set has are not classes of the network, or a label is not among them.
    #[error("a data set of {listed} of {classes} classes: {what}")]
    Subset {
        /// The number of classes that the data set lists.
        listed: usize,
        /// The number of classes of the network.
        classes: usize,
        /// What does not fit, and what is accepted.
        what: String,
    },
}

/// Checks the classes that a data set has; those that can be answered, and whether each of the network's is among them.
fn check_subset(subset: Option<&[usize]>, classes: usize) -> Result<Vec<bool>, EvaluateError> {
    let Some(subset) = subset else { return Ok(vec![true; classes]) };
    let fails = |what: String| Err(EvaluateError::Subset { listed: subset.len(), classes, what });
    let mut listed = vec![false; classes];
    for &class in subset {
        match listed.get_mut(class) {
            None => return fails(format!("{class} is none; 0 to {} is accepted", classes.saturating_sub(1))),
            Some(true) => return fails(format!("{class} is listed twice")),
            Some(known) => *known = true,
        }
    }
    if subset.is_empty() { fails("at least one is wanted".to_string()) } else { Ok(listed) }
}

/// Evaluates `network` on `data` in batches with the given evaluation pass; `observe` is called after each batch with its number
/// of examples.
///
/// # Errors
/// If a batch cannot be read, the network fails, or a label is not a class.
pub fn evaluate(
    network: &dyn Network,
    data: &dyn Dataset,
    classes: usize,
    batch_size: usize,
    pass: &Pass,
    observe: impl FnMut(usize),
) -> Result<Evaluation, EvaluateError> {
    evaluate_with(network, data, classes, pass, &Reading { batch_size: Some(batch_size), ..Reading::default() }, observe)
}

/// As [`evaluate`], with examples read in this way; 100 in a batch where it does not say.
///
/// # Errors
/// As [`evaluate`].
pub fn evaluate_with(
    network: &dyn Network,
    data: &dyn Dataset,
    classes: usize,
    pass: &Pass,
    reading: &Reading,
    mut observe: impl FnMut(usize),
) -> Result<Evaluation, EvaluateError> {
    let subset = data.class_subset();
    let (listed, extra) = (check_subset(subset, classes)?, reading.extra);
    let pass = pass.clone().keeping_weights();
    let mut result = Evaluation {
        confusion: Confusion::new(classes),
        calibration: Calibration::default(),
        predictions: Vec::new(),
        ranks: Ranks::new(subset.map_or(classes, <[usize]>::len)),
        all_classes: subset.map(|_| Ranks::new(classes)),
        scaled: matches!(extra, Extra::Temperature(_)).then(Calibration::default),
        scored: (extra == Extra::Scores).then(Vec::new),
        uniform: 0,
    };
    let orders = reading.batches(data.len(), 100).into_iter().map(|indices| (indices, None));
    read_ahead(data, orders, |batches| {
        for batch in batches {
            let batch = batch?;
            let scores = scores(network, &batch.inputs, &batch.pass(pass.clone()))?;
            result.add(&scores, &batch.labels, subset, &listed)?;
            result.uniform += usize::from(batch.labels.len() > 1 && batch.labels.iter().all(|label| *label == batch.labels[0]));
            result.add_extra(&scores, &batch.labels, subset, extra)?;
            observe(batch.labels.len());
        }
        Ok(result)
    })
}

impl Evaluation {
    /// Adds the scores (N, classes) of N examples with their labels.
    fn add(&mut self, scores: &Tensor, labels: &[u32], subset: Option<&[usize]>, listed: &[bool]) -> Result<(), EvaluateError> {
        let rows = match subset {
            Some(subset) => probabilities_among(scores, subset)?,
            None => softmax(scores)?.to_vec2::<f64>()?,
        };
        let predictions: Vec<u32> = rows.iter().map(|row| argmax(row) as u32).collect();
        self.confusion.add(labels, &predictions)?;
        for ((row, scores), &label) in rows.iter().zip(scores.to_vec2::<f64>()?).zip(labels) {
            let label = label as usize;
            if listed.get(label) == Some(&false) {
                let what = format!("it has an example of class {label}, which is not among them");
                return Err(EvaluateError::Subset { listed: self.ranks.classes(), classes: listed.len(), what });
            }
            self.calibration.add(row, label)?;
            self.ranks.add(rank(&scores, label, subset));
            if let Some(ranks) = &mut self.all_classes {
                ranks.add(rank(&scores, label, None));
            }
        }
        self.predictions.extend(predictions);
        Ok(())
    }

    /// Adds what was asked for besides; labels have been checked.
    fn add_extra(
        &mut self,
        scores: &Tensor,
        labels: &[u32],
        subset: Option<&[usize]>,
        extra: Extra,
    ) -> Result<(), EvaluateError> {
        if let (Extra::Temperature(temperature), Some(scaled)) = (extra, &mut self.scaled) {
            let scores = scores.affine(temperature.recip(), 0.)?;
            let rows = match subset {
                Some(subset) => probabilities_among(&scores, subset)?,
                None => softmax(&scores)?.to_vec2::<f64>()?,
            };
            for (row, &label) in rows.iter().zip(labels) {
                scaled.add(row, label as usize)?;
            }
        }
        if let Some(scored) = &mut self.scored {
            for (row, &label) in scores.to_vec2::<f64>()?.into_iter().zip(labels) {
                let label = label as usize;
                scored.push(match subset {
                    None => (row, label),
                    Some(subset) => {
                        let at = subset.iter().position(|&class| class == label).unwrap_or(usize::MAX);
                        (subset.iter().map(|&class| row[class]).collect(), at)
                    }
                });
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::Batch;
    use candle_core::Device;

    /// Scores that are the inputs.
    struct Identity;

    impl Network for Identity {
        fn forward(&self, xs: &Tensor, _: &Pass) -> candle_core::Result<Tensor> {
            Ok(xs.clone())
        }

        fn sites(&self) -> usize {
            0
        }
    }

    /// Examples of seven classes, of which the data set may have only some.
    struct Given {
        scores: Vec<[f32; 7]>,
        labels: Vec<u32>,
        subset: Option<Vec<usize>>,
    }

    impl Dataset for Given {
        fn len(&self) -> usize {
            self.labels.len()
        }

        fn batch(&self, indices: &[usize], _: Option<Seed>) -> Result<Batch, DataError> {
            let rows: Vec<f32> = indices.iter().flat_map(|&index| self.scores[index]).collect();
            let labels = indices.iter().map(|&index| self.labels[index]).collect();
            Ok(Batch::new(Tensor::from_vec(rows, (indices.len(), 7), &Device::Cpu)?, labels))
        }

        fn class_subset(&self) -> Option<&[usize]> {
            self.subset.as_deref()
        }
    }

    /// Labels 2, 2 and 6; class 0 has the highest score throughout.
    fn given(subset: Option<Vec<usize>>) -> Given {
        let scores = vec![[9., 5., 4., 3., 2., 1., 0.], [9., 8., 2., 7., 6., 5., 4.], [9., 0., 0., 0., 3., 0., 2.]];
        Given { scores, labels: vec![2, 2, 6], subset }
    }

    fn measure(data: &Given) -> Result<Evaluation, EvaluateError> {
        evaluate(&Identity, data, 7, 2, &Pass::eval(), |_| ())
    }

    #[test]
    fn a_set_of_some_classes_is_scored_over_these_and_over_all() -> Result<(), EvaluateError> {
        let all = measure(&given(None))?;
        assert_eq!((all.confusion.error(), all.ranks.error(1), all.ranks.error(5)), (1., 1., 1. / 3.));
        assert_eq!((all.all_classes, all.predictions, all.uniform), (None, vec![0, 0, 0], 1));
        let some = measure(&given(Some(vec![6, 2, 4])))?;
        assert_eq!(some.predictions, [2, 4, 4]);
        let errors = [some.confusion.error(), some.ranks.error(1), some.ranks.error(2)];
        assert!(errors.iter().zip([2. / 3., 2. / 3., 1. / 3.]).all(|(got, want)| (got - want).abs() < 1e-15), "{errors:?}");
        assert_eq!(some.all_classes, Some(all.ranks));
        assert!(some.calibration.nll() < all.calibration.nll());
        Ok(())
    }

    #[test]
    fn batches_cover_a_set_in_its_own_order_or_shuffled() {
        let own = Reading::default();
        assert_eq!(own.batches(5, 2), [vec![0, 1], vec![2, 3], vec![4]]);
        let shuffled = Reading { batch_size: Some(3), order: Some(Seed::new(0)), ..own };
        let batches = shuffled.batches(50, 2);
        assert_eq!((batches.len(), &batches), (17, &shuffled.batches(50, 2)));
        let mut all = batches.concat();
        assert_ne!(all, (0..50).collect::<Vec<_>>());
        all.sort_unstable();
        assert_eq!(all, (0..50).collect::<Vec<_>>());
    }

    #[test]
    fn subsets_that_do_not_fit_are_refused() {
        let refused = |subset: &[usize]| measure(&given(Some(subset.to_vec()))).unwrap_err().to_string();
        assert_eq!(refused(&[2, 7]), "a data set of 2 of 7 classes: 7 is none; 0 to 6 is accepted");
        assert!(refused(&[2, 6, 2]).contains("2 is listed twice") && refused(&[]).contains("at least one is wanted"));
        assert!(refused(&[2, 3]).contains("an example of class 6, which is not among them"));
    }
}
