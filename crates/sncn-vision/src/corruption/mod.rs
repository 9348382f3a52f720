//! The image corruptions of the benchmarks CIFAR-10-C and ImageNet-C (Hendrycks, Dietterich 2019), generated on the fly.
//!
//! Every corruption is y = f(X, draws) followed by the common conversion u8 = trunc(255 · clip01(y)). Images are RGB,
//! interleaved height × width × 3 bytes. Random draws come from one stream per image, so results do not depend on the order
//! of the images or on the thread count.
//!
//! ```
//! use sncn_core::Seed;
//! use sncn_vision::corruption::{self, Dims, Frost, Variant};
//!
//! # fn main() -> anyhow::Result<()> {
//! let fog = corruption::build("fog", 3, Variant::Cifar, &Frost::generated(Seed::new(0)))?;
//! let (dims, image) = (Dims { height: 32, width: 32 }, vec![100; 32 * 32 * 3]);
//! let mut corrupted = vec![0; image.len()];
//! fog.apply_one(&image, dims, Seed::new(0), 0, &mut corrupted)?; // image 0 of a data set
//! assert_ne!(image, corrupted);
//! assert_eq!(corruption::benchmark().count(), 15);
//! # Ok(())
//! # }
//! ```

mod apply;
pub mod blur;
mod bytes;
pub mod colour;
mod dims;
pub mod elastic;
pub mod filter;
pub mod fog;
pub mod frost;
mod jpeg;
pub mod noise;
mod pixelate;
pub mod severity;
pub mod snow;
pub mod spatter;
mod sums;
mod vectorised;
mod water;
pub mod zoom;

pub use apply::{Corruption, Scratch, sized};
pub use bytes::{truncate, truncate_unit};
pub use dims::Dims;
pub use frost::Frost;
pub use severity::Variant;

use anyhow::{Context, Result, bail, ensure};
use rayon::prelude::*;
use sncn_core::Seed;

/// Builds a corruption from its severity (1 to 5), the severity table and the frost textures.
pub type Build = fn(usize, Variant, &Frost) -> Result<Box<dyn Corruption>>;

/// The test sets that use a corruption.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Group {
    /// One of the 15 of the benchmark, which make up the test set `<set>-c` and the mean corruption error.
    Benchmark,
    /// One of the 4 extra ones, which the benchmark's authors publish for validation: settings are chosen on them.
    Extra,
    /// None: it is applied only when it is named.
    Other,
}

/// One corruption of the registry.
#[derive(Clone, Copy)]
pub struct Entry {
    /// Its published name, which also names its random stream.
    pub name: &'static str,
    /// The test sets that use it.
    pub group: Group,
    /// Its constructor.
    pub build: Build,
}

/// An [`Entry`] for a type with the constructor `new(severity, variant)`.
macro_rules! entry {
    ($name:literal, $group:ident, $corruption:ty) => {
        Entry { name: $name, group: Group::$group, build: |s, v, _| Ok(Box::new(<$corruption>::new(s, v)?)) }
    };
}

/// Every corruption. A new one is one line at any place: the test sets depend only on the groups.
pub const CORRUPTIONS: &[Entry] = &[
    entry!("gaussian_noise", Benchmark, noise::GaussianNoise),
    entry!("shot_noise", Benchmark, noise::ShotNoise),
    entry!("impulse_noise", Benchmark, noise::ImpulseNoise),
    entry!("defocus_blur", Benchmark, blur::DefocusBlur),
    entry!("glass_blur", Benchmark, blur::GlassBlur),
    entry!("motion_blur", Benchmark, blur::MotionBlur),
    entry!("zoom_blur", Benchmark, blur::ZoomBlur),
    entry!("snow", Benchmark, snow::Snow),
    Entry { name: "frost", group: Group::Benchmark, build: |s, v, frost| Ok(Box::new(frost::FrostOverlay::new(s, v, frost)?)) },
    entry!("fog", Benchmark, fog::Fog),
    entry!("brightness", Benchmark, colour::Brightness),
    entry!("contrast", Benchmark, colour::Contrast),
    entry!("elastic_transform", Benchmark, elastic::ElasticTransform),
    entry!("pixelate", Benchmark, pixelate::Pixelate),
    entry!("jpeg_compression", Benchmark, jpeg::JpegCompression),
    entry!("speckle_noise", Extra, noise::SpeckleNoise),
    entry!("gaussian_blur", Extra, blur::GaussianBlur),
    entry!("spatter", Extra, spatter::Spatter),
    entry!("saturate", Extra, colour::Saturate),
];

