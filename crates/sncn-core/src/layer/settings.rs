//! `Settings`: the settings of one layer, as JSON.

use candle_core::{Result, bail};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

/// The settings of one layer as JSON, with the layer's name for error messages.
#[derive(Clone, Debug)]
pub struct Settings {
    kind: String,
    map: Map<String, Value>,
}

impl Settings {
    /// The settings of a layer of kind `kind`.
    pub fn new(kind: &str, map: Map<String, Value>) -> Self {
        Self { kind: kind.to_string(), map }
    }

    /// Deserialises the settings as `T`, which should have `#[serde(deny_unknown_fields)]`.
    ///
    /// # Errors
    /// Returns serde's error, with the layer and the path of the key: an unknown key (the known ones are listed), or a value of
    /// another type.
    pub fn parse<T: DeserializeOwned>(self) -> Result<T> {
        let kind = self.kind;
        serde_path_to_error::deserialize(Value::Object(self.map)).or_else(|error| bail!("layer {kind}: {error}"))
    }

    /// Checks that there are no settings.
    ///
    /// # Errors
    /// Returns an error that names the first key, where there is one.
    pub fn none(self) -> Result<()> {
        match self.map.keys().next() {
            Some(key) => bail!("layer {}: unknown key {key:?}; this layer has no settings", self.kind),
            None => Ok(()),
        }
    }
}
