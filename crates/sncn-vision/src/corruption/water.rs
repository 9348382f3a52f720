//! The water of [`super::spatter`]: edges of a byte layer (Canny 1986) and the distance to them (Borgefors 1986), equalised and
//! embossed.

use super::apply::{STRIP, Scratch, sized};
use super::dims::Dims;
use super::filter::Border;
use super::vectorised::vectorised;
use rayon::prelude::*;
use std::mem::take;

/// Thresholds of the edge detector.
const LOW: i16 = 50;
const HIGH: i16 = 150;
/// tan 22.5° with 15 fractional bits.
const TANGENT: i32 = 13573;
/// Chamfer steps: side, diagonal, knight's move. In single precision, as OpenCV's builds for x86 have them.
const SIDE: f32 = 1.0;
const DIAGONAL: f32 = 1.4;
const KNIGHT: f32 = 2.1969;
const FAR: f32 = 1e9;
/// Distances count up to so many pixels.
const MOST: f32 = 20.0;

/// The planes that [`relief`] works on.
pub(super) struct Planes {
    /// Shorts with one pixel of border on every side.
    padded: Vec<i16>,
    slopes: [Vec<i16>; 2],
    magnitude: Vec<i16>,
    /// With one pixel of border on every side.
    state: Vec<u8>,
    bytes: Vec<u8>,
    /// With two pixels of border on every side.
    distance: Vec<f32>,
}

impl Planes {
    /// Their bytes for every pixel of an image.
    pub(super) const A_PIXEL: usize = 4 * size_of::<i16>() + 2 + size_of::<f32>();

    pub(super) fn take(scratch: &mut Scratch) -> Self {
        let [padded, x, y, magnitude, ..] = &mut scratch.i16s;
        let [_, state, bytes, ..] = &mut scratch.u8s;
        Self {
            padded: take(padded),
            slopes: [take(x), take(y)],
            magnitude: take(magnitude),
            state: take(state),
            bytes: take(bytes),
            distance: take(&mut scratch.f32s[3]),
        }
    }

    pub(super) fn give_back(self, scratch: &mut Scratch) {
        let Self { padded, slopes: [x, y], magnitude, state, bytes, distance } = self;
        scratch.i16s.iter_mut().zip([padded, x, y, magnitude]).for_each(|(kept, plane)| *kept = plane);
        (scratch.u8s[1], scratch.u8s[2], scratch.f32s[3]) = (state, bytes, distance);
    }
}

/// The brightness of water at each pixel of a byte layer.
pub(super) fn relief<'a>(layer: &[u8], dims: Dims, planes: &'a mut Planes) -> &'a [u8] {
    let (wide, inner) = (dims.width + 2, dims.pixels());
    let bordered = wide * (dims.height + 2);
    let [x, y] = planes.slopes.each_mut().map(|plane| sized(plane, inner));
    let (padded, magnitude) = (sized(&mut planes.padded, bordered), sized(&mut planes.magnitude, bordered));
    let (state, bytes) = (sized(&mut planes.state, bordered), sized(&mut planes.bytes, inner));
    let distance = sized(&mut planes.distance, (wide + 2) * (dims.height + 4));
    pad(layer, dims, Border::Nearest, padded);
    convolve(padded, dims, [-1, 0, 1, -2, 0, 2, -1, 0, 1], x, |slope| slope);
    convolve(padded, dims, [-1, -2, -1, 0, 0, 0, 1, 2, 1], y, |slope| slope);
    steepness(x, y, dims, magnitude);
    edges([x, y], magnitude, dims, state);
    distances(state, dims, distance);
    averages(distance, dims, bytes);
    equalise(bytes);
    pad(bytes, dims, Border::Reflect101, padded);
    convolve(padded, dims, [-2, -1, 0, -1, 1, 1, 0, 1, 2], bytes, |sum| sum.clamp(0, 255) as u8);
    pad(bytes, dims, Border::Reflect101, padded);
    convolve(padded, dims, [1; 9], bytes, |sum| ((2 * sum as u16 + 9) / 18) as u8);
    bytes
}

