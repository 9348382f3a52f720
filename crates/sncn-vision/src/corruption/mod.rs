//! The image corruptions of the CIFAR-10-C and ImageNet-C benchmark (Hendrycks, Dietterich 2019), made on the fly.
//!
//! Every corruption is y = f(X, draws) followed by the common conversion u8 = trunc(255 · clip01(y)). Images are RGB,
//! interleaved height × width × 3 bytes. Draws come from one stream per image, so results do not depend on the order of
//! the images or on the thread count.

pub mod blur;
pub mod colour;
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

pub use frost::Frost;

use anyhow::{Context, Result, bail, ensure};
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;
use sncn_core::Seed;
use std::cell::RefCell;

/// Size of an RGB image stored as height × width × 3 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dims {
    /// Rows.
    pub height: usize,
    /// Columns.
    pub width: usize,
}

impl Dims {
    /// Pixels of one image.
    pub const fn pixels(self) -> usize {
        self.height * self.width
    }

    /// Bytes of one image.
    pub const fn bytes(self) -> usize {
        3 * self.pixels()
    }
}

/// Which severity table and which sizes are used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Variant {
    /// The table of CIFAR-10-C, meant for 32 × 32 images.
    Cifar,
    /// The table of ImageNet-C, meant for 224 × 224 images.
    Imagenet,
}

/// One corruption at one severity.
pub trait Corruption: Send + Sync {
    /// Corrupts one image of `dims.bytes()` bytes into `out` (as long), drawing from `rng`.
    fn apply(&self, image: &[u8], dims: Dims, rng: &mut ChaCha8Rng, scratch: &mut Scratch, out: &mut [u8]);
}

/// Buffers that a thread reuses from image to image; take what is needed with [`sized`].
#[derive(Default)]
pub struct Scratch {
    /// Single-precision buffers.
    pub f32s: [Vec<f32>; 6],
    /// Double-precision buffers.
    pub f64s: [Vec<f64>; 6],
    /// Byte buffers.
    pub u8s: [Vec<u8>; 6],
    /// Integer buffers.
    pub i32s: [Vec<i32>; 6],
}

thread_local! {
    static SCRATCH: RefCell<Scratch> = RefCell::default();
}

/// The first `len` elements of a buffer, enlarged where too short; old contents stay.
pub fn sized<T: Clone + Default>(buffer: &mut Vec<T>, len: usize) -> &mut [T] {
    if buffer.len() < len {
        buffer.resize(len, T::default());
    }
    &mut buffer[..len]
}

/// The final conversion of values on the scale 0..255: clipped, then truncated (NaN gives 0).
#[inline(always)]
pub fn truncate(y: &[f32], out: &mut [u8]) {
    for (out, &y) in out.iter_mut().zip(y) {
        *out = y.clamp(0.0, 255.0) as u8;
    }
}

/// The final conversion of values on the scale 0..1: u8 = trunc(255 · clip01(y)).
#[inline(always)]
pub fn truncate_unit(y: &[f64], out: &mut [u8]) {
    for (out, &y) in out.iter_mut().zip(y) {
        *out = (y.clamp(0.0, 1.0) * 255.0) as u8;
    }
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
