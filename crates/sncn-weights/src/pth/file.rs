//! `Pth`: a state dict, read.

use super::container;
use super::error::{PthError, Result};
use super::kind::StorageSlice;
use super::state;
use crate::pickle::Pickle;
use candle_core::{DType, Device, Tensor};
use std::borrow::Cow;
use std::collections::HashMap;

/// A state dict.
#[derive(Debug)]
pub struct Pth<'a> {
    entries: Vec<(String, StorageSlice)>,
    /// Where each name stands among them.
    places: HashMap<String, usize>,
    others: Vec<String>,
    under: Option<&'static str>,
    storages: HashMap<String, Cow<'a, [u8]>>,
}

impl<'a> Pth<'a> {
    /// Reads the bytes of a file.
    ///
    /// # Errors
    /// Where they are damaged, hold no state dict, or a tensor does not fit its storage.
    pub fn read(bytes: &'a [u8]) -> Result<Self> {
        let mut file = container::Container::open(bytes)?;
        let object = file.object()?;
        let pickle = Pickle::read(&object).map_err(|source| PthError::Pickle { part: "the pickled object", source })?;
        let dict = state::find(&pickle)?;
        let storages = state::storages(&pickle)?;
        let after = pickle.bytes_read();
        let found = state::entries(&pickle, dict.id, &storages)?;
        let mut used: Vec<&str> = found.windows.iter().map(|(_, window)| window.key.as_str()).collect();
        used.sort_unstable();
        used.dedup();
        let storages = file.storages(&storages, &used, after)?;
        Ok(Self { entries: found.windows, places: found.places, others: found.others, under: dict.under, storages })
    }

    /// Names of the tensors, in the file's order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.entries.iter().map(|(name, _)| name.as_str())
    }

    /// Names in the state dict that stand for no tensor.
    pub fn others(&self) -> &[String] {
        &self.others
    }

    /// The key of the saved object under which the state dict stands; `None` where the object is it.
    pub fn under(&self) -> Option<&'static str> {
        self.under
    }

    fn window(&self, name: &str) -> Option<&StorageSlice> {
        self.places.get(name).and_then(|&at| self.entries.get(at)).map(|(_, window)| window)
    }

    /// The extents of a tensor.
    pub fn shape(&self, name: &str) -> Option<&[usize]> {
        self.window(name).map(|window| window.shape.as_slice())
    }

    /// The element type of a tensor, as `torch.<kind>`.
    pub fn kind(&self, name: &str) -> Option<&'static str> {
        self.window(name).map(|window| window.kind.name)
    }

    /// A tensor's values: float16 and bfloat16 as f32, which holds them exactly, whole numbers as i64.
    ///
    /// # Errors
    /// Where there is no such tensor.
    pub fn tensor(&self, name: &str) -> Result<Tensor> {
        let fail = |what: String| PthError::Tensor { name: name.to_string(), what };
        let window = self.window(name).ok_or_else(|| fail("not in the state dict".into()))?;
        let storage = self.storages.get(&window.key).ok_or_else(|| fail(format!("no storage {:?}", window.key)))?;
        let values = window.gather(storage).ok_or_else(|| fail("out of its storage".into()))?;
        let shape = window.shape.as_slice();
        let tensor = match window.kind.float {
            Some(dtype) => Tensor::from_raw_buffer(&values, dtype, shape, &Device::Cpu)
                .and_then(|tensor| if window.kind.bytes == 2 { tensor.to_dtype(DType::F32) } else { Ok(tensor) }),
            None => {
                let signed = window.kind.signed;
                let numbers = values.chunks_exact(window.kind.bytes).map(|bytes| whole_number(bytes, signed)).collect();
                Tensor::from_vec::<_, i64>(numbers, shape, &Device::Cpu)
            }
        };
        tensor.map_err(|error| fail(error.to_string()))
    }
}

/// A whole number in little-endian order.
fn whole_number(bytes: &[u8], signed: bool) -> i64 {
    let negative = signed && bytes.last().is_some_and(|byte| byte & 0x80 != 0);
    bytes.iter().rev().fold(if negative { -1 } else { 0 }, |value, &byte| (value << 8) | i64::from(byte))
}
