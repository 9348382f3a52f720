//! JPEG: compression and decompression with baseline 4:2:0 chroma and the accurate integer DCT; entropy coding is lossless and
//! therefore skipped.
//!
//! Sixteen rows of the image go through colour conversion, transform and back at a time. Eight blocks are transformed at once,
//! `[coefficient][block]`, so that the compiler vectorises plain loops.
#![allow(clippy::needless_range_loop, reason = "a lane is the second index: an iterator over rows cannot follow it")]

use super::apply::{Corruption, STRIP, Scratch, sized, strips};
use super::dims::Dims;
use super::severity::{self, Variant, row};
use super::vectorised::vectorised;
use anyhow::Result;
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;

/// Blocks that are transformed together.
const LANES: usize = 8;

/// Coefficient (row-major) by block.
type Group = [[i32; LANES]; 64];

/// Example quantisation tables of the JPEG standard (ITU T.81, annex K), luminance and chrominance.
const BASE: [[u16; 64]; 2] = [
    [
        16, 11, 10, 16, 24, 40, 51, 61, 12, 12, 14, 19, 26, 58, 60, 55, 14, 13, 16, 24, 40, 57, 69, 56, 14, 17, 22, 29, 51, 87,
        80, 62, 18, 22, 37, 56, 68, 109, 103, 77, 24, 35, 55, 64, 81, 104, 113, 92, 49, 64, 78, 87, 103, 121, 120, 101, 72, 92,
        95, 98, 112, 100, 103, 99,
    ],
    [
        17, 18, 24, 47, 99, 99, 99, 99, 18, 21, 26, 66, 99, 99, 99, 99, 24, 26, 56, 99, 99, 99, 99, 99, 47, 66, 99, 99, 99, 99,
        99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99,
        99, 99, 99, 99,
    ],
];

/// Constants of the DCT with 13 fractional bits.
mod fix {
    pub(super) const BITS: i32 = 13;
    pub(super) const C0_298: i32 = 2446;
    pub(super) const C0_390: i32 = 3196;
    pub(super) const C0_541: i32 = 4433;
    pub(super) const C0_765: i32 = 6270;
    pub(super) const C0_899: i32 = 7373;
    pub(super) const C1_175: i32 = 9633;
    pub(super) const C1_501: i32 = 12299;
    pub(super) const C1_847: i32 = 15137;
    pub(super) const C1_961: i32 = 16069;
    pub(super) const C2_053: i32 = 16819;
    pub(super) const C2_562: i32 = 20995;
    pub(super) const C3_072: i32 = 25172;
}

#[inline(always)]
fn descale(value: i32, bits: i32) -> i32 {
    (value + (1 << (bits - 1))) >> bits
}

/// The odd half of both directions: four values to four sums of rotations.
#[inline(always)]
fn odd(a: i32, b: i32, c: i32, d: i32) -> [i32; 4] {
    let z5 = (a + c + b + d) * fix::C1_175;
    let (z1, z2) = ((a + d) * -fix::C0_899, (b + c) * -fix::C2_562);
    let (z3, z4) = ((a + c) * -fix::C1_961 + z5, (b + d) * -fix::C0_390 + z5);
    [a * fix::C0_298 + z1 + z3, b * fix::C2_053 + z2 + z4, c * fix::C3_072 + z2 + z3, d * fix::C1_501 + z1 + z4]
}

/// One forward pass along the eight values `at, at + step, …`; `FIRST` keeps two extra bits, the second pass drops them.
#[inline(always)]
fn forward_pass<const FIRST: bool>(group: &mut Group, at: usize, step: usize) {
    let bits = if FIRST { fix::BITS - 2 } else { fix::BITS + 2 };
    for lane in 0..LANES {
        let mut d = [0; 8];
        for i in 0..8 {
            d[i] = group[at + i * step][lane];
        }
        let (s0, s1, s2, s3) = (d[0] + d[7], d[1] + d[6], d[2] + d[5], d[3] + d[4]);
        let (t4, t5, t6, t7) = (d[3] - d[4], d[2] - d[5], d[1] - d[6], d[0] - d[7]);
        let (e0, e1, e2, e3) = (s0 + s3, s1 + s2, s1 - s2, s0 - s3);
        let whole = |v: i32| if FIRST { v << 2 } else { descale(v, 2) };
        let z = (e2 + e3) * fix::C0_541;
        let [o7, o5, o3, o1] = odd(t4, t5, t6, t7);
        group[at][lane] = whole(e0 + e1);
        group[at + step][lane] = descale(o1, bits);
        group[at + 2 * step][lane] = descale(z + e3 * fix::C0_765, bits);
        group[at + 3 * step][lane] = descale(o3, bits);
        group[at + 4 * step][lane] = whole(e0 - e1);
        group[at + 5 * step][lane] = descale(o5, bits);
        group[at + 6 * step][lane] = descale(z - e2 * fix::C1_847, bits);
        group[at + 7 * step][lane] = descale(o7, bits);
    }
}

