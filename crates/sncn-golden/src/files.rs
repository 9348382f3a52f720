//! The folder of golden values and its files.

use anyhow::{Context, Result, ensure};
use safetensors::{Dtype, SafeTensors};
use serde_json::Value;
use std::path::{Path, PathBuf};

/// The folder that the golden tests read.
pub fn folder() -> PathBuf {
    match std::env::var_os("SNCN_GOLDEN") {
        Some(folder) => PathBuf::from(folder),
        None => Path::new(env!("CARGO_MANIFEST_DIR")).join("../../golden"),
    }
}

/// If the folder lacks this file, the reason why a test of it cannot run.
pub fn lacks(relative: &str) -> Option<String> {
    (!folder().join(relative).exists()).then(|| format!("{} has no {relative}", folder().display()))
}

/// A tensor as stored: row-major values with their shape.
#[derive(Clone, Debug, PartialEq)]
pub struct Array<T> {
    /// The shape, outermost dimension first.
    pub shape: Vec<usize>,
    /// The values, row-major.
    pub data: Vec<T>,
}

impl<T> Array<T> {
    /// The values at a leading index.
    pub fn part(&self, at: &[usize]) -> &[T] {
        let len: usize = self.shape[at.len()..].iter().product();
        let start = at.iter().zip(&self.shape).fold(0, |s, (&i, &n)| s * n + i);
        &self.data[start * len..][..len]
    }
}

/// The tensors of one safetensors file.
pub struct Tensors {
    bytes: Vec<u8>,
    path: PathBuf,
}

impl Tensors {
    /// Reads `<folder>/<relative>`.
    pub fn load(relative: &str) -> Result<Self> {
        Self::at(folder().join(relative))
    }

    /// Reads a file.
    pub(crate) fn at(path: PathBuf) -> Result<Self> {
        let bytes = std::fs::read(&path).with_context(|| format!("{}: not readable", path.display()))?;
        Ok(Self { bytes, path })
    }

    fn get(&self, key: &str, dtype: Dtype) -> Result<(Vec<usize>, Vec<u8>)> {
        let file = SafeTensors::deserialize(&self.bytes).with_context(|| self.path.display().to_string())?;
        let view = file.tensor(key).with_context(|| format!("{}: {key}", self.path.display()))?;
        ensure!(view.dtype() == dtype, "{}: {key} is {:?}, wanted {dtype:?}", self.path.display(), view.dtype());
        Ok((view.shape().to_vec(), view.data().to_vec()))
    }

    /// The f32 tensor of this key.
    pub fn f32(&self, key: &str) -> Result<Array<f32>> {
        let (shape, bytes) = self.get(key, Dtype::F32)?;
        let data = bytes.as_chunks::<4>().0.iter().map(|&b| f32::from_le_bytes(b)).collect();
        Ok(Array { shape, data })
    }

    /// The i64 tensor of this key.
    pub fn i64(&self, key: &str) -> Result<Array<i64>> {
        let (shape, bytes) = self.get(key, Dtype::I64)?;
        let data = bytes.as_chunks::<8>().0.iter().map(|&b| i64::from_le_bytes(b)).collect();
        Ok(Array { shape, data })
    }

    /// The u8 tensor of this key.
    pub fn u8(&self, key: &str) -> Result<Array<u8>> {
        let (shape, data) = self.get(key, Dtype::U8)?;
        Ok(Array { shape, data })
    }
}

/// Reads a JSON file of the folder.
pub fn json(relative: &str) -> Result<Value> {
    read(&folder().join(relative))
}

/// Reads a JSON file.
pub(crate) fn read(path: &Path) -> Result<Value> {
    let text = std::fs::read_to_string(path).with_context(|| format!("{}: not readable", path.display()))?;
    serde_json::from_str(&text).with_context(|| path.display().to_string())
}
