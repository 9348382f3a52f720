//! The passes over vectors of channels.

use super::activation::Pieces;
use crate::columns::{BLOCK, Columns, each, load, spill, store, zeros};
use crate::gelu::{Gelu, gate};
use crate::simd::Vector;

/// out = pieces(scale·(x − centre) + bias); without x it is what `out` holds, without a centre that is 0.
pub(super) struct Activate<'a> {
    pub(super) x: Option<&'a [f32]>,
    pub(super) centre: Option<&'a [f32]>,
    pub(super) scale: &'a [f32],
    pub(super) bias: &'a [f32],
    pub(super) pieces: Pieces,
    pub(super) out: &'a mut [f32],
}

impl Columns for Activate<'_> {
    #[inline(always)]
    unsafe fn run<V: Vector, const NV: usize, const FULL: bool>(&mut self, start: usize, count: usize) {
        let channels = self.scale.len();
        // SAFETY: `check` found every map a whole number of rows of `channels`, and the tables of that length.
        unsafe {
            let scale = load::<V, NV, FULL>(self.scale.as_ptr().add(start), count);
            let bias = load::<V, NV, FULL>(self.bias.as_ptr().add(start), count);
            let centre = self.centre.map_or(zeros(), |m| load::<V, NV, FULL>(m.as_ptr().add(start), count));
            let Pieces { floor, ceiling, slope } = self.pieces;
            let (floor, ceiling, below) = (V::splat(floor), V::splat(ceiling), V::splat(slope));
            let len = self.out.len();
            let out = self.out.as_mut_ptr();
            let from = self.x.map_or(out.cast_const(), <[f32]>::as_ptr);
            for at in (start..len).step_by(channels) {
                let x = load::<V, NV, FULL>(from.add(at), count);
                let y = each!(|i| {
                    let y = x[i].sub(centre[i]).fma(scale[i], bias[i]);
                    // y·slope is the larger one where y is below 0; infinity times 0 would be no number
                    if slope == 0. { y.max(floor).min(ceiling) } else { y.max(y.mul(below)) }
                });
                store::<V, NV, FULL>(y, out.add(at), count);
            }
        }
    }
}

/// out = y·σ(1.702·y), y = scale·x + bias.
pub(super) struct QuickGelu<'a> {
    pub(super) x: &'a [f32],
    pub(super) scale: &'a [f32],
    pub(super) bias: &'a [f32],
    pub(super) out: &'a mut [f32],
}

impl Columns for QuickGelu<'_> {
    #[inline(always)]
    unsafe fn run<V: Vector, const NV: usize, const FULL: bool>(&mut self, start: usize, count: usize) {
        let channels = self.scale.len();
        // SAFETY: as in `Activate`.
        unsafe {
            let scale = load::<V, NV, FULL>(self.scale.as_ptr().add(start), count);
            let bias = load::<V, NV, FULL>(self.bias.as_ptr().add(start), count);
            for at in (start..self.x.len()).step_by(channels) {
                let x = load::<V, NV, FULL>(self.x.as_ptr().add(at), count);
                let y = each!(|i| {
                    let y = x[i].fma(scale[i], bias[i]);
                    y.mul(gate(Gelu::Quick, y).0)
                });
                store::<V, NV, FULL>(y, self.out.as_mut_ptr().add(at), count);
            }
        }
    }
}

/// y += scale·x + bias.
pub(super) struct Add<'a> {
    pub(super) y: &'a mut [f32],
    pub(super) x: &'a [f32],
    pub(super) scale: &'a [f32],
    pub(super) bias: &'a [f32],
}

impl Columns for Add<'_> {
    #[inline(always)]
    unsafe fn run<V: Vector, const NV: usize, const FULL: bool>(&mut self, start: usize, count: usize) {
        let channels = self.scale.len();
        // SAFETY: as in `Activate`.
        unsafe {
            let scale = load::<V, NV, FULL>(self.scale.as_ptr().add(start), count);
            let bias = load::<V, NV, FULL>(self.bias.as_ptr().add(start), count);
            for at in (start..self.x.len()).step_by(channels) {
                let y = load::<V, NV, FULL>(self.y.as_ptr().add(at), count);
                let x = load::<V, NV, FULL>(self.x.as_ptr().add(at), count);
                let sum = each!(|i| x[i].fma(scale[i], bias[i]).add(y[i]));
                store::<V, NV, FULL>(sum, self.y.as_mut_ptr().add(at), count);
            }
        }
    }
}

/// total += Σ x.
pub(super) struct Total<'a> {
    pub(super) x: &'a [f32],
    pub(super) total: &'a mut [f64],
}