/// One inverse pass along the eight values `at, at + step, …`, dropping `BITS` bits.
#[inline(always)]
fn inverse_pass<const BITS: i32>(group: &mut Group, at: usize, step: usize) {
    for lane in 0..LANES {
        let mut d = [0; 8];
        for i in 0..8 {
            d[i] = group[at + i * step][lane];
        }
        let z = (d[2] + d[6]) * fix::C0_541;
        let (t2, t3) = (z - d[6] * fix::C1_847, z + d[2] * fix::C0_765);
        let (t0, t1) = ((d[0] + d[4]) << fix::BITS, (d[0] - d[4]) << fix::BITS);
        let even = [t0 + t3, t1 + t2, t1 - t2, t0 - t3];
        let [o3, o2, o1, o0] = odd(d[7], d[5], d[3], d[1]);
        let odd = [o0, o1, o2, o3];
        for i in 0..4 {
            group[at + i * step][lane] = descale(even[i] + odd[i], BITS);
            group[at + (7 - i) * step][lane] = descale(even[i] - odd[i], BITS);
        }
    }
}

/// The quantisation of one component: table entries and the reciprocals of the divisors 8·t.
struct Quantiser {
    table: [i32; 64],
    reciprocal: [f32; 64],
}

impl Quantiser {
    fn new(base: &[u16; 64], quality: i32) -> Self {
        let scale = if quality < 50 { 5000 / quality } else { 200 - 2 * quality };
        let table = base.map(|entry| ((i32::from(entry) * scale + 50) / 100).clamp(1, 255));
        Self { table, reciprocal: table.map(|t| 1.0 / (8 * t) as f32) }
    }

    /// Transforms, quantises, dequantises and transforms back; the input is samples − 128, the output samples.
    #[inline(always)]
    fn round_trip(&self, group: &mut Group) {
        // plain loops: a closure would not be compiled for the vector unit that the caller dispatched to
        for row in 0..8 {
            forward_pass::<true>(group, 8 * row, 1);
        }
        for column in 0..8 {
            forward_pass::<false>(group, column, 8);
        }
        for ((values, &t), &reciprocal) in group.iter_mut().zip(&self.table).zip(&self.reciprocal) {
            for value in values {
                // (|v| + 4t) div 8t: half a unit keeps the product away from whole numbers, so truncation is exact; the sum with 2²³ has
                // the whole part in its low bits, which compilers make vector instructions of
                let level = (((value.abs() + 4 * t) as f32 + 0.5) * reciprocal).floor();
                let level = ((level + 8_388_608.0).to_bits() & 0x7f_ffff) as i32 * t;
                let sign = *value >> 31;
                *value = (level ^ sign) - sign;
            }
        }
        for column in 0..8 {
            inverse_pass::<{ fix::BITS - 2 }>(group, column, 8);
        }
        for row in 0..8 {
            inverse_pass::<{ fix::BITS + 5 }>(group, 8 * row, 1);
        }
    }

    /// Applies [`Self::round_trip`] to blocks side by side: eight rows of samples − 128, `stride` apart, of which each gets samples.
    /// `stride` is a multiple of 64.
    #[inline(always)]
    fn blocks(&self, rows: &mut [i16], stride: usize) {
        let mut group: Group = [[0; LANES]; 64];
        for left in (0..stride).step_by(64) {
            for (i, group) in group.as_chunks_mut::<8>().0.iter_mut().enumerate() {
                if let Some(values) = rows[i * stride + left..].first_chunk() {
                    let values = transposed(values);
                    group.as_flattened_mut().iter_mut().zip(&values).for_each(|(to, &from)| *to = i32::from(from));
                }
            }
            self.round_trip(&mut group);
            for (i, group) in group.as_chunks::<8>().0.iter().enumerate() {
                if let Some(values) = rows[i * stride + left..].first_chunk_mut() {
                    let mut samples = [0; 64];
                    samples.iter_mut().zip(group.as_flattened()).for_each(|(to, &from)| *to = (from + 128).clamp(0, 255) as i16);
                    *values = transposed(&samples);
                }
            }
        }
    }
}

/// Transposes 8 × 8 values, by dealing out the two halves alternately, three times.
#[inline(always)]
fn transposed(values: &[i16; 64]) -> [i16; 64] {
    #[inline(always)]
    fn shuffled(values: &[i16; 64]) -> [i16; 64] {
        let mut out = [0; 64];
        for i in 0..32 {
            out[2 * i] = values[i];
            out[2 * i + 1] = values[i + 32];
        }
        out
    }
    shuffled(&shuffled(&shuffled(values)))
}

