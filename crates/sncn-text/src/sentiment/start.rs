//! The row that stands for texts, a network and a method, for users without a table.

use super::model::Sentiment;
use super::setup::{PRETRAINED, located};
use crate::dataset::{self, Texts};
use crate::pretrained::Pretrained;
use crate::{Vocabulary, VocabularyConfig};
use anyhow::{Result, anyhow, ensure};
use serde_json::{Value, json};
use sncn_train::harness::Task;
use sncn_train::harness::given::{Given, Method, Row, is_path, method, methods};
use sncn_train::text_file::listed;
use std::path::{Path, PathBuf};

/// The name of a user's folder as a data set.
const OWN: &str = "own";
/// The network where neither it nor weights are given.
const NETWORK: &str = "convnet100_64";
/// Texts whose lengths are looked at.
const LOOKED_AT: usize = 2000;
/// The fraction of the texts that are not cut.
const WHOLE: f64 = 0.95;
/// Bounds of the length that texts are cut to, in tokens.
const LENGTHS: (usize, usize) = (16, 512);
/// The most texts of a batch.
const BATCH: usize = 32;

/// The methods of the paper and those beside it, by name.
fn all_methods() -> Vec<Method> {
    let mixstyle = json!({"layers": [{"kind": "mixstyle", "at": "embedding"}], "mix": {"probability": 0.5, "active": 1}});
    let mut known =
        methods(&json!({"kind": "crossnorm", "at": "embedding"}), &json!({"kind": "selfnorm", "at": "embedding"}), mixstyle);
    known.push(("word-dropout", json!({"augment": {"kind": "word_dropout", "rate": 0.2}})));
    known
}

/// What a user gave as data: what a row calls it, and its folder, where it is one.
fn named(given: &Given<'_>) -> Result<(String, Option<PathBuf>)> {
    let known: Vec<&str> = dataset::trainable().collect();
    let is_table = dataset::is_table(given.data);
    if !is_table && is_path(given.data, &known)? && Path::new(given.data).is_dir() {
        return Ok((OWN.to_string(), Some(PathBuf::from(given.data))));
    }
    Ok((given.data.to_string(), None))
}

/// The length that 95 % of the texts have at most, in tokens; some of them are looked at.
fn longest(texts: &Texts, vocabulary: &Vocabulary, most: usize) -> Result<usize> {
    let all = looked_at(texts);
    let mut lengths: Vec<usize> = vocabulary.encode(&all, most)?.iter().map(Vec::len).collect();
    lengths.sort_unstable();
    let usual = ((lengths.len() as f64 * WHOLE).ceil() as usize).saturating_sub(1);
    Ok(lengths.get(usual).copied().unwrap_or(0).clamp(LENGTHS.0.min(most), most))
}

/// Texts from all places of a set.
fn looked_at(texts: &Texts) -> Vec<&str> {
    let every = texts.examples.len().div_ceil(LOOKED_AT).max(1);
    texts.examples.iter().step_by(every).map(|example| example.text.as_str()).collect()
}

/// The keys of a network that begins with random weights.
fn from_scratch(texts: &Texts, network: &str, epochs: Option<usize>) -> Result<Value> {
    let is_convnet = network.starts_with("convnet");
    let (config, lr) = match is_convnet {
        true => (VocabularyConfig::Words { size: 20_000 }, 0.001),
        false => (VocabularyConfig::Pieces { size: 8_000 }, 0.0005),
    };
    let longest = longest(texts, &Vocabulary::new(&config, looked_at(texts).into_iter())?, LENGTHS.1)?;
    Ok(json!({
        "backbone": network, "epochs": epochs.unwrap_or(10), "lr": lr, "batch_size": BATCH,
        "optimizer": {"kind": "adam", "betas": [0.9, 0.999], "eps": 1e-8, "weight_decay": 0.0},
        "schedule": {"kind": "constant"}, "input": {"vocabulary": config, "longest": longest}
    }))
}

/// The keys of an encoder that begins with published weights, trained as is usual for them.
fn from_weights(texts: &Texts, folder: &str, given: &Given<'_>) -> Result<Value> {
    ensure!(
        given.network.is_none_or(|network| network == PRETRAINED),
        "--network {}: --weights is the folder of an encoder, which is the network: leave --network out",
        given.network.unwrap_or_default()
    );
    let (vocabulary, most) =
        Pretrained::open(&located(Path::new(folder), "pretrained encoder", given.data_dir)?)?.vocabulary()?;
    let longest = longest(texts, &vocabulary, most.min(LENGTHS.1))?;
    Ok(json!({
        "backbone": PRETRAINED, "epochs": given.epochs.unwrap_or(3), "lr": 2e-5, "batch_size": BATCH / 2, "clip": 1.0,
        "optimizer": {"kind": "adam_w", "betas": [0.9, 0.999], "eps": 1e-8, "weight_decay": 0.01},
        "schedule": {"kind": "warmup_linear", "warmup": 0.1}, "input": {"longest": longest, "pretrained": folder}
    }))
}

