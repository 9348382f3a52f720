//! `Seed`: where all random numbers come from.
//!
//! A seed is a 64-bit value from which named streams are derived. No generator is ever stored, so a resumed run draws the same
//! numbers as an uninterrupted one, with any number of threads. ARCHITECTURE.md lists the streams of this project
//! (`init/<variable>`, `order/<epoch>`, `augment/<epoch>/<example>`, …).

use candle_core::{Device, Result, Shape, Tensor};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal};

/// A 64-bit seed of random numbers, and of further seeds derived from it by name or number.
///
/// ```
/// use rand::RngExt;
/// use sncn_core::Seed;
///
/// let seed = Seed::new(7);
/// let order = seed.named("order").fold_in(3);
/// assert_eq!(order, Seed::new(7).named("order").fold_in(3));
/// assert_ne!(order, seed.named("order").fold_in(4));
/// let first: f32 = order.rng().random();
/// assert_eq!(first, order.rng().random::<f32>());
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Seed(u64);

impl Seed {
    /// The seed with this value; a run has one, from a table or the command line.
    pub const fn new(value: u64) -> Self {
        Self(value)
    }

    /// Derives the stream named `name`: the FNV-1a hash of its bytes, mixed into this seed.
    pub fn named(self, name: &str) -> Self {
        let hash =
            name.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3));
        self.fold_in(hash)
    }

    /// Derives the stream of a number, such as an epoch, a step or an example.
    pub fn fold_in(self, number: u64) -> Self {
        Self(splitmix64(splitmix64(self.0) ^ number.wrapping_mul(0x9e37_79b9_7f4a_7c15)))
    }

    /// Returns a new ChaCha8 generator at the start of this stream.
    pub fn rng(self) -> ChaCha8Rng {
        ChaCha8Rng::seed_from_u64(self.0)
    }

    /// Samples an f32 tensor on the CPU from the standard normal distribution. (candle's `Tensor::randn` cannot be seeded there.)
    ///
    /// # Errors
    /// Returns candle's error where it cannot make the tensor.
    pub fn normal(self, shape: impl Into<Shape>) -> Result<Tensor> {
        let shape = shape.into();
        let values: Vec<f32> = StandardNormal.sample_iter(self.rng()).take(shape.elem_count()).collect();
        Tensor::from_vec(values, shape, &Device::Cpu)
    }

    /// Returns the 64-bit value.
    pub const fn value(self) -> u64 {
        self.0
    }
}

/// The finaliser of SplitMix64 (Steele, Lea, Flood 2014): every input bit moves every output bit.
fn splitmix64(value: u64) -> u64 {
    let value = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn streams_do_not_meet() {
        let mut seen = HashSet::new();
        for seed in 0..20 {
            for name in ["init", "order", "augment", "mixing", "corrupt"] {
                for number in 0..200 {
                    assert!(seen.insert(Seed::new(seed).named(name).fold_in(number)), "{seed} {name} {number}");
                }
            }
        }
    }

    #[test]
    fn order_of_folding_matters() {
        let seed = Seed::new(1);
        assert_ne!(seed.fold_in(2).fold_in(3), seed.fold_in(3).fold_in(2));
        assert_ne!(seed.named("a").named("b"), seed.named("ab"));
    }
}