/// Writes a plane with one pixel of border on every side into `padded`.
fn pad(plane: &[u8], dims: Dims, border: Border, padded: &mut [i16]) {
    let wide = dims.width + 2;
    padded.par_chunks_mut(wide).with_min_len(STRIP).enumerate().for_each(|(h, out)| {
        let row = &plane[border.index(h as isize - 1, dims.height) * dims.width..][..dims.width];
        out[1..=dims.width].iter_mut().zip(row).for_each(|(out, &v)| *out = i16::from(v));
        out[0] = i16::from(row[border.index(-1, dims.width)]);
        out[wide - 1] = i16::from(row[border.index(dims.width as isize, dims.width)]);
    });
}

/// The 3 × 3 correlation of a padded plane; `end` makes what is written of a sum.
#[inline(always)]
fn convolve<O: Send>(padded: &[i16], dims: Dims, kernel: [i16; 9], out: &mut [O], end: impl Fn(i16) -> O + Copy + Sync) {
    let wide = dims.width + 2;
    out.par_chunks_mut(dims.width).with_min_len(STRIP).enumerate().for_each(|(h, out)| {
        vectorised(
            #[inline(always)]
            || {
                let [a, b, c] = [0, 1, 2].map(|down| &padded[(h + down) * wide..][..wide]);
                for (w, out) in out.iter_mut().enumerate() {
                    let top = kernel[0] * a[w] + kernel[1] * a[w + 1] + kernel[2] * a[w + 2];
                    let middle = kernel[3] * b[w] + kernel[4] * b[w + 1] + kernel[5] * b[w + 2];
                    *out = end(top + middle + (kernel[6] * c[w] + kernel[7] * c[w + 1] + kernel[8] * c[w + 2]));
                }
            },
        );
    });
}

/// |gx| + |gy| on the padded grid, 0 outside the image.
fn steepness(x: &[i16], y: &[i16], dims: Dims, magnitude: &mut [i16]) {
    let wide = dims.width + 2;
    magnitude.fill(0);
    let rows = x.chunks_exact(dims.width).zip(y.chunks_exact(dims.width));
    for ((x, y), out) in rows.zip(magnitude[wide..].chunks_exact_mut(wide)) {
        out[1..].iter_mut().zip(x).zip(y).for_each(|((out, x), y)| *out = x.abs() + y.abs());
    }
}

/// Marks edges with 2: local maxima of the gradient above the low threshold, connected to one above the high threshold.
fn edges([x, y]: [&[i16]; 2], magnitude: &[i16], dims: Dims, state: &mut [u8]) {
    let wide = dims.width + 2;
    state.fill(0);
    state[wide..].par_chunks_exact_mut(wide).take(dims.height).with_min_len(STRIP).enumerate().for_each(|(h, state)| {
        let [above, here, below] = [0, 1, 2].map(|down| &magnitude[(h + down) * wide..][..wide]);
        let slopes = x[h * dims.width..].iter().zip(&y[h * dims.width..]);
        for ((w, state), (&gx, &gy)) in (1..).zip(&mut state[1..=dims.width]).zip(slopes) {
            let m = here[w];
            if m <= LOW {
                continue;
            }
            let (x, y) = (i32::from(gx).abs(), i32::from(gy).abs() << 15);
            let highest = if y < TANGENT * x {
                m > here[w - 1] && m >= here[w + 1]
            } else if y > (TANGENT + (2 << 15)) * x {
                m > above[w] && m >= below[w]
            } else if (gx ^ gy) < 0 {
                m > above[w + 1] && m > below[w - 1]
            } else {
                m > above[w - 1] && m > below[w + 1]
            };
            *state = u8::from(highest);
        }
    });
    let strong = |at: &usize| state[*at] == 1 && magnitude[*at] > HIGH;
    let mut stack: Vec<usize> = (0..state.len()).filter(strong).collect();
    while let Some(at) = stack.pop() {
        if state[at] == 1 {
            state[at] = 2;
            stack.extend([at - wide - 1, at - wide, at - wide + 1, at - 1, at + 1, at + wide - 1, at + wide, at + wide + 1]);
        }
    }
}

