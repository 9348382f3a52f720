//! JPEG: compression and decompression with baseline 4:2:0 chroma and the accurate integer DCT; entropy coding is lossless and
//! therefore skipped.
//!
//! Eight blocks are transformed at once, `[coefficient][block]`, so that the compiler vectorises plain loops.
#![allow(clippy::needless_range_loop, reason = "a lane is the second index: an iterator over rows cannot follow it")]

use super::apply::{Corruption, Scratch, sized};
use super::dims::Dims;
use super::severity::{self, Variant, row};
use anyhow::Result;
use rand_chacha::ChaCha8Rng;

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
                // (|v| + 4t) div 8t: half a unit keeps the product away from whole numbers, so truncation is exact
                let level = ((value.abs() + 4 * t) as f32 + 0.5) * reciprocal;
                *value = (level as i32) * value.signum() * t;
            }
        }
        for column in 0..8 {
            inverse_pass::<{ fix::BITS - 2 }>(group, column, 8);
        }
        for row in 0..8 {
            inverse_pass::<{ fix::BITS + 5 }>(group, 8 * row, 1);
        }
    }

    /// Applies [`Self::round_trip`] to a plane whose sides are multiples of 8.
    #[inline(always)]
    fn plane(&self, plane: &mut [i32], width: usize) {
        let across = width / 8;
        let blocks = plane.len() / 64;
        let corner = |block: usize| block / across * 8 * width + block % across * 8;
        let mut group: Group = [[0; LANES]; 64];
        for first in (0..blocks).step_by(LANES) {
            let count = LANES.min(blocks - first);
            for lane in 0..count {
                let from = corner(first + lane);
                for i in 0..8 {
                    let row = &plane[from + i * width..][..8];
                    for j in 0..8 {
                        group[8 * i + j][lane] = row[j] - 128;
                    }
                }
            }
            self.round_trip(&mut group);
            for lane in 0..count {
                let to = corner(first + lane);
                for i in 0..8 {
                    let row = &mut plane[to + i * width..][..8];
                    for j in 0..8 {
                        row[j] = (group[8 * i + j][lane] + 128).clamp(0, 255);
                    }
                }
            }
        }
    }
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

/// Splits rows 2·`pair` and 2·`pair` + 1 of the image into Y, Cb and Cr, padded by repeating the edge; each plane has two rows.
#[inline(always)]
fn split(image: &[u8], dims: Dims, wide: usize, pair: usize, planes: [&mut [i32]; 3]) {
    let [luma, blue, red] = planes;
    for row in 0..2 {
        let from = &image[3 * dims.width * (2 * pair + row).min(dims.height - 1)..][..3 * dims.width];
        let at = row * wide;
        let (luma, blue, red) = (&mut luma[at..][..wide], &mut blue[at..][..wide], &mut red[at..][..wide]);
        for (w, pixel) in from.as_chunks::<3>().0.iter().enumerate() {
            let [r, g, b] = pixel.map(i32::from);
            luma[w] = (fixed(0.299) * r + fixed(0.587) * g + fixed(0.114) * b + 32768) >> 16;
            let offset = (1 << 23) + 32767;
            blue[w] = (-fixed(0.168735892) * r - fixed(0.331264108) * g + fixed(0.5) * b + offset) >> 16;
            red[w] = (fixed(0.5) * r - fixed(0.418687589) * g - fixed(0.081312411) * b + offset) >> 16;
        }
        for plane in [luma, blue, red] {
            let (start, rest) = plane.split_at_mut(dims.width);
            rest.fill(start[dims.width - 1]);
        }
    }
}

/// Halves both sides of two rows: (sum of four + bias) div 4, bias 1 in even columns and 2 in odd ones.
#[inline(always)]
fn halve(rows: &[i32], wide: usize, half: &mut [i32]) {
    let (top, bottom) = rows.split_at(wide);
    let pairs = top.as_chunks::<2>().0.iter().zip(bottom.as_chunks::<2>().0);
    for (w, (out, (a, b))) in half.iter_mut().zip(pairs).enumerate() {
        *out = (a[0] + a[1] + b[0] + b[1] + 1 + (w as i32 & 1)) >> 2;
    }
}

/// Writes one row, enlarged by the triangle filter, as 2·columns values into `out`; `sums` is a work buffer of vertical sums.
#[inline(always)]
fn enlarge(plane: &[i32], wide: usize, rows: usize, columns: usize, h: usize, sums: &mut [i32], out: &mut [i32]) {
    let near = h / 2;
    let far = if h.is_multiple_of(2) { near.saturating_sub(1) } else { (near + 1).min(rows - 1) };
    let (a, b) = (&plane[near * wide..][..columns], &plane[far * wide..][..columns]);
    for ((s, a), b) in sums.iter_mut().zip(a).zip(b) {
        *s = 3 * a + b;
    }
    let last = columns - 1;
    let sums = &sums[..columns];
    out[0] = (4 * sums[0] + 8) >> 4;
    out[2 * last + 1] = (4 * sums[last] + 7) >> 4;
    for j in 1..columns {
        out[2 * j] = (3 * sums[j] + sums[j - 1] + 8) >> 4;
    }
    for j in 0..last {
        out[2 * j + 1] = (3 * sums[j] + sums[j + 1] + 7) >> 4;
    }
}

impl Corruption for JpegCompression {
    fn apply(&self, image: &[u8], dims: Dims, _: &mut ChaCha8Rng, scratch: &mut Scratch, out: &mut [u8]) {
        let (high, wide) = (dims.height.next_multiple_of(16), dims.width.next_multiple_of(16));
        let (narrow, small) = (wide / 2, high * wide / 4);
        let (rows, columns) = (dims.height.div_ceil(2), dims.width.div_ceil(2));
        let [luma, full_blue, full_red, blue, red, line] = &mut scratch.i32s;
        let (luma, line) = (sized(luma, high * wide), sized(line, 3 * wide));
        let (full_blue, full_red) = (sized(full_blue, 2 * wide), sized(full_red, 2 * wide));
        let (blue, red) = (sized(blue, small), sized(red, small));
        let (sums, rest) = line.split_at_mut(wide);
        let (cb, cr) = rest.split_at_mut(wide);
        pulp::Arch::new().dispatch(
            #[inline(always)]
            || {
                for (pair, luma) in luma.chunks_exact_mut(2 * wide).enumerate() {
                    split(image, dims, wide, pair, [luma, &mut *full_blue, &mut *full_red]);
                    halve(full_blue, wide, &mut blue[pair * narrow..][..narrow]);
                    halve(full_red, wide, &mut red[pair * narrow..][..narrow]);
                }
                self.luma.plane(luma, wide);
                self.chroma.plane(blue, narrow);
                self.chroma.plane(red, narrow);
                for (h, out) in out.chunks_exact_mut(3 * dims.width).enumerate() {
                    enlarge(blue, narrow, rows, columns, h, sums, cb);
                    enlarge(red, narrow, rows, columns, h, sums, cr);
                    let chroma = cb.iter().zip(&*cr);
                    for ((pixel, &y), (&b, &r)) in out.as_chunks_mut::<3>().0.iter_mut().zip(&luma[h * wide..]).zip(chroma) {
                        let (b, r) = (b - 128, r - 128);
                        let red = y + ((fixed(1.402) * r + 32768) >> 16);
                        let green = y + ((-fixed(0.34414) * b - fixed(0.71414) * r + 32768) >> 16);
                        let blue = y + ((fixed(1.772) * b + 32768) >> 16);
                        *pixel = [red, green, blue].map(|v| v.clamp(0, 255) as u8);
                    }
                }
            },
        );
    }
}
