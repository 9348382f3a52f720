//! Clipped zoom: the middle of an image, enlarged by linear interpolation and cut to the image's size.

use std::ops::Range;

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
    /// Positions from here on are 0: in some sizes the published code's rounding puts the last one just outside the cropped range.
    inside: usize,
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
        let outside = |&o: &usize| (o + trim) as f64 * ratio > (crop - 1) as f64;
        let inside = (0..side).find(outside).unwrap_or(side);
        Self { crop, top, zoomed, trim, points: (0..side).map(point).collect(), inside }
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
            out[if h < self.rows.inside { self.columns.inside } else { 0 }..].fill([0.0; C]);
            emit(h, out);
        }
    }
}