/// The names of the corruptions of a group, in the order of [`CORRUPTIONS`].
pub fn names(group: Group) -> impl Iterator<Item = &'static str> {
    CORRUPTIONS.iter().filter(move |entry| entry.group == group).map(|entry| entry.name)
}

/// The names of the 15 corruptions of the benchmark, in its order.
pub fn benchmark() -> impl Iterator<Item = &'static str> {
    names(Group::Benchmark)
}

/// The names of the 4 extra corruptions, which are used for validation.
pub fn extra() -> impl Iterator<Item = &'static str> {
    names(Group::Extra)
}

/// A corruption at one severity, ready to be applied to images.
pub struct Generator {
    name: &'static str,
    severity: usize,
    corruption: Box<dyn Corruption>,
}

/// Builds a corruption by name and severity (1 to 5).
///
/// # Errors
/// If the name is unknown (the error lists the known ones) or the severity is not 1 to 5.
pub fn build(name: &str, severity: usize, variant: Variant, frost: &Frost) -> Result<Generator> {
    ensure!((1..=5).contains(&severity), "corruption {name}: severity {severity} does not exist; use 1, 2, 3, 4 or 5");
    let Some(&Entry { name, build, .. }) = CORRUPTIONS.iter().find(|entry| entry.name == name) else {
        let known: Vec<&str> = CORRUPTIONS.iter().map(|entry| entry.name).collect();
        bail!("unknown corruption {name:?}; known: {}", known.join(", "));
    };
    let corruption = build(severity, variant, frost).with_context(|| format!("corruption {name}, severity {severity}"))?;
    Ok(Generator { name, severity, corruption })
}

impl Generator {
    /// The name in [`CORRUPTIONS`].
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// The severity, 1 to 5.
    pub fn severity(&self) -> usize {
        self.severity
    }

    /// About how many bytes of work buffers an image of that size takes.
    pub fn memory(&self, dims: Dims) -> usize {
        self.corruption.memory(dims)
    }

    fn stream(&self, seed: Seed) -> Seed {
        seed.named("corrupt").named(self.name).fold_in(self.severity as u64)
    }

    /// Writes the corrupted copy of image number `index` of a data set into `out`; random draws come from the stream
    /// `corrupt/<name>/<severity>/<index>` of `seed`.
    ///
    /// # Errors
    /// If `image` or `out` is not `dims.bytes()` long, or a side is zero.
    pub fn apply_one(&self, image: &[u8], dims: Dims, seed: Seed, index: u64, out: &mut [u8]) -> Result<()> {
        ensure!(image.len() == dims.bytes(), "{}", self.length_error(image.len(), dims));
        self.apply_batch(image, dims, seed, index, out)
    }

    /// As [`apply_one`](Self::apply_one) for consecutive images, the first of which has number `first_index`, in parallel; a large image
    /// is shared among threads too. The result does not depend on the thread count or on how a data set is split into batches.
    ///
    /// # Errors
    /// If the length of `images` is not a multiple of `dims.bytes()`, `out` has another length, or a side is zero.
    pub fn apply_batch(&self, images: &[u8], dims: Dims, seed: Seed, first_index: u64, out: &mut [u8]) -> Result<()> {
        let bytes = dims.bytes();
        ensure!(bytes > 0 && images.len().is_multiple_of(bytes), "{}", self.length_error(images.len(), dims));
        ensure!(out.len() == images.len(), "{}: output of {} bytes for {} of input", self.name, out.len(), images.len());
        let stream = self.stream(seed);
        out.par_chunks_mut(bytes).zip(images.par_chunks(bytes)).enumerate().for_each(|(i, (out, image))| {
            let mut rng = stream.fold_in(first_index.wrapping_add(i as u64)).rng();
            Scratch::lent(|scratch| self.corruption.apply(image, dims, &mut rng, scratch, out));
        });
        Ok(())
    }

    fn length_error(&self, len: usize, dims: Dims) -> String {
        let Dims { height, width } = dims;
        format!("{}: {len} bytes are not a whole number of {height} x {width} x 3 images with sides of at least 1", self.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The names of Hendrycks and Dietterich (2019): figure 1 and, for the extra ones, appendix B.
    #[test]
    fn groups_are_the_published_ones() {
        let published = [
            "gaussian_noise",
            "shot_noise",
            "impulse_noise",
            "defocus_blur",
            "glass_blur",
            "motion_blur",
            "zoom_blur",
            "snow",
            "frost",
            "fog",
            "brightness",
            "contrast",
            "elastic_transform",
            "pixelate",
            "jpeg_compression",
        ];
        assert_eq!(benchmark().collect::<Vec<_>>(), published);
        assert_eq!(extra().collect::<Vec<_>>(), ["speckle_noise", "gaussian_blur", "spatter", "saturate"]);
    }
}
