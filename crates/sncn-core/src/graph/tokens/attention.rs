//! Attention within each sequence (Vaswani et al. 2017, equation 1): softmax(Q·Kᵀ/√d)·V in each head.

use super::token_map::{Repr, Rows, TokenMap};
use crate::Seed;
use crate::graph::observe::done;
use crate::graph::pooled::{Pooled, Values};
use crate::graph::recording::Recording;
use crate::ops::{self, drop_of};
use crate::packing::Packing;
use crate::trace;
use candle_core::{D, Result, Tensor, bail};
use candle_nn::ops::softmax;
use sncn_kernels::attention::{AttentionShape, DropWeights, attention_backward, attention_forward};
use sncn_kernels::simd::Form as Kernels;

/// Settings of scaled dot-product attention.
#[derive(Clone, Copy, Debug)]
pub struct Attention {
    /// Number of heads, a divisor of the channels.
    pub heads: usize,
    /// Dropout rate of the attention weights, with its seed; each sequence draws from its own stream.
    pub dropout: Option<(f64, Seed)>,
}

impl Attention {
    /// Computes attention with `queries`, `keys` and `values`, each (tokens, channels) and of one recording: (tokens, channels).
    ///
    /// # Errors
    /// Returns an error where the shapes differ, the tokens are not those of `packing`, the channels are not a multiple of the heads,
    /// the rate is not in 0..1, or the maps are not of one recording.
    pub fn forward(&self, queries: &TokenMap, keys: &TokenMap, values: &TokenMap, packing: &Packing) -> Result<TokenMap> {
        if let Some((rate, _)) = self.dropout {
            ops::check_rate(rate)?;
        }
        Ok(TokenMap(match (&queries.0, &keys.0, &values.0) {
            (Repr::Tensor(q), Repr::Tensor(k), Repr::Tensor(v)) => Repr::Tensor(self.reference([q, k, v], packing)?),
            (Repr::Rows(recording, q), Repr::Rows(one, k), Repr::Rows(two, v)) if recording.is(one) && recording.is(two) => {
                Repr::Rows(recording.clone(), self.recorded(recording, [q, k, v], packing)?)
            }
            _ => bail!("attention: queries, keys and values are not of one recording"),
        }))
    }

    fn check(&self, [q, k, v]: [(usize, usize); 3], packing: &Packing) -> Result<()> {
        if q != k || q != v || q.0 != packing.tokens() || self.heads == 0 || !q.1.is_multiple_of(self.heads) {
            bail!("attention: queries {q:?}, keys {k:?}, values {v:?}, {} tokens, {} heads", packing.tokens(), self.heads)
        }
        Ok(())
    }

    /// The reference implementation in candle's operations, sequence by sequence.
    fn reference(&self, maps: [&Tensor; 3], packing: &Packing) -> Result<Tensor> {
        let [q, k, v] = maps;
        self.check([q.dims2()?, k.dims2()?, v.dims2()?], packing)?;
        let width = q.dim(1)?;
        let size = width / self.heads;
        let split =
            |xs: &Tensor, start, len| xs.narrow(0, start, len)?.reshape((len, self.heads, size))?.transpose(0, 1)?.contiguous();
        let each = packing.starts().zip(packing.lengths().iter()).enumerate().map(|(n, (start, &len))| {
            let [q, k, v] = [split(q, start, len)?, split(k, start, len)?, split(v, start, len)?];
            let scores = (q.matmul(&k.transpose(1, 2)?.contiguous()?)? / (size as f64).sqrt())?;
            let mut weights = softmax(&scores, D::Minus1)?;
            if let Some((rate, seed)) = self.dropout {
                let mut factors = vec![1f32; self.heads * len * len];
                drop_of(seed, n, rate, &mut factors);
                weights = (weights * Tensor::from_vec(factors, (self.heads, len, len), q.device())?.to_dtype(q.dtype())?)?;
            }
            weights.matmul(&v)?.transpose(0, 1)?.reshape((len, width))
        });
        let ys = Tensor::cat(&each.collect::<Result<Vec<_>>>()?, 0)?;
        trace::note(|| trace::Operation::Attention { heads: self.heads }, &maps, &ys);
        Ok(ys)
    }

    fn recorded(&self, recording: &Recording, maps: [&Rows; 3], packing: &Packing) -> Result<Rows> {
        self.check(maps.map(|map| (map.rows(), map.width)), packing)?;
        let (width, dropout, lengths) = (maps[0].width, self.dropout, packing.lengths().clone());
        let heads = self.heads;
        let drop = move |n: usize, values: &mut [f32]| {
            if let Some((rate, seed)) = dropout {
                drop_of(seed, n, rate, values);
            }
        };
        let dropping = dropout.is_some_and(|(rate, _)| rate > 0.);
        let s = AttentionShape { lengths: &lengths, heads, width };
        let (mut weights, mut data) = (Pooled::take(s.weights_len()), Pooled::take(s.map_len()));
        {
            let drop: Option<DropWeights<'_>> = if dropping { Some(&drop) } else { None };
            let [q, k, v] = maps.map(|map| map.data.part(0..map.data.len()));
            attention_forward(Kernels::current(), &s, &q, &k, &v, drop, &mut weights, &mut data);
        }
        let ys = Rows::new(recording, data, width);
        let (slot, maps) = (ys.slot, maps.map(Rows::clone));
        done("attention: forward");
        recording.record(move |gradients| {
            let Some(gradient) = gradients.take(slot) else { return };
            let (s, len) = (AttentionShape { lengths: &lengths, heads, width }, gradient.len());
            let drop: Option<DropWeights<'_>> = if dropping { Some(&drop) } else { None };
            let [mut dq, mut dk, mut dv] = [0; 3].map(|_| Pooled::take(len));
            {
                let [q, k, v] = [0, 1, 2].map(|i| maps[i].data.part(0..len));
                let (gy, to) = (gradient.part(0..len), [&mut dq[..], &mut dk[..], &mut dv[..]]);
                attention_backward(Kernels::current(), &s, [&q, &k, &v], &weights, drop, &gy, to);
            }
            for (map, gradient) in maps.iter().zip([dq, dk, dv]) {
                gradients.give(map.slot, Values::Own(gradient));
            }
            done("attention: backward");
        });
        Ok(ys)
    }
}
