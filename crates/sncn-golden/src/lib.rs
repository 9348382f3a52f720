//! Reader of the golden reference values, for tests only.
//!
//! The folder is the one named by `SNCN_GOLDEN`, else the repository's own copy (`golden/`). Shapes, hyper-parameters and
//! salts come from the index files; nothing is assumed here.

mod trial;

pub use trial::{Rounding, Trial, holds};

use anyhow::{Context, Result, ensure};
use safetensors::{Dtype, SafeTensors};
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// The folder that the golden tests read.
pub fn folder() -> PathBuf {
    match std::env::var_os("SNCN_GOLDEN") {
        Some(folder) => PathBuf::from(folder),
        None => Path::new(env!("CARGO_MANIFEST_DIR")).join("../../golden"),
    }
}

/// Whether the folder has that file; where it has not, which is said, a test of it has nothing to do.
pub fn has(relative: &str) -> bool {
    let there = folder().join(relative).exists();
    if !there {
        println!("skipped: {} has no {relative}", folder().display());
    }
    there
}

/// A tensor as stored: row-major values with their shape.
#[derive(Clone, Debug, PartialEq)]
pub struct Array<T> {
    /// Extents, outermost first.
    pub shape: Vec<usize>,
    /// Values, row-major.
    pub data: Vec<T>,
}

impl<T> Array<T> {
    /// The part at a leading index.
    pub fn part(&self, at: &[usize]) -> &[T] {
        let len: usize = self.shape[at.len()..].iter().product();
        let start = at.iter().zip(&self.shape).fold(0, |s, (&i, &n)| s * n + i);
        &self.data[start * len..][..len]
    }
}

/// All tensors of one safetensors file.
pub struct Tensors {
    bytes: Vec<u8>,
    path: PathBuf,
}

impl Tensors {
    /// Reads `<folder>/<relative>`.
    pub fn load(relative: &str) -> Result<Self> {
        let path = folder().join(relative);
        let bytes = std::fs::read(&path).with_context(|| format!("{}: not readable", path.display()))?;
        Ok(Self { bytes, path })
    }

    fn get(&self, key: &str, dtype: Dtype) -> Result<(Vec<usize>, Vec<u8>)> {
        let file = SafeTensors::deserialize(&self.bytes).with_context(|| self.path.display().to_string())?;
        let view = file.tensor(key).with_context(|| format!("{}: {key}", self.path.display()))?;
        ensure!(view.dtype() == dtype, "{}: {key} is {:?}, wanted {dtype:?}", self.path.display(), view.dtype());
        Ok((view.shape().to_vec(), view.data().to_vec()))
    }

    /// The 32-bit float tensor of that key.
    pub fn f32(&self, key: &str) -> Result<Array<f32>> {
        let (shape, bytes) = self.get(key, Dtype::F32)?;
        let data = bytes.as_chunks::<4>().0.iter().map(|&b| f32::from_le_bytes(b)).collect();
        Ok(Array { shape, data })
    }

    /// The 64-bit integer tensor of that key.
    pub fn i64(&self, key: &str) -> Result<Array<i64>> {
        let (shape, bytes) = self.get(key, Dtype::I64)?;
        let data = bytes.as_chunks::<8>().0.iter().map(|&b| i64::from_le_bytes(b)).collect();
        Ok(Array { shape, data })
    }

    /// The byte tensor of that key.
    pub fn u8(&self, key: &str) -> Result<Array<u8>> {
        let (shape, data) = self.get(key, Dtype::U8)?;
        Ok(Array { shape, data })
    }
}

/// One index file with its tensors.
pub struct Index {
    /// The whole JSON document.
    pub json: Value,
    tensors: Tensors,
}

impl Index {
    /// Reads `<name>.json` and `<name>.safetensors`.
    pub fn load(name: &str) -> Result<Self> {
        Ok(Self { json: json(&format!("{name}.json"))?, tensors: Tensors::load(&format!("{name}.safetensors"))? })
    }

    /// The cases in file order.
    pub fn cases(&self) -> Result<Vec<Case<'_>>> {
        let cases = self.json["cases"].as_array().context("no \"cases\"")?;
        cases.iter().map(|json| Case::new(json, &self.tensors)).collect()
    }
}

/// Reads a JSON file of the folder.
pub fn json(relative: &str) -> Result<Value> {
    let path = folder().join(relative);
    let text = std::fs::read_to_string(&path).with_context(|| format!("{}: not readable", path.display()))?;
    serde_json::from_str(&text).with_context(|| path.display().to_string())
}

/// One golden case.
pub struct Case<'a> {
    /// Its name.
    pub id: &'a str,
    /// What is computed.
    pub op: &'a str,
    /// Its parameters.
    pub params: &'a Value,
    keys: BTreeMap<&'a str, &'a str>,
    tensors: &'a Tensors,
}

impl<'a> Case<'a> {
    fn new(json: &'a Value, tensors: &'a Tensors) -> Result<Self> {
        let mut keys = BTreeMap::new();
        for (name, tensor) in json["tensors"].as_object().into_iter().flatten() {
            keys.insert(name.as_str(), tensor["key"].as_str().context("tensor without a key")?);
        }
        Ok(Self {
            id: json["id"].as_str().context("case without an id")?,
            op: json["op"].as_str().context("case without an op")?,
            params: &json["params"],
            keys,
            tensors,
        })
    }

