//! Colour corruptions: contrast, brightness (V of HSV) and saturation (S of HSV).

use super::apply::{CHUNK, Corruption, Scratch, sized, strips};
use super::bytes::{UNIT, truncate_unit};
use super::dims::Dims;
use super::severity::{self, Variant, row};
use super::vectorised::vectorised;
use anyhow::Result;
use rand_chacha::ChaCha8Rng;

/// Contrast: y = (X − m) c + m with m the mean of each channel.
pub struct Contrast {
    factor: f64,
}

impl Contrast {
    /// The change at a severity from 1 to 5; other severities are an error.
    pub fn new(severity: usize, variant: Variant) -> Result<Self> {
        let [factor] = row(&severity::CONTRAST, variant, severity)?;
        Ok(Self { factor })
    }

    /// The result in 0..1, before clipping, for every byte value v and channel: entry 3 v + channel.
    #[inline(always)]
    pub fn table(&self, image: &[u8], dims: Dims, table: &mut [f64; 768]) {
        // values in 0..1 are added pixel by pixel, as the published code does: in an image of one colour the rounding of this sum decides
        // what the result is truncated to
        let mut sums = [0f64; 3];
        for pixel in image.as_chunks::<3>().0 {
            for c in 0..3 {
                sums[c] += UNIT[usize::from(pixel[c])];
            }
        }
        let mean = sums.map(|sum| sum / dims.pixels() as f64);
        for (entry, x) in table.as_chunks_mut::<3>().0.iter_mut().zip(&UNIT) {
            for c in 0..3 {
                entry[c] = (x - mean[c]) * self.factor + mean[c];
            }
        }
    }
}

impl Corruption for Contrast {
    fn apply(&self, image: &[u8], dims: Dims, _: &mut ChaCha8Rng, scratch: &mut Scratch, out: &mut [u8]) {
        let (mut table, mut bytes) = ([0.0; 768], [0u8; 768]);
        vectorised(
            #[inline(always)]
            || {
                self.table(image, dims, &mut table);
                truncate_unit(&table, &mut bytes);
            },
        );
        let (entries, _) = bytes.as_chunks::<3>();
        strips(3 * dims.width, scratch, out, |rows, _, out| {
            let image = image.as_chunks::<3>().0[rows.start * dims.width..].iter();
            for (out, pixel) in out.as_chunks_mut::<3>().0.iter_mut().zip(image) {
                for c in 0..3 {
                    out[c] = entries[usize::from(pixel[c])][c];
                }
            }
        });
    }
}

/// Converts a colour (R, G, B), each in 0..1, to hue, saturation and value in 0..1.
///
/// If channels tie for the largest, blue precedes green and green precedes red; a grey has hue and saturation 0.
#[inline(always)]
pub(crate) fn to_hsv(rgb: [f64; 3]) -> [f64; 3] {
    let [r, g, b] = rgb;
    let value = r.max(g).max(b);
    let d = value - r.min(g).min(b);
    let grey = d == 0.0;
    let safe = if grey { 1.0 } else { d };
    let (top, offset) = if b == value {
        (r - g, 4.0)
    } else if g == value {
        (b - r, 2.0)
    } else {
        (g - b, 0.0)
    };
    let hue = (offset + top / safe) / 6.0;
    let hue = if hue < 0.0 { hue + 1.0 } else { hue };
    let saturation = d / if grey { 1.0 } else { value };
    [if grey { 0.0 } else { hue }, if grey { 0.0 } else { saturation }, value]
}

