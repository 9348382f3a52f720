//! `Packing`: the lengths of packed sequences, and conversion between packed (tokens, C) and padded (N, L, C) vectors.

use crate::Seed;
use crate::ops::{by_dtype, constants, drop_of, elements, has_kernel};
use crate::trace::{self, Operation};
use candle_core::{CpuStorage, CustomOp1, Layout, Result, Shape, Tensor, WithDType, bail};
use rayon::prelude::*;
use sncn_kernels::attention::AttentionShape;
use std::sync::Arc;

/// The lengths of sequences that are packed: their vectors (tokens, C) are stored one sequence after another, without padding.
#[derive(Clone, Debug)]
pub struct Packing {
    lengths: Arc<[usize]>,
    longest: usize,
    /// How many tokens sequences of any batch are padded to at least.
    least: usize,
}

impl Packing {
    /// Sequences of these lengths, which are padded to `longest` tokens.
    ///
    /// # Errors
    /// Returns an error where a length is 0 or larger than `longest`.
    pub fn new(lengths: &[usize], longest: usize) -> Result<Self> {
        match lengths.iter().position(|len| !(1..=longest).contains(len)) {
            Some(n) => bail!("sequence {n} has {} tokens; 1 to {longest} are accepted", lengths[n]),
            None => Ok(Self { lengths: lengths.into(), longest, least: 0 }),
        }
    }

    /// The same sequences, padded to at least so many tokens.
    #[must_use]
    pub fn at_least(self, least: usize) -> Self {
        Self { longest: self.longest.max(least), least, ..self }
    }

    /// Returns the number of tokens of each sequence.
    pub fn lengths(&self) -> &Arc<[usize]> {
        &self.lengths
    }

    /// Returns the number of all tokens.
    pub fn tokens(&self) -> usize {
        self.lengths.iter().sum()
    }

    /// Returns the number of tokens to which sequences are padded.
    pub fn longest(&self) -> usize {
        self.longest
    }