/// ⌊v·2¹⁶ + ½⌋.
const fn fixed(v: f64) -> i32 {
    (v * 65536.0 + 0.5) as i32
}

/// JPEG compression at one severity.
pub(crate) struct JpegCompression {
    luma: Quantiser,
    chroma: Quantiser,
}

impl JpegCompression {
    /// The compression at a severity from 1 to 5; other severities are an error.
    pub(crate) fn new(severity: usize, variant: Variant) -> Result<Self> {
        let [quality] = row(&severity::JPEG_COMPRESSION, variant, severity)?;
        let quality = quality as i32;
        Ok(Self { luma: Quantiser::new(&BASE[0], quality), chroma: Quantiser::new(&BASE[1], quality) })
    }
}

/// Splits pixels into Y, Cb and Cr, each − 128, padded by repeating the last.
#[inline(always)]
fn split(pixels: &[u8], planes: [&mut [i16]; 3]) {
    let (pixels, _) = pixels.as_chunks::<3>();
    let [luma, blue, red] = planes;
    let last = pixels.len() - 1;
    for ((pixel, luma), (blue, red)) in pixels.iter().zip(&mut *luma).zip(blue.iter_mut().zip(&mut *red)) {
        let [r, g, b] = [i32::from(pixel[0]), i32::from(pixel[1]), i32::from(pixel[2])];
        *luma = (((fixed(0.299) * r + fixed(0.587) * g + fixed(0.114) * b + 32768) >> 16) - 128) as i16;
        let half = 32767;
        *blue = ((-fixed(0.168735892) * r - fixed(0.331264108) * g + fixed(0.5) * b + half) >> 16) as i16;
        *red = ((fixed(0.5) * r - fixed(0.418687589) * g - fixed(0.081312411) * b + half) >> 16) as i16;
    }
    for plane in [luma, blue, red] {
        let value = plane[last];
        plane[last..].fill(value);
    }
}

/// Halves both sides of two rows: (sum of four + bias) div 4, bias 1 in even columns and 2 in odd ones.
#[inline(always)]
fn halve(rows: [&[i16]; 2], half: &mut [i16]) {
    let pairs = rows[0].as_chunks::<2>().0.iter().zip(rows[1].as_chunks::<2>().0);
    for (w, (out, (a, b))) in half.iter_mut().zip(pairs).enumerate() {
        *out = (a[0] + a[1] + b[0] + b[1] + 1 + (w as i16 & 1)) >> 2;
    }
}

/// Writes a row of chroma − 128, enlarged by the triangle filter from the near row and the far one, into `out`, twice as long; `sums` is
/// a work buffer of vertical sums.
#[inline(always)]
fn enlarge([near, far]: [&[u8]; 2], sums: &mut [i16], out: &mut [i16]) {
    for ((s, &a), &b) in sums.iter_mut().zip(near).zip(far) {
        *s = 3 * i16::from(a) + i16::from(b);
    }
    let last = near.len() - 1;
    let (out, _) = out.as_chunks_mut::<2>();
    let (out, sums) = (&mut out[..last + 1], &sums[..last + 1]);
    let pair = |before: i16, here: i16, after: i16| [((3 * here + before + 8) >> 4) - 128, ((3 * here + after + 7) >> 4) - 128];
    for w in 1..last {
        out[w] = pair(sums[w - 1], sums[w], sums[w + 1]);
    }
    out[0] = pair(sums[0], sums[0], sums[last.min(1)]);
    out[last] = pair(sums[last.saturating_sub(1)], sums[last], sums[last]);
}

/// Writes the colours of Y and of Cb and Cr − 128.
#[inline(always)]
fn join(luma: &[u8], blue: &[i16], red: &[i16], out: &mut [u8]) {
    for ((pixel, &y), (&b, &r)) in out.as_chunks_mut::<3>().0.iter_mut().zip(luma).zip(blue.iter().zip(red)) {
        let (y, b, r) = (i32::from(y), i32::from(b), i32::from(r));
        let red = y + ((fixed(1.402) * r + 32768) >> 16);
        let green = y + ((-fixed(0.34414) * b - fixed(0.71414) * r + 32768) >> 16);
        let blue = y + ((fixed(1.772) * b + 32768) >> 16);
        *pixel = [red.clamp(0, 255) as u8, green.clamp(0, 255) as u8, blue.clamp(0, 255) as u8];
    }
}

/// The sizes of planes that an image is compressed in.
#[derive(Clone, Copy)]
struct Sizes {
    dims: Dims,
    /// Columns of luma, and of both planes of chroma together: a multiple of 16.
    wide: usize,
    /// Rows and columns of a plane of chroma that are shown.
    rows: usize,
    columns: usize,
}

