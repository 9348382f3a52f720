//! The class names in the `config.json` of a model in Hugging Face's layout.

use crate::text_file::quoted;
use serde_json::Value;

/// Why a `config.json` names no classes.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum Id2LabelError {
    /// A key of `id2label` is no number.
    #[error("id2label: {0} is not a number")]
    Key(String),
    /// A name in `label2id` has no number.
    #[error("label2id: {0} has no number")]
    Unnumbered(String),
    /// A number is missing; holds the last that there should be.
    #[error("id2label: the numbers are not 0 to {0}")]
    Gap(usize),
    /// Two classes have one name.
    #[error("id2label: two classes are named {0}")]
    Twice(String),
}

/// The class names of a `config.json`, from `id2label` (an object or a list), else `label2id`, else as many as `num_labels` (2 if that is
/// left out too) of the form `LABEL_0`.
///
/// # Errors
/// If the numbers are not those from 0 on, or two classes have one name.
pub fn classes(config: &Value) -> Result<Vec<String>, Id2LabelError> {
    let text = |name: &Value| name.as_str().map_or_else(|| name.to_string(), str::to_string);
    let mut classes: Vec<(usize, String)> = match (&config["id2label"], &config["label2id"]) {
        (Value::Array(names), _) => names.iter().map(text).enumerate().collect(),
        (Value::Object(names), _) => {
            let number = |key: &String| key.parse().map_err(|_| Id2LabelError::Key(quoted(key)));
            names.iter().map(|(key, name)| Ok((number(key)?, text(name)))).collect::<Result<_, _>>()?
        }
        (_, Value::Object(numbers)) => {
            let number = |number: &Value| number.as_u64().and_then(|number| usize::try_from(number).ok());
            let pair = |(name, value): (&String, &Value)| {
                number(value).map(|number| (number, name.clone())).ok_or_else(|| Id2LabelError::Unnumbered(quoted(name)))
            };
            numbers.iter().map(pair).collect::<Result<_, _>>()?
        }
        _ => {
            let count = config["num_labels"].as_u64().unwrap_or(2).min(1 << 20);
            (0..count as usize).map(|number| (number, format!("LABEL_{number}"))).collect()
        }
    };
    classes.sort_unstable();
    if classes.iter().enumerate().any(|(at, (number, _))| at != *number) {
        return Err(Id2LabelError::Gap(classes.len().saturating_sub(1)));
    }
    let twice = classes.iter().find(|(at, name)| classes[..*at].iter().any(|(_, other)| other == name));
    match twice {
        Some((_, name)) => Err(Id2LabelError::Twice(quoted(name))),
        None => Ok(classes.into_iter().map(|(_, name)| name).collect()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn names_come_in_the_order_of_their_numbers() {
        assert_eq!(classes(&json!({"id2label": {"1": "cat", "0": "dog"}})).unwrap(), ["dog", "cat"]);
        assert_eq!(classes(&json!({"label2id": {"cat": 1, "dog": 0}})).unwrap(), ["dog", "cat"]);
        assert_eq!(classes(&json!({"num_labels": 3})).unwrap(), ["LABEL_0", "LABEL_1", "LABEL_2"]);
        let refused = |config: Value| classes(&config).unwrap_err().to_string();
        assert_eq!(refused(json!({"id2label": {"one": "cat"}})), "id2label: \"one\" is not a number");
        assert_eq!(refused(json!({"label2id": {"cat": "1"}})), "label2id: \"cat\" has no number");
        assert_eq!(refused(json!({"id2label": {"0": "cat", "2": "dog"}})), "id2label: the numbers are not 0 to 1");
        assert_eq!(refused(json!({"id2label": ["cat", "cat"]})), "id2label: two classes are named \"cat\"");
    }
}
