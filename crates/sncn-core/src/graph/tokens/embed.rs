//! Embeddings of words, positions and token types, and their sum.

use super::token_map::{self, BLOCK, Repr, TokenMap, recordable};
use crate::graph::observe::done;
use crate::graph::pooled::Pooled;
use crate::graph::recording::{Mode, Recording};
use crate::ops::with_values;
use crate::pass::Pass;
use crate::trace::{self, Operation, Rows};
use candle_core::{Result, Tensor, bail};
use rayon::prelude::*;

/// An embedding: a weight, and the row of it for every token.
pub struct Lookup<'a> {
    /// The weight (rows, channels).
    pub weight: &'a Tensor,
    /// The row of every token.
    pub indices: &'a [u32],
    /// What the rows are.
    pub rows: Indexed,
}

/// What the row of a token in a [`Lookup`] is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Indexed {
    /// Its id, which the network's input gives.
    Token,
    /// Its place in its sequence, counted from `first`.
    Position {
        /// The row of the first token.
        first: u32,
    },
    /// Its type.
    Type,
}

impl Lookup<'_> {
    /// The embedding in a trace of a network; `None` where it depends on more than the network's input.
    fn traced(&self) -> Option<(Tensor, Rows)> {
        let rows = match self.rows {
            Indexed::Token => Rows::Tokens,
            Indexed::Position { first } => Rows::Positions { first },
            Indexed::Type => Rows::Same(*self.indices.first().filter(|first| self.indices.iter().all(|index| index == *first))?),
        };
        Some((self.weight.clone(), rows))
    }
}

impl TokenMap {
    /// Starts a text network's body with the sum of the embeddings, (tokens, channels). It is recorded for f32 on the CPU where
    /// `all_recordable` is true, which means that every layer can be applied to recorded maps. Weights that are not variables get
    /// no gradient.
    ///
    /// # Errors
    /// Returns an error where there is no embedding or no token, the embeddings differ in channels or tokens, or an index is out of
    /// range.
    pub fn embed(lookups: &[Lookup<'_>], all_recordable: bool, pass: &Pass) -> Result<Self> {
        let Some(first) = lookups.first() else { bail!("embedding: no weight") };
        let (tokens, width) = (first.indices.len(), first.weight.dim(1)?);
        for Lookup { weight, indices, .. } in lookups {
            let (count, own) = weight.dims2()?;
            if own != width || indices.len() != tokens || tokens == 0 {
                bail!("embedding: {} indices with {own} channels and {tokens} with {width}", indices.len())
            }
            if let Some(index) = indices.iter().find(|&&index| index as usize >= count) {
                bail!("embedding: index {index} is out of range for {count} rows")
            }
        }
        if !(all_recordable && lookups.iter().all(|lookup| recordable(lookup.weight))) {
            let rows = lookups.iter().map(|lookup| {
                let indices = Tensor::new(lookup.indices, lookup.weight.device())?;
                lookup.weight.index_select(&indices, 0)
            });
            let sum = rows.reduce(|sum, rows| sum? + rows?).unwrap_or_else(|| bail!("embedding: no weight"))?;
            match lookups.iter().map(Lookup::traced).collect() {
                Some(tables) => trace::note_first(|| Operation::Embedding(tables), &sum),
                None => trace::refuse("embedding: tokens have different types, which no trace has"),
            }
            return Ok(Self(Repr::Tensor(sum)));
        }
        // an operation needs an input; this one does not read it
        let input = Tensor::zeros(1, first.weight.dtype(), first.weight.device())?;
        let recording = Recording::begin(input, Mode { record: pass.records(), ..Mode::default() }, pass);
        // slot 0 is the input's
        recording.slot();
        Ok(Self(Repr::Rows(recording.clone(), embed(&recording, lookups, (tokens, width))?)))
    }
}

fn embed(recording: &Recording, lookups: &[Lookup<'_>], (tokens, width): (usize, usize)) -> Result<token_map::Rows> {
    let mut data = Pooled::take(tokens * width);
    let rows = (BLOCK / width).max(1);
    let mut learnt = Vec::new();
    for (i, Lookup { weight, indices, .. }) in lookups.iter().enumerate() {
        with_values(&weight.contiguous()?, |weight| {
            data.par_chunks_mut(rows * width).zip(indices.par_chunks(rows)).for_each(|(out, indices)| {
                for (out, &index) in out.chunks_exact_mut(width).zip(indices) {
                    let row = &weight[index as usize * width..][..width];
                    match i {
                        0 => out.copy_from_slice(row),
                        _ => out.iter_mut().zip(row).for_each(|(out, x)| *out += x),
                    }
                }
            });
        })?;
        if weight.is_variable() || weight.track_op() {
            learnt.push((recording.parameter(weight), indices.to_vec()));
        }
    }
    let ys = token_map::Rows::new(recording, data, width);
    let slot = ys.slot;
    done("embedding: forward");
    recording.record(move |gradients| {
        let Some(gradient) = gradients.take(slot) else { return };
        let gradient = gradient.part(0..tokens * width);
        for (parameter, indices) in &learnt {
            let gradient_of_weight = gradients.parameter(*parameter);
            for (row, &index) in gradient.chunks_exact(width).zip(indices) {
                gradient_of_weight[index as usize * width..][..width].iter_mut().zip(row).for_each(|(sum, g)| *sum += g);
            }
        }
        done("embedding: backward");
    });
    Ok(ys)
}
