//! Elastic transform: a random affine map (border reflect101), then smooth random displacements (border reflect).
//!
//! Interpolation is bilinear at exact coordinates, as in current releases of the library that the benchmark used.

use super::apply::{Corruption, Scratch, drawn, sized, strips};
use super::bytes::{UNIT_SINGLE, truncate_unit};
use super::dims::Dims;
use super::filter::{Border, Gauss, Part};
use super::severity::{self, Variant, row};
use anyhow::Result;
use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use std::ops::Range;

/// The elastic transform at one severity.
pub struct ElasticTransform {
    alpha: f64,
    smooth: Gauss,
    reach: f64,
}

impl ElasticTransform {
    /// The transform at a severity from 1 to 5; other severities are an error.
    pub fn new(severity: usize, variant: Variant) -> Result<Self> {
        let [alpha, sigma, reach] = row(&severity::ELASTIC_TRANSFORM, variant, severity)?;
        Ok(Self { alpha, smooth: Gauss::new(sigma, 3.0, Border::Reflect), reach })
    }

    /// The map from output to input positions, (x, y) ↦ (m₀x + m₁y + m₂, m₃x + m₄y + m₅), for 3 × 2 draws in [−1, 1).
    pub fn source_map(&self, dims: Dims, u: &[f64; 6]) -> [f64; 6] {
        let (cx, cy) = ((dims.width / 2) as f64, (dims.height / 2) as f64);
        let s = (dims.height.min(dims.width) / 3) as f64;
        let from = [(cx + s, cy + s), (cx + s, cy - s), (cx - s, cy - s)];
        let rounded = |v: f64| f64::from(v as f32);
        let to: [(f64, f64); 3] =
            std::array::from_fn(|i| (rounded(from[i].0 + self.reach * u[2 * i]), rounded(from[i].1 + self.reach * u[2 * i + 1])));
        // the map from `to` to `from`: differences to the first point, by Cramer's rule
        let (ax, ay, bx, by) = (to[1].0 - to[0].0, to[1].1 - to[0].1, to[2].0 - to[0].0, to[2].1 - to[0].1);
        let area = ax * by - ay * bx;
        if area.abs() < 1e-9 {
            return [1.0, 0.0, 0.0, 0.0, 1.0, 0.0];
        }
        let solve = |f: [f64; 3]| {
            let (p, q) = (f[1] - f[0], f[2] - f[0]);
            let (m, n) = ((p * by - q * ay) / area, (q * ax - p * bx) / area);
            [m, n, f[0] - m * to[0].0 - n * to[0].1]
        };
        let (x, y) = (solve(from.map(|p| p.0)), solve(from.map(|p| p.1)));
        [x[0], x[1], x[2], y[0], y[1], y[2]]
    }

    /// Displacements in pixels, in single precision, from one uniform draw in [−1, 1) for each pixel.
    pub fn displacement(&self, dims: Dims, u: &[f32], scratch: &mut Scratch, out: &mut [f32]) {
        let width = dims.width;
        strips(width, scratch, out, |rows, scratch, out| {
            let first = rows.start;
            self.smooth.each_row(
                Part { dims: [dims.height, width, 1], rows },
                &mut scratch.f64s[0],
                #[inline(always)]
                |h, row| row.iter_mut().zip(&u[h * width..]).for_each(|(x, &u)| *x = f64::from(u)),
                #[inline(always)]
                |h, row| {
                    let out = out[(h - first) * width..].iter_mut();
                    out.zip(row).for_each(|(out, d)| *out = (self.alpha * d) as f32);
                },
            );
        });
    }

    /// The affine part: writes the `rows` of the image under `map` into `warped`, in 0..1.
    pub fn affine(&self, image: &[u8], dims: Dims, map: &[f64; 6], rows: Range<usize>, warped: &mut [[f32; 3]]) {
        let (pixels, _) = image.as_chunks::<3>();
        let at = |i: usize| pixels[i].map(|v| UNIT_SINGLE[usize::from(v)]);
        for (h, row) in rows.zip(warped.chunks_exact_mut(dims.width)) {
            for (w, out) in row.iter_mut().enumerate() {
                let (px, py) = (w as f64, h as f64);
                let (sx, sy) = (map[0] * px + map[1] * py + map[2], map[3] * px + map[4] * py + map[5]);
                *out = bilinear(at, dims, sy, sx, Border::Reflect101).map(|v| v as f32);
            }
        }
    }

