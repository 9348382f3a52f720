//! `Look`: how a scene is rendered, clean or weathered.

use super::canvas::{Canvas, FINE, Tint};
use rand::{Rng, RngExt};
use std::f32::consts::PI;

/// How a scene is rendered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Look {
    /// The source domain: flat colours, even light, hardly any grain.
    Clean,
    /// The target domain: dull and textured surfaces, haze, a colour cast, uneven light, wet streaks, grain.
    Weather,
}

/// Smooth noise in -1..1 from a periodic lattice of random values.
struct Lattice {
    values: Vec<f32>,
}

const CELLS: usize = 32;

impl Lattice {
    fn new(rng: &mut impl Rng) -> Self {
        Self { values: (0..CELLS * CELLS).map(|_| rng.random_range(-1.0f32..1.)).collect() }
    }

    fn at(&self, x: f32, y: f32) -> f32 {
        let (column, row) = (x.floor(), y.floor());
        let (u, v) = (x - column, y - row);
        let cell = |right: i64, down: i64| {
            let wrap = |at: f32, by: i64| (at as i64 + by).rem_euclid(CELLS as i64) as usize;
            self.values[wrap(row, down) * CELLS + wrap(column, right)]
        };
        let (upper, lower) = (cell(0, 0) * (1. - u) + cell(1, 0) * u, cell(0, 1) * (1. - u) + cell(1, 1) * u);
        upper * (1. - v) + lower * v
    }
}

/// The random values of the weather of one scene.
struct Weather {
    lattice: Lattice,
    haze: (f32, Tint),
    cast: Tint,
    dull: f32,
    dark: f32,
    light: (f32, f32),
    /// The strength of the texture of every class, void last.
    texture: [f32; 9],
    /// The width of the texture of surfaces in pixels.
    scale: f32,
    wet: f32,
    rain: f32,
}

impl Weather {
    fn new(rng: &mut impl Rng) -> Self {
        let grey = rng.random_range(0.45..0.75);
        let warm = rng.random_range(-0.12..0.2);
        Self {
            lattice: Lattice::new(rng),
            haze: (rng.random_range(0.2..0.6), [grey + warm * 0.5, grey, grey - warm * 0.5]),
            cast: [1. + warm, 1. - warm.abs() * 0.2, 1. - warm],
            dull: rng.random_range(0.35..0.8),
            dark: rng.random_range(0.45..0.85),
            light: (rng.random_range(0. ..2. * PI), rng.random_range(0.1..0.4)),
            texture: std::array::from_fn(|_| rng.random_range(0.04..0.16)),
            scale: rng.random_range(1.2..4.0),
            wet: rng.random_range(0.0..0.25),
            rain: if rng.random_bool(0.5) { rng.random_range(0.05..0.14) } else { 0. },
        }
    }

    fn tint(&self, tint: Tint, class: usize, distance: f32, (x, y): (f32, f32), size: (f32, f32)) -> Tint {
        let luma = 0.299 * tint[0] + 0.587 * tint[1] + 0.114 * tint[2];
        let stretched = if class == 1 { (x / (4. * self.scale), y / self.scale) } else { (x / self.scale, y / self.scale) };
        let grain = self.texture[class] * (self.lattice.at(stretched.0, stretched.1) + self.lattice.at(x / 9. + 7., y / 9. + 3.));
        let (u, v) = (2. * x / size.0 - 1., 2. * y / size.1 - 1.);
        let (angle, strength) = self.light;
        let light = self.dark * (1. + strength * (u * angle.cos() + v * angle.sin()));
        // a wet road reflects the sky in columns
        let wet = if class == 1 { self.wet * (0.5 + 0.5 * self.lattice.at(x / 3. + 11., 0.5)) } else { 0. };
        let haze = if class == 0 { self.haze.0 * 0.9 + 0.2 } else { self.haze.0 * distance.powi(2) };
        std::array::from_fn(|c| {
            let dulled = tint[c] * (1. - self.dull) + luma * self.dull + grain;
            let lit = dulled * light * self.cast[c] * (1. - wet) + self.haze.1[c] * wet;
            lit * (1. - haze) + self.haze.1[c] * self.dark.max(0.6) * haze
        })
    }
}

impl Look {
    /// Renders the image, height × width × 3 bytes.
    pub(super) fn render(self, canvas: &Canvas, rng: &mut impl Rng) -> Vec<u8> {
        let weather = (self == Self::Weather).then(|| Weather::new(rng));
        let size = (canvas.width as f32, canvas.height as f32);
        let noise = if weather.is_some() { 0.035 } else { 0.012 };
        let mut picture = Vec::with_capacity(canvas.height * canvas.width * 3);
        for i in 0..canvas.height * canvas.width {
            let (row, column) = (i / canvas.width, i % canvas.width);
            let mut sum = [0f32; 3];
            for sample in 0..FINE * FINE {
                let at = (row * FINE + sample / FINE) * canvas.width * FINE + column * FINE + sample % FINE;
                let paint = canvas.samples[at];
                let place =
                    (column as f32 + (sample % FINE) as f32 / FINE as f32, row as f32 + (sample / FINE) as f32 / FINE as f32);
                let class = usize::from(paint.class).min(8);
                let tint =
                    weather.as_ref().map_or(paint.tint, |weather| weather.tint(paint.tint, class, paint.distance, place, size));
                (0..3).for_each(|c| sum[c] += tint[c] / (FINE * FINE) as f32);
            }
            let streak = weather.as_ref().map_or(0., |weather| {
                let (x, y) = (column as f32, row as f32);
                if weather.lattice.at(x * 0.9 + y * 0.25, y * 0.11) > 0.55 { weather.rain } else { 0. }
            });
            for value in sum {
                let value = value + streak + noise * rng.random_range(-1.7f32..1.7);
                picture.push((255. * value.clamp(0., 1.)) as u8);
            }
        }
        picture
    }
}
