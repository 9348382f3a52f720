//! `Pth`: a state dict.

use super::container;
use super::error::{PthError, Result};
use super::kind::StorageSlice;
use super::state;
use crate::pickle::Pickle;
use candle_core::{DType, Device, Tensor};
use std::borrow::Cow;
use std::collections::HashMap;

/// A state dict of PyTorch.
#[derive(Debug)]
pub struct Pth<'a> {
    entries: Vec<(String, StorageSlice)>,
    /// The index of each name among them.
    indices: HashMap<String, usize>,
    others: Vec<String>,
    under: Option<&'static str>,
    storages: HashMap<String, Cow<'a, [u8]>>,
}

impl<'a> Pth<'a> {
    /// Reads the bytes of a file that `torch.save` wrote.
    ///
    /// # Errors
    /// Returns an error where the file is damaged, has no state dict, or a tensor is not inside its storage.
    pub fn read(bytes: &'a [u8]) -> Result<Self> {
        let mut file = container::Container::open(bytes)?;
        let object = file.object()?;
        let pickle = Pickle::read(&object).map_err(|source| PthError::Pickle { part: "the pickled object", source })?;
        let dict = state::find(&pickle)?;
        let storages = state::storages(&pickle)?;
        let after = pickle.bytes_read();
        let found = state::entries(&pickle, dict.id, &storages)?;
        let mut used: Vec<&str> = found.slices.iter().map(|(_, slice)| slice.key.as_str()).collect();
        used.sort_unstable();
        used.dedup();
        let storages = file.storages(&storages, &used, after)?;
        Ok(Self { entries: found.slices, indices: found.indices, others: found.others, under: dict.under, storages })
    }

    /// Returns the names of the tensors, in the order of the file.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.entries.iter().map(|(name, _)| name.as_str())
    }

    /// Returns the names of the entries of the state dict that are not tensors.
    pub fn others(&self) -> &[String] {
        &self.others
    }

    /// Returns the key of the saved object under which the state dict is; `None` where the object is the state dict.
    pub fn under(&self) -> Option<&'static str> {
        self.under
    }

    fn slice(&self, name: &str) -> Option<&StorageSlice> {
        self.indices.get(name).and_then(|&at| self.entries.get(at)).map(|(_, slice)| slice)
    }

    /// Returns the shape of a tensor.
    pub fn shape(&self, name: &str) -> Option<&[usize]> {
        self.slice(name).map(|slice| slice.shape.as_slice())
    }

    /// Returns the element type of a tensor, as in `torch.<kind>`.
    pub fn kind(&self, name: &str) -> Option<&'static str> {
        self.slice(name).map(|slice| slice.kind.name)
    }

    /// Returns a tensor on the CPU. float16 and bfloat16 become f32, which represents them exactly; integers and bools become i64.
    ///
    /// # Errors
    /// Returns an error where there is no such tensor.
    pub fn tensor(&self, name: &str) -> Result<Tensor> {
        let fail = |what: String| PthError::Tensor { name: name.to_string(), what };
        let slice = self.slice(name).ok_or_else(|| fail("not in the state dict".into()))?;
        let storage = self.storages.get(&slice.key).ok_or_else(|| fail(format!("no storage {:?}", slice.key)))?;
        let values = slice.gather(storage).ok_or_else(|| fail("out of its storage".into()))?;
        let shape = slice.shape.as_slice();
        let tensor = match slice.kind.float {
            Some(dtype) => Tensor::from_raw_buffer(&values, dtype, shape, &Device::Cpu)
                .and_then(|tensor| if slice.kind.bytes == 2 { tensor.to_dtype(DType::F32) } else { Ok(tensor) }),
            None => {
                let signed = slice.kind.signed;
                let numbers = values.chunks_exact(slice.kind.bytes).map(|bytes| whole_number(bytes, signed)).collect();
                Tensor::from_vec::<_, i64>(numbers, shape, &Device::Cpu)
            }
        };
        tensor.map_err(|error| fail(error.to_string()))
    }
}

/// A little-endian integer.
fn whole_number(bytes: &[u8], signed: bool) -> i64 {
    let negative = signed && bytes.last().is_some_and(|byte| byte & 0x80 != 0);
    bytes.iter().rev().fold(if negative { -1 } else { 0 }, |value, &byte| (value << 8) | i64::from(byte))
}