    /// The rows of the warped image that the displacements of `rows` reach.
    fn reached(rows: &Range<usize>, dims: Dims, dy: &[f32]) -> Range<usize> {
        let (mut first, mut last) = (dims.height, 0);
        for h in rows.clone() {
            let row = &dy[h * dims.width..][..dims.width];
            let (low, high) = row.iter().fold((f32::MAX, f32::MIN), |(low, high), &d| (low.min(d), high.max(d)));
            let floor = |d: f32| (h as f64 + f64::from(d)).floor() as isize;
            for at in floor(low)..=floor(high) + 1 {
                let at = Border::Reflect.index(at, dims.height);
                (first, last) = (first.min(at), last.max(at));
            }
        }
        first..last + 1
    }

    /// The displacement part: writes the `rows` of the warped image, displaced by `dx` and `dy`, into `y`; `warped` begins with row
    /// `first`.
    pub fn displace(
        &self,
        (first, warped): (usize, &[[f32; 3]]),
        dims: Dims,
        [dx, dy]: [&[f32]; 2],
        rows: Range<usize>,
        y: &mut [[f64; 3]],
    ) {
        let start = first * dims.width;
        let at = |i: usize| warped[i - start].map(f64::from);
        for (i, out) in (rows.start * dims.width..rows.end * dims.width).zip(y) {
            let (h, w) = ((i / dims.width) as f64, (i % dims.width) as f64);
            *out = bilinear(at, dims, h + f64::from(dy[i]), w + f64::from(dx[i]), Border::Reflect);
        }
    }
}

/// The bilinearly interpolated pixel at (row, column); `at` gives the pixels by their numbers.
#[inline(always)]
fn bilinear(at: impl Fn(usize) -> [f64; 3], dims: Dims, row: f64, column: f64, border: Border) -> [f64; 3] {
    let (r, c) = (row.floor(), column.floor());
    let (t, s) = (row - r, column - c);
    let (r, c) = (r as isize, c as isize);
    let inside = r >= 0 && c >= 0 && (r as usize) + 1 < dims.height && (c as usize) + 1 < dims.width;
    let (r0, r1, c0, c1) = if inside {
        (r as usize, r as usize + 1, c as usize, c as usize + 1)
    } else {
        let (height, width) = (dims.height, dims.width);
        (border.index(r, height), border.index(r + 1, height), border.index(c, width), border.index(c + 1, width))
    };
    let (a, b) = (at(r0 * dims.width + c0), at(r0 * dims.width + c1));
    let (d, e) = (at(r1 * dims.width + c0), at(r1 * dims.width + c1));
    std::array::from_fn(|k| (1.0 - t) * ((1.0 - s) * a[k] + s * b[k]) + t * ((1.0 - s) * d[k] + s * e[k]))
}

impl Corruption for ElasticTransform {
    fn apply(&self, image: &[u8], dims: Dims, rng: &mut ChaCha8Rng, scratch: &mut Scratch, out: &mut [u8]) {
        let mut planes: [Vec<f32>; 3] = std::array::from_fn(|i| std::mem::take(&mut scratch.f32s[i]));
        let [u, dx, dy] = planes.each_mut().map(|plane| sized(plane, dims.pixels()));
        let affine: [f64; 6] = std::array::from_fn(|_| rng.random_range(-1.0..1.0));
        for plane in [&mut *dx, &mut *dy] {
            drawn(rng, 1, u, |rng, _, u| u.iter_mut().for_each(|u| *u = rng.random_range(-1.0f32..1.0)));
            self.displacement(dims, u, scratch, plane);
        }
        let (map, dx, dy) = (self.source_map(dims, &affine), &*dx, &*dy);
        strips(3 * dims.width, scratch, out, |rows, scratch, out| {
            let reached = Self::reached(&rows, dims, dy);
            let (warped, _) = sized(&mut scratch.f32s[3], 3 * reached.len() * dims.width).as_chunks_mut::<3>();
            self.affine(image, dims, &map, reached.clone(), warped);
            let y = sized(&mut scratch.f64s[0], out.len());
            self.displace((reached.start, warped), dims, [dx, dy], rows, y.as_chunks_mut::<3>().0);
            truncate_unit(y, out);
        });
        planes.into_iter().zip(&mut scratch.f32s).for_each(|(plane, kept)| *kept = plane);
    }
}
