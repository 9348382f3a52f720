//! `Packing`: which tokens belong to which sequence, and the way between packed (tokens, C) and padded (N, L, C) vectors.

use crate::Seed;
use crate::ops::{by_dtype, constants, drop_of, elements, has_kernel};
use candle_core::{CpuStorage, CustomOp1, Layout, Result, Shape, Tensor, WithDType, bail};
use rayon::prelude::*;
use sncn_kernels::attention::AttentionShape;
use std::sync::Arc;

/// Sequences that lie one after another.
#[derive(Clone, Debug)]
pub struct Packing {
    lengths: Arc<[usize]>,
    longest: usize,
}

impl Packing {
    /// Of sequences of these lengths, which padded have `longest` tokens.
    ///
    /// # Errors
    /// Where a sequence is empty or longer than that.
    pub fn new(lengths: &[usize], longest: usize) -> Result<Self> {
        match lengths.iter().position(|len| !(1..=longest).contains(len)) {
            Some(n) => bail!("sequence {n} has {} tokens; 1 to {longest} are accepted", lengths[n]),
            None => Ok(Self { lengths: lengths.into(), longest }),
        }
    }

    /// Tokens of each sequence.
    pub fn lengths(&self) -> &Arc<[usize]> {
        &self.lengths
    }

    /// All tokens.
    pub fn tokens(&self) -> usize {
        self.lengths.iter().sum()
    }

    /// Tokens of padded sequences.
    pub fn longest(&self) -> usize {
        self.longest
    }

    /// The first token of each sequence.
    pub fn starts(&self) -> impl Iterator<Item = usize> + '_ {
        self.lengths.iter().scan(0, |at, len| {
            *at += len;
            Some(*at - len)
        })
    }

    /// The first token and the number of tokens of each sequence.
    fn runs(&self) -> impl Iterator<Item = (usize, usize)> + '_ {
        self.starts().zip(self.lengths.iter().copied())
    }

    /// (N, L, C) from (tokens, C): zeros behind each sequence.
    ///
    /// # Errors
    /// Where the shape does not fit.
    pub fn pad(&self, packed: &Tensor) -> Result<Tensor> {
        let c = self.check(packed)?;
        if has_kernel(packed) {
            return packed.contiguous()?.apply_op1(Repack { packing: self.clone(), pad: true });
        }
        let (n, tokens) = (self.lengths.len(), self.tokens());
        let row = |start: usize, len: usize, at: usize| if at < len { start + at } else { tokens };
        let rows = self.runs().flat_map(|(start, len)| (0..self.longest).map(move |at| row(start, len, at)));
        select(&packed.pad_with_zeros(0, 0, 1)?, rows)?.reshape((n, self.longest, c))
    }

    /// (tokens, C) from (N, L, C): what stands behind a sequence is left out.
    ///
    /// # Errors
    /// Where the shape does not fit.
    pub fn pack(&self, padded: &Tensor) -> Result<Tensor> {
        let (n, longest, c) = padded.dims3()?;
        if (n, longest) != (self.lengths.len(), self.longest) {
            bail!("padded sequences {:?}; {} of {} tokens are wanted", padded.dims(), self.lengths.len(), self.longest)
        }
        if has_kernel(padded) {
            return padded.contiguous()?.apply_op1(Repack { packing: self.clone(), pad: false });
        }
        let rows = self.lengths.iter().enumerate().flat_map(|(n, len)| n * longest..n * longest + len);
        select(&padded.reshape((n * longest, c))?, rows)
    }

    /// The first vector of each sequence (N, C).
    ///
    /// # Errors
    /// Where the shape does not fit.
    pub fn first(&self, packed: &Tensor) -> Result<Tensor> {
        self.check(packed)?;
        select(packed, self.starts())
    }

    /// The mean of each sequence's vectors (N, C).
    ///
    /// # Errors
    /// Where the shape does not fit.
    pub fn mean(&self, packed: &Tensor) -> Result<Tensor> {
        self.check(packed)?;
        if has_kernel(packed) {
            return packed.contiguous()?.apply_op1(Means { packing: self.clone(), back: false });
        }
        let lengths = constants(self.lengths.iter().map(|&len| len as f64).collect(), packed)?;
        self.pad(packed)?.sum(1)?.broadcast_div(&lengths.unsqueeze(1)?)
    }

    /// The channels of packed vectors (tokens, C).
    pub(crate) fn check(&self, packed: &Tensor) -> Result<usize> {
        let (tokens, c) = packed.dims2()?;
        self.check_tokens(tokens).map(|()| c)
    }

    /// Refuses vectors of other tokens.
    pub(crate) fn check_tokens(&self, tokens: usize) -> Result<()> {
        match tokens == self.tokens() {
            true => Ok(()),
            false => bail!("{tokens} token vectors for sequences of {} tokens", self.tokens()),
        }
    }

    /// Scales or drops the values of every sequence, each from its own stream.
    pub(crate) fn drop(&self, values: &mut [f32], width: usize, rate: f64, seed: Seed) {
        let parts = AttentionShape { lengths: &self.lengths, heads: 1, width }.cut(values, |len| len * width);
        parts.into_par_iter().enumerate().for_each(|(n, values)| drop_of(seed, n, rate, values));
    }
}

