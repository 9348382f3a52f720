//! `Transform`: random changes of an image and its labels together, as in the published segmentation experiment: scale, rotation,
//! blur, flip, crop.
//!
//! Scale, rotation, flip and crop are one affine map from the pixels of the result to those of the source, so an image is sampled
//! once, bilinearly, and its labels at the nearest pixel. What lies outside is the mean grey with label 255.

use super::style::Style;
use crate::corruption::filter::{Border, Gauss, Part};
use crate::dataset::pairs::Pair;
use crate::preprocess::Normalisation;
use anyhow::{Result, ensure};
use rand::{Rng, RngExt};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sncn_core::Seed;
use sncn_train::data::VOID;
use sncn_train::harness::settings;

/// The value of pixels outside: the middle of the scale, 0 once normalised.
const GREY: f32 = 127.5;
/// Deviation of the blur, that of a 5 × 5 window.
const SIGMA: f64 = 1.1;

/// The settings of `augment` in segmentation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
enum Settings {
    /// Changes of image and labels together.
    Paired(Transform),
}

/// What is drawn for every example; what is absent is not done.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Transform {
    /// Scale factors, the lowest and the highest.
    #[serde(default = "one")]
    pub scale: [f64; 2],
    /// Degrees that an image is turned by at most, either way.
    #[serde(default)]
    pub rotate: f64,
    /// Probability of a Gaussian blur.
    #[serde(default)]
    pub blur: f64,
    /// Whether half of the images are mirrored.
    #[serde(default)]
    pub flip: bool,
    /// Rows and columns of the result; absent: those of the image.
    #[serde(default)]
    pub crop: Option<[usize; 2]>,
    /// Random styles of the image: domain randomisation.
    #[serde(default)]
    pub style: Option<Style>,
}

fn one() -> [f64; 2] {
    [1.; 2]
}

impl Default for Transform {
    /// The published transforms, without a crop: scale ½ to 2, ±10°, blur and flip of half the images.
    fn default() -> Self {
        Self { scale: [0.5, 2.], rotate: 10., blur: 0.5, flip: true, crop: None, style: None }
    }
}

impl Transform {
    /// Reads the `augment` of a run: nothing, `true` for the published transforms, or settings of kind `paired`.
    ///
    /// # Errors
    /// Names the key that does not fit and what is accepted.
    pub fn read(augment: &Value) -> Result<Option<Self>> {
        let usual = Settings::Paired(Self::default());
        let Some(Settings::Paired(transform)) = settings::optional("augment", augment, Some(usual))? else { return Ok(None) };
        transform.check()?;
        Ok(Some(transform))
    }

    fn check(&self) -> Result<()> {
        let [low, high] = self.scale;
        ensure!(
            0.05 <= low && low <= high && high <= 20.,
            "augment.scale is [{low}, {high}]; [low, high] within 0.05 to 20 is accepted"
        );
        ensure!((0. ..=180.).contains(&self.rotate), "augment.rotate is {}; 0 to 180 degrees are accepted", self.rotate);
        ensure!((0. ..=1.).contains(&self.blur), "augment.blur is {}; a probability of 0 to 1 is accepted", self.blur);
        if let Some([rows, columns]) = self.crop {
            ensure!(
                rows.min(columns) >= 16 && rows.max(columns) <= 4096,
                "augment.crop is [{rows}, {columns}]; 16 to 4096 is accepted"
            );
        }
        self.style.as_ref().map_or(Ok(()), Style::check)
    }

    /// Rows and columns of what becomes of an image of that size.
    pub fn size(&self, (height, width): (usize, usize)) -> (usize, usize) {
        self.crop.map_or((height, width), |[rows, columns]| (rows, columns))
    }

