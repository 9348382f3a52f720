//! Operations on single byte values, by look-up table: autocontrast, equalize, posterize, solarize, invert.

use crate::corruption::Dims;

/// One look-up table for each channel.
type Tables = [[u8; 256]; 3];

/// Bytes that the search for extremes reads at a time: a multiple of 3 and of the vector length.
const BLOCK: usize = 48;

/// Copies the image.
pub fn identity(image: &[u8], _: Dims, _: f64, out: &mut [u8]) {
    out.copy_from_slice(image);
}

/// Stretches every channel to 0..255: v → trunc(v·s − lo·s), s = 255 / (hi − lo); a constant channel is unchanged.
pub fn autocontrast(image: &[u8], _: Dims, _: f64, out: &mut [u8]) {
    let mut tables = [[0; 256]; 3];
    for (table, (low, high)) in tables.iter_mut().zip(extremes(image)) {
        if high <= low {
            fill(table, |v| v as u8);
            continue;
        }
        let scale = 255.0 / f64::from(high - low);
        let offset = -f64::from(low) * scale;
        fill(table, |v| (v as f64 * scale + offset) as u8);
    }
    look_up(image, &tables, out);
}

/// Flattens every channel's histogram: with step = (pixels − count of the largest value) div 255, the value i becomes
/// (step div 2 + count below i) div step, at most 255; a channel of one value, or with step 0, is unchanged.
pub fn equalize(image: &[u8], _: Dims, _: f64, out: &mut [u8]) {
    let mut counts = [[0u32; 256]; 3];
    for pixel in image.as_chunks::<3>().0 {
        for (counts, &v) in counts.iter_mut().zip(pixel) {
            counts[usize::from(v)] += 1;
        }
    }
    let pixels = (image.len() / 3) as u32;
    let mut tables = [[0; 256]; 3];
    for (table, counts) in tables.iter_mut().zip(&counts) {
        let last = counts.iter().rev().find(|&&n| n > 0).copied().unwrap_or(0);
        let step = (pixels - last) / 255;
        if step == 0 {
            fill(table, |v| v as u8);
            continue;
        }
        let mut n = step / 2;
        for (entry, count) in table.iter_mut().zip(counts) {
            *entry = (n / step).min(255) as u8;
            n += count;
        }
    }
    look_up(image, &tables, out);
}

/// Keeps the top `bits` bits of every byte.
pub fn posterize(image: &[u8], _: Dims, bits: f64, out: &mut [u8]) {
    let mask = (0xff00u16 >> (bits.clamp(0.0, 8.0) as u32)) as u8;
    each(image, out, |v| v & mask);
}

/// Inverts the bytes that are `threshold` or larger.
pub fn solarize(image: &[u8], _: Dims, threshold: f64, out: &mut [u8]) {
    let threshold = threshold.clamp(0.0, 256.0) as u16;
    each(image, out, |v| if u16::from(v) < threshold { v } else { 255 - v });
}

/// Adds `addition` (may be negative), clamps, then solarizes at 128.
pub fn solarize_add(image: &[u8], _: Dims, addition: f64, out: &mut [u8]) {
    let addition = addition.clamp(-255.0, 255.0) as i16;
    each(image, out, |v| {
        let v = (i16::from(v) + addition).clamp(0, 255) as u8;
        if v < 128 { v } else { 255 - v }
    });
}

/// Inverts every byte: 255 − v.
pub fn invert(image: &[u8], _: Dims, _: f64, out: &mut [u8]) {
    each(image, out, |v| 255 - v);
}

#[inline(always)]
fn each(image: &[u8], out: &mut [u8], f: impl Fn(u8) -> u8) {
    out.iter_mut().zip(image).for_each(|(out, &v)| *out = f(v));
}

fn fill(table: &mut [u8; 256], f: impl Fn(usize) -> u8) {
    table.iter_mut().enumerate().for_each(|(v, entry)| *entry = f(v));
}

fn look_up(image: &[u8], [red, green, blue]: &Tables, out: &mut [u8]) {
    for (out, &[r, g, b]) in out.as_chunks_mut::<3>().0.iter_mut().zip(image.as_chunks::<3>().0) {
        *out = [red[usize::from(r)], green[usize::from(g)], blue[usize::from(b)]];
    }
}

/// The smallest and the largest value of each channel.
fn extremes(image: &[u8]) -> [(u8, u8); 3] {
    let (blocks, rest) = image.as_chunks::<BLOCK>();
    let (mut low, mut high) = ([255u8; BLOCK], [0u8; BLOCK]);
    for block in blocks {
        for ((low, high), &v) in low.iter_mut().zip(&mut high).zip(block) {
            *low = v.min(*low);
            *high = v.max(*high);
        }
    }
    for ((low, high), &v) in low.iter_mut().zip(&mut high).zip(rest) {
        *low = v.min(*low);
        *high = v.max(*high);
    }
    let mut all = [(255, 0); 3];
    for (i, (&low, &high)) in low.iter().zip(&high).enumerate() {
        all[i % 3] = (low.min(all[i % 3].0), high.max(all[i % 3].1));
    }
    all
}
