//! `Tokens`: the token ids of a batch, packed, with the lengths of its sequences.

use candle_core::{DType, Result, Tensor, bail};
use sncn_core::{Packing, Pass};

/// The token ids of a batch, sequence after sequence.
pub struct Tokens {
    ids: Vec<u32>,
    packing: Packing,
}

impl Tokens {
    /// Reads the input of a text network: packed ids (tokens) with the lengths in the pass, or padded ids (N, L). Of padded ids the
    /// pass may give the lengths; without them all tokens are used, padding included. Tensors padded from this batch have at least
    /// `least` tokens per sequence.
    ///
    /// # Errors
    /// If the ids are not u32 or have another rank, or the lengths do not match them.
    pub fn new(ids: &Tensor, pass: &Pass, least: usize) -> Result<Self> {
        if ids.dtype() != DType::U32 {
            bail!(
                "token ids are {:?} of shape {:?}; expected u32, (tokens) with the pass's lengths or (N, L)",
                ids.dtype(),
                ids.dims()
            )
        }
        match (ids.dims(), pass.lengths()) {
            (&[tokens], Some(lengths)) => {
                let packing = Packing::new(lengths, lengths.iter().copied().max().unwrap_or(0))?.at_least(least);
                if packing.tokens() != tokens {
                    bail!("{tokens} token ids for sequences of {} tokens", packing.tokens())
                }
                Ok(Self { ids: ids.to_vec1()?, packing })
            }
            (&[tokens], None) => {
                bail!("{tokens} packed token ids without lengths: give the pass those of the batch (Pass::with_lengths)")
            }
            (&[n, width], lengths) => {
                let lengths = lengths.map_or_else(|| vec![width; n], |lengths| lengths.to_vec());
                if lengths.len() != n || lengths.iter().any(|&length| length > width) {
                    bail!("lengths {lengths:?} for token ids of shape {:?}", ids.dims())
                }
                let packing = Packing::new(&lengths, width)?.at_least(least);
                let rows = ids.to_vec2::<u32>()?;
                let kept = rows.iter().zip(&lengths).flat_map(|(row, &length)| &row[..length]);
                Ok(Self { ids: kept.copied().collect(), packing })
            }
            _ => bail!("token ids of shape {:?}; expected (tokens) with the pass's lengths, or (N, L)", ids.dims()),
        }
    }

    /// The assignment of tokens to sequences.
    pub fn packing(&self) -> &Packing {
        &self.packing
    }

    /// The id of every token, sequence after sequence.
    pub fn ids(&self) -> &[u32] {
        &self.ids
    }

    /// The value `f(sequence, index)` for every token.
    pub(crate) fn each(&self, f: impl Fn(usize, usize) -> u32) -> Vec<u32> {
        let f = &f;
        self.packing.lengths().iter().enumerate().flat_map(|(n, &len)| (0..len).map(move |i| f(n, i))).collect()
    }
}

/// The lengths of padded sequences of token ids (N, L): up to the last id that is not `pad`, and at least 1.
///
/// # Errors
/// If the ids are not u32 of shape (N, L).
pub fn padded_lengths(ids: &Tensor, pad: u32) -> Result<Vec<usize>> {
    let length = |ids: &Vec<u32>| ids.iter().rposition(|&id| id != pad).map_or(1, |last| last + 1);
    Ok(ids.to_vec2()?.iter().map(length).collect())
}
