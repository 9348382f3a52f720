//! `Corruption`: the trait of every corruption, and its work buffers.

use super::dims::Dims;
use rand_chacha::ChaCha8Rng;

/// Values that are drawn or converted at a time where every value stands for itself.
pub(super) const CHUNK: usize = 3 << 10;
/// Rows that are worked on at a time where a row needs rows above and below it.
pub(super) const STRIP: usize = 128;
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
    /// Integer buffers.
    pub i32s: [Vec<i32>; 6],
}

impl Scratch {
    /// Gives back the buffers of a large image; those of small ones are kept.
    pub(super) fn release(&mut self) {
        fn large<T>(buffers: &mut [Vec<T>]) {
            buffers.iter_mut().filter(|buffer| buffer.capacity() * size_of::<T>() > KEPT).for_each(|buffer| *buffer = Vec::new());
        }
        large(&mut self.f32s);
        large(&mut self.f64s);
        large(&mut self.u8s);
        large(&mut self.i8s);
        large(&mut self.i32s);
    }
}

/// The first `len` elements of a buffer, which is enlarged if it is too short; old values are not cleared.
pub fn sized<T: Clone + Default>(buffer: &mut Vec<T>, len: usize) -> &mut [T] {
    if buffer.len() < len {
        buffer.resize(len, T::default());
    }
    &mut buffer[..len]
}
