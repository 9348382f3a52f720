//! `Labelled`: a training set of which few examples keep their labels, and the batches of supervised and semi-supervised training on it.

use crate::data::{Batch, DataError, Dataset, ValueRange, epoch_batches};
use candle_core::Tensor;
use rand::seq::SliceRandom;
use sncn_core::Seed;

/// Chooses `count` examples to keep their labels, the same number of every class, in ascending order; all draws come from `seed`.
///
/// # Errors
/// If `count` is no multiple of the number of classes, or a class has too few examples; the error says what is accepted.
pub fn choose(labels: &[u32], classes: &[String], count: usize, seed: Seed) -> Result<Vec<usize>, String> {
    let each = count / classes.len().max(1);
    if each == 0 || each * classes.len() != count {
        return Err(format!("labels is {count}; a multiple of the {} classes is accepted", classes.len()));
    }
    let mut chosen = Vec::with_capacity(count);
    for (class, name) in classes.iter().enumerate() {
        let mut all: Vec<usize> = (0..labels.len()).filter(|&i| labels[i] as usize == class).collect();
        if all.len() < each {
            let most = classes.len()
                * (0..classes.len()).map(|c| labels.iter().filter(|&&l| l as usize == c).count()).min().unwrap_or(0);
            return Err(format!(
                "labels is {count}, {each} of every class; class {name:?} has {} examples: at most {most} is accepted",
                all.len()
            ));
        }
        all.shuffle(&mut seed.fold_in(class as u64).rng());
        chosen.extend(&all[..each]);
    }
    chosen.sort_unstable();
    Ok(chosen)
}

/// A training set of which some examples have a label that counts.
pub struct Labelled {
    all: Box<dyn Dataset>,
    /// The examples with a label.
    labelled: Vec<usize>,
    /// Examples without a label for each labelled one in a batch; 0 for supervised training.
    ratio: usize,
    /// Steps of an epoch, and labelled examples of a batch; `None` for epochs that meet every labelled example once.
    epoch: Option<(usize, usize)>,
}

impl Labelled {
    /// Supervised training on `labelled`, in epochs of `steps` batches if given: examples come again as often as that takes.
    pub fn supervised(all: Box<dyn Dataset>, labelled: Vec<usize>, batch_size: usize, steps: Option<usize>) -> Self {
        Self { all, labelled, ratio: 0, epoch: steps.map(|steps| (steps, batch_size)) }
    }

    /// Semi-supervised training: a batch has `batch_size` examples of `labelled`, and `ratio` times as many of all without their labels,
    /// those of `labelled` among them. The set must give two views of every example: weakly augmented, then strongly. By default an
    /// epoch meets all examples once.
    pub fn semi_supervised(
        all: Box<dyn Dataset>,
        labelled: Vec<usize>,
        (batch_size, ratio): (usize, usize),
        steps: Option<usize>,
    ) -> Self {
        let steps = steps.unwrap_or((all.len() / (batch_size * ratio).max(1)).max(1));
        Self { all, labelled, ratio, epoch: Some((steps, batch_size)) }
    }
}

/// Examples in random order, again and again in new orders.
struct Cycle<'a> {
    of: &'a [usize],
    seed: Seed,
    round: u64,
    left: Vec<usize>,
}

impl<'a> Cycle<'a> {
    fn new(of: &'a [usize], seed: Seed) -> Self {
        Self { of, seed, round: 0, left: Vec::new() }
    }
}

impl Iterator for Cycle<'_> {
    type Item = usize;

    fn next(&mut self) -> Option<usize> {
        if self.left.is_empty() {
            self.left = self.of.to_vec();
            self.left.shuffle(&mut self.seed.fold_in(self.round).rng());
            self.round += 1;
        }
        self.left.pop()
    }
}

impl Dataset for Labelled {
    /// The labelled examples of an epoch, however often each comes.
    fn len(&self) -> usize {
        self.epoch.map_or(self.labelled.len(), |(steps, batch_size)| steps * batch_size)
    }

