//! `Seed`: the only way randomness enters the project.
//!
//! A seed is a 64-bit value. A named stream is a seed folded with a name or a number; no generator is ever stored, so a
//! resumed run draws what an unbroken one would, whatever the thread count. The streams that the project uses are listed
//! in ARCHITECTURE.md (`init/<variable>`, `order/<epoch>`, `augment/<epoch>/<example>`, …).

use candle_core::{Device, Result, Shape, Tensor};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal};

/// A named source of random numbers.
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
    /// The seed of a whole run, as given on the command line or in a table.
    pub const fn new(value: u64) -> Self {
        Self(value)
    }

    /// The stream of that name: FNV-1a over its bytes, mixed into this seed.
    pub fn named(self, name: &str) -> Self {
        let hash =
            name.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3));
        self.fold_in(hash)
    }

    /// The stream of that number (an epoch, a step, an example).
    pub fn fold_in(self, number: u64) -> Self {
        Self(splitmix64(splitmix64(self.0) ^ number.wrapping_mul(0x9e37_79b9_7f4a_7c15)))
    }

    /// A fresh ChaCha8 generator at the start of this stream.
    pub fn rng(self) -> ChaCha8Rng {
        ChaCha8Rng::seed_from_u64(self.0)
    }

    /// Values of the standard normal distribution, in f32 on the CPU; candle's own cannot be seeded there.
    ///
    /// # Errors
    /// Where a tensor cannot be made.
    pub fn normal(self, shape: impl Into<Shape>) -> Result<Tensor> {
        let shape = shape.into();
        let values: Vec<f32> = StandardNormal.sample_iter(self.rng()).take(shape.elem_count()).collect();
        Tensor::from_vec(values, shape, &Device::Cpu)
    }

    /// The 64 bits themselves, for a file.
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
