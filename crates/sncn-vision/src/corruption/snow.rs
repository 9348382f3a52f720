//! Snow: a noise layer, zoomed, thresholded and motion-blurred, over an image that is washed out towards grey.

use super::apply::{Corruption, Scratch, sized};
use super::bytes::{UNIT, truncate_unit};
use super::dims::Dims;
use super::filter::{Motion, Zoom};
use super::severity::{self, Variant, row};
use anyhow::Result;
use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal};

/// Snow at one severity.
pub struct Snow {
    mean: f64,
    std: f64,
    zoom: f64,
    threshold: f64,
    motion: Motion,
    mix: f64,
}

impl Snow {
    /// The snow at a severity from 1 to 5; other severities are an error.
    pub fn new(severity: usize, variant: Variant) -> Result<Self> {
        let [mean, std, zoom, threshold, radius, sigma, mix] = row(&severity::SNOW, variant, severity)?;
        Ok(Self { mean, std, zoom, threshold, motion: Motion::new(radius, sigma), mix })
    }

    /// Writes the layer before the motion blur into `layer`; `z` holds a standard normal draw for each pixel and is overwritten.
    pub fn layer(&self, dims: Dims, z: &mut [f64], work: &mut Vec<f64>, layer: &mut [u8]) {
        z.iter_mut().for_each(|z| *z = self.mean + self.std * *z);
        let zoom = Zoom::new(dims.height, dims.width, self.zoom);
        let (work, _) = sized(work, 2 * dims.width).as_chunks_mut::<1>();
        let mut emit = |h: usize, row: &[[f64; 1]]| {
            for (out, [v]) in layer[h * dims.width..].iter_mut().zip(row) {
                *out = if *v < self.threshold { 0 } else { (255.0 * v.clamp(0.0, 1.0)) as u8 };
            }
        };
        let (z, _) = z.as_chunks::<1>();
        if zoom.is_identity() {
            z.chunks_exact(dims.width).enumerate().for_each(|(h, row)| emit(h, row));
        } else {
            zoom.each_row(z, work, emit);
        }
    }

    /// Writes the layer, motion-blurred in the direction `theta` (degrees), into `blurred`.
    pub fn blur(&self, layer: &[u8], dims: Dims, theta: f64, work: &mut Vec<f64>, blurred: &mut [u8]) {
        self.motion.apply(layer, [dims.height, dims.width, 1], theta, work, blurred);
    }

    /// Writes the result in 0..1, before clipping, for a blurred layer into `y`.
    pub fn float(&self, image: &[u8], layer: &[u8], y: &mut [f64]) {
        let last = layer.len().saturating_sub(1);
        for (i, (y, x)) in y.as_chunks_mut::<3>().0.iter_mut().zip(image.as_chunks::<3>().0).enumerate() {
            let x = x.map(|v| f64::from(UNIT[usize::from(v)] as f32));
            let grey = 0.299 * x[0] + 0.587 * x[1] + 0.114 * x[2];
            let snow = UNIT[usize::from(layer[i])] + UNIT[usize::from(layer[last - i])];
            for c in 0..3 {
                y[c] = self.mix * x[c] + (1.0 - self.mix) * x[c].max(1.5 * grey + 0.5) + snow;
            }
        }
    }
}

impl Corruption for Snow {
    fn apply(&self, image: &[u8], dims: Dims, rng: &mut ChaCha8Rng, scratch: &mut Scratch, out: &mut [u8]) {
        let [z, work, y, ..] = &mut scratch.f64s;
        let [layer, blurred, ..] = &mut scratch.u8s;
        let (z, y) = (sized(z, dims.pixels()), sized(y, dims.bytes()));
        let (layer, blurred) = (sized(layer, dims.pixels()), sized(blurred, dims.pixels()));
        z.iter_mut().for_each(|z| *z = f64::from(Distribution::<f32>::sample(&StandardNormal, rng)));
        self.layer(dims, z, work, layer);
        self.blur(layer, dims, rng.random_range(-135.0..-45.0), work, blurred);
        self.float(image, blurred, y);
        truncate_unit(y, out);
    }
}