    /// Returns the index of the first token of each sequence.
    pub fn starts(&self) -> impl Iterator<Item = usize> + '_ {
        self.lengths.iter().scan(0, |at, len| {
            *at += len;
            Some(*at - len)
        })
    }

    /// The index of the first token, and the number of tokens, of each sequence.
    fn runs(&self) -> impl Iterator<Item = (usize, usize)> + '_ {
        self.starts().zip(self.lengths.iter().copied())
    }

    /// Pads packed vectors (tokens, C) to (N, L, C), with zeros after each sequence.
    ///
    /// # Errors
    /// Returns an error where `packed` has another rank or another number of tokens.
    pub fn pad(&self, packed: &Tensor) -> Result<Tensor> {
        let padded = self.padded(packed)?;
        trace::note(|| Operation::Pad { least: self.least }, &[packed], &padded);
        Ok(padded)
    }

    fn padded(&self, packed: &Tensor) -> Result<Tensor> {
        let c = self.check(packed)?;
        if has_kernel(packed) {
            return packed.contiguous()?.apply_op1(Repack { packing: self.clone(), pad: true });
        }
        let (n, tokens) = (self.lengths.len(), self.tokens());
        let row = |start: usize, len: usize, at: usize| if at < len { start + at } else { tokens };
        let rows = self.runs().flat_map(|(start, len)| (0..self.longest).map(move |at| row(start, len, at)));
        select(&packed.pad_with_zeros(0, 0, 1)?, rows)?.reshape((n, self.longest, c))
    }

    /// Packs padded vectors (N, L, C) to (tokens, C), leaving out the padding.
    ///
    /// # Errors
    /// Returns an error where `padded` has another rank, or N or L of other sequences.
    pub fn pack(&self, padded: &Tensor) -> Result<Tensor> {
        let (n, longest, c) = padded.dims3()?;
        if (n, longest) != (self.lengths.len(), self.longest) {
            bail!("padded sequences of shape {:?}; expected {} of {} tokens", padded.dims(), self.lengths.len(), self.longest)
        }
        if has_kernel(padded) {
            return padded.contiguous()?.apply_op1(Repack { packing: self.clone(), pad: false });
        }
        let rows = self.lengths.iter().enumerate().flat_map(|(n, len)| n * longest..n * longest + len);
        let packed = select(&padded.reshape((n * longest, c))?, rows)?;
        trace::note(|| Operation::Pack, &[padded], &packed);
        Ok(packed)
    }

    /// Selects the first vector of each sequence: (tokens, C) to (N, C).
    ///
    /// # Errors
    /// As [`Packing::pad`].
    pub fn first(&self, packed: &Tensor) -> Result<Tensor> {
        self.check(packed)?;
        let first = select(packed, self.starts())?;
        trace::note(|| Operation::SequenceFirst, &[packed], &first);
        Ok(first)
    }

    /// Computes the mean vector of each sequence: (tokens, C) to (N, C).
    ///
    /// # Errors
    /// As [`Packing::pad`].
    pub fn mean(&self, packed: &Tensor) -> Result<Tensor> {
        self.check(packed)?;
        if has_kernel(packed) {
            return packed.contiguous()?.apply_op1(Means { packing: self.clone(), back: false });
        }
        let lengths = constants(self.lengths.iter().map(|&len| len as f64).collect(), packed)?;
        let mean = self.padded(packed)?.sum(1)?.broadcast_div(&lengths.unsqueeze(1)?)?;
        trace::note(|| Operation::SequenceMean, &[packed], &mean);
        Ok(mean)
    }

    /// Computes the maxima (N, C) over windows of `width` tokens, of each of which `values`, (N, windows, C), has a result that is 0 or more.
    /// With `inside` only the first window of a sequence counts and those that lie inside it, otherwise also those with padding. Of
    /// equal maxima the first receives the gradient.
    ///
    /// # Errors
    /// Returns an error where `values` has another rank, another number of sequences, or not the windows that padded sequences have.
    pub fn window_max(&self, values: &Tensor, width: usize, inside: bool) -> Result<Tensor> {
        let (n, windows, _) = values.dims3()?;
        if n != self.lengths.len() || windows + width != self.longest + 1 {
            bail!(
                "{windows} windows of {width} tokens in {n} sequences; expected those of {} padded to {} tokens",
                self.lengths.len(),
                self.longest
            )
        }
        let mut counted = values.clone();
        if inside {
            let counts = |len: usize| (0..windows).map(move |start| f64::from(u8::from(start == 0 || start + width <= len)));
            let mask = constants(self.lengths.iter().flat_map(|&len| counts(len)).collect(), values)?;
            counted = values.broadcast_mul(&mask.reshape((n, windows, 1))?)?;
        }
        let most = counted.gather(&counted.detach().argmax_keepdim(1)?, 1)?.squeeze(1)?;
        trace::note(|| Operation::WindowMax { width, inside }, &[values], &most);
        Ok(most)
    }

    /// Checks the number of tokens of packed vectors (tokens, C) and returns C.
    pub(crate) fn check(&self, packed: &Tensor) -> Result<usize> {
        let (tokens, c) = packed.dims2()?;
        self.check_tokens(tokens).map(|()| c)
    }

    /// Checks the number of tokens.
    pub(crate) fn check_tokens(&self, tokens: usize) -> Result<()> {
        match tokens == self.tokens() {
            true => Ok(()),
            false => bail!("{tokens} token vectors for sequences of {} tokens", self.tokens()),
        }
    }

    /// Applies dropout to the values of every sequence, each from its own stream of `seed`.
    pub(crate) fn drop(&self, values: &mut [f32], width: usize, rate: f64, seed: Seed) {
        let parts = AttentionShape { lengths: &self.lengths, heads: 1, width }.split_mut(values, |len| len * width);
        parts.into_par_iter().enumerate().for_each(|(n, values)| drop_of(seed, n, rate, values));
    }
}

/// Selects rows of a tensor by index.
fn select(xs: &Tensor, rows: impl Iterator<Item = usize>) -> Result<Tensor> {
    xs.contiguous()?.index_select(&Tensor::from_iter(rows.map(|row| row as u32), xs.device())?, 0)
}

/// Packs or pads, as an operation of candle.
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

/// The means of sequences (tokens, C) to (N, C), or their backward pass.
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
                    let factor = T::from_f64(1. / len as f64);
                    out[to * c..(to + 1) * c].iter_mut().zip(&from[at * c..(at + 1) * c]).for_each(|(to, x)| *to += *x * factor);
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
