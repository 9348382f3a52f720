//! How a convolution is cut into units of work: the source rows that a band of target rows needs, and their position in the padded
//! window that a unit stages.
//!
//! In a forward pass the source is x and the target y; for the input gradient the source is gy and the target dx.

use super::source::Source;
use crate::conv::ConvShape;
use std::ops::Range;

/// Whether a convolution computes its result or the gradient of its input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// y from x.
    Forward,
    /// dx from gy.
    InputGradient,
}

/// How a convolution is computed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Algorithm {
    /// One multiplication for every tap.
    Direct,
    /// One channel a group: vectors of channels.
    Depthwise,
    /// F(2×2, 3×3): 16 multiplications for 4 outputs of 9 taps; 3×3 at stride 1 only (Lavin and Gray, arXiv:1509.09308).
    Winograd,
}

impl Algorithm {
    /// Returns whether the algorithm can compute this shape in this direction.
    pub fn fits(self, s: &ConvShape, direction: Direction) -> bool {
        let grid = s.kh == 3 && s.kw == 3 && s.stride == 1;
        let turned = direction == Direction::Forward || s.padding.0.max(s.padding.1) <= 2 * s.dilation;
        match self {
            Self::Direct => true,
            Self::Depthwise => s.depthwise(),
            Self::Winograd => grid && turned,
        }
    }

    /// Returns the algorithm that was measured to be faster: its own for one channel a group; Winograd where it can be used and a group has enough input and output
    /// channels to pay for the transforms.
    pub fn choose(s: &ConvShape, direction: Direction) -> Self {
        let (narrow, tiles) = ((s.c_in / s.groups).min(s.c_out / s.groups), s.output());
        if Self::Depthwise.fits(s, direction) {
            Self::Depthwise
        } else if narrow >= 12 && tiles.0.min(tiles.1) > s.dilation && Self::Winograd.fits(s, direction) {
            Self::Winograd
        } else {
            Self::Direct
        }
    }
}

/// Shape of the map of one image.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Map {
    pub(crate) h: usize,
    pub(crate) w: usize,
    pub(crate) c: usize,
}

impl Map {
    pub(crate) fn row(&self) -> usize {
        self.w * self.c
    }
    pub(crate) fn len(&self) -> usize {
        self.h * self.row()
    }
}

/// Floats of staged source in a unit: half of a second-level cache.
const STAGED: usize = 64 * 1024;
/// A batch is cut into at least this many units.
const UNITS: usize = 32;
/// The same where units should be large.
const FEW: usize = 8;
/// Floats of a packed weight that a second-level cache still holds.
const WIDE: usize = 512 * 1024;
/// Tiles of a unit where the weight outgrows the second-level cache, and where it is so large that others may not keep it either.
const TILES: [usize; 2] = [160, 304];

/// One convolution in one direction.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Plan {
    pub(crate) shape: ConvShape,
    pub(crate) direction: Direction,
    pub(crate) algorithm: Algorithm,
    pub(crate) source: Map,
    pub(crate) target: Map,
}

/// The part of a source image that a band needs, with its zeros.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Window {
    /// Source row of the first window row.
    pub(crate) top: isize,
    pub(crate) rows: usize,
    /// Window column of source column 0.
    pub(crate) left: usize,
    pub(crate) width: usize,
}

/// Images and target rows of a unit.
#[derive(Clone, Debug)]
pub(crate) struct Unit {
    pub(crate) images: Range<usize>,
    pub(crate) rows: Range<usize>,
}

impl Plan {
    pub(crate) fn new(shape: &ConvShape, direction: Direction, algorithm: Algorithm) -> Self {
        let (ho, wo) = shape.output();
        let x = Map { h: shape.h, w: shape.w, c: shape.c_in };
        let y = Map { h: ho, w: wo, c: shape.c_out };
        let (source, target) = if direction == Direction::Forward { (x, y) } else { (y, x) };
        Self { shape: *shape, direction, algorithm, source, target }
    }

