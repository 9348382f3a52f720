//! `shapes`: the built-in data set, 32 × 32 RGB, with ten classes that differ in content (a shape), generated from a seed.
//!
//! Training and clean test images have one narrow style: bluish shapes on a warm light background, soft light. The shifted test
//! sets keep the content and change the style: `shapes-colour`, `shapes-contrast`, `shapes-texture`, `shapes-lighting`.
//! Image i depends only on the seed and i, so nothing is stored and the number of threads does not matter.

use super::DataDir;
use super::images::{Images, Splits};
use crate::corruption::Dims;
use crate::picture::Photo;
use anyhow::{Result, ensure};
use rand::{Rng, RngExt};
use sncn_core::Seed;
use std::f32::consts::PI;
use std::sync::Arc;

const SIDE: usize = 32;
/// Samples per pixel and axis.
const SAMPLES: usize = 3;
/// The number of training images.
pub(crate) const TRAIN: usize = 4000;
/// The number of images in each test set.
pub(crate) const TEST: usize = 1000;

/// A class: its name and whether a point (in units of the shape's radius, y downwards) lies inside the shape.
type Shape = (&'static str, fn(f32, f32) -> bool);

const SHAPES: &[Shape] = &[
    ("disc", |x, y| x * x + y * y < 0.81),
    ("ring", |x, y| (0.3..0.95).contains(&(x * x + y * y))),
    ("square", |x, y| x.abs() < 0.78 && y.abs() < 0.78),
    ("triangle", |x, y| y < 0.75 && y > -0.95 + 1.75 * x.abs()),
    ("plus", |x, y| (x.abs() < 0.27 && y.abs() < 0.95) || (y.abs() < 0.27 && x.abs() < 0.95)),
    ("frame", |x, y| x.abs().max(y.abs()) < 0.88 && x.abs().max(y.abs()) > 0.5),
    ("half", |x, y| x * x + y * y < 0.95 && y > 0.),
    ("bars", |x, y| x.abs() < 0.9 && y.abs() < 0.95 && (((y + 0.95) * 2.632) as usize).is_multiple_of(2)),
    ("chevron", |x, y| x.abs() < 0.9 && (y + 0.45 - x.abs()).abs() < 0.38),
    ("hourglass", |x, y| y.abs() < 0.9 && x.abs() < y.abs() * 0.95 + 0.06),
];

/// The styles, the training style first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Style {
    /// The style of training and clean test images.
    Plain,
    /// Any colours, dark shapes on a light background or the reverse.
    Colour,
    /// Low contrast: shape and background have nearly the same colour.
    Contrast,
    /// Stripes, checks or grain on shape and background.
    Texture,
    /// Strong gradients, vignettes and colour casts.
    Lighting,
}

/// Every style with the name of its test set.
pub(crate) const STYLES: &[(&str, Style)] = &[
    ("shapes", Style::Plain),
    ("shapes-colour", Style::Colour),
    ("shapes-contrast", Style::Contrast),
    ("shapes-texture", Style::Texture),
    ("shapes-lighting", Style::Lighting),
];

/// Opens the generated set; no files are read.
pub fn open(_: &DataDir) -> Result<Splits> {
    let seed = Seed::new(0).named("shapes");
    let split = |name: &'static str, style, stream: &str, count| -> Arc<dyn Images> {
        Arc::new(Shapes {
            name,
            style,
            seed: seed.named(stream),
            count,
            classes: SHAPES.iter().map(|s| s.0.to_string()).collect(),
        })
    };
    let test = STYLES.iter().map(|&(name, style)| (name.to_string(), split(name, style, "test", TEST))).collect();
    Ok(Splits::new(split("shapes", Style::Plain, "train", TRAIN), test, "shapes-c"))
}

/// One generated split; an index has the same content in every style.
pub(crate) struct Shapes {
    name: &'static str,
    style: Style,
    seed: Seed,
    count: usize,
    classes: Vec<String>,
}

type Colour = [f32; 3];

fn mix(a: Colour, b: Colour, t: f32) -> Colour {
    std::array::from_fn(|c| a[c] + (b[c] - a[c]) * t)
}

fn near(rng: &mut impl Rng, colour: Colour, spread: f32) -> Colour {
    colour.map(|c| c + rng.random_range(-spread..=spread))
}

fn luma(c: Colour) -> f32 {
    0.299 * c[0] + 0.587 * c[1] + 0.114 * c[2]
}

/// The random values of a style for one image.
struct StyleDraw {
    shape: Colour,
    ground: Colour,
    /// Pattern: kind, period, angle, strength on shape and on background.
    pattern: Option<(usize, f32, f32, f32, f32)>,
    /// Light: direction, strength, vignette, cast.
    light: (f32, f32, f32, Colour),
    noise: f32,
}

