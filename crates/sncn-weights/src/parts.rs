//! `Part`: an open file of weights, and the tensors of entries that may lie in several.

use crate::dictionary::{Entry, Source};
use crate::error::Result;
use crate::pth::Pth;
use candle_core::safetensors::BufferedSafetensors;
use candle_core::{Device, Tensor};
use std::collections::HashMap;

/// An open file.
pub(crate) enum Part {
    Pth(Pth),
    Safetensors(BufferedSafetensors),
}

/// The tensors of these entries.
pub(crate) fn tensors(parts: &[Part], entries: &[&Entry]) -> Result<Vec<Tensor>> {
    let mut made: HashMap<usize, Tensor> = HashMap::new();
    for (part, file) in parts.iter().enumerate() {
        let own: Vec<usize> = (0..entries.len()).filter(|&at| entries[at].part == part).collect();
        let tensors = match file {
            Part::Pth(file) => file.tensors(&own.iter().map(|&at| entries[at]).collect::<Vec<_>>())?,
            Part::Safetensors(file) => {
                let load = |&at: &usize| match &entries[at].tensor.source {
                    Source::Named(name) => file.load(name, &Device::Cpu),
                    _ => Err(candle_core::Error::Msg(format!("{}: not of this file", entries[at].name))),
                };
                own.iter().map(load).collect::<candle_core::Result<_>>()?
            }
        };
        made.extend(own.into_iter().zip(tensors));
    }
    Ok((0..entries.len()).filter_map(|at| made.remove(&at)).collect())
}
