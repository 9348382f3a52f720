//! Spatter: mud (a thresholded, smoothed noise layer in brown) or water (its edges, lit through a distance map, in pale blue).

use super::apply::{Corruption, Scratch, sized};
use super::bytes::{UNIT, truncate_unit};
use super::dims::Dims;
use super::filter::{Border, Gauss};
use super::severity::{self, Variant, row};
use super::water::relief;
use anyhow::Result;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal};

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

    /// Writes the strength M of the spatter at each pixel into `strength`; `z` holds a standard normal draw for each pixel and
    /// is overwritten.
    pub fn strength(&self, dims: Dims, z: &mut [f64], buffers: Buffers<'_>, strength: &mut [f64]) {
        let Buffers { line, bytes, work } = buffers;
        let shape = [dims.height, dims.width, 1];
        z.iter_mut().for_each(|z| *z = self.mean + self.std * *z);
        self.smooth.apply(z, shape, line, strength);
        if let Some(gauss) = &self.mud {
            for (z, &l) in z.iter_mut().zip(&*strength) {
                *z = if l > self.threshold { 1.0 } else { 0.0 };
            }
            gauss.apply(z, shape, line, strength);
            strength.iter_mut().for_each(|m| *m = if *m < 0.8 { 0.0 } else { *m });
            return;
        }
        let byte = |l: f64| if l < self.threshold { 0 } else { (255.0 * l).clamp(0.0, 255.0) as u8 };
        let bytes = sized(bytes, strength.len());
        bytes.iter_mut().zip(&*strength).for_each(|(b, &l)| *b = byte(l));
        let lit = relief(bytes, dims, work);
        for ((m, &l), &r) in strength.iter_mut().zip(&*bytes).zip(lit) {
            *m = f64::from(l) * f64::from(r);
        }
        let most = strength.iter().copied().fold(0.0, f64::max);
        let scale = if most > 0.0 { self.strength / most } else { 0.0 };
        strength.iter_mut().for_each(|m| *m *= scale);
    }

    /// The result in 0..1 before clipping, height × width × 3.
    pub fn float(&self, image: &[u8], strength: &[f64], y: &mut [f64]) {
        for ((y, x), m) in y.as_chunks_mut::<3>().0.iter_mut().zip(image.as_chunks::<3>().0).zip(strength) {
            for c in 0..3 {
                let x = f64::from(UNIT[usize::from(x[c])] as f32);
                y[c] = if self.mud.is_some() { x * (1.0 - m) + m * MUD[c] } else { x + m * WATER[c] };
            }
        }
    }
}

impl Corruption for Spatter {
    fn apply(&self, image: &[u8], dims: Dims, rng: &mut ChaCha8Rng, scratch: &mut Scratch, out: &mut [u8]) {
        let [z, strength, y, line, ..] = &mut scratch.f64s;
        let (z, strength, y) = (sized(z, dims.pixels()), sized(strength, dims.pixels()), sized(y, dims.bytes()));
        z.iter_mut().for_each(|z| *z = f64::from(Distribution::<f32>::sample(&StandardNormal, rng)));
        let buffers = Buffers { line, bytes: &mut scratch.u8s[0], work: &mut scratch.i32s };
        self.strength(dims, z, buffers, strength);
        self.float(image, strength, y);
        truncate_unit(y, out);
    }
}
