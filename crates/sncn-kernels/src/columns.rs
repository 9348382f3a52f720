//! A pass over a map (positions, channels) that keeps one table entry a channel in registers: blocks of whole vectors, then
//! the last few lanes.

use crate::simd::{Form, Kernel, Vector};

/// `NV` vectors `V`, the value of the expression for every index: `each!(|i| x[i].add(y[i]))`. A loop and no closure: one that is a little
/// long becomes a function of its own, which the instructions are not switched on for, and every operation in it a call.
macro_rules! each {
    (|$i:ident| $value:expr) => {{
        let mut all = zeros::<V, NV>();
        let mut $i = 0;
        while $i < NV {
            all[$i] = $value;
            $i += 1;
        }
        all
    }};
}
pub(crate) use each;

/// Positions whose sum is formed in f32.
pub(crate) const BLOCK: usize = 32;
/// Most vectors that are in registers at a time.
const WIDE: usize = 4;
/// Most lanes of a block.
const LANES: usize = 64;

/// A pass over some channels of all positions.
pub(crate) trait Columns {
    /// Most vectors at a time: 4, 2 or 1.
    const MOST: usize = WIDE;

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
            while C::MOST >= WIDE && channels - at >= WIDE * V::LANES {
                columns.run::<V, WIDE, true>(at, V::LANES);
                at += WIDE * V::LANES;
            }
            while C::MOST >= 2 && channels - at >= 2 * V::LANES {
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

/// Runs the pass over all channels.
pub(crate) fn run(form: Form, columns: &mut impl Columns, channels: usize) {
    form.run(Pass(columns, channels));
}

/// `NV` vectors, or the first `count` lanes of one.
///
/// # Safety
/// As [`Vector::load`] and [`Vector::load_part`].
#[inline(always)]
pub(crate) unsafe fn load<V: Vector, const NV: usize, const FULL: bool>(p: *const f32, count: usize) -> [V; NV] {
    // SAFETY: the caller vouches for NV whole vectors, or for `count` lanes.
    unsafe { each!(|i| if FULL { V::load(p.add(i * V::LANES)) } else { V::load_part(p, count) }) }
}

/// As [`load`], to memory.
///
/// # Safety
/// As [`Vector::store`] and [`Vector::store_part`].
#[inline(always)]
pub(crate) unsafe fn store<V: Vector, const NV: usize, const FULL: bool>(values: [V; NV], p: *mut f32, count: usize) {
    for (i, value) in values.into_iter().enumerate() {
        // SAFETY: as above.
        unsafe { if FULL { value.store(p.add(i * V::LANES)) } else { value.store_part(p, count) } }
    }
}

/// `NV` vectors of zeros.
///
/// # Safety
/// The processor must have the instructions of `V`.
#[inline(always)]
pub(crate) unsafe fn zeros<V: Vector, const NV: usize>() -> [V; NV] {
    // SAFETY: the caller vouches for the processor.
    [unsafe { V::splat(0.) }; NV]
}

/// Adds the lanes of `sum` to `total`.
///
/// # Safety
/// The processor must have the instructions of `V`.
#[inline(always)]
pub(crate) unsafe fn spill<V: Vector, const NV: usize>(sum: [V; NV], total: &mut [f64]) {
    let mut lanes = [0f32; LANES];
    for (i, sum) in sum.into_iter().enumerate() {
        // SAFETY: NV · V::LANES is at most LANES.
        unsafe { sum.store(lanes.as_mut_ptr().add(i * V::LANES)) }
    }
    total.iter_mut().zip(&lanes).for_each(|(total, &lane)| *total += f64::from(lane));
}
