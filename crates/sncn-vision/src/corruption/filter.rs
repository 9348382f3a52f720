//! Filters that several corruptions use: separable Gauss, and weighted sums of moved copies, such as a correlation with a small kernel.
//!
//! Images are height × width × channels, interleaved. Sums are in f64 and in a fixed order. A filter walks down some rows of a plane and
//! keeps those in reach; eight vectors of a row are summed at a time, in registers, over all taps.

use super::apply::sized;
use super::bytes::whole;
use super::sums::{BLOCK, Moved, Pairs};
use super::vectorised::vectorised;
use std::ops::Range;

/// How a row a b c d is extended beyond its ends; all rules continue periodically for offsets larger than the image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Border {
    /// a a | a b c d | d d
    Nearest,
    /// b a | a b c d | d c
    Reflect,
    /// c b | a b c d | c b
    Reflect101,
}

impl Border {
    /// The index of the pixel that is used for position `i` of a row of `n` pixels (at least 1).
    pub(crate) fn index(self, i: isize, n: usize) -> usize {
        if i.unsigned_abs() < n && i >= 0 {
            return i as usize;
        }
        let n = n as isize;
        let index = match self {
            Self::Nearest => i.clamp(0, n - 1),
            Self::Reflect => {
                let i = i.rem_euclid(2 * n);
                i.min(2 * n - 1 - i)
            }
            Self::Reflect101 if n == 1 => 0,
            Self::Reflect101 => {
                let i = i.rem_euclid(2 * n - 2);
                i.min(2 * n - 2 - i)
            }
        };
        index as usize
    }
}

/// The plane that a filter reads, and the rows of it that are asked for.
pub(crate) struct Part {
    /// Height, width, channels.
    pub(crate) dims: [usize; 3],
    /// The rows of the result.
    pub(crate) rows: Range<usize>,
}

/// A separable Gaussian filter with radius r = floor(t · σ + ½).
pub(crate) struct Gauss {
    /// The weight of the middle.
    centre: f64,
    /// Those of the pixels on both sides, from the farthest.
    sides: Vec<f64>,
    border: Border,
    /// Whether rows are in single precision between the two passes.
    single: bool,
}

impl Gauss {
    /// The filter with standard deviation `sigma` in pixels, cut off at `truncate` standard deviations; σ = 0 is the identity.
    pub(crate) fn new(sigma: f64, truncate: f64, border: Border) -> Self {
        let radius = (truncate * sigma + 0.5).floor() as usize;
        let tap = |k: usize| if k == 0 { 1.0 } else { (-0.5 / (sigma * sigma) * (k * k) as f64).exp() };
        let weights: Vec<f64> = (0..=radius).map(tap).collect();
        let sum = sum_by_eight(&weights);
        Self { centre: weights[0] / sum, sides: weights[1..].iter().rev().map(|w| w / sum).collect(), border, single: false }
    }

    /// The filter of an image in single precision: what the first pass gives is rounded to it.
    pub(crate) fn single(self) -> Self {
        Self { single: true, ..self }
    }

    /// Calls `emit(h, row)` for the filtered rows of a plane; `source(h, row)` writes a row of it. `work` is a work buffer; it holds the
    /// rows that the filter reaches and not the plane.
    #[inline(always)]
    pub(crate) fn each_row(
        &self,
        part: Part,
        work: &mut Vec<f64>,
        mut source: impl FnMut(usize, &mut [f64]),
        mut emit: impl FnMut(usize, &[f64]),
    ) {
        let [height, width, channels] = part.dims;
        let radius = self.sides.len();
        let (row, pad) = (width * channels, radius * channels);
        let (count, wide) = (height.min(2 * radius + 1), row.next_multiple_of(BLOCK));
        let work = sized(work, count * wide + (wide + 2 * pad) + wide);
        let (rows, work) = work.split_at_mut(count * wide);
        let (line, out) = work.split_at_mut(wide + 2 * pad);
        let mut rows = Window::new(rows, wide, count, part.rows.start.saturating_sub(radius), height);
        let across: Vec<[usize; 2]> = (1..=radius).rev().map(|k| [pad - k * channels, pad + k * channels]).collect();
        let mut down = vec![[0; 2]; radius];
        vectorised(
            #[inline(always)]
            || {
                for h in part.rows {
                    rows.fill_to((h + radius).min(height - 1), |h, line| source(h, &mut line[..row]));
                    if radius == 0 {
                        emit(h, &rows.rows[rows.at(h)..][..row]);
                        continue;
                    }
                    for (down, k) in down.iter_mut().zip((1..=radius as isize).rev()) {
                        *down = [h as isize - k, h as isize + k].map(|at| rows.at(self.border.index(at, height)));
                    }
                    let (centre, weights) = ((rows.at(h), self.centre), &self.sides);
                    Pairs { values: rows.rows, centre, sides: &down, weights, out: &mut line[pad..][..wide] }.sum();
                    if self.single {
                        line[pad..][..row].iter_mut().for_each(|v| *v = f64::from(*v as f32));
                    }
                    pad_line(line, radius, radius, width, channels, self.border);
                    Pairs { values: line, centre: (pad, self.centre), sides: &across, weights, out }.sum();
                    emit(h, &out[..row]);
                }
            },
        );
    }
}

