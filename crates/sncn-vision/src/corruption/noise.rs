//! Noise: Gaussian y = X + c z, speckle y = X + c X z, shot y = Poisson(c X) / c, and impulse (salt and pepper).

use super::apply::{CHUNK, Corruption, Scratch, drawn, sized};
use super::bytes::truncate;
use super::dims::Dims;
use super::severity::{self, Variant, row};
use super::vectorised::vectorised;
use anyhow::Result;
use rand::Rng;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal};

/// Fills `z` with independent standard normal values (ziggurat).
pub(crate) fn normals(z: &mut [f32], rng: &mut ChaCha8Rng) {
    z.iter_mut().for_each(|z| *z = StandardNormal.sample(rng));
}

/// Lets `mix` replace standard normal draws by values in 0..255, and writes these as bytes.
fn normally(image: &[u8], rng: &mut ChaCha8Rng, scratch: &mut Scratch, out: &mut [u8], mix: impl Fn(&[u8], &mut [f32])) {
    for (image, out) in image.chunks(CHUNK).zip(out.chunks_mut(CHUNK)) {
        let y = sized(&mut scratch.f32s[0], image.len());
        normals(y, rng);
        vectorised(
            #[inline(always)]
            || {
                mix(image, y);
                truncate(y, out);
            },
        );
    }
}

/// Gaussian noise: y = X + c z with z ~ N(0, 1) for each pixel and channel.
pub struct GaussianNoise {
    scale: f32,
}

impl GaussianNoise {
    /// The noise at a severity from 1 to 5; other severities are an error.
    pub fn new(severity: usize, variant: Variant) -> Result<Self> {
        let [c] = row(&severity::GAUSSIAN_NOISE, variant, severity)?;
        Ok(Self { scale: (255.0 * c) as f32 })
    }

    /// Replaces the standard normal draws in `y` by the result in 0..255, before clipping.
    #[inline(always)]
    pub fn mix(&self, image: &[u8], y: &mut [f32]) {
        for (y, &v) in y.iter_mut().zip(image) {
            *y = f32::from(v) + self.scale * *y;
        }
    }
}

impl Corruption for GaussianNoise {
    fn apply(&self, image: &[u8], _: Dims, rng: &mut ChaCha8Rng, scratch: &mut Scratch, out: &mut [u8]) {
        normally(
            image,
            rng,
            scratch,
            out,
            #[inline(always)]
            |image, y| self.mix(image, y),
        );
    }
}

/// Speckle noise: y = X + c X z with z ~ N(0, 1) for each pixel and channel.
pub struct SpeckleNoise {
    scale: f32,
}

impl SpeckleNoise {
    /// The noise at a severity from 1 to 5; other severities are an error.
    pub fn new(severity: usize, variant: Variant) -> Result<Self> {
        let [c] = row(&severity::SPECKLE_NOISE, variant, severity)?;
        Ok(Self { scale: c as f32 })
    }

    /// Replaces the standard normal draws in `y` by the result in 0..255, before clipping.
    #[inline(always)]
    pub fn mix(&self, image: &[u8], y: &mut [f32]) {
        for (y, &v) in y.iter_mut().zip(image) {
            let v = f32::from(v);
            *y = v + v * self.scale * *y;
        }
    }
}

impl Corruption for SpeckleNoise {
    fn apply(&self, image: &[u8], _: Dims, rng: &mut ChaCha8Rng, scratch: &mut Scratch, out: &mut [u8]) {
        normally(
            image,
            rng,
            scratch,
            out,
            #[inline(always)]
            |image, y| self.mix(image, y),
        );
    }
}

/// An exact sampler of Poisson(λ) by Walker's alias method (Vose 1991): one 64-bit draw and one table look-up per value.
///
/// Counts whose probability is below 1e-18 of the largest are left out; threshold and column use 32 bits each.
pub struct Poisson {
    first: u16,
    cells: Vec<(u32, u16)>,
}

impl Poisson {
    /// The sampler for a rate from 0 to 10,000; larger rates are treated as 10,000.
    pub fn new(rate: f64) -> Self {
        let rate = rate.clamp(0.0, 10_000.0);
        let mode = rate.floor() as usize;
        let (mut down, mut up) = (Vec::new(), vec![1.0f64]);
        let mut p = 1.0;
        for n in (1..=mode).rev() {
            p *= n as f64 / rate;
            if p < 1e-18 {
                break;
            }
            down.push(p);
        }
        p = 1.0;
        for n in mode + 1.. {
            p *= rate / n as f64;
            if p < 1e-18 {
                break;
            }
            up.push(p);
        }
        let first = mode - down.len();
        let weights: Vec<f64> = down.into_iter().rev().chain(up).collect();
        let sum: f64 = weights.iter().sum();
        let len = weights.len();
        let mut share: Vec<f64> = weights.iter().map(|w| w / sum * len as f64).collect();
        let mut cells: Vec<(u32, u16)> = (0..len).map(|i| (u32::MAX, i as u16)).collect();
        let (mut small, mut large): (Vec<usize>, Vec<usize>) = (0..len).partition(|&i| share[i] < 1.0);
        while let (Some(s), Some(&l)) = (small.pop(), large.last()) {
            cells[s] = ((share[s] * 4_294_967_296.0) as u32, l as u16);
            share[l] -= 1.0 - share[s];
            if share[l] < 1.0 {
                large.pop();
                small.push(l);
            }
        }
        Self { first: first as u16, cells }
    }

