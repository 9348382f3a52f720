//! `Corruption`: what every corruption implements, and the buffers it works in.

use super::dims::Dims;
use rand_chacha::ChaCha8Rng;

/// One corruption at one severity.
pub trait Corruption: Send + Sync {
    /// Corrupts one image of `dims.bytes()` bytes into `out` (as long), drawing from `rng`.
    fn apply(&self, image: &[u8], dims: Dims, rng: &mut ChaCha8Rng, scratch: &mut Scratch, out: &mut [u8]);
}

/// Buffers that a thread reuses from image to image; take what is needed with [`sized`].
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

/// The first `len` elements of a buffer, enlarged where too short; old contents stay.
pub fn sized<T: Clone + Default>(buffer: &mut Vec<T>, len: usize) -> &mut [T] {
    if buffer.len() < len {
        buffer.resize(len, T::default());
    }
    &mut buffer[..len]
}
