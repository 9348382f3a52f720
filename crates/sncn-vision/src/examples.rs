//! `Examples`: labelled images as a [`Dataset`] for training and evaluation.
//!
//! Images are brought to one size and normalised by a [`Preprocessing`]; batches are (views·N, size, size, 3). Augmentation draws from
//! the example's own stream.

use crate::augment::Augment;
use crate::corruption::{Frost, Generator, Variant, build};
use crate::dataset::Images;
use crate::picture::Photo;
use crate::preprocess::Preprocessing;
use crate::restyle::Styles;

use candle_core::{Device, Tensor};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use sncn_core::Seed;
use sncn_train::data::{Batch, DataError, Dataset, ValueRange};
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

/// A corruption of images of any size: the table of severities is that of the size ([`Variant::of`]).
pub struct Corruptions {
    small: Generator,
    large: Generator,
    seed: Seed,
    when: Corrupt,
}

impl Corruptions {
    /// A corruption by name, at a severity from 1 to 5; image i draws from sub-stream i of `seed`.
    ///
    /// # Errors
    /// If the name or the severity is unknown.
    pub fn new(name: &str, severity: usize, frost: &Frost, seed: Seed, when: Corrupt) -> anyhow::Result<Self> {
        let of = |variant| build(name, severity, variant, frost);
        Ok(Self { small: of(Variant::Cifar)?, large: of(Variant::Imagenet)?, seed, when })
    }

    /// Corrupts an image.
    fn apply(&self, from: &Photo, index: usize, to: &mut Photo) -> anyhow::Result<()> {
        let generator = if Variant::of(from.dims()) == Variant::Cifar { &self.small } else { &self.large };
        generator.apply_one(from.bytes(), from.dims(), self.seed, index as u64, to.reset(from.dims()))
    }
}

