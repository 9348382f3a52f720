//! `Corruption`: the trait of every corruption, and its work buffers.

use super::dims::Dims;
use rand_chacha::ChaCha8Rng;

/// One corruption at one severity.
pub trait Corruption: Send + Sync {
    /// Writes the corrupted copy of `image` (height × width × 3 bytes) into `out`, which is as long; random draws come from `rng`.
    fn apply(&self, image: &[u8], dims: Dims, rng: &mut ChaCha8Rng, scratch: &mut Scratch, out: &mut [u8]);
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
    /// Integer buffers.
    pub i32s: [Vec<i32>; 6],
}

/// The first `len` elements of a buffer, which is enlarged if it is too short; old values are not cleared.
pub fn sized<T: Clone + Default>(buffer: &mut Vec<T>, len: usize) -> &mut [T] {
    if buffer.len() < len {
        buffer.resize(len, T::default());
    }
    &mut buffer[..len]
}
