//! `Settings`: the settings of one layer, as a table gives them.

use candle_core::{Result, bail};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

/// The settings of one layer, as a table gives them.
#[derive(Clone, Debug)]
pub struct Settings {
    kind: String,
    map: Map<String, Value>,
}

impl Settings {
    /// The settings of a layer of that kind.
    pub fn new(kind: &str, map: Map<String, Value>) -> Self {
        Self { kind: kind.to_string(), map }
    }

    /// Reads them as `T`, which should refuse unknown fields.
    ///
    /// # Errors
    /// Where a key is unknown or a value does not fit; the message lists the known keys.
    pub fn parse<T: DeserializeOwned>(self) -> Result<T> {
        let kind = self.kind;
        serde_path_to_error::deserialize(Value::Object(self.map)).or_else(|error| bail!("layer {kind}: {error}"))
    }

    /// Refuses all settings.
    ///
    /// # Errors
    /// Names the first.
    pub fn none(self) -> Result<()> {
        match self.map.keys().next() {
            Some(key) => bail!("layer {}: unknown key {key:?}; this layer has no settings", self.kind),
            None => Ok(()),
        }
    }
}