    fn batch(&self, indices: &[usize], augment: Option<Seed>) -> Result<Batch, DataError> {
        let batch = self.all.batch(indices, augment)?;
        match self.ratio {
            0 => Ok(batch),
            ratio => without_labels(batch, indices.len() / (1 + ratio)).map_err(DataError::from),
        }
    }

    fn value_range(&self) -> Option<ValueRange> {
        self.all.value_range()
    }

    fn batches(&self, batch_size: usize, epoch: usize, seed: Seed) -> Vec<Vec<usize>> {
        let Some((steps, _)) = self.epoch else {
            let batches = epoch_batches(self.labelled.len(), batch_size, epoch, seed);
            return batches.into_iter().map(|batch| batch.into_iter().map(|at| self.labelled[at]).collect()).collect();
        };
        let stream = |name: &str| seed.named(name).fold_in(epoch as u64);
        let everything: Vec<usize> = (0..self.all.len()).collect();
        let (mut labelled, mut others) =
            (Cycle::new(&self.labelled, stream("order")), Cycle::new(&everything, stream("unlabelled")));
        let mut next = || {
            let with = labelled.by_ref().take(batch_size);
            with.chain(others.by_ref().take(batch_size * self.ratio)).collect()
        };
        (0..steps).map(|_| next()).collect()
    }
}