impl Columns for Total<'_> {
    #[inline(always)]
    unsafe fn run<V: Vector, const NV: usize, const FULL: bool>(&mut self, start: usize, count: usize) {
        let (channels, end) = (self.total.len(), if FULL { start + NV * V::LANES } else { start + count });
        let mut at = start;
        while at < self.x.len() {
            let stop = (at + BLOCK * channels).min(self.x.len());
            // SAFETY: as in `Activate`.
            unsafe {
                let mut sum = zeros::<V, NV>();
                while at < stop {
                    let x = load::<V, NV, FULL>(self.x.as_ptr().add(at), count);
                    sum = each!(|i| sum[i].add(x[i]));
                    at += channels;
                }
                spill(sum, &mut self.total[start..end]);
            }
        }
    }
}

/// Two sums a channel.
#[derive(Clone, Copy)]
pub(super) enum Second {
    /// Σ (x − m)².
    Squares,
    /// Σ g·(x − m).
    Products,
}

/// one += Σ (x − centre) or Σ g, two += as `second` says.
pub(super) struct Sums<'a> {
    pub(super) g: &'a [f32],
    pub(super) x: &'a [f32],
    pub(super) centre: &'a [f32],
    pub(super) second: Second,
    pub(super) one: &'a mut [f64],
    pub(super) two: &'a mut [f64],
}

impl Columns for Sums<'_> {
    #[inline(always)]
    unsafe fn run<V: Vector, const NV: usize, const FULL: bool>(&mut self, start: usize, count: usize) {
        let (channels, end) = (self.centre.len(), if FULL { start + NV * V::LANES } else { start + count });
        // SAFETY: as in `Activate`.
        unsafe {
            let centre = load::<V, NV, FULL>(self.centre.as_ptr().add(start), count);
            let mut at = start;
            while at < self.x.len() {
                let (mut one, mut two) = (zeros::<V, NV>(), zeros::<V, NV>());
                let stop = (at + BLOCK * channels).min(self.x.len());
                while at < stop {
                    let x = load::<V, NV, FULL>(self.x.as_ptr().add(at), count);
                    let d: [V; NV] = each!(|i| x[i].sub(centre[i]));
                    match self.second {
                        Second::Squares => {
                            one = each!(|i| one[i].add(d[i]));
                            two = each!(|i| d[i].fma(d[i], two[i]));
                        }
                        Second::Products => {
                            let g = load::<V, NV, FULL>(self.g.as_ptr().add(at), count);
                            one = each!(|i| one[i].add(g[i]));
                            two = each!(|i| g[i].fma(d[i], two[i]));
                        }
                    }
                    at += channels;
                }
                spill(one, &mut self.one[start..end]);
                spill(two, &mut self.two[start..end]);
            }
        }
    }
}

/// dx = scale·g, one += Σ g, two += Σ g·(x − centre).
pub(super) struct AffineBackward<'a> {
    pub(super) x: &'a [f32],
    pub(super) centre: &'a [f32],
    pub(super) scale: &'a [f32],
    pub(super) g: &'a [f32],
    pub(super) dx: &'a mut [f32],
    pub(super) one: &'a mut [f64],
    pub(super) two: &'a mut [f64],
}

impl Columns for AffineBackward<'_> {
    #[inline(always)]
    unsafe fn run<V: Vector, const NV: usize, const FULL: bool>(&mut self, start: usize, count: usize) {
        let (channels, end) = (self.centre.len(), if FULL { start + NV * V::LANES } else { start + count });
        // SAFETY: as in `Activate`.
        unsafe {
            let centre = load::<V, NV, FULL>(self.centre.as_ptr().add(start), count);
            let scale = load::<V, NV, FULL>(self.scale.as_ptr().add(start), count);
            let mut at = start;
            while at < self.x.len() {
                let (mut one, mut two) = (zeros::<V, NV>(), zeros::<V, NV>());
                let stop = (at + BLOCK * channels).min(self.x.len());
                while at < stop {
                    let x = load::<V, NV, FULL>(self.x.as_ptr().add(at), count);
                    let g = load::<V, NV, FULL>(self.g.as_ptr().add(at), count);
                    let dx = each!(|i| g[i].mul(scale[i]));
                    store::<V, NV, FULL>(dx, self.dx.as_mut_ptr().add(at), count);
                    one = each!(|i| one[i].add(g[i]));
                    two = each!(|i| g[i].fma(x[i].sub(centre[i]), two[i]));
                    at += channels;
                }
                spill(one, &mut self.one[start..end]);
                spill(two, &mut self.two[start..end]);
            }
        }
    }
}

/// g = g where scale·x + bias lies between floor and ceiling, else slope·g.
pub(super) struct PiecesBackward<'a> {
    pub(super) g: &'a mut [f32],
    pub(super) x: &'a [f32],
    pub(super) scale: &'a [f32],
    pub(super) bias: &'a [f32],
    pub(super) pieces: Pieces,
}