impl StyleDraw {
    fn draw(style: Style, rng: &mut impl Rng) -> Self {
        let mut look = Self {
            shape: near(rng, [0.20, 0.33, 0.62], 0.05),
            ground: near(rng, [0.86, 0.80, 0.68], 0.05),
            pattern: None,
            light: (rng.random_range(0. ..2. * PI), 0.06, 0., [1.; 3]),
            noise: 0.015,
        };
        match style {
            Style::Plain => {}
            Style::Colour => loop {
                let any = |rng: &mut _| near(rng, [0.5; 3], 0.5);
                (look.shape, look.ground) = (any(rng), any(rng));
                let distance: f32 = (0..3).map(|c| (look.shape[c] - look.ground[c]).abs()).sum();
                if distance > 0.6 && (luma(look.shape) - luma(look.ground)).abs() > 0.15 {
                    break;
                }
            },
            Style::Contrast => {
                let (middle, share) = (rng.random_range(0.2..0.8), rng.random_range(0.14..0.3));
                look.shape = mix([middle; 3], look.shape, share);
                look.ground = mix([middle; 3], look.ground, share);
            }
            Style::Texture => {
                let (kind, period, angle) = (rng.random_range(0..3), rng.random_range(3.0..6.0), rng.random_range(0. ..PI));
                look.pattern = Some((kind, period, angle, rng.random_range(0.0..0.25), rng.random_range(0.12..0.3)));
            }
            Style::Lighting => {
                let cast = near(rng, [0.8; 3], 0.35);
                look.light = (rng.random_range(0. ..2. * PI), rng.random_range(0.35..0.75), rng.random_range(0.2..0.8), cast);
            }
        }
        look
    }

    fn pattern(&self, x: f32, y: f32, inside: bool, grain: f32) -> f32 {
        let Some((kind, period, angle, shape, ground)) = self.pattern else { return 0. };
        let strength = if inside { shape } else { ground };
        let (u, v) = (x * angle.cos() + y * angle.sin(), y * angle.cos() - x * angle.sin());
        let wave = |t: f32| if (t / period).rem_euclid(1.) < 0.5 { 1. } else { -1. };
        strength
            * match kind {
                0 => wave(u),
                1 => wave(u) * wave(v),
                _ => grain,
            }
    }

    fn light(&self, x: f32, y: f32) -> Colour {
        let (u, v) = (2. * x / SIDE as f32 - 1., 2. * y / SIDE as f32 - 1.);
        let (angle, strength, vignette, cast) = self.light;
        let slope = 1. + strength * (u * angle.cos() + v * angle.sin());
        cast.map(|c| c * slope * (1. - vignette * 0.5 * (u * u + v * v)))
    }
}

impl Images for Shapes {
    fn len(&self) -> usize {
        self.count
    }

    fn dims(&self) -> Option<Dims> {
        Some(Dims::square(SIDE))
    }

    fn classes(&self) -> &[String] {
        &self.classes
    }

    fn label(&self, index: usize) -> Result<usize> {
        ensure!(index < self.count, "image {index} of {}", self.count);
        Ok(index % SHAPES.len())
    }

    fn read(&self, index: usize, out: &mut Photo) -> Result<usize> {
        let (label, out) = (self.label(index)?, out.reset(Dims::square(SIDE)));
        let mut content = self.seed.named("content").fold_in(index as u64).rng();
        let mut centre = || SIDE as f32 / 2. + content.random_range(-4.0f32..4.0);
        let (cx, cy) = (centre(), centre());
        let radius = content.random_range(8.0f32..11.5);
        let (sin, cos) = content.random_range(-0.25f32..0.25).sin_cos();
        let mut rng = self.seed.named(self.name).fold_in(index as u64).rng();
        let look = StyleDraw::draw(self.style, &mut rng);
        for (i, pixel) in out.chunks_exact_mut(3).enumerate() {
            let (px, py) = ((i % SIDE) as f32, (i / SIDE) as f32);
            let mut hits = 0;
            for sample in 0..SAMPLES * SAMPLES {
                let offset = |s: usize| (s as f32 + 0.5) / SAMPLES as f32;
                let (dx, dy) = (px + offset(sample % SAMPLES) - cx, py + offset(sample / SAMPLES) - cy);
                hits += usize::from(SHAPES[label].1((dx * cos + dy * sin) / radius, (dy * cos - dx * sin) / radius));
            }
            let share = hits as f32 / (SAMPLES * SAMPLES) as f32;
            let grain = rng.random_range(-1.0f32..1.0);
            let texture = look.pattern(px, py, share > 0.5, grain);
            let (light, colour) = (look.light(px, py), mix(look.ground, look.shape, share));
            for c in 0..3 {
                let noise = look.noise * rng.random_range(-1.7f32..1.7);
                pixel[c] = (255. * ((colour[c] + texture) * light[c] + noise).clamp(0., 1.)) as u8;
            }
        }
        Ok(label)
    }

    fn describe(&self) -> String {
        format!("{} ({} generated images)", self.name, self.count)
    }
}
