//! `Tokens`: a padded batch of token ids, read once.

use candle_core::{DType, Result, Tensor, bail};
use sncn_core::Packing;

/// Token ids of a batch (N, L), with the length of every sequence: up to the last id that is no padding, and at least `least`.
pub struct Tokens {
    ids: Vec<Vec<u32>>,
    packing: Packing,
}

impl Tokens {
    /// Reads a batch padded with `pad`.
    ///
    /// # Errors
    /// Where the tensor is not (N, L) of u32, or shorter than `least`.
    pub fn new(ids: &Tensor, pad: u32, least: usize) -> Result<Self> {
        if ids.dtype() != DType::U32 || ids.rank() != 2 {
            bail!("token ids are {:?} of shape {:?}; u32 (N, L) is wanted", ids.dtype(), ids.dims())
        }
        let longest = ids.dim(1)?;
        if longest < least {
            bail!("sequences of {longest} tokens; at least {least} are wanted, padding included")
        }
        let ids: Vec<Vec<u32>> = ids.to_vec2()?;
        let length = |ids: &Vec<u32>| ids.iter().rposition(|&id| id != pad).map_or(0, |last| last + 1).max(least);
        let lengths: Vec<usize> = ids.iter().map(length).collect();
        Ok(Self { packing: Packing::new(&lengths, longest)?, ids })
    }

    /// Which tokens belong to which sequence.
    pub fn packing(&self) -> &Packing {
        &self.packing
    }

    /// Every token's id, sequence after sequence.
    pub fn packed(&self) -> Vec<u32> {
        self.each(|n, i| self.ids[n][i])
    }

    /// A value for every token: `f(sequence, place)`.
    pub fn each(&self, f: impl Fn(usize, usize) -> u32) -> Vec<u32> {
        let f = &f;
        self.packing.lengths().iter().enumerate().flat_map(|(n, &len)| (0..len).map(move |i| f(n, i))).collect()
    }
}
