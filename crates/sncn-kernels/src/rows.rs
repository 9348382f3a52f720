//! Passes over the map of one instance, (positions, channels), with a table entry for every channel: activation, residual,
//! sums, and the backward passes of norms and gates.
//!
//! Memory sets their pace, so each reads and writes every map once. Sums are formed in f32 over 32 positions, around a
//! centre, and then in f64, so that a mean that is large against the spread does not cancel.

use crate::simd::{Form, Kernel, Vector};

/// Positions whose sum is formed in f32.
const BLOCK: usize = 32;
/// Most vectors that are in registers at a time.
const WIDE: usize = 4;
/// Most lanes of a block.
const LANES: usize = 64;

/// A pass over some channels of all positions.
trait Columns {
    /// Channels `start ..`, `NV` vectors of them, or the first `count` of one vector where not `FULL`.
    ///
    /// # Safety
    /// The processor must have the instructions of `V`, and the channels must lie in the map.
    unsafe fn run<V: Vector, const NV: usize, const FULL: bool>(&mut self, start: usize, count: usize);
}

/// A pass over `.1` channels.
struct Pass<'a, C>(&'a mut C, usize);

impl<C: Columns> Kernel for Pass<'_, C> {
    #[inline(always)]
    unsafe fn run<V: Vector>(self) {
        let (columns, channels) = (self.0, self.1);
        let mut at = 0;
        // SAFETY: the blocks cut `channels` without a gap; the caller vouches for the processor.
        unsafe {
            while channels - at >= WIDE * V::LANES {
                columns.run::<V, WIDE, true>(at, V::LANES);
                at += WIDE * V::LANES;
            }
            while channels - at >= 2 * V::LANES {
                columns.run::<V, 2, true>(at, V::LANES);
                at += 2 * V::LANES;
            }
            while channels - at >= V::LANES {
                columns.run::<V, 1, true>(at, V::LANES);
                at += V::LANES;
            }
            if channels > at {
                columns.run::<V, 1, false>(at, channels - at);
            }
        }
    }
}

fn run(columns: &mut impl Columns, channels: usize) {
    Form::current().run(Pass(columns, channels));
}

#[inline(always)]
unsafe fn load<V: Vector, const NV: usize, const FULL: bool>(p: *const f32, count: usize) -> [V; NV] {
    // SAFETY: the caller vouches for NV whole vectors, or for `count` lanes.
    std::array::from_fn(|i| unsafe { if FULL { V::load(p.add(i * V::LANES)) } else { V::load_part(p, count) } })
}

#[inline(always)]
unsafe fn store<V: Vector, const NV: usize, const FULL: bool>(values: [V; NV], p: *mut f32, count: usize) {
    for (i, value) in values.into_iter().enumerate() {
        // SAFETY: as above.
        unsafe { if FULL { value.store(p.add(i * V::LANES)) } else { value.store_part(p, count) } }
    }
}

/// Adds the lanes of `sum` to `total`.
#[inline(always)]
unsafe fn spill<V: Vector, const NV: usize>(sum: [V; NV], total: &mut [f64]) {
    let mut lanes = [0f32; LANES];
    for (i, sum) in sum.into_iter().enumerate() {
        // SAFETY: NV · V::LANES is at most LANES.
        unsafe { sum.store(lanes.as_mut_ptr().add(i * V::LANES)) }
    }
    total.iter_mut().zip(&lanes).for_each(|(total, &lane)| *total += f64::from(lane));
}

fn check(maps: &[usize], channels: usize, tables: &[usize]) {
    assert!(
        channels > 0 && maps.iter().all(|&len| len == maps[0] && len.is_multiple_of(channels)),
        "maps: {maps:?}, {channels} channels"
    );
    assert!(tables.iter().all(|&len| len == channels), "tables: {tables:?}, {channels} channels");
}

struct Activate<'a> {
    x: &'a [f32],
    scale: &'a [f32],
    shift: &'a [f32],
    floor: f32,
    out: &'a mut [f32],
}