/// The rows of a table of those numbers, in that order.
fn select(table: &Tensor, rows: impl Iterator<Item = usize>) -> Result<Tensor> {
    table.contiguous()?.index_select(&Tensor::from_iter(rows.map(|row| row as u32), table.device())?, 0)
}

/// Packed to padded, or back.
struct Repack {
    packing: Packing,
    pad: bool,
}

impl CustomOp1 for Repack {
    fn name(&self) -> &'static str {
        "repack"
    }

    fn cpu_fwd(&self, s: &CpuStorage, l: &Layout) -> Result<(CpuStorage, Shape)> {
        let c = l.dims().last().copied().unwrap_or(0);
        let (n, longest, tokens) = (self.packing.lengths.len(), self.packing.longest, self.packing.tokens());
        by_dtype!("repack", s, T => {
            let from = elements::<T>("repack", s, l)?;
            let mut out = vec![T::default(); if self.pad { n * longest } else { tokens } * c];
            for (n, (start, len)) in self.packing.runs().enumerate() {
                let (packed, padded) = (start * c..(start + len) * c, n * longest * c..(n * longest + len) * c);
                let (to, at) = if self.pad { (padded, packed) } else { (packed, padded) };
                out[to].copy_from_slice(&from[at]);
            }
            let shape = if self.pad { (n, longest, c).into() } else { (tokens, c).into() };
            Ok((T::to_cpu_storage_owned(out), shape))
        })
    }

    fn bwd(&self, _: &Tensor, _: &Tensor, grad: &Tensor) -> Result<Option<Tensor>> {
        let back = Self { packing: self.packing.clone(), pad: !self.pad };
        Ok(Some(grad.contiguous()?.apply_op1_no_bwd(&back)?))
    }
}

/// (tokens, C) to its means (N, C), or the gradient back.
struct Means {
    packing: Packing,
    back: bool,
}

impl CustomOp1 for Means {
    fn name(&self) -> &'static str {
        "sequence-means"
    }

    fn cpu_fwd(&self, s: &CpuStorage, l: &Layout) -> Result<(CpuStorage, Shape)> {
        let c = l.dims().last().copied().unwrap_or(0);
        let rows = if self.back { self.packing.tokens() } else { self.packing.lengths.len() };
        by_dtype!("sequence-means", s, T => {
            let from = elements::<T>("sequence-means", s, l)?;
            let mut out = vec![T::default(); rows * c];
            for (n, (start, len)) in self.packing.runs().enumerate() {
                for t in start..start + len {
                    let (to, at) = if self.back { (t, n) } else { (n, t) };
                    let share = T::from_f64(1. / len as f64);
                    out[to * c..(to + 1) * c].iter_mut().zip(&from[at * c..(at + 1) * c]).for_each(|(to, x)| *to += *x * share);
                }
            }
            Ok((T::to_cpu_storage_owned(out), (rows, c).into()))
        })
    }

    fn bwd(&self, _: &Tensor, _: &Tensor, grad: &Tensor) -> Result<Option<Tensor>> {
        let back = Self { packing: self.packing.clone(), back: true };
        Ok(Some(grad.contiguous()?.apply_op1_no_bwd(&back)?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::{Device, Var};

    #[test]
    fn packing_and_padding_are_inverse_and_differentiable() -> Result<()> {
        let packing = Packing::new(&[2, 1, 3], 4)?;
        assert_eq!(packing.starts().collect::<Vec<_>>(), [0, 2, 3]);
        let xs = Var::from_tensor(&Tensor::arange(1f64, 13., &Device::Cpu)?.reshape((6, 2))?)?;
        let padded = packing.pad(xs.as_tensor())?;
        assert_eq!(padded.to_vec3::<f64>()?[1], [[5., 6.], [0., 0.], [0., 0.], [0., 0.]]);
        let back = packing.pack(&padded)?;
        assert_eq!(back.to_vec2::<f64>()?, xs.to_vec2::<f64>()?);
        let grads = back.sqr()?.sum_all()?.backward()?;
        let slope = (xs.as_tensor() * 2.)?;
        assert_eq!(grads.get(&xs).map(|g| g.to_vec2::<f64>()).transpose()?, Some(slope.to_vec2()?));
        assert!(Packing::new(&[1, 0], 4).is_err() && Packing::new(&[5], 4).is_err());
        assert!(packing.pad(&padded.reshape((12, 2))?).is_err() && packing.pack(&padded.narrow(0, 0, 2)?).is_err());
        Ok(())
    }
}