/// The row, and what was chosen.
pub(super) fn row(given: &Given<'_>) -> Result<Row> {
    let of_method = method(given.method, all_methods())?;
    let (train, folder) = named(given)?;
    let data_dir = folder.clone().map_or_else(|| given.data_dir.clone(), |path| sncn_train::DataDir { path: Some(path) });
    let (texts, kept) = dataset::split(&train, &data_dir)?;
    ensure!(
        !kept.examples.is_empty(),
        "{}: {} texts; at least 10 of a class are wanted, since every tenth is kept out of training to choose the best of the epochs",
        texts.describe,
        texts.examples.len()
    );
    let mut keys = match given.weights {
        Some(folder) => from_weights(&texts, folder, given)?,
        None => from_scratch(&texts, given.network.unwrap_or(NETWORK), given.epochs)?,
    };
    let (epochs, longest) = (keys["epochs"].clone(), keys["input"]["longest"].clone());
    let validation = format!("{train}-validation");
    let mut tests = vec![validation.clone(), format!("{validation}-c")];
    tests.extend(dataset::tested_on(&train, &data_dir));
    keys["name"] = given.method.into();
    keys["train"] = train.clone().into();
    keys["test"] = json!(tests);
    keys["objective"] = json!({"kind": "plain"});
    keys["early_stopping"] = json!({"patience": epochs});
    let said = vec![
        format!("{}: {} texts of the classes {}", texts.describe, texts.examples.len(), listed(&texts.classes)),
        format!(
            "{} texts are kept out of training, every tenth of each class, and the best of the epochs is chosen on them",
            kept.examples.len()
        ),
        format!(
            "network {}, method {}, {epochs} epochs; texts are cut to {longest} tokens",
            keys["backbone"].as_str().unwrap_or_default(),
            given.method
        ),
        format!(
            "{} evaluate measures more, such as --test {}",
            Sentiment::INFO.program,
            tests.get(2).map_or("other.csv, a table by its path", String::as_str)
        ),
    ];
    let Value::Object(mut keys) = keys else { return Err(anyhow!("a row is an object")) };
    keys.extend(of_method);
    // the sets of a path are those of the row: its name could not be told from several, were a comma in it
    let only = if tests.len() > 2 { vec!["--test".to_string(), format!("{validation},{validation}-c")] } else { Vec::new() };
    let evaluation = only.into_iter().chain(["--severities", "3"].map(str::to_string)).collect();
    Ok(Row { keys, data_dir: folder, said, evaluation })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Map;
    use sncn_train::DataDir;

    #[test]
    fn rows_fit_their_texts() -> Result<()> {
        let (data_dir, keys) = (DataDir::default(), Map::new());
        let given = |network, method| Given {
            data: "reviews",
            network,
            method,
            weights: None,
            epochs: None,
            data_dir: &data_dir,
            keys: &keys,
        };
        let convnet = row(&given(None, "word-dropout"))?.keys;
        assert_eq!((&convnet["backbone"], &convnet["input"]["vocabulary"]["kind"]), (&json!(NETWORK), &json!("words")));
        assert_eq!(convnet["augment"]["rate"], 0.2);
        assert_eq!(convnet["test"], json!(["reviews-validation", "reviews-validation-c", "reviews-films", "reviews-kitchen"]));
        let encoder = row(&given(Some("encoder2_64"), "cnsn"))?.keys;
        assert_eq!(
            (&encoder["input"]["vocabulary"]["kind"], encoder["layers"].as_array().map(Vec::len)),
            (&json!("pieces"), Some(2))
        );
        let longest = |keys: &Map<String, Value>| keys["input"]["longest"].as_u64().unwrap();
        assert!((16..=512).contains(&longest(&convnet)) && longest(&encoder) >= longest(&convnet));
        let unknown = row(&given(None, "ibn")).unwrap_err().to_string();
        assert!(unknown.contains("known: baseline, cn, sn, cnsn, mixstyle, word-dropout"), "{unknown}");
        Ok(())
    }
}