/// A batch of two views of every instance, of which the first `labelled` keep their labels: theirs are the weak views alone.
fn without_labels(batch: Batch, labelled: usize) -> candle_core::Result<Batch> {
    let Batch { inputs, lengths, mut labels, views, .. } = batch;
    if views != 2 || labelled > labels.len() {
        candle_core::bail!("{views} view(s) of {} examples: semi-supervised training takes two of each", labels.len())
    }
    let (first, second) = (labels.len(), labels.len() + labelled);
    // where the strong views of labelled instances begin and end: in rows, or in tokens of sequences
    let at = |instance: usize| lengths.as_ref().map_or(instance, |lengths| lengths[..instance].iter().sum());
    let (begin, end) = (at(first), at(second));
    let rest = inputs.narrow(0, end, inputs.dim(0)? - end)?;
    let inputs = Tensor::cat(&[inputs.narrow(0, 0, begin)?, rest], 0)?;
    let lengths = lengths.map(|lengths| lengths[..first].iter().chain(&lengths[second..]).copied().collect());
    let unlabelled = labels.split_off(labelled);
    Ok(Batch { inputs, lengths, labels, views, unlabelled })
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::{DType, Device};

    /// Example i has label i mod 3, and twice the input (i, view), or as a sequence of i mod 3 + 1 tokens.
    struct Numbers {
        count: usize,
        sequences: bool,
    }

    impl Dataset for Numbers {
        fn len(&self) -> usize {
            self.count
        }

        fn batch(&self, indices: &[usize], _: Option<Seed>) -> Result<Batch, DataError> {
            let labels = indices.iter().map(|&i| (i % 3) as u32).collect();
            let rows = (0..2).flat_map(|view| indices.iter().map(move |&i| (i, view)));
            if self.sequences {
                let ids: Vec<u32> = rows.clone().flat_map(|(i, view)| vec![(2 * i + view) as u32; i % 3 + 1]).collect();
                let (tokens, lengths) = (ids.len(), rows.map(|(i, _)| i % 3 + 1).collect());
                let inputs = Tensor::from_vec(ids, tokens, &Device::Cpu)?;
                return Ok(Batch { views: 2, lengths: Some(lengths), ..Batch::new(inputs, labels) });
            }
            let values: Vec<f64> = rows.map(|(i, view)| (2 * i + view) as f64).collect();
            let inputs = Tensor::from_vec(values, (2 * indices.len(), 1), &Device::Cpu)?;
            Ok(Batch { views: 2, ..Batch::new(inputs, labels) })
        }
    }

    fn numbers(count: usize) -> Box<dyn Dataset> {
        Box::new(Numbers { count, sequences: false })
    }

    fn names(count: usize) -> Vec<String> {
        (0..count).map(|class| format!("class {class}")).collect()
    }

    #[test]
    fn every_class_keeps_as_many_labels() {
        let labels: Vec<u32> = (0..100).map(|i| i % 7 % 3).collect();
        let chosen = choose(&labels, &names(3), 12, Seed::new(1)).unwrap();
        assert!(chosen.windows(2).all(|pair| pair[0] < pair[1]));
        assert!((0..3).all(|class| chosen.iter().filter(|&&i| labels[i] == class).count() == 4));
        assert_eq!(chosen, choose(&labels, &names(3), 12, Seed::new(1)).unwrap());
        assert_ne!(chosen, choose(&labels, &names(3), 12, Seed::new(2)).unwrap());
        let told = |count: usize, classes: usize| choose(&labels, &names(classes), count, Seed::new(1)).unwrap_err();
        assert_eq!(told(13, 3), "labels is 13; a multiple of the 3 classes is accepted");
        assert_eq!(told(0, 3), "labels is 0; a multiple of the 3 classes is accepted");
        assert_eq!(told(4, 4), "labels is 4, 1 of every class; class \"class 3\" has 0 examples: at most 0 is accepted");
        assert!(told(90, 3).ends_with("class \"class 1\" has 29 examples: at most 84 is accepted"), "{}", told(90, 3));
    }

    #[test]
    fn labelled_and_other_examples_come_as_often_as_an_epoch_takes() {
        let labelled = vec![3, 10, 11];
        let semi = Labelled::semi_supervised(numbers(20), labelled.clone(), (2, 3), Some(9));
        assert_eq!(semi.len() / 2, 9);
        let batches = semi.batches(2, 4, Seed::new(5));
        assert!(batches.len() == 9 && batches.iter().all(|batch| batch.len() == 8));
        let count = |from: usize, to: usize, wanted: usize| -> usize {
            batches.iter().flat_map(|batch| &batch[from..to]).filter(|&&i| i == wanted).count()
        };
        // 18 places for 3 examples, 54 for 20
        assert!(labelled.iter().all(|&i| count(0, 2, i) == 6));
        assert!((0..20).all(|i| [2, 3].contains(&count(2, 8, i))));
        assert_ne!(batches, semi.batches(2, 5, Seed::new(5)));
        assert_eq!(Labelled::semi_supervised(numbers(20), labelled.clone(), (2, 3), None).batches(2, 0, Seed::new(5)).len(), 3);
        // supervised: once each, or in epochs of so many steps
        let once = Labelled::supervised(numbers(20), labelled.clone(), 2, None);
        assert_eq!((once.len(), once.batches(2, 0, Seed::new(1)).len()), (3, 1));
        let often = Labelled::supervised(numbers(20), labelled.clone(), 2, Some(6)).batches(2, 0, Seed::new(1)).concat();
        assert!(often.len() == 12 && labelled.iter().all(|wanted| often.iter().filter(|&i| i == wanted).count() == 4));
    }

    #[test]
    fn labelled_instances_come_first_with_their_weak_view_alone() {
        let indices = [4, 5, 0, 1, 2, 3];
        let semi = Labelled::semi_supervised(numbers(6), vec![4, 5], (2, 2), None);
        let batch = semi.batch(&indices, None).unwrap();
        let values: Vec<f64> = batch.inputs.flatten_all().unwrap().to_dtype(DType::F64).unwrap().to_vec1().unwrap();
        assert_eq!(values, [8., 10., 0., 2., 4., 6., 1., 3., 5., 7.]);
        assert_eq!((batch.labels, batch.unlabelled), (vec![1, 2], vec![0, 1, 2, 0]));
        let texts = Labelled::semi_supervised(Box::new(Numbers { count: 6, sequences: true }), vec![4, 5], (2, 2), None);
        let batch = texts.batch(&indices, None).unwrap();
        assert_eq!(batch.lengths.unwrap().as_ref(), [2, 3, 1, 2, 3, 1, 1, 2, 3, 1]);
        assert_eq!(batch.inputs.to_vec1::<u32>().unwrap(), [8, 8, 10, 10, 10, 0, 2, 2, 4, 4, 4, 6, 1, 3, 3, 5, 5, 5, 7]);
    }
}
