//! `Examples`: labelled images as a [`Dataset`] for training and evaluation.
//!
//! Values are normalised as in the CIFAR experiments, (v / 255 − 0.5) / 0.5; batches are (views·N, H, W, 3). Augmentation
//! draws from the example's own stream.

use crate::augment::{Augment, normalise};
use crate::corruption::{Dims, Generator};
use crate::dataset::Images;

use candle_core::{Device, Tensor};
use rayon::prelude::*;
use sncn_core::Seed;
use sncn_train::data::{Batch, DataError, Dataset};
use std::sync::Arc;

/// Images, corrupted or augmented if so built, as a data set.
pub struct Examples {
    images: Arc<dyn Images>,
    corruption: Option<(Generator, Seed)>,
    augment: Augment,
}

impl Examples {
    /// The images without changes.
    pub fn new(images: Arc<dyn Images>) -> Self {
        Self { images, corruption: None, augment: Augment::default() }
    }

    /// The images, augmented in batches that are read with a stream.
    pub fn augmented(images: Arc<dyn Images>, augment: Augment) -> Self {
        Self { images, corruption: None, augment }
    }

    /// The images, each corrupted; image i draws from sub-stream i of `seed`.
    pub fn corrupted(images: Arc<dyn Images>, generator: Generator, seed: Seed) -> Self {
        Self { images, corruption: Some((generator, seed)), augment: Augment::default() }
    }
}

impl Dataset for Examples {
    fn len(&self) -> usize {
        self.images.len()
    }

    fn class_subset(&self) -> Option<&[usize]> {
        self.images.class_subset()
    }

    fn batch(&self, indices: &[usize], augment: Option<Seed>) -> Result<Batch, DataError> {
        let dims = Dims { height: self.images.height(), width: self.images.width() };
        let (size, views) = (dims.bytes(), if augment.is_some() { self.augment.views() } else { 1 });
        let mut values = vec![0f32; indices.len() * views * size];
        let examples = values.par_chunks_exact_mut(views * size).zip(indices);
        let labels = examples.map(|(values, &index)| -> anyhow::Result<u32> {
            let mut one = vec![0u8; size];
            let label = self.images.read(index, &mut one)?;
            if let Some((generator, seed)) = &self.corruption {
                let mut two = vec![0u8; size];
                generator.apply_one(&one, dims, *seed, index as u64, &mut two)?;
                std::mem::swap(&mut one, &mut two);
            }
            match augment {
                Some(seed) => self.augment.apply(&one, dims, seed.fold_in(index as u64), values)?,
                None => values.iter_mut().zip(&one).for_each(|(value, &byte)| *value = normalise(f32::from(byte))),
            }
            Ok(label as u32)
        });
        let labels = labels.collect::<anyhow::Result<Vec<u32>>>().map_err(DataError::other)?;
        let inputs = Tensor::from_vec(values, (indices.len(), views, dims.height, dims.width, 3), &Device::Cpu)?;
        // view after view, the unchanged images first
        let inputs = inputs.transpose(0, 1)?.contiguous()?.reshape((views * indices.len(), dims.height, dims.width, 3))?;
        Ok(Batch { inputs, labels, lengths: None, views })
    }
}