/// Converts hue, saturation and value, each in 0..1, to a colour (R, G, B) in 0..1.
#[inline(always)]
pub(crate) fn to_rgb(hsv: [f64; 3]) -> [f64; 3] {
    let [h, s, v] = hsv;
    let sector = (6.0 * h).floor();
    let f = 6.0 * h - sector;
    let (p, q, t) = (v * (1.0 - s), v * (1.0 - f * s), v * (1.0 - (1.0 - f) * s));
    let pick = |list: [f64; 6]| {
        let late = if sector == 4.0 {
            list[4]
        } else if sector == 5.0 {
            list[5]
        } else {
            list[0]
        };
        let middle = if sector == 2.0 {
            list[2]
        } else if sector == 3.0 {
            list[3]
        } else {
            late
        };
        if sector == 1.0 { list[1] } else { middle }
    };
    [pick([v, q, p, p, t, v]), pick([t, v, v, q, p, p]), pick([p, p, t, v, v, q])]
}

/// Applies `change` to every pixel in HSV and writes the result in 0..1 into `y`.
#[inline(always)]
fn in_hsv(image: &[u8], y: &mut [f64], change: impl Fn([f64; 3]) -> [f64; 3]) {
    for (y, v) in y.as_chunks_mut::<3>().0.iter_mut().zip(image.as_chunks::<3>().0) {
        *y = to_rgb(change(to_hsv([UNIT[usize::from(v[0])], UNIT[usize::from(v[1])], UNIT[usize::from(v[2])]])));
    }
}

/// Lets `float` make values in 0..1 of some pixels at a time, and writes them as bytes.
fn pointwise(image: &[u8], dims: Dims, scratch: &mut Scratch, out: &mut [u8], float: impl Fn(&[u8], &mut [f64]) + Sync) {
    strips(3 * dims.width, scratch, out, |rows, scratch, out| {
        let y = sized(&mut scratch.f64s[0], CHUNK);
        vectorised(
            #[inline(always)]
            || {
                for (image, out) in image[3 * rows.start * dims.width..].chunks(CHUNK).zip(out.chunks_mut(CHUNK)) {
                    float(&image[..out.len()], y);
                    truncate_unit(y, out);
                }
            },
        );
    });
}

/// Brightness: V = clip01(V + c) in HSV.
pub struct Brightness {
    offset: f64,
}

impl Brightness {
    /// The change at a severity from 1 to 5; other severities are an error.
    pub fn new(severity: usize, variant: Variant) -> Result<Self> {
        let [offset] = row(&severity::BRIGHTNESS, variant, severity)?;
        Ok(Self { offset })
    }

    /// Writes the result in 0..1 into `y`, height × width × 3.
    #[inline(always)]
    pub fn float(&self, image: &[u8], y: &mut [f64]) {
        in_hsv(
            image,
            y,
            #[inline(always)]
            |[h, s, v]| [h, s, (v + self.offset).clamp(0.0, 1.0)],
        );
    }
}

impl Corruption for Brightness {
    fn apply(&self, image: &[u8], dims: Dims, _: &mut ChaCha8Rng, scratch: &mut Scratch, out: &mut [u8]) {
        pointwise(
            image,
            dims,
            scratch,
            out,
            #[inline(always)]
            |image, y| self.float(image, y),
        );
    }
}

/// Saturation: S = clip01(a S + b) in HSV.
pub struct Saturate {
    factor: f64,
    offset: f64,
}

impl Saturate {
    /// The change at a severity from 1 to 5; other severities are an error.
    pub fn new(severity: usize, variant: Variant) -> Result<Self> {
        let [factor, offset] = row(&severity::SATURATE, variant, severity)?;
        Ok(Self { factor, offset })
    }

    /// Writes the result in 0..1 into `y`, height × width × 3.
    #[inline(always)]
    pub fn float(&self, image: &[u8], y: &mut [f64]) {
        in_hsv(
            image,
            y,
            #[inline(always)]
            |[h, s, v]| [h, (s * self.factor + self.offset).clamp(0.0, 1.0), v],
        );
    }
}

impl Corruption for Saturate {
    fn apply(&self, image: &[u8], dims: Dims, _: &mut ChaCha8Rng, scratch: &mut Scratch, out: &mut [u8]) {
        pointwise(
            image,
            dims,
            scratch,
            out,
            #[inline(always)]
            |image, y| self.float(image, y),
        );
    }
}
