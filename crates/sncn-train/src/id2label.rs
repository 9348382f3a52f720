//! The class names in the `config.json` of a model in Hugging Face's layout.

use crate::text_file::quoted;
use anyhow::{Context, Result, ensure};
use serde_json::Value;

/// The class names of a `config.json`, from `id2label` (an object or a list), else `label2id`, else as many as `num_labels` (2 if that is
/// left out too) of the form `LABEL_0`.
///
/// # Errors
/// If the numbers are not those from 0 on, or two classes have one name.
pub fn classes(config: &Value) -> Result<Vec<String>> {
    let text = |name: &Value| name.as_str().map_or_else(|| name.to_string(), str::to_string);
    let mut classes: Vec<(usize, String)> = match (&config["id2label"], &config["label2id"]) {
        (Value::Array(names), _) => names.iter().map(text).enumerate().collect(),
        (Value::Object(names), _) => {
            let number =
                |number: &String| number.parse().with_context(|| format!("id2label: {} is not a number", quoted(number)));
            names.iter().map(|(key, name)| Ok((number(key)?, text(name)))).collect::<Result<_>>()?
        }
        (_, Value::Object(numbers)) => {
            let number = |number: &Value| number.as_u64().and_then(|number| usize::try_from(number).ok());
            let pair = |(name, value): (&String, &Value)| {
                Ok((number(value).with_context(|| format!("label2id: {} has no number", quoted(name)))?, name.clone()))
            };
            numbers.iter().map(pair).collect::<Result<_>>()?
        }
        _ => {
            let count = config["num_labels"].as_u64().unwrap_or(2).min(1 << 20);
            (0..count as usize).map(|number| (number, format!("LABEL_{number}"))).collect()
        }
    };
    classes.sort_unstable();
    let is_whole = classes.iter().enumerate().all(|(i, (number, _))| i == *number);
    ensure!(is_whole, "id2label: the numbers are not 0 to {}", classes.len().saturating_sub(1));
    let twice = classes.iter().find(|(i, name)| classes[..*i].iter().any(|(_, other)| other == name));
    ensure!(twice.is_none(), "id2label: two classes are named {}", quoted(twice.map_or("", |(_, name)| name)));
    Ok(classes.into_iter().map(|(_, name)| name).collect())
}
