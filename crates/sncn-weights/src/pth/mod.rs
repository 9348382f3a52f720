//! `.pth` files: the state dict that `torch.save` wrote, read without running the pickle in it.
//!
//! Both forms: the zip archive (PyTorch 1.6 and later; `<name>/data.pkl` and `<name>/data/<key>`, uncompressed) and the older
//! sequence of pickles with the storages behind them. A tensor is a window on a storage: an offset, extents and strides, all
//! held against the storage's bytes, so that no tensor is larger than what the file holds. What is no tensor is named, never
//! made. Source: `torch/serialization.py` and `torch/_utils.py`.

mod container;
mod state;

use crate::pickle::{Pickle, PickleError};
use candle_core::{DType, Device, Tensor};
use std::borrow::Cow;
use std::collections::HashMap;

/// Why a file was refused.
#[derive(Debug, thiserror::Error)]
pub enum PthError {
    /// Neither form.
    #[error("not a file that torch.save wrote (neither its zip archive nor the older form); write one with torch.save")]
    Form,
    /// The archive itself.
    #[error("the zip archive is damaged or cut short; fetch the file again")]
    Archive(#[source] zip::result::ZipError),
    /// A part of the file.
    #[error("{part}: {what}")]
    Part {
        /// Which.
        part: String,
        /// What is wrong with it.
        what: String,
    },
    /// A pickle of the file.
    #[error("{part}")]
    Pickle {
        /// Which.
        part: &'static str,
        /// What is wrong with it.
        source: PickleError,
    },
    /// A tensor of the state dict.
    #[error("tensor {name:?}: {what}")]
    Tensor {
        /// Its name.
        name: String,
        /// What is wrong with it.
        what: String,
    },
    /// No state dict.
    #[error("{0}")]
    Content(String),
}

type Result<T> = std::result::Result<T, PthError>;

fn part<T>(part: &str, what: impl Into<String>) -> Result<T> {
    Err(PthError::Part { part: part.to_string(), what: what.into() })
}

/// An element type of PyTorch.
#[derive(Debug, PartialEq)]
pub(crate) struct Kind {
    /// `torch.<name>`.
    name: &'static str,
    /// Its typed storage; the youngest types have none.
    storage: &'static str,
    /// Bytes of an element.
    bytes: usize,
    /// The same in candle, for floats.
    float: Option<DType>,
    signed: bool,
}

const fn float(name: &'static str, storage: &'static str, bytes: usize, dtype: DType) -> Kind {
    Kind { name, storage, bytes, float: Some(dtype), signed: true }
}

const fn whole(name: &'static str, storage: &'static str, bytes: usize, signed: bool) -> Kind {
    Kind { name, storage, bytes, float: None, signed }
}

/// Every element type that is read.
const KINDS: &[Kind] = &[
    float("float32", "FloatStorage", 4, DType::F32),
    float("float64", "DoubleStorage", 8, DType::F64),
    float("float16", "HalfStorage", 2, DType::F16),
    float("bfloat16", "BFloat16Storage", 2, DType::BF16),
    whole("int64", "LongStorage", 8, true),
    whole("int32", "IntStorage", 4, true),
    whole("int16", "ShortStorage", 2, true),
    whole("int8", "CharStorage", 1, true),
    whole("uint8", "ByteStorage", 1, false),
    whole("bool", "BoolStorage", 1, false),
    whole("uint16", "", 2, false),
    whole("uint32", "", 4, false),
];

/// A tensor's place in a storage, in elements.
#[derive(Debug)]
struct Window {
    key: String,
    kind: &'static Kind,
    offset: usize,
    shape: Vec<usize>,
    strides: Vec<usize>,
    /// Elements.
    count: usize,
}

/// A state dict.
#[derive(Debug)]
pub struct Pth<'a> {
    entries: Vec<(String, Window)>,
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

    fn window(&self, name: &str) -> Option<&Window> {
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

impl Window {
    /// The bytes of its elements in row-major order.
    fn gather(&self, storage: &[u8]) -> Option<Vec<u8>> {
        let size = self.kind.bytes;
        let element = |at: usize| storage.get(at.checked_mul(size)?..at.checked_add(1)?.checked_mul(size)?);
        let mut values = Vec::with_capacity(self.count.checked_mul(size).filter(|&bytes| bytes <= storage.len())?);
        let (mut index, mut at) = (vec![0; self.shape.len()], self.offset);
        for _ in 0..self.count {
            values.extend_from_slice(element(at)?);
            for axis in (0..index.len()).rev() {
                index[axis] += 1;
                at = at.checked_add(self.strides[axis])?;
                if index[axis] < self.shape[axis] {
                    break;
                }
                at = at.checked_sub(self.strides[axis].checked_mul(self.shape[axis])?)?;
                index[axis] = 0;
            }
        }
        Some(values)
    }
}

#[cfg(test)]
mod tests;