    /// The changed image, normalised, into `values` (rows × columns × 3 of [`Transform::size`]), and its labels.
    pub fn apply(&self, pair: &Pair, seed: Seed, values: &mut [f32]) -> Vec<u32> {
        let mut rng = seed.rng();
        let map = Affine::draw(self, (pair.height, pair.width), &mut rng);
        let blurred = rng.random_bool(self.blur).then(|| blurred(pair));
        let image = blurred.as_deref().unwrap_or(&pair.image);
        let (rows, columns) = self.size((pair.height, pair.width));
        let mut labels = Vec::with_capacity(rows * columns);
        for (i, pixel) in values.chunks_exact_mut(3).enumerate() {
            let (x, y) = map.source((i % columns) as f64 + 0.5, (i / columns) as f64 + 0.5);
            let (column, row) = (x.floor(), y.floor());
            let inside = column >= 0. && row >= 0. && column < pair.width as f64 && row < pair.height as f64;
            let label = if inside { u32::from(pair.labels[row as usize * pair.width + column as usize]) } else { VOID };
            labels.push(label);
            sample(image, (pair.height, pair.width), (x - 0.5, y - 0.5), pixel);
        }
        Normalisation::CIFAR.apply(values);
        if let Some(style) = &self.style {
            style.apply(values, (rows, columns), seed.named("style"));
        }
        labels
    }
}

/// From places of the result to places of the source, in pixels.
struct Affine {
    /// Of the result within the scaled image.
    offset: (f64, f64),
    /// The scaled image.
    size: (f64, f64),
    scale: f64,
    turn: (f64, f64),
    flip: bool,
}

impl Affine {
    fn draw(transform: &Transform, (height, width): (usize, usize), rng: &mut impl Rng) -> Self {
        let [low, high] = transform.scale;
        let scale = rng.random_range(low..=high);
        let angle = rng.random_range(-transform.rotate..=transform.rotate).to_radians();
        let flip = transform.flip && rng.random_bool(0.5);
        let (rows, columns) = transform.size((height, width));
        let size = (height as f64 * scale, width as f64 * scale);
        // anywhere within a larger image, a smaller one anywhere within the result
        let mut place = |from: f64, to: usize| {
            let rest = from - to as f64;
            let at = rng.random_range(0.0..=1.0) * rest;
            if transform.scale == [1.; 2] { at.round() } else { at }
        };
        Self { offset: (place(size.0, rows), place(size.1, columns)), size, scale, turn: angle.sin_cos(), flip }
    }

    fn source(&self, x: f64, y: f64) -> (f64, f64) {
        let (middle_y, middle_x) = (self.size.0 / 2., self.size.1 / 2.);
        let (dx, dy) = (x + self.offset.1 - middle_x, y + self.offset.0 - middle_y);
        let (sin, cos) = self.turn;
        let (dx, dy) = (cos * dx + sin * dy, cos * dy - sin * dx);
        let dx = if self.flip { -dx } else { dx };
        ((dx + middle_x) / self.scale, (dy + middle_y) / self.scale)
    }
}

/// The colour between four pixels, the middle grey outside.
fn sample(image: &[u8], (height, width): (usize, usize), (x, y): (f64, f64), pixel: &mut [f32]) {
    let (column, row) = (x.floor(), y.floor());
    let (u, v) = ((x - column) as f32, (y - row) as f32);
    pixel.fill(0.);
    for (right, down, weight) in [(0, 0, (1. - u) * (1. - v)), (1, 0, u * (1. - v)), (0, 1, (1. - u) * v), (1, 1, u * v)] {
        let (column, row) = (column as i64 + right, row as i64 + down);
        let inside = (0..width as i64).contains(&column) && (0..height as i64).contains(&row);
        let at = if inside { 3 * (row as usize * width + column as usize) } else { 0 };
        for (c, value) in pixel.iter_mut().enumerate() {
            *value += weight * if inside { f32::from(image[at + c]) } else { GREY };
        }
    }
}

