//! Sums of rows of tables: the embedding of words, positions and types.

use super::token_map::{BLOCK, Form, Rows, TokenMap, recordable};
use crate::graph::buffer::Buffer;
use crate::graph::observe::done;
use crate::graph::recording::{Mode, Recording};
use crate::ops::with_values;
use crate::pass::Pass;
use candle_core::{Result, Tensor, bail};
use rayon::prelude::*;

/// A table (indices, channels) with the index of every token.
pub struct Lookup<'a> {
    /// The vectors, (rows, channels).
    pub weight: &'a Tensor,
    /// A row of `weight` for every token.
    pub indices: &'a [u32],
}

impl TokenMap {
    /// Starts with Σ table\[index\] over the look-ups; recorded where the device and type allow it and `all_recordable` (every
    /// layer of the network has a recorded form). Tables that are no variables get no gradient.
    ///
    /// # Errors
    /// Where there is no token, tables differ in width, or an index is beyond its table.
    pub fn embed(lookups: &[Lookup<'_>], all_recordable: bool, pass: &Pass) -> Result<Self> {
        let Some(first) = lookups.first() else { bail!("embedding: no table") };
        let (tokens, width) = (first.indices.len(), first.weight.dim(1)?);
        for Lookup { weight, indices } in lookups {
            let (count, own) = weight.dims2()?;
            if own != width || indices.len() != tokens || tokens == 0 {
                bail!("embedding: {} indices of a table of width {own}, {tokens} of one of width {width}", indices.len())
            }
            if let Some(index) = indices.iter().find(|&&index| index as usize >= count) {
                bail!("embedding: index {index} of a table of {count}")
            }
        }
        if !(all_recordable && lookups.iter().all(|lookup| recordable(lookup.weight))) {
            let rows = lookups.iter().map(|lookup| {
                let indices = Tensor::new(lookup.indices, lookup.weight.device())?;
                lookup.weight.index_select(&indices, 0)
            });
            let sum = rows.reduce(|sum, rows| sum? + rows?).unwrap_or_else(|| bail!("embedding: no table"))?;
            return Ok(Self(Form::Tensor(sum)));
        }
        // an operation has an input: this one reads nothing of it
        let input = Tensor::zeros(1, first.weight.dtype(), first.weight.device())?;
        let recording = Recording::begin(input, Mode { record: pass.train, ..Mode::default() });
        // slot 0 is that of the input
        recording.slot();
        Ok(Self(Form::Rows(recording.clone(), embed(&recording, lookups, (tokens, width))?)))
    }
}

fn embed(recording: &Recording, lookups: &[Lookup<'_>], (tokens, width): (usize, usize)) -> Result<Rows> {
    let mut data = Buffer::take(tokens * width);
    let rows = (BLOCK / width).max(1);
    let mut learnt = Vec::new();
    for (i, Lookup { weight, indices }) in lookups.iter().enumerate() {
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
    let ys = Rows::new(recording, data, width);
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