/// The rows of a plane that a filter needs at once on its way down: row `h` lies at place `h` modulo their number.
struct Window<'a> {
    rows: &'a mut [f64],
    wide: usize,
    count: usize,
    filled: usize,
}

impl<'a> Window<'a> {
    /// The window of `count` rows of a plane of so many rows, of which `first` is the first that is needed.
    fn new(rows: &'a mut [f64], wide: usize, count: usize, first: usize, height: usize) -> Self {
        // where all rows fit, a border may need any of them
        Self { rows, wide, count, filled: if count == height { 0 } else { first } }
    }

    /// Lets `source` write the rows up to `last`, each once.
    #[inline(always)]
    fn fill_to(&mut self, last: usize, mut source: impl FnMut(usize, &mut [f64])) {
        while self.filled <= last {
            let place = self.at(self.filled);
            source(self.filled, &mut self.rows[place..][..self.wide]);
            self.filled += 1;
        }
    }

    /// Where row `h` begins, one of the last `count` that were filled.
    #[inline(always)]
    fn at(&self, h: usize) -> usize {
        self.wide * if h < self.count { h } else { h % self.count }
    }
}

/// The sum of the symmetric taps given by `half` (centre first): in order for fewer than eight taps, else in eight partial sums.
fn sum_by_eight(half: &[f64]) -> f64 {
    let taps: Vec<f64> = half[1..].iter().rev().chain(half).copied().collect();
    if taps.len() < 8 {
        return taps.iter().sum();
    }
    let (blocks, rest) = taps.as_chunks::<8>();
    let mut s = [0.0; 8];
    for block in blocks {
        s.iter_mut().zip(block).for_each(|(s, b)| *s += b);
    }
    let whole = ((s[0] + s[1]) + (s[2] + s[3])) + ((s[4] + s[5]) + (s[6] + s[7]));
    rest.iter().fold(whole, |sum, r| sum + r)
}

/// Fills the `left` pixels before and the `right` pixels after the `width` pixels that begin at `left` in `line`.
#[inline(always)]
fn pad_line<T: Copy>(line: &mut [T], left: usize, right: usize, width: usize, channels: usize, border: Border) {
    for i in (0..left).chain(left + width..left + width + right) {
        let from = left + border.index(i as isize - left as isize, width);
        line.copy_within(from * channels..(from + 1) * channels, i * channels);
    }
}

/// A weighted sum of moved copies of a plane: y(h, w) = Σ kᵢ · x(h + aᵢ, w + bᵢ), summed in the order of the taps.
pub(crate) struct Taps {
    /// (a, b, k)
    taps: Vec<(isize, isize, f64)>,
    border: Border,
    /// How far the taps reach to each side.
    up: usize,
    down: usize,
    left: usize,
    right: usize,
}

impl Taps {
    /// The sum of copies that are read `a` rows lower and `b` columns farther right, times `k`.
    pub(crate) fn new(taps: Vec<(isize, isize, f64)>, border: Border) -> Self {
        let most = |reach: fn(&(isize, isize, f64)) -> isize| taps.iter().map(reach).max().unwrap_or(0).max(0) as usize;
        let (up, down) = (most(|tap| -tap.0), most(|tap| tap.0));
        let (left, right) = (most(|tap| -tap.1), most(|tap| tap.1));
        Self { taps, border, up, down, left, right }
    }

