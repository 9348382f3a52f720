//! `Pth`: the tensors that `torch.save` wrote.

use super::container::Container;
use super::error::{PthError, Result};
use super::kind::StorageSlice;
use super::{tensor, tree};
use crate::dictionary::{Dictionary, Entry, Source};
use crate::pickle::Pickle;
use candle_core::{DType, Device, Tensor};
use std::collections::BTreeSet;

/// A file of `torch.save`, or a TorchScript archive. It owns its bytes, and tensors are made when they are asked for.
#[derive(Debug)]
pub struct Pth {
    bytes: Vec<u8>,
    container: Container,
    storages: tensor::Storages,
    dictionaries: Vec<Dictionary>,
}

impl Pth {
    /// Reads the bytes of a file.
    ///
    /// # Errors
    /// Returns an error where the bytes are of no such file, or it is damaged. A file without tensors has no dictionaries.
    pub fn read(bytes: Vec<u8>) -> Result<Self> {
        let mut container = Container::open(&bytes)?;
        let object = container.object(&bytes)?;
        let pickle = Pickle::read(object).map_err(|source| PthError::Pickle { part: "the pickled object", source })?;
        let storages = tensor::storages(&pickle)?;
        let dictionaries = tree::dictionaries(&pickle, &storages);
        let after = pickle.bytes_read();
        container.locate(&bytes, after, &storages)?;
        Ok(Self { bytes, container, storages, dictionaries })
    }

    /// Returns the dictionaries of tensors at any depth of the saved object, in the order of the file.
    pub fn dictionaries(&self) -> &[Dictionary] {
        &self.dictionaries
    }

    /// Returns the tensors of some entries on the CPU. float16 and bfloat16 become f32, which represents them exactly; integers and
    /// bools become i64.
    ///
    /// # Errors
    /// Returns an error where a storage is missing or damaged, or a tensor is not inside its storage.
    pub fn tensors(&self, entries: &[&Entry]) -> Result<Vec<Tensor>> {
        let slice = |entry: &Entry| match &entry.tensor.source {
            Source::Storage(slice) => Ok(slice.clone()),
            Source::Named(_) => Err(fault(entry, "not of this file")),
            Source::Fault(what) => Err(fault(entry, what)),
        };
        let slices = entries.iter().map(|entry| slice(entry)).collect::<Result<Vec<_>>>()?;
        let used: BTreeSet<&str> = slices.iter().map(|slice| slice.key.as_str()).collect();
        let ranges = self.container.ranges(&self.bytes, &self.storages, &used)?;
        let tensor = |(entry, slice): (&&Entry, &StorageSlice)| {
            let storage = ranges.get(slice.key.as_str()).and_then(|range| self.bytes.get(range.clone()));
            let storage = storage.ok_or_else(|| fault(entry, "its storage is not in the file"))?;
            let values = slice.gather(storage).ok_or_else(|| fault(entry, "out of its storage"))?;
            made(slice, &values).map_err(|error| fault(entry, &error.to_string()))
        };
        entries.iter().zip(&slices).map(tensor).collect()
    }
}

fn fault(entry: &Entry, what: &str) -> PthError {
    PthError::Tensor { name: entry.name.to_string(), what: what.to_string() }
}

/// The tensor of these elements.
fn made(slice: &StorageSlice, values: &[u8]) -> candle_core::Result<Tensor> {
    let shape = slice.shape.as_slice();
    match slice.kind.float {
        Some(dtype) => {
            let tensor = Tensor::from_raw_buffer(values, dtype, shape, &Device::Cpu)?;
            if slice.kind.bytes == 2 { tensor.to_dtype(DType::F32) } else { Ok(tensor) }
        }
        None => {
            let signed = slice.kind.signed;
            let numbers = values.chunks_exact(slice.kind.bytes).map(|bytes| whole_number(bytes, signed)).collect();
            Tensor::from_vec::<_, i64>(numbers, shape, &Device::Cpu)
        }
    }
}

/// A little-endian integer.
fn whole_number(bytes: &[u8], signed: bool) -> i64 {
    let negative = signed && bytes.last().is_some_and(|byte| byte & 0x80 != 0);
    bytes.iter().rev().fold(if negative { -1 } else { 0 }, |value, &byte| (value << 8) | i64::from(byte))
}
