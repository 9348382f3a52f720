//! Defaults of published encoders: what a `config.json` of Hugging Face's layout leaves out.

use super::config::{EncoderConfig, Family};
use serde_json::{Map, Value, json};

/// Keys (with the name that DistilBERT gives them) and the values that they have in BERT, RoBERTa and DistilBERT where they are left out
/// or null. Source: the configuration classes of Hugging Face's transformers.
fn defaults() -> Vec<(&'static str, &'static str, [Value; 3])> {
    let same = |key, other, value: Value| (key, other, [value.clone(), value.clone(), value]);
    vec![
        ("vocab_size", "", [json!(30522), json!(50265), json!(30522)]),
        same("hidden_size", "dim", json!(768)),
        ("num_hidden_layers", "n_layers", [json!(12), json!(12), json!(6)]),
        same("num_attention_heads", "n_heads", json!(12)),
        same("intermediate_size", "hidden_dim", json!(3072)),
        same("max_position_embeddings", "", json!(512)),
        ("type_vocab_size", "", [json!(2), json!(2), json!(0)]),
        same("layer_norm_eps", "", json!(1e-12)),
        ("pad_token_id", "", [json!(0), json!(1), json!(0)]),
        same("hidden_dropout_prob", "dropout", json!(0.1)),
        same("attention_probs_dropout_prob", "attention_dropout", json!(0.1)),
        ("classifier_dropout", "seq_classif_dropout", [Value::Null, Value::Null, json!(0.2)]),
    ]
}

impl EncoderConfig {
    /// Reads the object of a published `config.json`. What it leaves out, or has as null, is what it is in the family (`pad_token_id` is
    /// 1 in RoBERTa).
    ///
    /// # Errors
    /// Names the key whose value is not accepted.
    pub fn published(config: &Value) -> Result<Self, serde_path_to_error::Error<serde_json::Error>> {
        let Value::Object(keys) = config else { return serde_path_to_error::deserialize(config) };
        let mut keys: Map<String, Value> =
            keys.iter().filter(|(_, value)| !value.is_null()).map(|(k, v)| (k.clone(), v.clone())).collect();
        let family: Family = match keys.get("model_type") {
            Some(family) => {
                serde_path_to_error::deserialize(&json!({"model_type": family})).map(|Named { model_type }| model_type)?
            }
            None => Family::default(),
        };
        let place = match family {
            Family::Bert => 0,
            Family::Roberta => 1,
            Family::Distilbert => 2,
        };
        for (key, other, values) in defaults() {
            if !keys.contains_key(key) && !keys.contains_key(other) && !values[place].is_null() {
                keys.insert(key.to_string(), values[place].clone());
            }
        }
        serde_path_to_error::deserialize(&Value::Object(keys))
    }
}

/// The key that tells the family.
#[derive(serde::Deserialize)]
struct Named {
    model_type: Family,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_out_is_as_in_the_family() {
        let read = |config: Value| EncoderConfig::published(&config);
        let roberta = read(json!({"model_type": "roberta", "hidden_size": 16, "pad_token_id": null})).unwrap();
        assert_eq!((roberta.pad_token_id, roberta.hidden_size, roberta.vocab_size, roberta.longest()), (1, 16, 50265, 510));
        let distil = read(json!({"model_type": "distilbert", "dim": 32, "n_heads": 4})).unwrap();
        assert_eq!((distil.hidden_size, distil.num_attention_heads, distil.num_hidden_layers), (32, 4, 6));
        assert_eq!((distil.classifier_dropout, distil.type_vocab_size), (Some(0.2), 0));
        let bert = read(json!({"classifier_dropout": null})).unwrap();
        assert_eq!((bert.family, bert.classifier_dropout, bert.type_vocab_size, bert.pad_token_id), (Family::Bert, None, 2, 0));
        assert_eq!(read(json!({"model_type": "camembert"})).unwrap().family, Family::Roberta);
        // a run keeps its configuration as it was read
        let kept = serde_json::to_value(&roberta).unwrap();
        assert_eq!(read(kept).unwrap(), roberta);
        for (config, word) in [
            (json!({"model_type": "albert"}), "albert"),
            (json!({"vocab_size": "many"}), "vocab_size"),
            (json!({"hidden_act": "gelu_new"}), "gelu_new"),
            (json!([1]), "expected"),
        ] {
            let error = read(config).unwrap_err().to_string();
            assert!(error.contains(word), "{error}");
        }
    }
}
