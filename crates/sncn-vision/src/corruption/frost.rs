//! Frost: a·image + b·texture in 0..255, clipped and truncated; the texture is a random crop of a photograph.
//!
//! The five photographs of the benchmark are read from a folder. Without it, generated textures (ridged fractal noise, veined
//! and bluish white) are used instead, and programs print a notice.

use super::apply::{Corruption, Scratch, sized, strips};
use super::bytes::whole;
use super::dims::Dims;
use super::filter::Border;
use super::severity::{self, Variant, row};
use super::vectorised::vectorised;
use crate::picture::{self, Limit};
use anyhow::{Context, Result, ensure};
use image::RgbImage;
use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use sncn_core::Seed;
use std::path::Path;
use std::sync::{Arc, OnceLock};

/// The photographs, in the order of the textures; the benchmark never uses its sixth.
const FILES: [&str; 5] = ["frost1.png", "frost2.png", "frost3.png", "frost4.jpg", "frost5.jpg"];
/// The CIFAR variant uses every fifth pixel of a texture.
const REDUCTION: usize = 5;

/// An RGB texture.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Texture {
    /// Its size.
    pub dims: Dims,
    /// Its pixels, height × width × 3 bytes.
    pub bytes: Vec<u8>,
}

impl Texture {
    /// Every fifth pixel from the third on, round(side / 5) of them (half to even).
    fn reduced(&self) -> Self {
        let side = |n: usize| ((n as f64 / REDUCTION as f64).round_ties_even() as usize).max(1);
        let dims = Dims { height: side(self.dims.height), width: side(self.dims.width) };
        let at = |i: usize, n: usize| (REDUCTION * i + REDUCTION / 2).min(n - 1);
        let pixel = |i: usize| {
            let (h, w) = (at(i / dims.width, self.dims.height), at(i % dims.width, self.dims.width));
            let start = 3 * (h * self.dims.width + w);
            [self.bytes[start], self.bytes[start + 1], self.bytes[start + 2]]
        };
        Self { dims, bytes: (0..dims.pixels()).flat_map(pixel).collect() }
    }

    /// The pixels of row `h` from `column` on, mirrored beyond the edges, of which `line` takes as many as it holds; those that lie in
    /// the texture are not copied.
    fn row<'a>(&'a self, h: usize, column: usize, line: &'a mut [u8]) -> &'a [u8] {
        let row = &self.bytes[3 * Border::Reflect.index(h as isize, self.dims.height) * self.dims.width..][..3 * self.dims.width];
        if let Some(inside) = row.get(3 * column..3 * column + line.len()) {
            return inside;
        }
        for (w, pixel) in (column as isize..).zip(line.chunks_exact_mut(3)) {
            pixel.copy_from_slice(&row[3 * Border::Reflect.index(w, self.dims.width)..][..3]);
        }
        line
    }
}

/// The textures of frost; generated ones are made when they are first asked for.
pub struct Frost {
    full: Full,
    /// Every fifth pixel of them.
    reduced: OnceLock<Arc<[Texture]>>,
}

/// The textures at full size.
enum Full {
    Photographs(Arc<[Texture]>),
    Generated(Seed, OnceLock<Arc<[Texture]>>),
}

impl Frost {
    /// Reads the benchmark's photographs from a folder; alpha channels are dropped.
    ///
    /// # Errors
    /// If a photograph is missing or cannot be decoded.
    pub fn from_folder(folder: &Path) -> Result<Self> {
        let read = |name: &&str| {
            let path = folder.join(name);
            let image =
                picture::open(&path, Limit::default()).with_context(|| format!("the frost folder holds {}", FILES.join(", ")))?;
            let image: RgbImage = image.into_rgb8();
            let dims = Dims { height: image.height() as usize, width: image.width() as usize };
            ensure!(dims.pixels() > 0, "{}: an empty image", path.display());
            Ok(Texture { dims, bytes: image.into_raw() })
        };
        Ok(Self { full: Full::Photographs(FILES.iter().map(read).collect::<Result<_>>()?), reduced: OnceLock::new() })
    }

    /// Generated textures.
    pub fn generated(seed: Seed) -> Self {
        Self { full: Full::Generated(seed, OnceLock::new()), reduced: OnceLock::new() }
    }

    /// Six octaves of ridged value noise, stretched along a direction of growth.
    fn generate(seed: Seed) -> Arc<[Texture]> {
        let dims = Dims { height: 256, width: 320 };
        let texture = |number: usize| {
            let seed = seed.named("frost").fold_in(number as u64);
            let (sin, cos) = (number as f32 * 1.3 + 0.4).sin_cos();
            let pixel = |i: usize| {
                let (x, y) = ((i % dims.width) as f32, (i / dims.width) as f32);
                let (u, v) = ((x * cos + y * sin) / 24.0, (y * cos - x * sin) / 56.0);
                let (mut value, mut weight) = (0.0, 0.5);
                for octave in 0..6 {
                    let scale = (1 << octave) as f32;
                    let ridge = 1.0 - (2.0 * noise(seed.fold_in(octave), u * scale, v * scale) - 1.0).abs();
                    value += weight * ridge * ridge;
                    weight *= 0.55;
                }
                let value = (value * 1.1).min(1.0);
                [0.10 + 0.80 * value, 0.16 + 0.80 * value, 0.26 + 0.72 * value].map(|v| (255.0 * v.min(1.0)) as u8)
            };
            Texture { dims, bytes: (0..dims.pixels()).flat_map(pixel).collect() }
        };
        (0..FILES.len()).map(texture).collect()
    }

