//! `Kind`: the element types of PyTorch, and `StorageSlice`: a tensor as a part of a storage.

use candle_core::DType;

/// An element type of PyTorch.
#[derive(Debug, PartialEq)]
pub(crate) struct Kind {
    /// `torch.<name>`.
    pub(super) name: &'static str,
    /// The name of its typed storage; empty for the newest types, which have none.
    pub(super) storage: &'static str,
    /// Size of an element in bytes.
    pub(super) bytes: usize,
    /// The type in candle, for floats.
    pub(super) float: Option<DType>,
    pub(super) signed: bool,
}

const fn float(name: &'static str, storage: &'static str, bytes: usize, dtype: DType) -> Kind {
    Kind { name, storage, bytes, float: Some(dtype), signed: true }
}

const fn whole(name: &'static str, storage: &'static str, bytes: usize, signed: bool) -> Kind {
    Kind { name, storage, bytes, float: None, signed }
}

/// Every element type that is read.
pub(super) const KINDS: &[Kind] = &[
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

/// A tensor as a part of a storage; offset and strides are in elements.
#[derive(Clone, Debug)]
pub(crate) struct StorageSlice {
    pub(super) key: String,
    pub(super) kind: &'static Kind,
    pub(super) offset: usize,
    pub(super) shape: Vec<usize>,
    pub(super) strides: Vec<usize>,
    /// Number of elements.
    pub(super) count: usize,
}

impl StorageSlice {
    /// The bytes of its elements in row-major order.
    pub(super) fn gather(&self, storage: &[u8]) -> Option<Vec<u8>> {
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
