//! Augmentation of training images: crop and flip, Cutout, AutoAugment, RandAugment, AugMix, RandConv, noise, and FixMatch's two views.
//!
//! Images are RGB bytes, interleaved height × width × 3; results are normalised. The crop and flip come before
//! ([`Preprocessing::fit_at_random`](crate::preprocess::Preprocessing::fit_at_random)), from the stream of the example; every
//! kind draws from a stream named after it, so runs that differ in the kind see the same crops.

pub mod affine;
pub mod augmix;
pub mod autoaugment;
pub mod crop;
pub mod cutout;
mod enhance;
mod level;
mod noise;
pub mod operation;
pub mod randaugment;
mod randconv;
mod table;

pub use augmix::AugMix;
pub use autoaugment::Policy;
pub use noise::{Noise, NoiseForm};
pub use randaugment::RandAugment;
pub use randconv::RandConv;

use crate::corruption::Dims;
use crate::preprocess::Normalisation;
use anyhow::{Result, bail, ensure};
use operation::chain;
use serde::{Deserialize, Serialize};
use sncn_core::Seed;
use std::cell::RefCell;

/// The augmentation of training images.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Augment {
    /// The random crop, mirrored half of the time, alone.
    CropFlip {},
    /// Crop and flip, then one square of the normalised image set to 0.
    Cutout {
        /// Side of the square, at least 1; 16 in the paper.
        #[serde(default = "cutout_size")]
        size: usize,
    },
    /// Crop and flip, then one square filled with uniform noise: the comparison called Patch Uniform (Hendrycks et al. 2020,
    /// arXiv:1912.02781, after Lopes et al. 2019, arXiv:1906.02611).
    PatchUniform {
        /// Side of the square, at least 1.
        #[serde(default = "cutout_size")]
        size: usize,
    },
    /// Crop and flip, one of AutoAugment's policies on the bytes, then Cutout, in the order of the paper.
    Autoaugment {
        /// The policy.
        #[serde(default)]
        policy: Policy,
        /// Side of the square, 0 for the policy alone; absent: as published with the policy ([`Policy::cutout`]).
        #[serde(default, skip_serializing_if = "Option::is_none")]
        cutout: Option<usize>,
    },
    /// Crop and flip, then RandAugment on the bytes.
    Randaugment(RandAugment),
    /// Crop and flip, then three views: the crop itself and two mixtures of it, each from its own stream.
    Augmix(AugMix),
    /// Crop and flip, then a random convolution of the normalised image.
    Randconv(RandConv),
    /// Crop and flip, then noise.
    Noise(Noise),
    /// Two views, each from its own stream, as the objective `fixmatch` takes them: crop and flip alone, then a crop and flip with more.
    Fixmatch {
        /// What is done to the second view.
        #[serde(default)]
        strong: Strong,
    },
}

/// What is done to the strongly augmented view of FixMatch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Strong {
    /// RandAugment with its default settings.
    #[default]
    Randaugment,
    /// No more than to the first: another crop and flip.
    Weak,
}

impl Strong {
    /// The augmentation of the view.
    fn augment(self) -> Augment {
        match self {
            Self::Randaugment => Augment::Randaugment(RandAugment::default()),
            Self::Weak => Augment::CropFlip {},
        }
    }
}

impl Default for Augment {
    fn default() -> Self {
        Self::CropFlip {}
    }
}

const fn cutout_size() -> usize {
    cutout::SIZE
}

/// Buffers that a thread reuses from image to image.
#[derive(Default)]
struct Scratch {
    buffers: [Vec<u8>; 2],
    drawn: augmix::AugMixDraw,
    strong: randaugment::RandAugmentDraw,
}

thread_local! {
    static SCRATCH: RefCell<Scratch> = RefCell::default();
}

impl Augment {
    /// The number of images that [`apply`](Self::apply) makes of one: 3 for AugMix, otherwise 1.
    pub const fn views(&self) -> usize {
        match self {
            Self::Augmix(_) => 3,
            Self::Fixmatch { .. } => 2,
            _ => 1,
        }
    }