    /// Source and target channels of a group.
    pub(crate) fn group(&self) -> (usize, usize) {
        (self.source.c / self.shape.groups, self.target.c / self.shape.groups)
    }

    /// First and last source index that targets `range` of one axis read.
    fn reach(&self, padding: usize, k: usize, range: &Range<usize>) -> (isize, isize) {
        let s = &self.shape;
        let (first, last) = (range.start as isize, range.end as isize - 1);
        let (p, d, stride) = (padding as isize, s.dilation as isize, s.stride as isize);
        let span = d * (k as isize - 1);
        if self.algorithm == Algorithm::Winograd {
            let p = if self.direction == Direction::Forward { p } else { span - p };
            return (first - p, first - p + (range.len().next_multiple_of(2 * s.dilation) + 2 * s.dilation) as isize - 1);
        }
        match self.direction {
            Direction::Forward => (first * stride - p, last * stride - p + span),
            Direction::InputGradient => ((first + p - span).div_euclid(stride), (last + p).div_euclid(stride)),
        }
    }

    /// The window of a band; bands start at a multiple of [`Plan::grain`].
    pub(crate) fn window(&self, rows: &Range<usize>) -> Window {
        let s = &self.shape;
        let (top, bottom) = self.reach(s.padding.0, s.kh, rows);
        let (first, last) = self.reach(s.padding.1, s.kw, &(0..self.target.w));
        let left = (-first).max(0) as usize;
        let width = (left + self.source.w).max((last + left as isize + 1).max(0) as usize);
        Window { top, rows: (bottom - top + 1).max(0) as usize, left, width }
    }

    /// Rows of a band are a multiple of this (but for the last band).
    fn grain(&self) -> usize {
        match (self.algorithm, self.direction) {
            (Algorithm::Winograd, _) => 2 * self.shape.dilation,
            (_, Direction::Forward) => 1,
            (_, Direction::InputGradient) => self.shape.stride,
        }
    }

    /// Whether a weight transformed for Winograd is read from beyond the cache, so that many tiles should share a reading.
    pub(crate) fn wide(&self) -> bool {
        let (inner, outer) = self.group();
        self.algorithm == Algorithm::Winograd && 16 * inner * outer > WIDE
    }

    /// Tiles, or positions, that are worked on together where the weight outgrows the cache.
    pub(crate) fn tiles(&self) -> usize {
        let (inner, outer) = self.group();
        TILES[usize::from(self.algorithm == Algorithm::Winograd && 16 * inner * outer >= 8 * WIDE)]
    }

    /// Units in order: images, within an image bands.
    pub(crate) fn units(&self) -> Vec<Unit> {
        let staged = |band: usize| {
            let window = self.window(&(0..band));
            window.rows * window.width * self.source.c
        };
        let tiles = |band: usize| band.div_ceil(2) * self.target.w.div_ceil(2);
        let images = (self.shape.n / UNITS).max(1);
        let (inner, outer) = self.group();
        if self.shape.pointwise() && inner * outer >= WIDE {
            // such a weight is read from beyond the cache for every unit
            return self.units_of(&staged, 4 * STAGED, (self.shape.n / FEW).max(1));
        }
        if self.wide() { self.units_of(&tiles, self.tiles(), images) } else { self.units_of(&staged, STAGED, images) }
    }

    /// Units whose `size(rows)` is at most `most` where a band can be so small, with at most so many images.
    pub(crate) fn units_of(&self, size: &dyn Fn(usize) -> usize, most: usize, images: usize) -> Vec<Unit> {
        let (n, h, grain) = (self.shape.n, self.target.h, self.grain());
        let mut band = h;
        while size(band) > most && band > grain {
            band = (band / 2).next_multiple_of(grain);
        }
        if band < h {
            band = h.div_ceil(h.div_ceil(band)).next_multiple_of(grain);
        }
        let images = if band < h { 1 } else { (most / size(h).max(1)).clamp(1, images) };
        let starts = (0..n).step_by(images).flat_map(|image| (0..h).step_by(band.max(1)).map(move |row| (image, row)));
        starts.map(|(image, row)| Unit { images: image..n.min(image + images), rows: row..h.min(row + band) }).collect()
    }

