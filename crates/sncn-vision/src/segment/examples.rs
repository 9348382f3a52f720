//! `PairExamples`: images with labelled pixels as a [`Dataset`] for training and evaluation; values are scaled as in
//! [`crate::examples`], augmentation and corruption draw from the example's own stream.

use super::transform::Transform;
use crate::corruption::{Dims, Generator};
use crate::dataset::pairs::{Pair, Pairs};
use crate::preprocess::Normalisation;
use crate::restyle::Styles;
use anyhow::{Result, ensure};
use candle_core::{Device, Tensor};
use rayon::prelude::*;
use sncn_core::Seed;
use sncn_train::data::{Batch, DataError, Dataset};
use std::sync::Arc;

/// Pairs, perhaps corrupted, as a data set.
pub struct PairExamples {
    pairs: Arc<dyn Pairs>,
    corruption: Option<(Generator, Seed)>,
    transform: Option<Transform>,
    styles: Option<Styles>,
    /// The side of a crop from the middle.
    centre: Option<usize>,
    /// How the values of images that are not transformed are scaled.
    normalisation: Normalisation,
}

impl PairExamples {
    /// The pairs as they are.
    pub fn new(pairs: Arc<dyn Pairs>) -> Self {
        Self { pairs, corruption: None, transform: None, styles: None, centre: None, normalisation: Normalisation::CIFAR }
    }

    /// The same, changed where a batch is asked for with a stream.
    pub fn transformed(self, transform: Option<Transform>) -> Self {
        Self { transform, ..self }
    }

    /// The same, each image restyled before it is changed otherwise.
    pub fn restyled(self, styles: Option<Styles>) -> Self {
        Self { styles, ..self }
    }

    /// The same, each image corrupted from the stream of its index.
    pub fn corrupted(self, generator: Generator, seed: Seed) -> Self {
        Self { corruption: Some((generator, seed)), ..self }
    }

    /// The same, only the middle `side` × `side` pixels of an image, or what there is of them.
    pub fn centred(self, side: Option<usize>) -> Self {
        Self { centre: side, ..self }
    }

    /// The same, with the values of images that are not transformed scaled otherwise.
    pub fn normalised(self, normalisation: Normalisation) -> Self {
        Self { normalisation, ..self }
    }

    /// Pair `index`, cropped and corrupted.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn pair(&self, index: usize) -> Result<Pair> {
        let mut pair = self.pairs.read(index)?;
        if let Some(side) = self.centre {
            pair = middle(&pair, side);
        }
        if let Some((generator, seed)) = &self.corruption {
            let mut out = vec![0; pair.image.len()];
            let dims = Dims { height: pair.height, width: pair.width };
            generator.apply_one(&pair.image, dims, *seed, index as u64, &mut out)?;
            pair.image = out;
        }
        Ok(pair)
    }
}

/// Rows and columns, values and labels.
type Example = ((usize, usize), Vec<f32>, Vec<u32>);

/// The middle of a pair.
fn middle(pair: &Pair, side: usize) -> Pair {
    let (height, width) = (side.min(pair.height), side.min(pair.width));
    let (top, left) = ((pair.height - height) / 2, (pair.width - width) / 2);
    let rows = (top..top + height).map(|row| row * pair.width + left);
    Pair {
        height,
        width,
        image: rows.clone().flat_map(|at| pair.image[3 * at..3 * (at + width)].iter().copied()).collect(),
        labels: rows.flat_map(|at| pair.labels[at..at + width].iter().copied()).collect(),
    }
}

impl Dataset for PairExamples {
    fn len(&self) -> usize {
        self.pairs.len()
    }

    fn batch(&self, indices: &[usize], augment: Option<Seed>) -> Result<Batch, DataError> {
        self.read(indices, augment).map_err(DataError::other)
    }
}

impl PairExamples {
    fn read(&self, indices: &[usize], augment: Option<Seed>) -> Result<Batch> {
        let transform = self.transform.as_ref().zip(augment);
        let one = |&index: &usize| -> Result<Example> {
            let mut pair = self.pair(index)?;
            let Some((transform, seed)) = transform else {
                let values = self.normalisation.values(&pair.image);
                return Ok(((pair.height, pair.width), values, pair.labels.iter().map(|&label| u32::from(label)).collect()));
            };
            let seed = seed.fold_in(index as u64);
            if let Some(styles) = &self.styles {
                pair.image = styles.of_size(pair.image, Dims { height: pair.height, width: pair.width }, seed.named("style"))?;
            }
            let size = transform.size((pair.height, pair.width));
            let mut values = vec![0.; size.0 * size.1 * 3];
            let labels = transform.apply(&pair, seed, &mut values);
            Ok((size, values, labels))
        };
        let parts = indices.par_iter().map(one).collect::<Result<Vec<_>>>()?;
        let (height, width) = parts.first().map_or((0, 0), |part| part.0);
        for (part, &index) in parts.iter().zip(indices) {
            let ((rows, columns), first) = (part.0, indices[0]);
            ensure!(
                (rows, columns) == (height, width),
                "{} has {columns} × {rows} pixels and {} has {width} × {height}: images of one batch must have one size; set \
                augment.crop, or batch_size 1",
                self.pairs.name(index),
                self.pairs.name(first)
            );
        }
        let (values, labels): (Vec<_>, Vec<_>) = parts.into_iter().map(|(_, values, labels)| (values, labels)).unzip();
        let inputs = Tensor::from_vec(values.concat(), (indices.len(), height, width, 3), &Device::Cpu)?;
        Ok(Batch::new(inputs, labels.concat()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_middle_of_a_pair_keeps_labels_with_pixels() {
        let labels: Vec<u8> = (0..5 * 7).collect();
        let image = labels.iter().flat_map(|&label| [label; 3]).collect();
        let part = middle(&Pair { height: 5, width: 7, image, labels }, 3);
        assert_eq!((part.height, part.width), (3, 3));
        assert_eq!(part.labels, [9, 10, 11, 16, 17, 18, 23, 24, 25]);
        assert!(part.image.chunks_exact(3).zip(&part.labels).all(|(pixel, &label)| pixel == [label; 3]));
    }
}