    /// The correlation with a `side` × `side` kernel, side odd; zero entries are skipped.
    pub(crate) fn of_kernel(kernel: &[f32], side: usize, border: Border) -> Self {
        let half = (side / 2) as isize;
        let tap = |(i, &k): (usize, &f32)| ((i / side) as isize - half, (i % side) as isize - half, f64::from(k));
        Self::new(kernel.iter().enumerate().map(tap).filter(|tap| tap.2 != 0.0).collect(), border)
    }

    /// As [`Gauss::each_row`].
    #[inline(always)]
    pub(crate) fn each_row(
        &self,
        part: Part,
        work: &mut Vec<f64>,
        mut source: impl FnMut(usize, &mut [f64]),
        mut emit: impl FnMut(usize, &[f64]),
    ) {
        let [height, width, channels] = part.dims;
        let (row, padded) = (width * channels, (width + self.left + self.right) * channels);
        let wide = padded + BLOCK;
        let count = height.min(self.up + self.down + 1);
        let (rows, out) = sized(work, count * wide + row.next_multiple_of(BLOCK)).split_at_mut(count * wide);
        let out = &mut out[..row.next_multiple_of(BLOCK)];
        let mut rows = Window::new(rows, wide, count, part.rows.start.saturating_sub(self.up), height);
        let mut places = vec![(0, 0.0); self.taps.len()];
        vectorised(
            #[inline(always)]
            || {
                for h in part.rows {
                    rows.fill_to(
                        (h + self.down).min(height - 1),
                        #[inline(always)]
                        |h, line| {
                            source(h, &mut line[self.left * channels..][..row]);
                            pad_line(line, self.left, self.right, width, channels, self.border);
                        },
                    );
                    for (place, &(a, b, k)) in places.iter_mut().zip(&self.taps) {
                        let start = rows.at(self.border.index(h as isize + a, height));
                        *place = (start + (self.left as isize + b) as usize * channels, k);
                    }
                    Moved { values: rows.rows, taps: &places, out }.sum();
                    emit(h, &out[..row]);
                }
            },
        );
    }
}

/// One-sided motion blur of byte images: L = 2 ⌈R⌉ + 1 taps exp(−i² / 2σ²) along a direction, border nearest, 16-bit sums.
pub(crate) struct Motion {
    weights: Vec<f64>,
}

impl Motion {
    /// The blur with radius `radius` and standard deviation `sigma`, in pixels.
    pub(crate) fn new(radius: f64, sigma: f64) -> Self {
        let len = 2 * radius.ceil() as usize + 1;
        let mut weights: Vec<f64> = (0..len).map(|i| (-((i * i) as f64) / (2.0 * sigma * sigma)).exp()).collect();
        let sum: f64 = weights.iter().sum();
        weights.iter_mut().for_each(|w| *w /= sum);
        Self { weights }
    }

    /// The blur in the direction `theta` (degrees), as a sum that takes 257 times the bytes and gives what [`Motion::bytes`] takes.
    ///
    /// Tap i reads (h + ⌈i sin θ − ½⌉, w + ⌈i cos θ − ½⌉).
    pub(crate) fn taps(&self, theta: f64) -> Taps {
        let len = self.weights.len();
        let (p, q) = (len as f64 * theta.to_radians().sin(), len as f64 * theta.to_radians().cos());
        let shift = |i: usize, along: f64| (i as f64 * along / p.hypot(q) - 0.5).ceil() as isize;
        let taps = self.weights.iter().enumerate().map(|(i, &weight)| (shift(i, p), shift(i, q), weight));
        Taps::new(taps.collect(), Border::Nearest)
    }

    /// What [`Motion::taps`] sums up.
    #[inline(always)]
    pub(crate) fn scaled(bytes: &[u8], row: &mut [f64]) {
        for (value, &byte) in row.iter_mut().zip(bytes) {
            *value = 257.0 * f64::from(byte);
        }
    }

    /// The bytes of sums: rounded to the nearest integer Q, then ⌊Q / 257⌋.
    #[inline(always)]
    pub(crate) fn bytes(sums: &[f64], out: &mut [u8]) {
        for (out, sum) in out.iter_mut().zip(sums) {
            *out = ((whole(sum + 0.5).min(65535) * 65281) >> 24) as u8;
        }
    }
}
