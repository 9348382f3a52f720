//! Spatter: mud (a thresholded, smoothed noise layer in brown) or water (its edges, lit through a distance map, in pale blue).

use super::apply::{CHUNK, Corruption, Scratch, sized};
use super::bytes::{UNIT_SINGLE, truncate_unit};
use super::dims::Dims;
use super::filter::{Border, Gauss};
use super::noise::normals;
use super::severity::{self, Variant, row};
use super::water::relief;
use anyhow::Result;
use rand_chacha::ChaCha8Rng;

const MUD: [f64; 3] = [63.0 / 255.0, 42.0 / 255.0, 20.0 / 255.0];
const WATER: [f64; 3] = [175.0 / 255.0, 238.0 / 255.0, 238.0 / 255.0];

/// Work buffers of [`Spatter::strength`].
pub struct Buffers<'a> {
    /// A line of the Gaussian filter.
    pub line: &'a mut Vec<f64>,
    /// The layer as bytes.
    pub bytes: &'a mut Vec<u8>,
    /// Planes of the edge detector.
    pub work: &'a mut [Vec<i32>; 6],
}

/// Spatter at one severity.
pub struct Spatter {
    mean: f64,
    std: f64,
    smooth: Gauss,
    threshold: f64,
    strength: f64,
    /// Smooths the mask of mud; absent for water.
    mud: Option<Gauss>,
}

impl Spatter {
    /// The spatter at a severity from 1 to 5; other severities are an error.
    pub fn new(severity: usize, variant: Variant) -> Result<Self> {
        let [mean, std, sigma, threshold, strength, kind] = row(&severity::SPATTER, variant, severity)?;
        let gauss = |sigma| Gauss::new(sigma, 4.0, Border::Nearest);
        let mud = (kind > 0.5).then(|| gauss(strength));
        Ok(Self { mean, std, smooth: gauss(sigma), threshold, strength, mud })
    }

    /// Writes the strength M of the spatter at each pixel into `strength`; `z` holds a standard normal draw for each pixel.
    pub fn strength(&self, dims: Dims, z: &[f32], buffers: Buffers<'_>, strength: &mut [f64]) {
        let Buffers { line, bytes, work } = buffers;
        let (shape, width) = ([dims.height, dims.width, 1], dims.width);
        let bytes = sized(bytes, strength.len());
        // what becomes of the smoothed layer: a mask of mud, or the water's level
        let byte = |l: f64| match &self.mud {
            Some(_) => u8::from(l > self.threshold),
            None if l < self.threshold => 0,
            None => (255.0 * l).clamp(0.0, 255.0) as u8,
        };
        self.smooth.each_row(
            shape,
            line,
            |h, row| row.iter_mut().zip(&z[h * width..]).for_each(|(x, &z)| *x = self.mean + self.std * f64::from(z)),
            |h, row| bytes[h * width..].iter_mut().zip(row).for_each(|(b, &l)| *b = byte(l)),
        );
        if let Some(gauss) = &self.mud {
            gauss.each_row(
                shape,
                line,
                |h, row| row.iter_mut().zip(&bytes[h * width..]).for_each(|(x, &b)| *x = f64::from(b)),
                |h, row| {
                    let rows = strength[h * width..].iter_mut().zip(row);
                    rows.for_each(|(m, &l)| *m = if l < 0.8 { 0.0 } else { l });
                },
            );
            return;
        }
        let lit = relief(bytes, dims, work);
        for ((m, &l), &r) in strength.iter_mut().zip(&*bytes).zip(lit) {
            *m = f64::from(l) * f64::from(r);
        }
        let most = strength.iter().copied().fold(0.0, f64::max);
        let scale = if most > 0.0 { self.strength / most } else { 0.0 };
        strength.iter_mut().for_each(|m| *m *= scale);
    }

    /// The result in 0..1 before clipping, for some pixels and the strength at each.
    pub fn float(&self, image: &[u8], strength: &[f64], y: &mut [f64]) {
        for ((y, x), m) in y.as_chunks_mut::<3>().0.iter_mut().zip(image.as_chunks::<3>().0).zip(strength) {
            for c in 0..3 {
                let x = UNIT_SINGLE[usize::from(x[c])];
                y[c] = if self.mud.is_some() { x * (1.0 - m) + m * MUD[c] } else { x + m * WATER[c] };
            }
        }
    }
}

impl Corruption for Spatter {
    fn apply(&self, image: &[u8], dims: Dims, rng: &mut ChaCha8Rng, scratch: &mut Scratch, out: &mut [u8]) {
        let [line, strength, y, ..] = &mut scratch.f64s;
        let (strength, y) = (sized(strength, dims.pixels()), sized(y, CHUNK));
        let z = sized(&mut scratch.f32s[0], dims.pixels());
        normals(z, rng);
        let buffers = Buffers { line, bytes: &mut scratch.u8s[0], work: &mut scratch.i32s };
        self.strength(dims, z, buffers, strength);
        for ((image, out), strength) in image.chunks(CHUNK).zip(out.chunks_mut(CHUNK)).zip(strength.chunks(CHUNK / 3)) {
            self.float(image, strength, y);
            truncate_unit(y, out);
        }
    }

    fn memory(&self, dims: Dims) -> usize {
        let planes = if self.mud.is_some() { 0 } else { 7 * size_of::<i32>() };
        (planes + size_of::<f64>() + size_of::<f32>() + 1) * dims.pixels()
    }
}
