//! Spatter: mud (a thresholded, smoothed noise layer in brown) or water (its edges, lit through a distance map, in pale blue).
//!
//! Beyond the layer all is in single precision, as published, each product and sum rounded by itself.

use super::apply::{Corruption, Scratch, sized, strips};
use super::bytes::{UNIT_SINGLE, truncate, whole};
use super::dims::Dims;
use super::filter::{Border, Gauss, Part};
use super::noise::normals;
use super::severity::{self, Variant, row};
use super::vectorised::vectorised;
use super::water::{Planes, relief};
use anyhow::Result;
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;

const MUD: [f64; 3] = [63.0 / 255.0, 42.0 / 255.0, 20.0 / 255.0];
const WATER: [f64; 3] = [175.0 / 255.0, 238.0 / 255.0, 238.0 / 255.0];

/// Spatter at one severity.
pub struct Spatter {
    mean: f64,
    std: f64,
    smooth: Gauss,
    threshold: f64,
    strength: f32,
    /// Smooths the mask of mud; absent for water.
    mud: Option<Gauss>,
}

impl Spatter {
    /// The spatter at a severity from 1 to 5; other severities are an error.
    pub fn new(severity: usize, variant: Variant) -> Result<Self> {
        let [mean, std, sigma, threshold, strength, kind] = row(&severity::SPATTER, variant, severity)?;
        let gauss = |sigma| Gauss::new(sigma, 4.0, Border::Nearest);
        let mud = (kind > 0.5).then(|| gauss(strength).single());
        Ok(Self { mean, std, smooth: gauss(sigma), threshold, strength: strength as f32, mud })
    }

    /// Writes the strength M of the spatter at each pixel into `strength`; `z` holds a standard normal draw for each pixel.
    pub fn strength(&self, dims: Dims, z: &[f32], scratch: &mut Scratch, strength: &mut [f32]) {
        let mut layer = std::mem::take(&mut scratch.u8s[0]);
        let bytes = sized(&mut layer, strength.len());
        self.layer(dims, z, scratch, bytes);
        match &self.mud {
            Some(gauss) => strips(dims.width, scratch, strength, |rows, scratch, strength| {
                let (first, width) = (rows.start, dims.width);
                gauss.each_row(
                    Part { dims: [dims.height, width, 1], rows },
                    &mut scratch.f64s[0],
                    |h, row| row.iter_mut().zip(&bytes[h * width..]).for_each(|(x, &b)| *x = f64::from(b)),
                    |h, row| {
                        let strength = strength[(h - first) * width..].iter_mut();
                        strength.zip(row).for_each(|(m, &l)| *m = if (l as f32) < 0.8 { 0.0 } else { l as f32 });
                    },
                );
            }),
            None => {
                let mut planes = Planes::take(scratch);
                let lit = relief(bytes, dims, &mut planes);
                let most = bytes.par_iter().zip(lit).map(|(&l, &r)| u32::from(l) * u32::from(r)).max().unwrap_or(0);
                // at most 255 · 255: exact in single precision
                let most = if most > 0 { most as f32 } else { f32::INFINITY };
                for ((m, &l), &r) in strength.iter_mut().zip(&*bytes).zip(lit) {
                    *m = (u32::from(l) * u32::from(r)) as f32 / most * self.strength;
                }
                planes.give_back(scratch);
            }
        }
        scratch.u8s[0] = layer;
    }

    /// What becomes of the smoothed noise, as bytes: a mask of mud, or the water's level, which begins again at 0 where it is above 1, since
    /// the published code takes the low 8 bits of 255 times it.
    fn layer(&self, dims: Dims, z: &[f32], scratch: &mut Scratch, bytes: &mut [u8]) {
        let width = dims.width;
        strips(width, scratch, bytes, |rows, scratch, bytes| {
            let first = rows.start;
            self.smooth.each_row(
                Part { dims: [dims.height, width, 1], rows },
                &mut scratch.f64s[0],
                #[inline(always)]
                |h, row| row.iter_mut().zip(&z[h * width..]).for_each(|(x, &z)| *x = self.mean + self.std * f64::from(z)),
                #[inline(always)]
                |h, row| {
                    let bytes = bytes[(h - first) * width..].iter_mut().zip(row);
                    match &self.mud {
                        Some(_) => bytes.for_each(|(byte, &l)| *byte = u8::from(l > self.threshold)),
                        None => bytes.for_each(|(byte, &l)| *byte = if l < self.threshold { 0 } else { whole(255.0 * l) as u8 }),
                    }
                },
            );
        });
    }

    /// The result in 0..255 before clipping, for some pixels and the strength at each.
    #[inline(always)]
    pub fn float(&self, image: &[u8], strength: &[f32], y: &mut [f32]) {
        let (mud, colour) = (self.mud.is_some(), if self.mud.is_some() { MUD } else { WATER }.map(|c| c as f32));
        for ((y, x), &m) in y.as_chunks_mut::<3>().0.iter_mut().zip(image.as_chunks::<3>().0).zip(strength) {
            for c in 0..3 {
                let x = UNIT_SINGLE[usize::from(x[c])] as f32;
                let sum = if mud { x * (1.0 - m) + colour[c] * m } else { x + m * colour[c] };
                y[c] = sum.clamp(0.0, 1.0) * 255.0;
            }
        }
    }
}

impl Corruption for Spatter {
    fn apply(&self, image: &[u8], dims: Dims, rng: &mut ChaCha8Rng, scratch: &mut Scratch, out: &mut [u8]) {
        let mut planes: [Vec<f32>; 2] = std::array::from_fn(|i| std::mem::take(&mut scratch.f32s[i]));
        let [z, strength] = planes.each_mut().map(|plane| sized(plane, dims.pixels()));
        normals(z, rng);
        self.strength(dims, z, scratch, strength);
        let (strength, width) = (&*strength, dims.width);
        strips(3 * width, scratch, out, |rows, scratch, out| {
            let y = sized(&mut scratch.f32s[2], 3 * width);
            vectorised(
                #[inline(always)]
                || {
                    for (h, out) in rows.zip(out.chunks_exact_mut(3 * width)) {
                        self.float(&image[3 * h * width..][..3 * width], &strength[h * width..][..width], y);
                        truncate(y, out);
                    }
                },
            );
        });
        planes.into_iter().zip(&mut scratch.f32s).for_each(|(plane, kept)| *kept = plane);
    }

    fn memory(&self, dims: Dims) -> usize {
        let planes = if self.mud.is_some() { 0 } else { Planes::A_PIXEL };
        (planes + 2 * size_of::<f32>() + 1) * dims.pixels()
    }
}