impl JpegCompression {
    /// The round trip of the 16 rows of an image from `top` on: `luma` gets 16 rows, `chroma` 8 rows of Cb beside Cr.
    #[inline(always)]
    fn sixteen(&self, image: &[u8], top: usize, sizes: Sizes, lines: &mut [Vec<i16>; 6], luma: &mut [u8], chroma: &mut [u8]) {
        let Sizes { dims, wide, rows, .. } = sizes;
        let [upper, both, blue, red, ..] = lines;
        // the lower eight rows of luma lie beside the upper ones
        let (stride, narrow) = ((2 * wide).next_multiple_of(64), wide.next_multiple_of(64));
        let (upper, both) = (sized(upper, 8 * stride), sized(both, 8 * narrow));
        let (blue, red) = (sized(blue, 2 * wide), sized(red, 2 * wide));
        for pair in 0..8 {
            for (row, (blue, red)) in blue.chunks_exact_mut(wide).zip(red.chunks_exact_mut(wide)).enumerate() {
                let i = 2 * pair + row;
                let pixels = &image[3 * dims.width * (top + i).min(dims.height - 1)..][..3 * dims.width];
                let luma = &mut upper[i % 8 * stride + i / 8 * wide..][..wide];
                split(pixels, [luma, blue, red]);
            }
            let (above, here) = both.split_at_mut(pair * narrow);
            if top / 2 + pair >= rows {
                // below the image the last row of halved chroma is repeated, not that of the image
                here[..narrow].copy_from_slice(&above[(pair - 1) * narrow..]);
                continue;
            }
            let (left, right) = here[..wide].split_at_mut(wide / 2);
            for (rows, half) in [(&*blue, left), (&*red, right)] {
                let (a, b) = rows.split_at(wide);
                halve([a, b], half);
            }
        }
        self.luma.blocks(upper, stride);
        self.chroma.blocks(both, narrow);
        for (i, luma) in luma.chunks_exact_mut(wide).enumerate() {
            let from = &upper[i % 8 * stride + i / 8 * wide..];
            luma.iter_mut().zip(from).for_each(|(to, &from)| *to = from as u8);
        }
        for (chroma, both) in chroma.chunks_exact_mut(wide).zip(both.chunks_exact(narrow)) {
            chroma.iter_mut().zip(both).for_each(|(to, &from)| *to = from as u8);
        }
    }

    /// Writes row `h` of the result.
    #[inline(always)]
    fn row(h: usize, sizes: Sizes, [luma, chroma]: [&[u8]; 2], lines: &mut [Vec<i16>; 6], out: &mut [u8]) {
        let Sizes { wide, rows, columns, .. } = sizes;
        let near = h / 2;
        let far = if h.is_multiple_of(2) { near.saturating_sub(1) } else { (near + 1).min(rows - 1) };
        let [sums, blue, red, ..] = lines;
        let (sums, blue, red) = (sized(sums, columns), sized(blue, 2 * columns), sized(red, 2 * columns));
        for (left, out) in [(0, &mut *blue), (wide / 2, &mut *red)] {
            enlarge([near, far].map(|row| &chroma[row * wide + left..][..columns]), sums, out);
        }
        join(&luma[h * wide..], blue, red, out);
    }
}

impl Corruption for JpegCompression {
    fn apply(&self, image: &[u8], dims: Dims, _: &mut ChaCha8Rng, scratch: &mut Scratch, out: &mut [u8]) {
        let wide = dims.width.next_multiple_of(16);
        let sizes = Sizes { dims, wide, rows: dims.height.div_ceil(2), columns: dims.width.div_ceil(2) };
        let mut planes: [Vec<u8>; 2] = std::array::from_fn(|i| std::mem::take(&mut scratch.u8s[i]));
        let [luma, chroma] = &mut planes;
        let high = dims.height.next_multiple_of(16);
        let (luma, chroma) = (sized(luma, high * wide), sized(chroma, high / 2 * wide));
        let parts = luma.par_chunks_exact_mut(16 * wide).zip(chroma.par_chunks_exact_mut(8 * wide)).enumerate();
        parts.with_min_len(STRIP / 16).for_each(|(part, (luma, chroma))| {
            Scratch::lent(|scratch| {
                vectorised(
                    #[inline(always)]
                    || self.sixteen(image, 16 * part, sizes, &mut scratch.i16s, luma, chroma),
                );
            });
        });
        let (luma, chroma) = (&*luma, &*chroma);
        strips(3 * dims.width, scratch, out, |rows, scratch, out| {
            vectorised(
                #[inline(always)]
                || {
                    for (h, out) in rows.zip(out.chunks_exact_mut(3 * dims.width)) {
                        Self::row(h, sizes, [luma, chroma], &mut scratch.i16s, out);
                    }
                },
            );
        });
        planes.into_iter().zip(&mut scratch.u8s).for_each(|(plane, kept)| *kept = plane);
    }
}