impl Columns for Activate<'_> {
    #[inline(always)]
    unsafe fn run<V: Vector, const NV: usize, const FULL: bool>(&mut self, start: usize, count: usize) {
        let channels = self.scale.len();
        // SAFETY: `check` found every map a whole number of rows of `channels`, and the tables of that length.
        unsafe {
            let scale = load::<V, NV, FULL>(self.scale.as_ptr().add(start), count);
            let shift = load::<V, NV, FULL>(self.shift.as_ptr().add(start), count);
            let floor = V::splat(self.floor);
            for at in (start..self.x.len()).step_by(channels) {
                let x = load::<V, NV, FULL>(self.x.as_ptr().add(at), count);
                let y = std::array::from_fn(|i| x[i].fma(scale[i], shift[i]).max(floor));
                store::<V, NV, FULL>(y, self.out.as_mut_ptr().add(at), count);
            }
        }
    }
}

/// out = scale·x + shift, rectified where `relu`.
///
/// # Panics
/// Where lengths do not fit, here and below.
pub fn activate(x: &[f32], scale: &[f32], shift: &[f32], relu: bool, out: &mut [f32]) {
    check(&[x.len(), out.len()], scale.len(), &[shift.len()]);
    let floor = if relu { 0. } else { f32::NEG_INFINITY };
    run(&mut Activate { x, scale, shift, floor, out }, scale.len());
}

struct Add<'a> {
    y: &'a mut [f32],
    r: &'a [f32],
    scale: &'a [f32],
    shift: &'a [f32],
}

impl Columns for Add<'_> {
    #[inline(always)]
    unsafe fn run<V: Vector, const NV: usize, const FULL: bool>(&mut self, start: usize, count: usize) {
        let channels = self.scale.len();
        // SAFETY: as in `Activate`.
        unsafe {
            let scale = load::<V, NV, FULL>(self.scale.as_ptr().add(start), count);
            let shift = load::<V, NV, FULL>(self.shift.as_ptr().add(start), count);
            for at in (start..self.r.len()).step_by(channels) {
                let y = load::<V, NV, FULL>(self.y.as_ptr().add(at), count);
                let r = load::<V, NV, FULL>(self.r.as_ptr().add(at), count);
                let sum = std::array::from_fn(|i| r[i].fma(scale[i], shift[i]).add(y[i]));
                store::<V, NV, FULL>(sum, self.y.as_mut_ptr().add(at), count);
            }
        }
    }
}

/// y += scale·r + shift.
pub fn add_affine(y: &mut [f32], r: &[f32], scale: &[f32], shift: &[f32]) {
    check(&[y.len(), r.len()], scale.len(), &[shift.len()]);
    run(&mut Add { y, r, scale, shift }, scale.len());
}

/// Two sums a channel.
#[derive(Clone, Copy)]
enum Second {
    /// Σ (x − m)².
    Squares,
    /// Σ g·(x − m).
    Products,
}

