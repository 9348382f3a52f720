//! Snow: a noise layer, zoomed, thresholded and motion-blurred, over an image that is washed out towards grey.

use super::apply::{CHUNK, Corruption, STRIP, Scratch, sized};
use super::bytes::{UNIT, UNIT_SINGLE, truncate_unit};
use super::dims::Dims;
use super::filter::{Motion, Zoom};
use super::noise::normals;
use super::severity::{self, Variant, row};
use anyhow::Result;
use rand::RngExt;
use rand_chacha::ChaCha8Rng;

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

    /// Writes the layer before the motion blur into `layer`; `z` holds a standard normal draw for each pixel.
    pub fn layer(&self, dims: Dims, z: &[f32], work: &mut Vec<f64>, layer: &mut [u8]) {
        let (zoom, width) = (Zoom::new(dims.height, dims.width, self.zoom), dims.width);
        let mut emit = |h: usize, row: &[[f64; 1]]| {
            for (out, [v]) in layer[h * width..].iter_mut().zip(row) {
                *out = if *v < self.threshold { 0 } else { (255.0 * v.clamp(0.0, 1.0)) as u8 };
            }
        };
        for top in (0..dims.height).step_by(STRIP) {
            let rows = top..(top + STRIP).min(dims.height);
            let whole = zoom.is_identity();
            let from = if whole { rows.clone() } else { zoom.source(&rows) };
            let (work, values) = sized(work, (2 + from.len()) * width).split_at_mut(2 * width);
            for (value, &z) in values.iter_mut().zip(&z[from.start * width..from.end * width]) {
                *value = self.mean + self.std * f64::from(z);
            }
            let (values, _) = values.as_chunks::<1>();
            if whole {
                rows.zip(values.chunks_exact(width)).for_each(|(h, row)| emit(h, row));
            } else {
                zoom.each_row(rows, (from.start, values), work.as_chunks_mut::<1>().0, &mut emit);
            }
        }
    }

    /// Writes the layer, motion-blurred in the direction `theta` (degrees), into `blurred`.
    pub fn blur(&self, layer: &[u8], dims: Dims, theta: f64, work: &mut Vec<f64>, blurred: &mut [u8]) {
        self.motion.apply(layer, [dims.height, dims.width, 1], theta, work, blurred);
    }

    /// Writes the result in 0..1, before clipping, of the pixels from number `first` on into `y`; `image` has these pixels, the blurred
    /// `layer` all.
    pub fn float(&self, image: &[u8], layer: &[u8], first: usize, y: &mut [f64]) {
        let last = layer.len().saturating_sub(1);
        for (i, (y, x)) in (first..).zip(y.as_chunks_mut::<3>().0.iter_mut().zip(image.as_chunks::<3>().0)) {
            let x = x.map(|v| UNIT_SINGLE[usize::from(v)]);
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
        let [work, y, ..] = &mut scratch.f64s;
        let [layer, blurred, ..] = &mut scratch.u8s;
        let (z, y) = (sized(&mut scratch.f32s[0], dims.pixels()), sized(y, CHUNK));
        let (layer, blurred) = (sized(layer, dims.pixels()), sized(blurred, dims.pixels()));
        normals(z, rng);
        self.layer(dims, z, work, layer);
        self.blur(layer, dims, rng.random_range(-135.0..-45.0), work, blurred);
        for (i, (image, out)) in image.chunks(CHUNK).zip(out.chunks_mut(CHUNK)).enumerate() {
            self.float(image, blurred, i * CHUNK / 3, y);
            truncate_unit(y, out);
        }
    }
}
