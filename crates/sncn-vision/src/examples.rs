//! `Examples`: labelled images as a [`Dataset`] for training and evaluation.
//!
//! Images are brought to one size and normalised by a [`Preprocessing`]; batches are (views·N, size, size, 3). Augmentation draws from
//! the example's own stream.

use crate::augment::Augment;
use crate::corruption::Generator;
use crate::dataset::Images;
use crate::picture::Photo;
use crate::preprocess::Preprocessing;

use candle_core::{Device, Tensor};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use sncn_core::Seed;
use sncn_train::data::{Batch, DataError, Dataset};
use std::cell::Cell;
use std::sync::Arc;

/// Whether images are corrupted before or after they are brought to the network's size.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Corrupt {
    /// After, as in the published benchmarks.
    #[default]
    Fitted,
    /// Before, as weather and cameras do.
    Original,
}

/// Images, corrupted or augmented if so built, as a data set.
pub struct Examples {
    images: Arc<dyn Images>,
    preprocessing: Preprocessing,
    corruption: Option<(Generator, Seed, Corrupt)>,
    augment: Augment,
}

/// Images that a thread reuses from example to example.
#[derive(Default)]
struct Buffers {
    read: Photo,
    fitted: Photo,
    corrupted: Photo,
}

thread_local! {
    // taken and put back rather than borrowed: a thread that waits inside an example may begin another one
    static BUFFERS: Cell<Buffers> = Cell::default();
}

impl Examples {
    /// The images without changes but for the preprocessing.
    pub fn new(images: Arc<dyn Images>, preprocessing: Preprocessing) -> Self {
        Self { images, preprocessing, corruption: None, augment: Augment::default() }
    }

    /// The same images, augmented in batches that are read with a stream.
    pub fn augmented(self, augment: Augment) -> Self {
        Self { augment, ..self }
    }

    /// The same images, each corrupted; image i draws from sub-stream i of `seed`.
    pub fn corrupted(self, generator: Generator, seed: Seed, when: Corrupt) -> Self {
        Self { corruption: Some((generator, seed, when)), ..self }
    }

    /// Writes the views of an example, and gives its label.
    fn example(&self, index: usize, augment: Option<Seed>, views: &mut [&mut [f32]]) -> anyhow::Result<u32> {
        let mut buffers = BUFFERS.take();
        let Buffers { read, fitted, corrupted } = &mut buffers;
        let (by, dims) = (&self.preprocessing, self.preprocessing.dims());
        let label = self.images.read(index, read)?;
        let corrupt = |from: &Photo, to: &mut Photo, now: Corrupt| -> anyhow::Result<bool> {
            let Some((generator, seed, _)) = self.corruption.as_ref().filter(|(.., when)| *when == now) else { return Ok(false) };
            generator.apply_one(from.bytes(), from.dims(), *seed, index as u64, to.reset(from.dims()))?;
            Ok(true)
        };
        if corrupt(read, corrupted, Corrupt::Original)? {
            std::mem::swap(read, corrupted);
        }
        match augment {
            Some(seed) => {
                let seed = seed.fold_in(index as u64);
                by.fit_at_random(read, seed, fitted)?;
                self.augment.apply(fitted.bytes(), dims, &by.normalisation(), seed, views)?;
            }
            None => {
                by.fit(read, fitted)?;
                if corrupt(fitted, corrupted, Corrupt::Fitted)? {
                    std::mem::swap(fitted, corrupted);
                }
                views.iter_mut().for_each(|view| by.normalisation().of_bytes(fitted.bytes(), view));
            }
        }
        BUFFERS.set(buffers);
        Ok(label as u32)
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
        let (count, dims) = (indices.len(), self.preprocessing.dims());
        let (size, views) = (dims.bytes(), if augment.is_some() { self.augment.views() } else { 1 });
        let mut values = vec![0f32; count * views * size];
        // view after view, the unchanged images first
        let mut places: Vec<Vec<&mut [f32]>> = (0..count).map(|_| Vec::with_capacity(views)).collect();
        for (place, view) in (0..count).cycle().zip(values.chunks_exact_mut(size)) {
            places[place].push(view);
        }
        let labels = places.par_iter_mut().zip(indices).map(|(views, &index)| self.example(index, augment, views));
        let labels = labels.collect::<anyhow::Result<Vec<u32>>>().map_err(DataError::other)?;
        let inputs = Tensor::from_vec(values, (views * count, dims.height, dims.width, 3), &Device::Cpu)?;
        Ok(Batch { inputs, labels, lengths: None, views })
    }
}