/// Images, corrupted or augmented if so built, as a data set.
pub struct Examples {
    images: Arc<dyn Images>,
    preprocessing: Preprocessing,
    corruption: Option<Corruptions>,
    styles: Option<Styles>,
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
        Self { images, preprocessing, corruption: None, styles: None, augment: Augment::default() }
    }

    /// The same images, augmented in batches that are read with a stream.
    pub fn augmented(self, augment: Augment) -> Self {
        Self { augment, ..self }
    }

    /// The same images, restyled before they are augmented.
    pub fn restyled(self, styles: Styles) -> Self {
        Self { styles: Some(styles), ..self }
    }

    /// The same images, each corrupted.
    pub fn corrupted(self, corruption: Corruptions) -> Self {
        Self { corruption: Some(corruption), ..self }
    }

    /// Corrupts an image in place, where it is corrupted now; `other` serves for that.
    fn corrupt(&self, photo: &mut Photo, other: &mut Photo, index: usize, now: Corrupt) -> anyhow::Result<()> {
        if let Some(corruption) = self.corruption.as_ref().filter(|corruption| corruption.when == now) {
            corruption.apply(photo, index, other)?;
            std::mem::swap(photo, other);
        }
        Ok(())
    }

    /// An image as the network gets it in evaluation, before its values are normalised.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn seen(&self, index: usize) -> anyhow::Result<Photo> {
        let mut buffers = Buffers::default();
        self.images.read(index, &mut buffers.read)?;
        self.corrupt(&mut buffers.read, &mut buffers.corrupted, index, Corrupt::Original)?;
        self.fit(index, &mut buffers)?;
        Ok(buffers.fitted)
    }

    /// Brings the image that was read to the network's size.
    fn fit(&self, index: usize, buffers: &mut Buffers) -> anyhow::Result<()> {
        self.preprocessing.fit(&buffers.read, &mut buffers.fitted)?;
        self.corrupt(&mut buffers.fitted, &mut buffers.corrupted, index, Corrupt::Fitted)
    }

    /// Writes the views of an example, and gives its label.
    fn example(&self, index: usize, augment: Option<Seed>, views: &mut [&mut [f32]]) -> anyhow::Result<u32> {
        let mut buffers = BUFFERS.take();
        let (by, dims) = (&self.preprocessing, self.preprocessing.dims());
        let label = self.images.read(index, &mut buffers.read)?;
        self.corrupt(&mut buffers.read, &mut buffers.corrupted, index, Corrupt::Original)?;
        match augment {
            Some(seed) => {
                let Buffers { read, fitted, corrupted } = &mut buffers;
                let seed = seed.fold_in(index as u64);
                if let Some(styles) = &self.styles {
                    styles.apply(read, corrupted, seed.named("style"))?;
                }
                let mut rest = views;
                for (augment, seed, count) in self.augment.crops(seed) {
                    let (views, others) = rest.split_at_mut(count);
                    by.fit_at_random(read, seed, fitted)?;
                    augment.apply(fitted.bytes(), dims, &by.normalisation(), seed, views)?;
                    rest = others;
                }
            }
            None => {
                self.fit(index, &mut buffers)?;
                views.iter_mut().for_each(|view| by.normalisation().of_bytes(buffers.fitted.bytes(), view));
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

    fn labels(&self) -> Result<Vec<u32>, DataError> {
        let label = |index| self.images.label(index).map(|label| label as u32).map_err(DataError::other);
        (0..self.images.len()).map(label).collect()
    }

    fn value_range(&self) -> Option<ValueRange> {
        let [low, high] = self.preprocessing.normalisation().range().map(|ends| ends.map(f64::from).to_vec());
        Some(ValueRange { low, high })
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
        Ok(Batch { views, ..Batch::new(inputs, labels) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::corruption::Dims;

    /// The same image of 32 or of 128 pixels, to be brought to the other size.
    struct One(usize);

    impl Images for One {
        fn len(&self) -> usize {
            1
        }

        fn dims(&self) -> Option<Dims> {
            None
        }

        fn classes(&self) -> &[String] {
            &[]
        }

        fn label(&self, _: usize) -> anyhow::Result<usize> {
            Ok(0)
        }

        fn read(&self, _: usize, out: &mut Photo) -> anyhow::Result<usize> {
            out.reset(Dims::square(self.0)).iter_mut().enumerate().for_each(|(i, byte)| *byte = (i * 7 % 256) as u8);
            Ok(0)
        }

        fn describe(&self) -> String {
            String::new()
        }
    }

    #[test]
    fn the_size_of_what_is_corrupted_chooses_the_severities() -> anyhow::Result<()> {
        let frost = Frost::generated(Seed::new(0));
        for (own, to) in [(32, 128), (128, 32)] {
            let by = Preprocessing::read(&serde_json::json!({"like": "imagenet", "size": to, "resize": to}))?;
            let fitted = |when| -> anyhow::Result<Vec<f32>> {
                let made = Corruptions::new("contrast", 3, &frost, Seed::new(1), when)?;
                let images = Examples::new(Arc::new(One(own)), by).corrupted(made);
                Ok(images.batch(&[0], None)?.inputs.flatten_all()?.to_vec1()?)
            };
            let by_hand = |variant, side: usize, first: bool| -> anyhow::Result<Vec<f32>> {
                let (mut read, mut resized) = (Photo::default(), Photo::default());
                One(own).read(0, &mut read)?;
                let corrupt = |from: &Photo| -> anyhow::Result<Photo> {
                    let mut to = Photo::default();
                    build("contrast", 3, variant, &frost)?.apply_one(
                        from.bytes(),
                        from.dims(),
                        Seed::new(1),
                        0,
                        to.reset(Dims::square(side)),
                    )?;
                    Ok(to)
                };
                if first {
                    by.fit(&corrupt(&read)?, &mut resized)?;
                } else {
                    by.fit(&read, &mut resized)?;
                    resized = corrupt(&resized)?;
                }
                Ok(by.normalisation().values(resized.bytes()))
            };
            let of = |side| if side == 32 { Variant::Cifar } else { Variant::Imagenet };
            assert_eq!(fitted(Corrupt::Original)?, by_hand(of(own), own, true)?);
            assert_eq!(fitted(Corrupt::Fitted)?, by_hand(of(to), to, false)?);
            assert_ne!(fitted(Corrupt::Original)?, by_hand(of(to), own, true)?);
        }
        Ok(())
    }
}