fn blurred(pair: &Pair) -> Vec<u8> {
    let (mut out, wide) = (vec![0; pair.image.len()], 3 * pair.width);
    Gauss::new(SIGMA, 2. / SIGMA, Border::Reflect101).each_row(
        Part { dims: [pair.height, pair.width, 3], rows: 0..pair.height },
        &mut Vec::new(),
        |h, row| row.iter_mut().zip(&pair.image[h * wide..]).for_each(|(value, &byte)| *value = f64::from(byte)),
        |h, row| out[h * wide..].iter_mut().zip(row).for_each(|(out, value)| *out = value.round().clamp(0., 255.) as u8),
    );
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    /// An image whose red value is its label and whose green and blue values are its place.
    fn marked(height: usize, width: usize) -> Pair {
        let labels: Vec<u8> = (0..height * width).map(|i| (i * 7 % 200) as u8).collect();
        let pixel = |(i, &label): (usize, &u8)| [label, (i % width) as u8, (i / width) as u8];
        Pair { height, width, image: labels.iter().enumerate().flat_map(pixel).collect(), labels }
    }

    fn read(value: serde_json::Value) -> Transform {
        Transform::read(&value).unwrap().unwrap()
    }

    #[test]
    fn labels_move_with_their_pixels() {
        let pair = marked(20, 30);
        for (settings, exact) in [
            (json!({"kind": "paired"}), true),
            (json!({"kind": "paired", "flip": true}), true),
            (json!({"kind": "paired", "crop": [16, 40], "flip": true}), true),
            (json!({"kind": "paired", "scale": [0.6, 1.7], "rotate": 25, "crop": [24, 24]}), false),
        ] {
            let transform = read(settings.clone());
            let (rows, columns) = transform.size((20, 30));
            for index in 0..20 {
                let mut values = vec![0f32; rows * columns * 3];
                let labels = transform.apply(&pair, Seed::new(index), &mut values);
                let (mut inside, mut off) = (0, 0f32);
                for (pixel, &label) in values.chunks_exact(3).zip(&labels) {
                    let bytes = [0, 1, 2].map(|c| pixel[c].mul_add(127.5, 127.5));
                    if label == VOID {
                        assert!(!exact || bytes.iter().all(|byte| (byte - GREY).abs() < 1e-3), "{settings} {bytes:?}");
                        continue;
                    }
                    inside += 1;
                    // green and blue say where the pixel comes from, to half a pixel
                    let place = (bytes[2].round() as usize).min(19) * 30 + (bytes[1].round() as usize).min(29);
                    off += if exact { f32::from(u8::from(u32::from(pair.labels[place]) != label)) } else { 0. };
                }
                assert!(inside > rows * columns / 8, "{settings}: {inside}");
                assert_eq!(off, 0., "{settings}");
            }
        }
    }

    #[test]
    fn settings_out_of_range_are_named() {
        for (settings, word) in [
            (json!({"kind": "paired", "scale": [2.0, 1.0]}), "augment.scale"),
            (json!({"kind": "paired", "rotate": 700}), "augment.rotate"),
            (json!({"kind": "paired", "blur": 2}), "augment.blur"),
            (json!({"kind": "paired", "crop": [2, 2]}), "augment.crop"),
            (json!({"kind": "paired", "zoom": 1}), "zoom"),
            (json!({"kind": "cutout"}), "cutout"),
            (json!({"kind": "paired", "style": {"kind": "randconv", "probability": 3}}), "probability"),
        ] {
            let error = format!("{:#}", Transform::read(&settings).unwrap_err());
            assert!(error.contains(word), "{settings}: {error}");
        }
        assert_eq!(Transform::read(&Value::Null).unwrap(), None);
        assert_eq!(Transform::read(&Value::Bool(true)).unwrap(), Some(Transform::default()));
    }

    #[test]
    fn a_blur_keeps_the_mean_and_the_labels() {
        let pair = marked(20, 30);
        let blurred = blurred(&pair);
        let mean = |bytes: &[u8]| bytes.iter().map(|&byte| f64::from(byte)).sum::<f64>() / bytes.len() as f64;
        assert!((mean(&blurred) - mean(&pair.image)).abs() < 1.);
        assert_ne!(blurred, pair.image);
    }
}