struct Sums<'a> {
    g: &'a [f32],
    x: &'a [f32],
    centre: &'a [f32],
    second: Second,
    one: &'a mut [f64],
    two: &'a mut [f64],
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
                let (mut one, mut two) = ([V::splat(0.); NV], [V::splat(0.); NV]);
                let stop = (at + BLOCK * channels).min(self.x.len());
                while at < stop {
                    let x = load::<V, NV, FULL>(self.x.as_ptr().add(at), count);
                    let d: [V; NV] = std::array::from_fn(|i| x[i].sub(centre[i]));
                    match self.second {
                        Second::Squares => {
                            one = std::array::from_fn(|i| one[i].add(d[i]));
                            two = std::array::from_fn(|i| d[i].fma(d[i], two[i]));
                        }
                        Second::Products => {
                            let g = load::<V, NV, FULL>(self.g.as_ptr().add(at), count);
                            one = std::array::from_fn(|i| one[i].add(g[i]));
                            two = std::array::from_fn(|i| g[i].fma(d[i], two[i]));
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

/// one += Σ (x − centre), two += Σ (x − centre)².
pub fn centred_sums(x: &[f32], centre: &[f32], one: &mut [f64], two: &mut [f64]) {
    check(&[x.len()], centre.len(), &[one.len(), two.len()]);
    run(&mut Sums { g: &[], x, centre, second: Second::Squares, one, two }, centre.len());
}

/// one += Σ g, two += Σ g·(x − centre).
pub fn product_sums(g: &[f32], x: &[f32], centre: &[f32], one: &mut [f64], two: &mut [f64]) {
    check(&[x.len(), g.len()], centre.len(), &[one.len(), two.len()]);
    run(&mut Sums { g, x, centre, second: Second::Products, one, two }, centre.len());
}

struct Mask<'a> {
    g: &'a mut [f32],
    x: &'a [f32],
    scale: &'a [f32],
    shift: &'a [f32],
}

impl Columns for Mask<'_> {
    #[inline(always)]
    unsafe fn run<V: Vector, const NV: usize, const FULL: bool>(&mut self, start: usize, count: usize) {
        let channels = self.scale.len();
        // SAFETY: as in `Activate`.
        unsafe {
            let scale = load::<V, NV, FULL>(self.scale.as_ptr().add(start), count);
            let shift = load::<V, NV, FULL>(self.shift.as_ptr().add(start), count);
            for at in (start..self.x.len()).step_by(channels) {
                let x = load::<V, NV, FULL>(self.x.as_ptr().add(at), count);
                let g = load::<V, NV, FULL>(self.g.as_ptr().add(at), count);
                let kept = std::array::from_fn(|i| g[i].where_positive(x[i].fma(scale[i], shift[i])));
                store::<V, NV, FULL>(kept, self.g.as_mut_ptr().add(at), count);
            }
        }
    }
}

/// g = g where scale·x + shift > 0, else 0: the rectifier's backward pass.
pub fn mask(g: &mut [f32], x: &[f32], scale: &[f32], shift: &[f32]) {
    check(&[g.len(), x.len()], scale.len(), &[shift.len()]);
    run(&mut Mask { g, x, scale, shift }, scale.len());
}

/// Tables of a gradient that is affine in another gradient and in the map: p·g + q + r·(x − m).
#[derive(Clone, Copy)]
pub struct Slopes<'a> {
    /// p.
    pub p: &'a [f32],
    /// q.
    pub q: &'a [f32],
    /// r.
    pub r: &'a [f32],
    /// m.
    pub m: &'a [f32],
}

struct Combine<'a> {
    to: *mut f32,
    add: bool,
    g: *const f32,
    x: &'a [f32],
    t: Slopes<'a>,
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
                let mut sum: [V; NV] = std::array::from_fn(|i| x[i].sub(m[i]).fma(r[i], g[i].fma(p[i], q[i])));
                if self.add {
                    let to = load::<V, NV, FULL>(self.to.add(at), count);
                    sum = std::array::from_fn(|i| sum[i].add(to[i]));
                }
                store::<V, NV, FULL>(sum, self.to.add(at), count);
            }
        }
    }
}

/// g = p·g + q + r·(x − m), in place.
pub fn combine(g: &mut [f32], x: &[f32], t: Slopes<'_>) {
    check(&[g.len(), x.len()], t.m.len(), &[t.p.len(), t.q.len(), t.r.len()]);
    let to = g.as_mut_ptr();
    run(&mut Combine { to, add: false, g: to, x, t }, t.m.len());
}

/// to += p·g + q + r·(x − m).
pub fn accumulate(to: &mut [f32], g: &[f32], x: &[f32], t: Slopes<'_>) {
    check(&[to.len(), g.len(), x.len()], t.m.len(), &[t.p.len(), t.q.len(), t.r.len()]);
    run(&mut Combine { to: to.as_mut_ptr(), add: true, g: g.as_ptr(), x, t }, t.m.len());
}

/// to = p·g + q + r·(x − m).
pub fn combine_to(to: &mut [f32], g: &[f32], x: &[f32], t: Slopes<'_>) {
    check(&[to.len(), g.len(), x.len()], t.m.len(), &[t.p.len(), t.q.len(), t.r.len()]);
    run(&mut Combine { to: to.as_mut_ptr(), add: false, g: g.as_ptr(), x, t }, t.m.len());
}