    /// The local names of its tensors.
    pub fn names(&self) -> impl Iterator<Item = &'a str> + '_ {
        self.keys.keys().copied()
    }

    /// Whether it has a tensor of that local name.
    pub fn has(&self, name: &str) -> bool {
        self.keys.contains_key(name)
    }

    fn key(&self, name: &str) -> Result<&'a str> {
        self.keys.get(name).copied().with_context(|| format!("{}: no tensor {name}", self.id))
    }

    /// The float tensor of that local name.
    pub fn f32(&self, name: &str) -> Result<Array<f32>> {
        self.tensors.f32(self.key(name)?)
    }

    /// The integer tensor of that local name.
    pub fn i64(&self, name: &str) -> Result<Array<i64>> {
        self.tensors.i64(self.key(name)?)
    }

    /// A numeric parameter.
    pub fn number(&self, name: &str) -> Result<f64> {
        self.params[name].as_f64().with_context(|| format!("{}: parameter {name} is {}", self.id, self.params[name]))
    }

    /// A whole-number parameter.
    pub fn integer(&self, name: &str) -> Result<usize> {
        let value =
            self.params[name].as_u64().with_context(|| format!("{}: parameter {name} is {}", self.id, self.params[name]))?;
        Ok(value as usize)
    }

    /// A yes-or-no parameter.
    pub fn flag(&self, name: &str) -> Result<bool> {
        self.params[name].as_bool().with_context(|| format!("{}: parameter {name} is {}", self.id, self.params[name]))
    }

    /// A text parameter.
    pub fn text(&self, name: &str) -> Result<&'a str> {
        self.params[name].as_str().with_context(|| format!("{}: parameter {name} is {}", self.id, self.params[name]))
    }
}

/// The generator of the golden inputs: element `index` of the tensor `name`, in [-1, 1), exact in float32.
pub fn u(name: &str, index: u64) -> f64 {
    let hash = name.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |h, b| (h ^ u64::from(b)).wrapping_mul(0x100_0000_01b3));
    let mut z = hash.wrapping_add(index).wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^= z >> 31;
    2.0 * (z >> 40) as f64 / f64::from(1 << 24) - 1.0
}

/// The golden fill rule for the state-dict entry `name` of a network.
pub fn fill(salt: &str, name: &str, shape: &[usize], weight_gain: f64) -> Vec<f32> {
    let full = format!("{salt}{name}");
    let count: usize = shape.iter().product();
    let fan_in: usize = shape.iter().skip(1).product();
    let value = |i: usize| {
        let u = u(&full, i as u64);
        if name.ends_with("num_batches_tracked") {
            0.0
        } else if name.ends_with("running_mean") {
            0.1 * u
        } else if name.ends_with("running_var") {
            1.0 + 0.5 * u
        } else if shape.len() >= 2 {
            u * (weight_gain * (3.0 / fan_in as f64).sqrt())
        } else if name.ends_with("weight") {
            1.0 + 0.1 * u
        } else if name.ends_with("g_bn.bias") || name.ends_with("f_bn.bias") {
            3.0 + 0.1 * u
        } else {
            0.1 * u
        }
    };
    (0..count).map(|i| value(i) as f32).collect()
}

/// The golden input rule for images, (N, C, H, W) row-major; `tag` is `input`, `input.aug1` or `input.aug2`.
pub fn images(salt: &str, tag: &str, shape: [usize; 4]) -> Vec<f32> {
    let [n, c, h, w] = shape;
    let (input, scale, shift) = (format!("{salt}{tag}"), format!("{salt}{tag}.scale"), format!("{salt}{tag}.shift"));
    (0..n * c * h * w)
        .map(|i| {
            let channel = (i / (h * w)) as u64;
            ((1.0 + 0.5 * u(&scale, channel)) * 1.7 * u(&input, i as u64) + 0.5 * u(&shift, channel)) as f32
        })
        .collect()
}

/// The norm of a tensor's values, and their sum under the probe of its name.
pub fn norm_and_probe(salt: &str, name: &str, values: &[f64]) -> (f64, f64) {
    let key = format!("{salt}{name}.probe");
    let probe = values.iter().enumerate().map(|(i, v)| v * u(&key, i as u64)).sum();
    (values.iter().map(|v| v * v).sum::<f64>().sqrt(), probe)
}

/// The largest |got − want| over the largest |want|.
pub fn relative_error(got: &[f32], want: &[f32]) -> f64 {
    assert_eq!(got.len(), want.len(), "lengths differ");
    let scale = want.iter().fold(0f64, |m, &v| m.max(f64::from(v).abs()));
    let worst = got.iter().zip(want).fold(0f64, |m, (&g, &w)| {
        let difference = (f64::from(g) - f64::from(w)).abs();
        if difference.is_nan() { f64::INFINITY } else { m.max(difference) }
    });
    if worst == 0.0 { 0.0 } else { worst / scale.max(f64::MIN_POSITIVE) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn golden_generator_has_the_published_values() {
        assert_eq!(u("", 0), 0.5273890495300293);
        assert_eq!(u("input", 1_000_000), -0.6111690998077393);
        assert_eq!(u("conv1.weight", 3), 0.687371015548706);
        let first = images("gold/wrn40_2_plain/a/", "input", [1, 3, 2, 2]);
        assert_eq!(f64::from(first[0]), -1.186836838722229);
    }
}
