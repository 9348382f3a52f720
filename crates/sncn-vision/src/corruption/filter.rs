//! Filters that several corruptions use: separable Gauss, correlation with a small kernel, one-sided motion blur, clipped zoom.
//!
//! Images are height × width × channels, interleaved. Sums are in f64 and in a fixed order.

use super::apply::sized;
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

/// A separable Gaussian filter with radius r = floor(t · σ + ½).
pub(crate) struct Gauss {
    weights: Vec<f64>,
    border: Border,
}

impl Gauss {
    /// The filter with standard deviation `sigma` in pixels, cut off at `truncate` standard deviations; σ = 0 is the identity.
    pub(crate) fn new(sigma: f64, truncate: f64, border: Border) -> Self {
        let radius = (truncate * sigma + 0.5).floor() as usize;
        let tap = |k: usize| if k == 0 { 1.0 } else { (-0.5 / (sigma * sigma) * (k * k) as f64).exp() };
        let mut weights: Vec<f64> = (0..=radius).map(tap).collect();
        let sum = sum_by_eight(&weights);
        weights.iter_mut().for_each(|w| *w /= sum);
        Self { weights, border }
    }

    /// Calls `emit(h, row)` for every filtered row of a plane of `dims` = height, width, channels; `source(h, row)` writes a row of it.
    /// `work` is a work buffer; it holds the rows that the filter reaches and not the plane.
    #[inline(always)]
    pub(crate) fn each_row(
        &self,
        dims: [usize; 3],
        work: &mut Vec<f64>,
        mut source: impl FnMut(usize, &mut [f64]),
        mut emit: impl FnMut(usize, &[f64]),
    ) {
        let [height, width, channels] = dims;
        let radius = self.weights.len() - 1;
        let (row, pad) = (width * channels, radius * channels);
        let count = height.min(2 * radius + 1);
        let work = sized(work, count * row + (row + 2 * pad) + row);
        let (rows, work) = work.split_at_mut(count * row);
        let (line, out) = work.split_at_mut(row + 2 * pad);
        let mut rows = Window { rows, wide: row, count, filled: 0 };
        pulp::Arch::new().dispatch(
            #[inline(always)]
            || {
                for h in 0..height {
                    rows.fill_to((h + radius).min(height - 1), &mut source);
                    if radius == 0 {
                        emit(h, rows.row(h));
                        continue;
                    }
                    let middle = &mut line[pad..pad + row];
                    for (m, s) in middle.iter_mut().zip(rows.row(h)) {
                        *m = self.weights[0] * s;
                    }
                    for k in (1..=radius).rev() {
                        let up = rows.row(self.border.index(h as isize - k as isize, height));
                        let down = rows.row(self.border.index((h + k) as isize, height));
                        add_pair(middle, up, down, self.weights[k]);
                    }
                    pad_line(line, radius, radius, width, channels, self.border);
                    for (o, m) in out.iter_mut().zip(&line[pad..][..row]) {
                        *o = self.weights[0] * m;
                    }
                    for k in (1..=radius).rev() {
                        let (left, right) = (pad - k * channels, pad + k * channels);
                        add_pair(out, &line[left..][..row], &line[right..][..row], self.weights[k]);
                    }
                    emit(h, out);
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

impl Window<'_> {
    /// Lets `source` write the rows up to `last`, each once.
    #[inline(always)]
    fn fill_to(&mut self, last: usize, mut source: impl FnMut(usize, &mut [f64])) {
        while self.filled <= last {
            let place = self.filled % self.count;
            source(self.filled, &mut self.rows[place * self.wide..][..self.wide]);
            self.filled += 1;
        }
    }

    /// Row `h`, one of the last `count` that were filled.
    #[inline(always)]
    fn row(&self, h: usize) -> &[f64] {
        let place = if h < self.count { h } else { h % self.count };
        &self.rows[place * self.wide..][..self.wide]
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

#[inline(always)]
fn add_pair(sum: &mut [f64], a: &[f64], b: &[f64], weight: f64) {
    for ((s, a), b) in sum.iter_mut().zip(a).zip(b) {
        *s += (a + b) * weight;
    }
}

/// Fills the `left` pixels before and the `right` pixels after the `width` pixels that begin at `left` in `line`.
#[inline(always)]
fn pad_line<T: Copy>(line: &mut [T], left: usize, right: usize, width: usize, channels: usize, border: Border) {
    for i in (0..left).chain(left + width..left + width + right) {
        let from = left + border.index(i as isize - left as isize, width);
        line.copy_within(from * channels..(from + 1) * channels, i * channels);
    }
}

/// Correlation with a square kernel, border reflect101: y(h, w) = Σ K(a, b) · x(h + a, w + b), summed in row-major order.
pub(crate) struct Correlate {
    taps: Vec<(isize, isize, f64)>,
    radius: usize,
}

impl Correlate {
    /// The filter for a `side` × `side` kernel, side odd; zero entries are skipped.
    pub(crate) fn new(kernel: &[f32], side: usize) -> Self {
        let half = (side / 2) as isize;
        let tap = |(i, &k): (usize, &f32)| ((i / side) as isize - half, (i % side) as isize - half, f64::from(k));
        let taps: Vec<_> = kernel.iter().enumerate().map(tap).filter(|tap| tap.2 != 0.0).collect();
        let radius = taps.iter().map(|tap| tap.0.unsigned_abs().max(tap.1.unsigned_abs())).max().unwrap_or(0);
        Self { taps, radius }
    }

    /// Calls `emit(h, row)` for every filtered row of a plane of `dims` = height, width, channels; `source(h, row)` writes a row of it.
    /// `work` is a work buffer; it holds the rows that the kernel reaches and not the plane.
    #[inline(always)]
    pub(crate) fn each_row(
        &self,
        dims: [usize; 3],
        work: &mut Vec<f64>,
        mut source: impl FnMut(usize, &mut [f64]),
        mut emit: impl FnMut(usize, &[f64]),
    ) {
        let [height, width, channels] = dims;
        let (row, wide) = (width * channels, (width + 2 * self.radius) * channels);
        let count = height.min(2 * self.radius + 1);
        let (rows, out) = sized(work, count * wide + row).split_at_mut(count * wide);
        let mut rows = Window { rows, wide, count, filled: 0 };
        pulp::Arch::new().dispatch(
            #[inline(always)]
            || {
                for h in 0..height {
                    rows.fill_to(
                        (h + self.radius).min(height - 1),
                        #[inline(always)]
                        |h, line| {
                            source(h, &mut line[self.radius * channels..][..row]);
                            pad_line(line, self.radius, self.radius, width, channels, Border::Reflect101);
                        },
                    );
                    out.fill(0.0);
                    for &(a, b, k) in &self.taps {
                        let from = rows.row(Border::Reflect101.index(h as isize + a, height));
                        let from = &from[(self.radius as isize + b) as usize * channels..][..row];
                        for (o, s) in out.iter_mut().zip(from) {
                            *o += k * s;
                        }
                    }
                    emit(h, out);
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

    /// Writes `src`, blurred in the direction `theta` (degrees), into `dst`; both have `dims` = height, width, channels.
    /// `work` is a work buffer.
    ///
    /// Tap i reads (h + ⌈i sin θ − ½⌉, w + ⌈i cos θ − ½⌉); the sum of 257 · weight · value is rounded to the nearest
    /// integer Q and gives ⌊Q / 257⌋.
    pub(crate) fn apply(&self, src: &[u8], dims: [usize; 3], theta: f64, work: &mut Vec<f64>, dst: &mut [u8]) {
        let [height, width, channels] = dims;
        let len = self.weights.len();
        let (p, q) = (len as f64 * theta.to_radians().sin(), len as f64 * theta.to_radians().cos());
        let shift = |i: usize, along: f64| (i as f64 * along / p.hypot(q) - 0.5).ceil() as isize;
        let (across, down) = (shift(len - 1, q), shift(len - 1, p));
        let (left, right) = ((-across).max(0) as usize, across.max(0) as usize);
        let (row, wide) = (width * channels, (width + left + right) * channels);
        let count = height.min(down.unsigned_abs() + 1);
        let (sum, rows) = sized(work, row + count * wide).split_at_mut(row);
        let mut rows = Window { rows, wide, count, filled: 0 };
        pulp::Arch::new().dispatch(
            #[inline(always)]
            || {
                for (h, out) in dst.chunks_exact_mut(row).enumerate() {
                    rows.fill_to(
                        Border::Nearest.index(h as isize + down.max(0), height),
                        #[inline(always)]
                        |h, line| {
                            for (l, &s) in line[left * channels..][..row].iter_mut().zip(&src[h * row..][..row]) {
                                *l = 257.0 * f64::from(s);
                            }
                            pad_line(line, left, right, width, channels, Border::Nearest);
                        },
                    );
                    sum.fill(0.0);
                    for (i, &weight) in self.weights.iter().enumerate() {
                        let from = rows.row(Border::Nearest.index(h as isize + shift(i, p), height));
                        let from = &from[(left as isize + shift(i, q)) as usize * channels..][..row];
                        for (s, v) in sum.iter_mut().zip(from) {
                            *s += weight * v;
                        }
                    }
                    for (o, s) in out.iter_mut().zip(&*sum) {
                        *o = ((((s + 0.5) as u32).min(65535) * 65281) >> 24) as u8;
                    }
                }
            },
        );
    }
}

/// One axis of a clipped zoom: for each output position the lower input position and the weight of the next one.
pub struct ZoomAxis {
    /// Length of the cropped range before enlarging.
    pub crop: usize,
    /// First position of the cropped range.
    pub top: usize,
    /// Length after enlarging.
    pub zoomed: usize,
    /// Enlarged positions that are cut off before the output starts.
    pub trim: usize,
    points: Vec<(usize, usize, f64)>,
}

impl ZoomAxis {
    /// The axis of `side` positions (at least 1) enlarged `factor` (at least 1) times about its middle.
    pub(crate) fn new(side: usize, factor: f64) -> Self {
        let crop = ((side as f64 / factor).ceil() as usize).clamp(1, side);
        let top = (side - crop) / 2;
        let zoomed = ((crop as f64 * factor).round_ties_even() as usize).max(side);
        let trim = (zoomed - side) / 2;
        let ratio = if zoomed > 1 { (crop - 1) as f64 / (zoomed - 1) as f64 } else { 0.0 };
        let point = |o: usize| {
            let at = (o + trim) as f64 * ratio;
            let low = (at.floor() as usize).min(crop - 1);
            (top + low, top + (low + 1).min(crop - 1), at - low as f64)
        };
        Self { crop, top, zoomed, trim, points: (0..side).map(point).collect() }
    }

    /// Whether the zoom leaves the axis unchanged.
    pub(crate) fn is_identity(&self) -> bool {
        self.points.iter().enumerate().all(|(o, p)| p.0 == o && p.2 == 0.0)
    }
}

/// Clipped zoom: the middle of the image is enlarged by linear interpolation to at least the image's size and then cropped.
pub struct Zoom {
    /// The vertical axis.
    pub rows: ZoomAxis,
    /// The horizontal axis.
    pub columns: ZoomAxis,
}

impl Zoom {
    /// The zoom of height × width images by `factor`, at least 1; each axis is cropped separately.
    pub fn new(height: usize, width: usize, factor: f64) -> Self {
        Self { rows: ZoomAxis::new(height, factor), columns: ZoomAxis::new(width, factor) }
    }

    /// Whether the zoom leaves the image unchanged.
    pub(crate) fn is_identity(&self) -> bool {
        self.rows.is_identity() && self.columns.is_identity()
    }

    /// The input rows that some output rows are made of.
    pub(crate) fn source(&self, rows: &Range<usize>) -> Range<usize> {
        let points = &self.rows.points[rows.clone()];
        points.first().map_or(0, |point| point.0)..points.last().map_or(0, |point| point.1 + 1)
    }

    /// Calls `emit(h, row)` for each output row h of `rows`; `src` is the input from row `first` on, pixels of C channels, and `work`
    /// holds at least 2 rows.
    #[inline(always)]
    pub fn each_row<const C: usize>(
        &self,
        rows: Range<usize>,
        (first, src): (usize, &[[f64; C]]),
        work: &mut [[f64; C]],
        mut emit: impl FnMut(usize, &[[f64; C]]),
    ) {
        let width = self.columns.points.len();
        let (line, rest) = work.split_at_mut(width);
        let out = &mut rest[..width];
        for h in rows {
            let (low, high, t) = self.rows.points[h];
            let (a, b) = (&src[(low - first) * width..][..width], &src[(high - first) * width..][..width]);
            for ((l, a), b) in line.iter_mut().zip(a).zip(b) {
                for c in 0..C {
                    l[c] = (1.0 - t) * a[c] + t * b[c];
                }
            }
            for (o, &(low, high, t)) in out.iter_mut().zip(&self.columns.points) {
                let (a, b) = (&line[low], &line[high]);
                for c in 0..C {
                    o[c] = (1.0 - t) * a[c] + t * b[c];
                }
            }
            emit(h, out);
        }
    }
}