/// Chamfer distances to the nearest edge, by a forward and a backward pass, on a plane with a border of two pixels that are far.
fn distances(state: &[u8], dims: Dims, distance: &mut [f32]) {
    let (height, wide) = (dims.height, dims.width + 4);
    distance.fill(FAR);
    for (row, state) in distance[2 * wide..].chunks_exact_mut(wide).zip(state[dims.width + 2..].chunks_exact(dims.width + 2)) {
        let inner = row[2..].iter_mut().zip(&state[1..=dims.width]);
        inner.for_each(|(d, &s)| *d = if s == 2 { 0.0 } else { FAR });
    }
    for h in 2..height + 2 {
        let (before, here) = distance.split_at_mut(h * wide);
        let [two, one] = [2, 1].map(|up| &before[(h - up) * wide..][..wide]);
        relax(one, two, &mut here[..wide]);
        let mut left = FAR;
        for d in &mut here[2..2 + dims.width] {
            left = less(*d, left + SIDE);
            *d = left;
        }
    }
    for h in (2..height + 2).rev() {
        let (here, after) = distance.split_at_mut((h + 1) * wide);
        let [one, two] = [0, 1].map(|down| &after[down * wide..][..wide]);
        let here = &mut here[h * wide..];
        relax(one, two, here);
        let mut right = FAR;
        for d in here[2..2 + dims.width].iter_mut().rev() {
            right = less(*d, right + SIDE);
            *d = right;
        }
    }
}

/// The smaller of two numbers; unlike `min` it is one instruction, since it need not care for NaN.
#[inline(always)]
fn less(a: f32, b: f32) -> f32 {
    if a < b { a } else { b }
}

/// Lowers the distances of a row to those through the next row and the one after it.
fn relax(one: &[f32], two: &[f32], here: &mut [f32]) {
    vectorised(
        #[inline(always)]
        || {
            let inner = here.len() - 4;
            let (one, two) = (&one[..inner + 4], &two[..inner + 4]);
            for (w, d) in here[2..2 + inner].iter_mut().enumerate() {
                let side = one[w + 2] + SIDE;
                let diagonal = less(one[w + 1], one[w + 3]) + DIAGONAL;
                let knight = less(less(one[w], one[w + 4]), less(two[w + 1], two[w + 3])) + KNIGHT;
                *d = less(less(*d, side), less(diagonal, knight));
            }
        },
    );
}

/// Distances, cut at [`MOST`], averaged over 3 × 3 and truncated to whole pixels.
fn averages(distance: &mut [f32], dims: Dims, out: &mut [u8]) {
    let (height, width, wide) = (dims.height, dims.width, dims.width + 4);
    distance.iter_mut().for_each(|d| *d = less(*d, MOST));
    // the border becomes that of reflect101
    let row = |h: isize| (2 + Border::Reflect101.index(h, height)) * wide;
    for h in [-1, height as isize] {
        let from = row(h);
        distance.copy_within(from..from + wide, (h + 2) as usize * wide);
    }
    for row in distance.chunks_exact_mut(wide) {
        row[1] = row[2 + Border::Reflect101.index(-1, width)];
        row[2 + width] = row[2 + Border::Reflect101.index(width as isize, width)];
    }
    let distance = &*distance;
    out.par_chunks_mut(STRIP * width).enumerate().for_each(|(strip, out)| {
        let mut sums = vec![0.0; width + 2];
        vectorised(
            #[inline(always)]
            || {
                for (h, out) in (strip * STRIP..).zip(out.chunks_exact_mut(width)) {
                    let [a, b, c] = [1, 2, 3].map(|down| &distance[(h + down) * wide + 1..][..width + 2]);
                    for (w, sum) in sums.iter_mut().enumerate() {
                        *sum = f64::from(a[w]) + f64::from(b[w]) + f64::from(c[w]);
                    }
                    for (w, out) in out.iter_mut().enumerate() {
                        *out = ((sums[w] + sums[w + 1] + sums[w + 2]) / 9.0) as f32 as i32 as u8;
                    }
                }
            },
        );
    });
}

/// Histogram equalisation.
fn equalise(plane: &mut [u8]) {
    let mut counts = [0u32; 256];
    plane.iter().for_each(|&v| counts[usize::from(v)] += 1);
    let Some(first) = counts.iter().position(|&count| count > 0) else { return };
    let rest = plane.len() as u32 - counts[first];
    if rest == 0 {
        return;
    }
    let scale = 255.0 / rest as f32;
    let mut table = [0; 256];
    let mut sum = 0u32;
    for i in first + 1..256 {
        sum += counts[i];
        table[i] = (sum as f32 * scale).round_ties_even().clamp(0.0, 255.0) as u8;
    }
    plane.iter_mut().for_each(|v| *v = table[usize::from(*v)]);
}
