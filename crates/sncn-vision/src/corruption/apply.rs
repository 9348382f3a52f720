//! `Corruption`: the trait of every corruption, its work buffers, and what shares one image among threads.

use super::dims::Dims;
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;
use std::cell::RefCell;
use std::ops::Range;

/// Values that are drawn or converted at a time where every value stands for itself.
pub(super) const CHUNK: usize = 3 << 10;
/// Rows that are worked on at a time; a thread takes so many.
pub(super) const STRIP: usize = 64;
/// Values that a thread draws at a time.
const PIECE: usize = 16 * CHUNK;
/// Bytes of a buffer that a thread keeps for the next image.
const KEPT: usize = 1 << 20;
/// Bytes of work buffers for every pixel of an image.
const A_PIXEL: usize = 16;

/// One corruption at one severity.
pub trait Corruption: Send + Sync {
    /// Writes the corrupted copy of `image` (height × width × 3 bytes) into `out`, which is as long; random draws come from `rng`.
    fn apply(&self, image: &[u8], dims: Dims, rng: &mut ChaCha8Rng, scratch: &mut Scratch, out: &mut [u8]);

    /// About how many bytes of work buffers [`Corruption::apply`] takes for an image of that size.
    fn memory(&self, dims: Dims) -> usize {
        A_PIXEL * dims.pixels()
    }
}

/// Work buffers that a thread reuses from image to image; [`sized`] takes a slice of one.
#[derive(Default)]
pub struct Scratch {
    /// Single-precision buffers.
    pub f32s: [Vec<f32>; 6],
    /// Double-precision buffers.
    pub f64s: [Vec<f64>; 6],
    /// Byte buffers.
    pub u8s: [Vec<u8>; 6],
    /// Signed byte buffers.
    pub i8s: [Vec<i8>; 1],
    /// Short integer buffers.
    pub i16s: [Vec<i16>; 6],
}

thread_local! {
    /// Those that are not lent.
    static SCRATCH: RefCell<Vec<Scratch>> = RefCell::default();
}

impl Scratch {
    /// Lends buffers of this thread. Who asks again while they are lent gets others: a thread that waits for others does their work.
    pub(super) fn lent<R>(work: impl FnOnce(&mut Self) -> R) -> R {
        let mut scratch = SCRATCH.with_borrow_mut(Vec::pop).unwrap_or_default();
        let result = work(&mut scratch);
        scratch.release();
        SCRATCH.with_borrow_mut(|kept| kept.push(scratch));
        result
    }

    /// Gives back the buffers of a large image; those of small ones are kept.
    fn release(&mut self) {
        fn large<T>(buffers: &mut [Vec<T>]) {
            buffers.iter_mut().filter(|buffer| buffer.capacity() * size_of::<T>() > KEPT).for_each(|buffer| *buffer = Vec::new());
        }
        large(&mut self.f32s);
        large(&mut self.f64s);
        large(&mut self.u8s);
        large(&mut self.i8s);
        large(&mut self.i16s);
    }
}

/// The first `len` elements of a buffer, which is enlarged if it is too short; old values are not cleared.
pub fn sized<T: Clone + Default>(buffer: &mut Vec<T>, len: usize) -> &mut [T] {
    if buffer.len() < len {
        buffer.resize(len, T::default());
    }
    &mut buffer[..len]
}

/// Calls `work(rows, scratch, part)` for strips of [`STRIP`] rows of `out`, whose rows are `wide` values, on all threads. What is written
/// must depend on nothing but the rows.
pub(super) fn strips<T: Send>(
    wide: usize,
    scratch: &mut Scratch,
    out: &mut [T],
    work: impl Fn(Range<usize>, &mut Scratch, &mut [T]) + Sync,
) {
    let height = out.len() / wide;
    if height <= STRIP {
        return work(0..height, scratch, out);
    }
    out.par_chunks_mut(STRIP * wide).enumerate().for_each(|(strip, out)| {
        let top = strip * STRIP;
        Scratch::lent(|scratch| work(top..top + out.len() / wide, scratch, out));
    });
}

/// Calls `draw(rng, first, part)` for parts of `values`, each of which takes `words` words of 32 bits of `rng`, on all threads: each part
/// has the generator at the place that it would have if one thread drew all. `rng` goes on behind them.
pub(super) fn drawn<T: Send>(
    rng: &mut ChaCha8Rng,
    words: usize,
    values: &mut [T],
    draw: impl Fn(&mut ChaCha8Rng, usize, &mut [T]) + Sync,
) {
    if values.len() <= PIECE {
        return draw(rng, 0, values);
    }
    let (start, len) = (rng.get_word_pos(), values.len());
    let at = |value: usize| start + (words * value) as u128;
    values.par_chunks_mut(PIECE).enumerate().for_each(|(piece, values)| {
        let mut rng = rng.clone();
        rng.set_word_pos(at(piece * PIECE));
        draw(&mut rng, piece * PIECE, values);
    });
    rng.set_word_pos(at(len));
}
