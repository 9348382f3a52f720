//! Sums of rows of tables: the embedding of words, positions and types.

use super::token_map::{BLOCK, Form, Rows, TokenMap, recordable};
use crate::graph::buffer::Buffer;
use crate::graph::observe::done;
use crate::graph::recording::{Mode, Recording};
use crate::ops::with_values;
use crate::pass::Pass;
use candle_core::{Result, Tensor, bail};
use rayon::prelude::*;

/// A table (entries, channels) with the entry of every token.
pub struct Lookup<'a> {
    /// The table.
    pub table: &'a Tensor,
    /// An entry for every token.
    pub entries: &'a [u32],
}

impl TokenMap {
    /// Starts with Σ table\[entry\] over the look-ups; recorded where the device and type allow it and `all_recordable` (every
    /// layer of the network has a recorded form). Tables that are no variables get no gradient.
    ///
    /// # Errors
    /// Where there is no token, tables differ in width, or an entry is beyond its table.
    pub fn embed(lookups: &[Lookup<'_>], all_recordable: bool, pass: &Pass) -> Result<Self> {
        let Some(first) = lookups.first() else { bail!("embedding: no table") };
        let (tokens, width) = (first.entries.len(), first.table.dim(1)?);
        for Lookup { table, entries } in lookups {
            let (count, own) = table.dims2()?;
            if own != width || entries.len() != tokens || tokens == 0 {
                bail!("embedding: {} entries of a table of width {own}, {tokens} of one of width {width}", entries.len())
            }
            if let Some(entry) = entries.iter().find(|&&entry| entry as usize >= count) {
                bail!("embedding: entry {entry} of a table of {count}")
            }
        }
        if !(all_recordable && lookups.iter().all(|lookup| recordable(lookup.table))) {
            let rows = lookups.iter().map(|lookup| {
                let entries = Tensor::new(lookup.entries, lookup.table.device())?;
                lookup.table.index_select(&entries, 0)
            });
            let sum = rows.reduce(|sum, rows| sum? + rows?).unwrap_or_else(|| bail!("embedding: no table"))?;
            return Ok(Self(Form::Tensor(sum)));
        }
        // an operation has an input: this one reads nothing of it
        let input = Tensor::zeros(1, first.table.dtype(), first.table.device())?;
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
    for (i, Lookup { table, entries }) in lookups.iter().enumerate() {
        with_values(&table.contiguous()?, |table| {
            data.par_chunks_mut(rows * width).zip(entries.par_chunks(rows)).for_each(|(out, entries)| {
                for (out, &entry) in out.chunks_exact_mut(width).zip(entries) {
                    let row = &table[entry as usize * width..][..width];
                    match i {
                        0 => out.copy_from_slice(row),
                        _ => out.iter_mut().zip(row).for_each(|(out, x)| *out += x),
                    }
                }
            });
        })?;
        if table.is_variable() || table.track_op() {
            learnt.push((recording.parameter(table), entries.to_vec()));
        }
    }
    let ys = Rows::new(recording, data, width);
    let slot = ys.slot;
    done("embedding: forward");
    recording.record(move |gradients| {
        let Some(gradient) = gradients.take(slot) else { return };
        let gradient = gradient.part(0..tokens * width);
        for (parameter, entries) in &learnt {
            let table = gradients.parameter(*parameter);
            for (row, &entry) in gradient.chunks_exact(width).zip(entries) {
                table[entry as usize * width..][..width].iter_mut().zip(row).for_each(|(sum, g)| *sum += g);
            }
        }
        done("embedding: backward");
    });
    Ok(ys)
}
