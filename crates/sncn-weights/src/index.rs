//! `Index`: which of several files holds which tensor, as `model.safetensors.index.json` says.

use crate::error::{Result, WeightsError};
use serde_json::Value;
use std::path::{Component, Path};

/// The names of tensors by file.
pub(crate) struct Index {
    /// The files, and the names that are in them, in the order of the index.
    pub(crate) files: Vec<(String, Vec<String>)>,
}

impl Index {
    /// Reads the JSON of an index.
    ///
    /// # Errors
    /// Returns an error where it is not JSON, has no `weight_map` from names to files, or names a file outside its folder.
    pub(crate) fn read(bytes: &[u8]) -> Result<Self> {
        let bad = |what: String| WeightsError::Index(what);
        let value: Value = serde_json::from_slice(bytes).map_err(|error| bad(error.to_string()))?;
        let map = value.get("weight_map").and_then(Value::as_object);
        let map = map.ok_or_else(|| bad("\"weight_map\" is wanted, from names of tensors to files".to_string()))?;
        let mut files: Vec<(String, Vec<String>)> = Vec::new();
        let mut at = std::collections::HashMap::new();
        for (name, file) in map {
            let Some(file) = file.as_str() else { return Err(bad(format!("the file of {name:.60?} is no string"))) };
            let inside = Path::new(file).components().all(|part| matches!(part, Component::Normal(_)));
            if file.is_empty() || !inside || file.contains('\\') || file.contains(':') {
                return Err(bad(format!("the file {file:.100?} is not in the folder of the index")));
            }
            let known = *at.entry(file.to_string()).or_insert_with(|| {
                files.push((file.to_string(), Vec::new()));
                files.len() - 1
            });
            files[known].1.push(name.clone());
        }
        if files.is_empty() {
            return Err(bad("\"weight_map\" is empty".to_string()));
        }
        Ok(Self { files })
    }
}
