//! The image corruptions of the CIFAR-10-C and ImageNet-C benchmark (Hendrycks, Dietterich 2019), made on the fly.
//!
//! Every corruption is y = f(X, draws) followed by the common conversion u8 = trunc(255 · clip01(y)). Images are RGB,
//! interleaved height × width × 3 bytes. Draws come from one stream per image, so results do not depend on the order of
//! the images or on the thread count.

mod apply;
pub mod blur;
mod bytes;
pub mod colour;
mod dims;
pub mod elastic;
pub mod filter;
pub mod fog;
pub mod frost;
pub mod jpeg;
pub mod noise;
pub mod pixelate;
pub mod severity;
pub mod snow;
pub mod spatter;
mod water;

pub use apply::{Corruption, Scratch, sized};
pub use bytes::{truncate, truncate_unit};
pub use dims::Dims;
pub use frost::Frost;
pub use severity::Variant;

use anyhow::{Context, Result, bail, ensure};
use rayon::prelude::*;
use sncn_core::Seed;
use std::cell::RefCell;

thread_local! {
    static SCRATCH: RefCell<Scratch> = RefCell::default();
}

/// Makes a corruption from severity (1 to 5), variant and frost textures.
pub type Build = fn(usize, Variant, &Frost) -> Result<Box<dyn Corruption>>;

fn boxed<C: Corruption + 'static>(made: Result<C>) -> Result<Box<dyn Corruption>> {
    Ok(Box::new(made?))
}

/// The 19 corruptions: the 15 of the benchmark in its order, then the 4 extra ones.
pub const CORRUPTIONS: &[(&str, Build)] = &[
    ("gaussian_noise", |s, v, _| boxed(noise::GaussianNoise::new(s, v))),
    ("shot_noise", |s, v, _| boxed(noise::ShotNoise::new(s, v))),
    ("impulse_noise", |s, v, _| boxed(noise::ImpulseNoise::new(s, v))),
    ("defocus_blur", |s, v, _| boxed(blur::DefocusBlur::new(s, v))),
    ("glass_blur", |s, v, _| boxed(blur::GlassBlur::new(s, v))),
    ("motion_blur", |s, v, _| boxed(blur::MotionBlur::new(s, v))),
    ("zoom_blur", |s, v, _| boxed(blur::ZoomBlur::new(s, v))),
    ("snow", |s, v, _| boxed(snow::Snow::new(s, v))),
    ("frost", |s, v, f| boxed(frost::FrostOverlay::new(s, v, f))),
    ("fog", |s, v, _| boxed(fog::Fog::new(s, v))),
    ("brightness", |s, v, _| boxed(colour::Brightness::new(s, v))),
    ("contrast", |s, v, _| boxed(colour::Contrast::new(s, v))),
    ("elastic_transform", |s, v, _| boxed(elastic::ElasticTransform::new(s, v))),
    ("pixelate", |s, v, _| boxed(pixelate::Pixelate::new(s, v))),
    ("jpeg_compression", |s, v, _| boxed(jpeg::JpegCompression::new(s, v))),
    ("speckle_noise", |s, v, _| boxed(noise::SpeckleNoise::new(s, v))),
    ("gaussian_blur", |s, v, _| boxed(blur::GaussianBlur::new(s, v))),
    ("spatter", |s, v, _| boxed(spatter::Spatter::new(s, v))),
    ("saturate", |s, v, _| boxed(colour::Saturate::new(s, v))),
];

/// How many of [`CORRUPTIONS`] the benchmark's mean corruption error is taken over.
pub const BENCHMARK: usize = 15;

/// A named corruption at one severity, ready to be applied to images.
pub struct Generator {
    name: &'static str,
    severity: usize,
    corruption: Box<dyn Corruption>,
}

/// The corruption of that name and severity (1 to 5).
///
/// # Errors
/// For an unknown name (the error lists the known ones), a severity outside 1..=5, or unusable frost textures.
pub fn build(name: &str, severity: usize, variant: Variant, frost: &Frost) -> Result<Generator> {
    ensure!((1..=5).contains(&severity), "corruption {name}: severity {severity} does not exist; use 1, 2, 3, 4 or 5");
    let Some(&(name, build)) = CORRUPTIONS.iter().find(|entry| entry.0 == name) else {
        let known: Vec<&str> = CORRUPTIONS.iter().map(|entry| entry.0).collect();
        bail!("no corruption is called {name:?}; known: {}", known.join(", "));
    };
    let corruption = build(severity, variant, frost).with_context(|| format!("corruption {name}, severity {severity}"))?;
    Ok(Generator { name, severity, corruption })
}

impl Generator {
    /// Name in [`CORRUPTIONS`].
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// Severity, 1 to 5.
    pub fn severity(&self) -> usize {
        self.severity
    }

    fn stream(&self, seed: Seed) -> Seed {
        seed.named("corrupt").named(self.name).fold_in(self.severity as u64)
    }

    /// Corrupts image number `index` of a data set with the stream `corrupt/<name>/<severity>/<index>` of the run's seed.
    ///
    /// # Errors
    /// Where `image` or `out` is not `dims.bytes()` long, or a side is zero.
    pub fn apply_one(&self, image: &[u8], dims: Dims, seed: Seed, index: u64, out: &mut [u8]) -> Result<()> {
        ensure!(image.len() == dims.bytes(), "{}", self.length_error(image.len(), dims));
        self.apply_batch(image, dims, seed, index, out)
    }

    /// Corrupts consecutive images, the first of which has number `first_index`, in parallel; the result does not depend
    /// on the thread count or on how a data set is cut into batches.
    ///
    /// # Errors
    /// Where `images` is no whole number of `dims.bytes()`, `out` has another length, or a side is zero.
    pub fn apply_batch(&self, images: &[u8], dims: Dims, seed: Seed, first_index: u64, out: &mut [u8]) -> Result<()> {
        let bytes = dims.bytes();
        ensure!(bytes > 0 && images.len().is_multiple_of(bytes), "{}", self.length_error(images.len(), dims));
        ensure!(out.len() == images.len(), "{}: output of {} bytes for {} of input", self.name, out.len(), images.len());
        let stream = self.stream(seed);
        out.par_chunks_mut(bytes).zip(images.par_chunks(bytes)).enumerate().for_each(|(i, (out, image))| {
            let mut rng = stream.fold_in(first_index.wrapping_add(i as u64)).rng();
            SCRATCH.with_borrow_mut(|scratch| self.corruption.apply(image, dims, &mut rng, scratch, out));
        });
        Ok(())
    }

    fn length_error(&self, len: usize, dims: Dims) -> String {
        let Dims { height, width } = dims;
        format!("{}: {len} bytes are no whole number of {height} x {width} x 3 images with sides of at least 1", self.name)
    }
}