    fn full(&self) -> &Arc<[Texture]> {
        match &self.full {
            Full::Photographs(textures) => textures,
            Full::Generated(seed, made) => made.get_or_init(|| Self::generate(*seed)),
        }
    }

    /// Whether the textures are generated and not the photographs.
    pub fn is_generated(&self) -> bool {
        matches!(self.full, Full::Generated(..))
    }

    /// Where the textures come from, in words.
    pub fn origin(&self) -> &'static str {
        if self.is_generated() { "generated textures" } else { "photographs" }
    }

    /// The textures of a variant.
    pub fn textures(&self, variant: Variant) -> Arc<[Texture]> {
        match variant {
            Variant::Cifar => self.reduced.get_or_init(|| self.full().iter().map(Texture::reduced).collect()).clone(),
            Variant::Imagenet => self.full().clone(),
        }
    }
}

/// Smooth value noise in [0, 1) on the integer lattice.
fn noise(seed: Seed, x: f32, y: f32) -> f32 {
    let corner = |dx: i64, dy: i64| {
        let (i, j) = (x.floor() as i64 + dx, y.floor() as i64 + dy);
        (seed.fold_in(i as u64).fold_in(j as u64).value() >> 40) as f32 / (1u32 << 24) as f32
    };
    let smooth = |t: f32| t * t * (3.0 - 2.0 * t);
    let (s, t) = (smooth(x - x.floor()), smooth(y - y.floor()));
    let along = |dy| corner(0, dy) * (1.0 - s) + corner(1, dy) * s;
    along(0) * (1.0 - t) + along(1) * t
}

/// Frost at one severity.
pub struct FrostOverlay {
    image: f64,
    texture: f64,
    textures: Arc<[Texture]>,
}

impl FrostOverlay {
    /// The frost at a severity from 1 to 5; other severities are an error.
    pub fn new(severity: usize, variant: Variant, frost: &Frost) -> Result<Self> {
        let [image, texture] = row(&severity::FROST, variant, severity)?;
        Ok(Self { image, texture, textures: frost.textures(variant) })
    }

    /// One value in 0..255, before clipping.
    #[inline(always)]
    pub fn value(&self, image: u8, texture: u8) -> f64 {
        self.image * f64::from(image) + self.texture * f64::from(texture)
    }

    /// Writes the result for the crop of texture `index` at (row, column) into `out`.
    fn overlay(
        &self,
        image: &[u8],
        dims: Dims,
        index: usize,
        (row, column): (usize, usize),
        scratch: &mut Scratch,
        out: &mut [u8],
    ) {
        let (texture, wide) = (&self.textures[index % self.textures.len()], 3 * dims.width);
        strips(wide, scratch, out, |rows, scratch, out| {
            let line = sized(&mut scratch.u8s[0], wide);
            for (h, out) in rows.zip(out.chunks_exact_mut(wide)) {
                let (image, frost) = (&image[h * wide..][..wide], texture.row(row + h, column, line));
                vectorised(
                    #[inline(always)]
                    || {
                        for ((out, &image), &frost) in out.iter_mut().zip(image).zip(frost) {
                            *out = whole(self.value(image, frost).clamp(0.0, 255.0)) as u8;
                        }
                    },
                );
            }
        });
    }
}

impl Corruption for FrostOverlay {
    fn apply(&self, image: &[u8], dims: Dims, rng: &mut ChaCha8Rng, scratch: &mut Scratch, out: &mut [u8]) {
        let index = rng.random_range(0..self.textures.len());
        let texture = self.textures[index].dims;
        // the last possible position is never drawn, as in the benchmark; a texture that is too small is mirrored
        let mut corner = |side: usize, needed: usize| rng.random_range(0..side.saturating_sub(needed).max(1));
        let row = corner(texture.height, dims.height);
        let column = corner(texture.width, dims.width);
        self.overlay(image, dims, index, (row, column), scratch, out);
    }
}

/// The textures of [`Frost::from_folder`], or generated ones without a folder.
///
/// # Errors
/// If the folder lacks a photograph.
pub(crate) fn textures(folder: Option<&Path>) -> Result<Frost> {
    match folder {
        Some(folder) => Frost::from_folder(folder),
        None => Ok(Frost::generated(Seed::new(0))),
    }
}

/// The message that programs print when frost textures are generated.
pub(crate) const GENERATED: &str =
    "frost: generated textures are used instead of the benchmark's photographs (--frost-dir names their folder)";