    /// Checks the ranges of the settings; the error names the setting and the accepted values.
    pub(crate) fn check(&self) -> Result<()> {
        match self {
            Self::CropFlip {} | Self::Autoaugment { .. } | Self::Fixmatch { .. } => {}
            Self::Randaugment(randaugment) => randaugment.check()?,
            Self::Noise(noise) => noise.check()?,
            Self::Cutout { size } | Self::PatchUniform { size } => {
                ensure!(*size >= 1, "cutout, patch_uniform: size is 0; use at least 1, or the kind crop_flip");
            }
            Self::Augmix(augmix) => augmix.check()?,
            Self::Randconv(randconv) => randconv.check("augment")?,
        }
        Ok(())
    }

    /// The random crops that are taken of an image: for each its augmentation, its stream, and the number of views made of it.
    pub(crate) fn crops(self, seed: Seed) -> Vec<(Self, Seed, usize)> {
        match self {
            Self::Fixmatch { strong } => {
                vec![(Self::CropFlip {}, seed.named("weak"), 1), (strong.augment(), seed.named("strong"), 1)]
            }
            one => vec![(one, seed, one.views())],
        }
    }

    /// Writes [`views`](Self::views) normalised images (height × width × 3 each) of one crop into `out`. `crop` is the image after crop and
    /// flip, `seed` the stream of the example.
    ///
    /// # Errors
    /// If a setting is out of range, there are more or fewer places in `out` than views, or `crop` or a place does not have the
    /// length that `dims` requires.
    pub fn apply(&self, crop: &[u8], dims: Dims, by: &Normalisation, seed: Seed, out: &mut [&mut [f32]]) -> Result<()> {
        self.check()?;
        let (size, Dims { height, width }) = (dims.bytes(), dims);
        ensure!(size > 0 && crop.len() == size, "augment: {} bytes are no {height} x {width} x 3 image", crop.len());
        let (wanted, found) = (self.views(), out.len());
        let [first, views @ ..] = out else { bail!("augment: no place for {wanted} views") };
        ensure!(found == wanted, "augment: places for {found} views, there are {wanted}");
        let lengths = std::iter::once(first.len()).chain(views.iter().map(|view| view.len()));
        ensure!(
            lengths.clone().all(|length| length == size),
            "augment: places of {:?} values, {size} are wanted",
            lengths.collect::<Vec<_>>()
        );
        SCRATCH.with_borrow_mut(|scratch| {
            let Scratch { buffers, drawn, strong } = scratch;
            buffers.iter_mut().for_each(|buffer| buffer.resize(size, 0));
            let mut bytes = crop;
            if let Self::Autoaugment { policy, .. } = self {
                policy.draw(dims, &mut seed.named("autoaugment").rng(), &mut drawn.calls);
                let [result, spare] = buffers;
                chain(&drawn.calls, crop, dims, spare, result);
                bytes = result;
            } else if let Self::Randaugment(settings) = self {
                settings.draw(dims, &mut seed.named("randaugment").rng(), strong);
                bytes = randaugment::apply(strong, crop, dims, buffers);
            }
            let hide = |image: &mut [f32], size: usize| {
                cutout::hide(image, dims, cutout::draw(size, dims, &mut seed.named("cutout").rng()));
            };
            by.of_bytes(bytes, first);
            match *self {
                Self::Cutout { size } => hide(first, size),
                Self::PatchUniform { size } => cutout::noise(first, dims, size, &by.range(), seed.named("patch")),
                Self::Autoaugment { policy, cutout } => hide(first, cutout.unwrap_or(policy.cutout())),
                Self::Augmix(settings) => {
                    for (view, out) in (1..).zip(views) {
                        settings.draw(dims, &mut seed.named("augmix").fold_in(view).rng(), drawn);
                        augmix::mix(drawn, crop, dims, buffers, out);
                        by.apply(out);
                    }
                }
                Self::Randconv(randconv) => randconv.apply(first, (height, width), seed.named("randconv")),
                Self::Noise(noise) => noise.apply(crop, by, seed.named("noise"), first),
                Self::CropFlip {} | Self::Randaugment(_) | Self::Fixmatch { .. } => {}
            }
        });
        Ok(())
    }
}
