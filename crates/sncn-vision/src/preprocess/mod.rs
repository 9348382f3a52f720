//! `Preprocessing`: how an image of any size becomes the input of a classifier, in training and afterwards. It is the key `input`
//! of a row, and so a part of every checkpoint.
//!
//! In evaluation the short side is resized and the middle is cut out, as torchvision's `Resize` and `CenterCrop` do; in training a
//! random part is. Values are then (v/255 − mean)/std, channel by channel. Resizing filters as Pillow does, where an image gets
//! smaller too.

mod beside;
mod normalise;
mod resample;
mod resized_crop;
mod settings;
mod thumbnail;

pub use normalise::Normalisation;
pub use resample::{Interpolation, resample};
pub use resized_crop::ResizedCrop;
pub use settings::{NAMED, Named, Preprocessing, TrainCrop};
pub(crate) use thumbnail::thumbnail;

use crate::augment::crop;
use crate::corruption::Dims;
use crate::picture::Photo;
use anyhow::Result;
use sncn_core::Seed;
use std::cell::RefCell;

thread_local! {
    static RESIZED: RefCell<Photo> = RefCell::default();
}

impl Preprocessing {
    /// The size of the network's input.
    pub fn dims(&self) -> Dims {
        Dims::square(self.size)
    }

    /// Brings an image to the network's size, as in evaluation: the short side is resized to `resize`, and the middle cut out; with
    /// `stretch` both sides are.
    /// An image that has the size already is not changed.
    ///
    /// # Errors
    /// If the image has no pixels.
    pub fn fit(&self, photo: &Photo, out: &mut Photo) -> Result<()> {
        let (from, to) = (photo.dims(), self.dims());
        if from == to {
            out.reset(to).copy_from_slice(photo.bytes());
            return Ok(());
        }
        let (short, long) = (from.height.min(from.width), from.height.max(from.width));
        let other = (self.resize * long / short.max(1)).max(self.size);
        let whole = match from.height <= from.width {
            _ if self.stretch => Dims::square(self.resize),
            true => Dims { height: self.resize, width: other },
            false => Dims { height: other, width: self.resize },
        };
        if whole == to {
            return resample(photo.bytes(), from, self.interpolation, out, to);
        }
        RESIZED.with_borrow_mut(|resized| {
            resample(photo.bytes(), from, self.interpolation, resized, whole)?;
            let (top, left) = (middle(whole.height, self.size), middle(whole.width, self.size));
            let rows = resized.bytes().chunks_exact(3 * whole.width).skip(top);
            for (out, row) in out.reset(to).chunks_exact_mut(3 * self.size).zip(rows) {
                out.copy_from_slice(&row[3 * left..][..3 * self.size]);
            }
            Ok(())
        })
    }

    /// Brings an image to the network's size, as in training: a random part of it, mirrored half of the time. All draws come from
    /// `seed`, the stream of the example.
    ///
    /// # Errors
    /// If the image has no pixels.
    pub fn fit_at_random(&self, photo: &Photo, seed: Seed, out: &mut Photo) -> Result<()> {
        let to = self.dims();
        match self.train_crop {
            TrainCrop::Resized(settings) => settings.cut(photo, self.interpolation, to, seed, out),
            TrainCrop::Padded { edge } if photo.dims() == to => {
                crop::crop_and_flip(photo.bytes(), to, edge, seed, out.reset(to));
                Ok(())
            }
            TrainCrop::Padded { edge } => {
                let mut fitted = Photo::default();
                self.fit(photo, &mut fitted)?;
                crop::crop_and_flip(fitted.bytes(), to, edge, seed, out.reset(to));
                Ok(())
            }
        }
    }
}

/// Where the middle `part` of `whole` begins; of two possibilities the one whose place is even, as Python rounds.
fn middle(whole: usize, part: usize) -> usize {
    let rest = whole - part;
    rest / 2 + usize::from(rest % 2 == 1 && rest / 2 % 2 == 1)
}

#[cfg(test)]
mod tests;