impl Columns for PiecesBackward<'_> {
    #[inline(always)]
    unsafe fn run<V: Vector, const NV: usize, const FULL: bool>(&mut self, start: usize, count: usize) {
        let channels = self.scale.len();
        // SAFETY: as in `Activate`.
        unsafe {
            let scale = load::<V, NV, FULL>(self.scale.as_ptr().add(start), count);
            let bias = load::<V, NV, FULL>(self.bias.as_ptr().add(start), count);
            let Pieces { floor, ceiling, slope } = self.pieces;
            let (floor, ceiling, outside) = (V::splat(floor), V::splat(ceiling), V::splat(slope));
            for at in (start..self.x.len()).step_by(channels) {
                let x = load::<V, NV, FULL>(self.x.as_ptr().add(at), count);
                let mut g = load::<V, NV, FULL>(self.g.as_ptr().add(at), count);
                for i in 0..NV {
                    let y = x[i].fma(scale[i], bias[i]);
                    let inside = g[i].where_positive(y.sub(floor)).where_positive(ceiling.sub(y));
                    g[i] = if slope == 0. { inside } else { g[i].sub(inside).fma(outside, inside) };
                }
                store::<V, NV, FULL>(g, self.g.as_mut_ptr().add(at), count);
            }
        }
    }
}

/// g = g·(σ + y·σ′), σ of 1.702·y, y = scale·x + bias.
pub(super) struct QuickGeluBackward<'a> {
    pub(super) g: &'a mut [f32],
    pub(super) x: &'a [f32],
    pub(super) scale: &'a [f32],
    pub(super) bias: &'a [f32],
}

impl Columns for QuickGeluBackward<'_> {
    #[inline(always)]
    unsafe fn run<V: Vector, const NV: usize, const FULL: bool>(&mut self, start: usize, count: usize) {
        let channels = self.scale.len();
        // SAFETY: as in `Activate`.
        unsafe {
            let scale = load::<V, NV, FULL>(self.scale.as_ptr().add(start), count);
            let bias = load::<V, NV, FULL>(self.bias.as_ptr().add(start), count);
            for at in (start..self.x.len()).step_by(channels) {
                let x = load::<V, NV, FULL>(self.x.as_ptr().add(at), count);
                let mut g = load::<V, NV, FULL>(self.g.as_ptr().add(at), count);
                for i in 0..NV {
                    let y = x[i].fma(scale[i], bias[i]);
                    let (value, slope) = gate(Gelu::Quick, y);
                    g[i] = g[i].mul(y.fma(slope, value));
                }
                store::<V, NV, FULL>(g, self.g.as_mut_ptr().add(at), count);
            }
        }
    }
}

/// The coefficients of p·g + q + r·(x − m), a gradient that is affine in another gradient and in the map; each has a value a
/// channel.
#[derive(Clone, Copy)]
pub struct Coefficients<'a> {
    /// p.
    pub p: &'a [f32],
    /// q.
    pub q: &'a [f32],
    /// r.
    pub r: &'a [f32],
    /// m.
    pub m: &'a [f32],
}

/// to = p·g + q + r·(x − m), or to += where `add`.
pub(super) struct Combine<'a> {
    pub(super) to: *mut f32,
    pub(super) add: bool,
    pub(super) g: *const f32,
    pub(super) x: &'a [f32],
    pub(super) t: Coefficients<'a>,
}

impl Columns for Combine<'_> {
    #[inline(always)]
    unsafe fn run<V: Vector, const NV: usize, const FULL: bool>(&mut self, start: usize, count: usize) {
        let channels = self.t.m.len();
        // SAFETY: as in `Activate`; `to` and `g` have the length of `x`, and where they are the same, each element is read
        // before it is written.
        unsafe {
            let table = |t: &[f32]| load::<V, NV, FULL>(t.as_ptr().add(start), count);
            let (p, q, r, m) = (table(self.t.p), table(self.t.q), table(self.t.r), table(self.t.m));
            for at in (start..self.x.len()).step_by(channels) {
                let x = load::<V, NV, FULL>(self.x.as_ptr().add(at), count);
                let g = load::<V, NV, FULL>(self.g.add(at), count);
                let mut sum: [V; NV] = each!(|i| x[i].sub(m[i]).fma(r[i], g[i].fma(p[i], q[i])));
                if self.add {
                    let to = load::<V, NV, FULL>(self.to.add(at), count);
                    sum = each!(|i| sum[i].add(to[i]));
                }
                store::<V, NV, FULL>(sum, self.to.add(at), count);
            }
        }
    }
}