    /// The count for 64 uniform bits.
    #[inline(always)]
    pub fn sample(&self, bits: u64) -> u16 {
        let column = ((bits >> 32) * self.cells.len() as u64) >> 32;
        let (threshold, alias) = self.cells[column as usize];
        self.first + if (bits as u32) < threshold { column as u16 } else { alias }
    }
}

/// Shot noise: y = n / c with n ~ Poisson(c X) for each pixel and channel.
pub struct ShotNoise {
    photons: f64,
    samplers: Vec<Poisson>,
    bytes: Vec<u8>,
}

impl ShotNoise {
    /// The noise at a severity from 1 to 5, with its 256 samplers; other severities are an error.
    pub fn new(severity: usize, variant: Variant) -> Result<Self> {
        let [photons] = row(&severity::SHOT_NOISE, variant, severity)?;
        let samplers = (0..256).map(|v| Poisson::new(photons * (f64::from(v) / 255.0))).collect();
        let bytes = (0..=photons.ceil() as u32).map(|n| (255.0 * (f64::from(n) / photons).min(1.0)) as u8).collect();
        Ok(Self { photons, samplers, bytes })
    }

    /// The value in 0..255 of a count, clipped at 255.
    pub fn value(&self, count: u32) -> f64 {
        255.0 * (f64::from(count) / self.photons).min(1.0)
    }

    /// The byte of a count.
    #[inline(always)]
    pub fn byte(&self, count: u16) -> u8 {
        self.bytes[usize::from(count).min(self.bytes.len() - 1)]
    }
}

impl Corruption for ShotNoise {
    fn apply(&self, image: &[u8], _: Dims, rng: &mut ChaCha8Rng, _: &mut Scratch, out: &mut [u8]) {
        drawn(rng, 2, out, |rng, first, out| {
            let mut bits = [0; 8 * CHUNK];
            for (image, out) in image[first..].chunks(CHUNK).zip(out.chunks_mut(CHUNK)) {
                let bits = &mut bits[..8 * out.len()];
                rng.fill_bytes(bits);
                for ((out, &v), &bits) in out.iter_mut().zip(image).zip(bits.as_chunks::<8>().0) {
                    *out = self.byte(self.samplers[usize::from(v)].sample(u64::from_le_bytes(bits)));
                }
            }
        });
    }
}

/// Impulse noise: each value becomes, if u ≤ p, 255 for v ≤ ½ and 0 otherwise; u, v ~ U[0, 1).
pub struct ImpulseNoise {
    share: f64,
}

impl ImpulseNoise {
    /// The noise at a severity from 1 to 5; other severities are an error.
    pub fn new(severity: usize, variant: Variant) -> Result<Self> {
        let [share] = row(&severity::IMPULSE_NOISE, variant, severity)?;
        Ok(Self { share })
    }

    /// The result for one byte and the draws `u` and `v` in [0, 1).
    #[inline(always)]
    pub fn byte(&self, value: u8, u: f64, v: f64) -> u8 {
        match (u <= self.share, v <= 0.5) {
            (false, _) => value,
            (true, true) => 255,
            (true, false) => 0,
        }
    }
}

impl Corruption for ImpulseNoise {
    fn apply(&self, image: &[u8], _: Dims, rng: &mut ChaCha8Rng, _: &mut Scratch, out: &mut [u8]) {
        // the upper 31 bits of each word give u, the lowest one v
        const UNIT: f64 = 1.0 / 2_147_483_648.0;
        let threshold = (self.share / UNIT) as u32;
        drawn(rng, 1, out, |rng, first, out| {
            let mut bits = [0; 4 * CHUNK];
            for (image, out) in image[first..].chunks(CHUNK).zip(out.chunks_mut(CHUNK)) {
                let bits = &mut bits[..4 * out.len()];
                rng.fill_bytes(bits);
                vectorised(
                    #[inline(always)]
                    || {
                        for ((out, &value), &bits) in out.iter_mut().zip(image).zip(bits.as_chunks::<4>().0) {
                            let bits = u32::from_le_bytes(bits);
                            let extreme = if bits & 1 == 0 { 255 } else { 0 };
                            *out = if bits >> 1 <= threshold { extreme } else { value };
                        }
                    },
                );
            }
        });
    }
}
