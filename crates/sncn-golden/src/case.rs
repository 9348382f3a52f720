//! `Index`: a file of golden cases, and their tensors.

use crate::files::{Array, Tensors, json, read};
use anyhow::{Context, Result};
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::Path;

/// An index file and its tensors.
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

    /// Reads `<path>.json` and `<path>.safetensors`: values of this project's own, beside the tests that use them.
    pub fn at(path: &Path) -> Result<Self> {
        let tensors = Tensors::at(path.with_extension("safetensors"))?;
        Ok(Self { json: read(&path.with_extension("json"))?, tensors })
    }

    /// The cases in file order.
    pub fn cases(&self) -> Result<Vec<Case<'_>>> {
        let cases = self.json["cases"].as_array().context("no \"cases\"")?;
        cases.iter().map(|json| Case::new(json, &self.tensors)).collect()
    }
}

/// One golden case.
pub struct Case<'a> {
    /// The name of the case.
    pub id: &'a str,
    /// The operation that is computed.
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

    /// The names of its tensors, local to the case.
    pub fn names(&self) -> impl Iterator<Item = &'a str> + '_ {
        self.keys.keys().copied()
    }

    /// Whether it has a tensor of this local name.
    pub fn has(&self, name: &str) -> bool {
        self.keys.contains_key(name)
    }

    fn key(&self, name: &str) -> Result<&'a str> {
        self.keys.get(name).copied().with_context(|| format!("{}: no tensor {name}", self.id))
    }

    /// The f32 tensor of this local name.
    pub fn f32(&self, name: &str) -> Result<Array<f32>> {
        self.tensors.f32(self.key(name)?)
    }

    /// The i64 tensor of this local name.
    pub fn i64(&self, name: &str) -> Result<Array<i64>> {
        self.tensors.i64(self.key(name)?)
    }

    /// A numeric parameter.
    pub fn number(&self, name: &str) -> Result<f64> {
        self.params[name].as_f64().with_context(|| format!("{}: parameter {name} is {}", self.id, self.params[name]))
    }

    /// An integer parameter.
    pub fn integer(&self, name: &str) -> Result<usize> {
        let value =
            self.params[name].as_u64().with_context(|| format!("{}: parameter {name} is {}", self.id, self.params[name]))?;
        Ok(value as usize)
    }

    /// A boolean parameter.
    pub fn flag(&self, name: &str) -> Result<bool> {
        self.params[name].as_bool().with_context(|| format!("{}: parameter {name} is {}", self.id, self.params[name]))
    }

    /// A string parameter.
    pub fn text(&self, name: &str) -> Result<&'a str> {
        self.params[name].as_str().with_context(|| format!("{}: parameter {name} is {}", self.id, self.params[name]))
    }
}
