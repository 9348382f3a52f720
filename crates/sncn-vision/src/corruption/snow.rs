//! Snow: a noise layer, zoomed, thresholded and motion-blurred, over an image that is washed out towards grey.

use super::apply::{CHUNK, Corruption, Scratch, sized, strips};
use super::bytes::{UNIT, UNIT_SINGLE, truncate_unit};
use super::dims::Dims;
use super::filter::{Motion, Part};
use super::noise::normals;
use super::severity::{self, Variant, row};
use super::vectorised::vectorised;
use super::zoom::Zoom;
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
    pub fn layer(&self, dims: Dims, z: &[f32], scratch: &mut Scratch, layer: &mut [u8]) {
        let (zoom, width) = (Zoom::new(dims.height, dims.width, self.zoom), dims.width);
        let whole = zoom.is_identity();
        strips(width, scratch, layer, |rows, scratch, layer| {
            let first = rows.start;
            let mut emit = |h: usize, row: &[[f64; 1]]| {
                for (out, [v]) in layer[(h - first) * width..].iter_mut().zip(row) {
                    *out = if *v < self.threshold { 0 } else { (255.0 * v.clamp(0.0, 1.0)) as u8 };
                }
            };
            let from = if whole { rows.clone() } else { zoom.source(&rows) };
            let (work, values) = sized(&mut scratch.f64s[0], (2 + from.len()) * width).split_at_mut(2 * width);
            for (value, &z) in values.iter_mut().zip(&z[from.start * width..from.end * width]) {
                *value = self.mean + self.std * f64::from(z);
            }
            let (values, _) = values.as_chunks::<1>();
            if whole {
                rows.zip(values.chunks_exact(width)).for_each(|(h, row)| emit(h, row));
            } else {
                zoom.each_row(rows, (from.start, values), work.as_chunks_mut::<1>().0, &mut emit);
            }
        });
    }

    /// Writes the layer, motion-blurred in the direction `theta` (degrees), into `blurred`.
    pub fn blur(&self, layer: &[u8], dims: Dims, theta: f64, scratch: &mut Scratch, blurred: &mut [u8]) {
        let (taps, width) = (self.motion.taps(theta), dims.width);
        strips(width, scratch, blurred, |rows, scratch, blurred| {
            let first = rows.start;
            taps.each_row(
                Part { dims: [dims.height, width, 1], rows },
                &mut scratch.f64s[0],
                #[inline(always)]
                |h, row| Motion::scaled(&layer[h * width..], row),
                #[inline(always)]
                |h, sums| Motion::bytes(sums, &mut blurred[(h - first) * width..]),
            );
        });
    }

    /// Writes the result in 0..1, before clipping, of the pixels from number `first` on into `y`; `image` has these pixels, the blurred
    /// `layer` all.
    #[inline(always)]
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
        let mut planes: [Vec<u8>; 2] = std::array::from_fn(|i| std::mem::take(&mut scratch.u8s[i]));
        let [layer, blurred] = planes.each_mut().map(|plane| sized(plane, dims.pixels()));
        let mut z = std::mem::take(&mut scratch.f32s[0]);
        normals(sized(&mut z, dims.pixels()), rng);
        self.layer(dims, &z, scratch, layer);
        self.blur(layer, dims, rng.random_range(-135.0..-45.0), scratch, blurred);
        let blurred = &*blurred;
        strips(3 * dims.width, scratch, out, |rows, scratch, out| {
            let (y, first) = (sized(&mut scratch.f64s[0], CHUNK), rows.start * dims.width);
            vectorised(
                #[inline(always)]
                || {
                    let image = image[3 * first..].chunks(CHUNK);
                    for (i, (image, out)) in image.zip(out.chunks_mut(CHUNK)).enumerate() {
                        self.float(&image[..out.len()], blurred, first + i * CHUNK / 3, y);
                        truncate_unit(y, out);
                    }
                },
            );
        });
        scratch.f32s[0] = z;
        planes.into_iter().zip(&mut scratch.u8s).for_each(|(plane, kept)| *kept = plane);
    }
}