    /// Writes the window of image `n`: zeros outside the image, `stage(n, row, values)` inside.
    #[inline(always)]
    pub(crate) fn fill(&self, window: &Window, n: usize, stage: &impl Source, out: &mut [f32]) {
        let c = self.source.c;
        let unread = self.direction == Direction::Forward && self.shape.kh == 1;
        for (r, row) in out.chunks_exact_mut(window.width * c).take(window.rows).enumerate() {
            let y = window.top + r as isize;
            if y < 0 || y >= self.source.h as isize {
                row.fill(0.0);
            } else if !(unread && r % self.shape.stride != 0) {
                let (before, rest) = row.split_at_mut(window.left * c);
                let (values, after) = rest.split_at_mut(self.source.row());
                before.fill(0.0);
                stage.row(n, y as usize, values);
                after.fill(0.0);
            }
        }
    }

    /// Direct products: one phase forward; for the input gradient one for every residue of the target position.
    pub(crate) fn phases(&self) -> Vec<Phase> {
        let s = &self.shape;
        let (stride, d) = (s.stride, s.dilation as isize);
        // (offset from the window's start or from source 0, taps) of one residue along one axis
        let axis = |k: usize, padding: usize, a: usize| -> Vec<(isize, usize)> {
            let p = padding as isize;
            let taps = (0..k).map(|t| (t as isize, t));
            match self.direction {
                Direction::Forward => taps.map(|(i, t)| (i * d - p, t)).collect(),
                Direction::InputGradient => taps
                    .map(|(i, t)| (a as isize + p - i * d, t))
                    .filter(|(at, _)| at.rem_euclid(stride as isize) == 0)
                    .map(|(at, t)| (at / stride as isize, t))
                    .rev()
                    .collect(),
            }
        };
        let top = self.reach(s.padding.0, s.kh, &(0..1)).0;
        let residues = if self.direction == Direction::Forward { 1 } else { stride };
        let mut phases = Vec::new();
        for (a, b) in (0..residues).flat_map(|a| (0..residues).map(move |b| (a, b))) {
            let (ys, xs) = (axis(s.kh, s.padding.0, a), axis(s.kw, s.padding.1, b));
            let joined = s.groups == 1 && xs.windows(2).all(|pair| pair[0].0 + 1 == pair[1].0);
            let run = if joined { xs.len().max(1) } else { 1 };
            let taps: Vec<Tap> = ys
                .iter()
                .flat_map(|&(y, ky)| {
                    xs.iter().map(move |&(x, kx)| Tap { row: (y - top) as usize, column: x, index: ky * s.kw + kx })
                })
                .collect();
            phases.push(Phase { start: (a, b), taps, run });
        }
        phases
    }
}

/// A tap: window row and source column of the target (0, 0), and its place in the kernel.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Tap {
    pub(crate) row: usize,
    pub(crate) column: isize,
    pub(crate) index: usize,
}

/// Target positions whose products have the same taps.
#[derive(Clone, Debug)]
pub(crate) struct Phase {
    /// First target row and column.
    pub(crate) start: (usize, usize),
    pub(crate) taps: Vec<Tap>,
    /// Taps that lie side by side in memory and form one segment.
    pub(crate) run: usize,
}

impl Phase {
    /// Where the segments start in a window of this width.
    pub(crate) fn offsets(&self, window: &Window, channels: usize) -> Vec<usize> {
        let at = |tap: &Tap| (tap.row * window.width + (tap.column + window.left as isize) as usize) * channels;
        self.taps.iter().step_by(self.run).map(at).collect()
    }
}
