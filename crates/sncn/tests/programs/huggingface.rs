//! Folders of Hugging Face's layout as people have them: what their settings say is what happens.

use crate::common::refused;
use crate::pretrained::{WORDS, config, folder, program};
use serde_json::{Value, json};
use sncn_text::backbone::Family;
use std::fs;
use std::path::{Path, PathBuf};

/// What the program says of a text.
fn said(folder: &Path, text: &str) -> Value {
    let mut command = program();
    command.args(["predict", "--run-dir"]).arg(folder).write_stdin(format!("{text}\n"));
    serde_json::from_slice(&command.assert().success().get_output().stdout).unwrap()
}

/// A copy of a folder without its tokenizer, with these files.
fn variant(at: &Path, name: &str, original: &Path, files: &[(&str, &str)]) -> PathBuf {
    let folder = at.join(name);
    fs::create_dir_all(&folder).unwrap();
    for file in ["config.json", "model.safetensors"] {
        fs::copy(original.join(file), folder.join(file)).unwrap();
    }
    files.iter().for_each(|(file, content)| fs::write(folder.join(file), content).unwrap());
    folder
}

fn changed(folder: &Path, change: impl FnOnce(&mut Value)) {
    let path = folder.join("config.json");
    let mut config: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    change(&mut config);
    fs::write(&path, config.to_string()).unwrap();
}

/// A `tokenizer.json` over these tokens by BERT's rules.
fn tokenizer(tokens: &[&str], lowercase: bool, strip_accents: Option<bool>, chinese: bool) -> String {
    let added: Vec<Value> = tokens
        .iter()
        .enumerate()
        .filter(|(_, token)| token.starts_with('['))
        .map(|(id, token)| json!({"id": id, "content": token, "single_word": false, "lstrip": false, "rstrip": false, "normalized": false, "special": true}))
        .collect();
    let vocab: serde_json::Map<String, Value> =
        tokens.iter().enumerate().map(|(id, token)| (token.to_string(), json!(id))).collect();
    json!({"version": "1.0", "truncation": null, "padding": null, "added_tokens": added,
        "normalizer": {"type": "BertNormalizer", "clean_text": true, "handle_chinese_chars": chinese, "strip_accents": strip_accents, "lowercase": lowercase},
        "pre_tokenizer": {"type": "BertPreTokenizer"}, "post_processor": {"type": "BertProcessing", "sep": ["[SEP]", 2], "cls": ["[CLS]", 0]},
        "decoder": null, "model": {"type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##", "max_input_chars_per_word": 100, "vocab": vocab}})
    .to_string()
}

#[test]
fn the_settings_beside_a_list_of_pieces_are_honoured() {
    let at = tempfile::tempdir().unwrap();
    let original = folder(at.path(), Family::Bert);
    // 16 tokens, as many as the encoder has
    let tokens = [
        "[CLS]",
        "[PAD]",
        "[SEP]",
        "[UNK]",
        "good",
        "Good",
        "film",
        "US",
        "us",
        "café",
        "cafe",
        "好",
        "电影",
        "好电影",
        "##s",
        "not",
    ];
    let list = tokens.join("\n");
    let text = "Good US café 好电影 films";
    let mut seen = Vec::new();
    for (settings, [lowercase, accents, chinese]) in [
        ("{}", [true, true, true]),
        (r#"{"do_lower_case": true, "tokenizer_class": "BertTokenizer"}"#, [true, true, true]),
        (r#"{"do_lower_case": false, "tokenizer_class": "BertTokenizerFast"}"#, [false, false, true]),
        (r#"{"do_lower_case": true, "strip_accents": false}"#, [true, false, true]),
        (r#"{"do_lower_case": false, "strip_accents": true, "tokenize_chinese_chars": false}"#, [false, true, false]),
    ] {
        for (mark, list) in [("", list.clone()), ("\u{feff}", list.replace('\n', "\r\n"))] {
            let list = format!("{mark}{list}");
            let by_list = variant(at.path(), "list", &original, &[("vocab.txt", &list), ("tokenizer_config.json", settings)]);
            let json = tokenizer(&tokens, lowercase, Some(accents), chinese);
            let by_json = variant(at.path(), "json", &original, &[("tokenizer.json", &json)]);
            assert_eq!(said(&by_list, text), said(&by_json, text), "{settings}");
            seen.push(said(&by_list, text)["probabilities"].clone());
        }
    }
    // the settings differ in what they make of the text
    seen.dedup();
    assert_eq!(seen.len(), 4, "{seen:?}");
}

#[test]
fn other_names_of_special_tokens_and_added_tokens_are_honoured() {
    let at = tempfile::tempdir().unwrap();
    let original = folder(at.path(), Family::Bert);
    let tokens =
        |special: [&str; 4]| special.iter().copied().chain(["good", "bad", "film", "very"]).collect::<Vec<_>>().join("\n");
    let plain = variant(at.path(), "plain", &original, &[("vocab.txt", &tokens(["[CLS]", "[PAD]", "[SEP]", "[UNK]"]))]);
    let want = said(&plain, "very good film, unheard")["probabilities"].clone();
    let names =
        json!({"cls_token": "<c>", "pad_token": {"content": "<p>", "lstrip": false}, "sep_token": "<s>", "unk_token": "<u>"})
            .to_string();
    let list = tokens(["<c>", "<p>", "<s>", "<u>"]);
    for file in ["special_tokens_map.json", "tokenizer_config.json"] {
        let other = variant(at.path(), file, &original, &[("vocab.txt", &list), (file, &names)]);
        assert_eq!(said(&other, "very good film, unheard")["probabilities"], want, "{file}");
    }
    // a token that was added behind the list: known as a whole, and at its own id
    let decoder = json!({"added_tokens_decoder": {"8": {"content": "so-so", "special": false, "normalized": true, "lstrip": false, "rstrip": false, "single_word": false}}});
    let list = tokens(["[CLS]", "[PAD]", "[SEP]", "[UNK]"]);
    let by_decoder =
        variant(at.path(), "decoder", &original, &[("vocab.txt", &list), ("tokenizer_config.json", &decoder.to_string())]);
    let by_map = variant(at.path(), "added", &original, &[("vocab.txt", &list), ("added_tokens.json", r#"{"so-so": 8}"#)]);
    let one_more = variant(at.path(), "more", &original, &[("vocab.txt", &format!("{list}\nso"))]);
    let found = said(&by_decoder, "so-so film")["probabilities"].clone();
    assert_eq!(found, said(&by_map, "so-so film")["probabilities"]);
    assert_eq!(found, said(&one_more, "so film")["probabilities"], "one token, the ninth");
    assert_ne!(found, said(&plain, "so-so film")["probabilities"]);
    let wrong = variant(at.path(), "wrong", &original, &[("vocab.txt", &list), ("added_tokens.json", r#"{"so-so": 11}"#)]);
    let mut command = program();
    command.args(["predict", "--run-dir"]).arg(&wrong).write_stdin("x");
    refused(command, &["vocab.txt", "\"so-so\" has the id 11, but 8 would be its place"]);
}

#[test]
fn byte_level_pairs_are_read_from_their_two_files() {
    let at = tempfile::tempdir().unwrap();
    let original = folder(at.path(), Family::Roberta);
    let pieces = ["<s>", "<pad>", "</s>", "<unk>", "g", "o", "d", "oo", "goo", "good", "Ġ", "f", "Ġf", "b"];
    let vocab: serde_json::Map<String, Value> =
        pieces.iter().enumerate().map(|(id, piece)| (piece.to_string(), json!(id))).collect();
    let vocab = Value::Object(vocab).to_string();
    let merges = "#version: 0.2\no o\ng oo\ngoo d\nĠ f\n";
    let pairs = variant(at.path(), "pairs", &original, &[("vocab.json", &vocab), ("merges.txt", merges)]);
    let whole = |text: &str| said(&pairs, text)["probabilities"].clone();
    assert_eq!(whole("good f"), whole("good f"));
    assert_ne!(whole("good f"), whole("good b"));
    // ids as the pieces have them: <s> good Ġf </s> is 0 9 12 2
    let words: Vec<String> = (0..14)
        .map(|id| match id {
            0 => "[CLS]".into(),
            1 => "[PAD]".into(),
            2 => "[SEP]".into(),
            3 => "[UNK]".into(),
            9 => "good".into(),
            12 => "film".into(),
            _ => format!("w{id}"),
        })
        .collect();
    let as_words = tokenizer(&words.iter().map(String::as_str).collect::<Vec<_>>(), true, None, true);
    let list = variant(at.path(), "list", &original, &[("tokenizer.json", &as_words)]);
    assert_eq!(said(&list, "good film")["probabilities"], whole("good f"));
    let said = |files: &[(&str, &str)], words: &[&str]| {
        let folder = at.path().join("faulty");
        let _ = fs::remove_dir_all(&folder);
        let folder = variant(at.path(), "faulty", &original, files);
        let mut command = program();
        command.args(["predict", "--run-dir"]).arg(&folder).write_stdin("x");
        refused(command, words);
    };
    said(&[("vocab.json", &vocab), ("merges.txt", "#version: 0.2\noo\n")], &["merges.txt:2", "\"oo\" is no pair"]);
    said(&[("vocab.json", &vocab)], &["merges.txt: not readable"]);
    said(&[("vocab.json", "{}"), ("merges.txt", merges)], &["vocab.json: <s> is not in it"]);
    said(
        &[("sentencepiece.bpe.model", "")],
        &["none of tokenizer.json, vocab.txt, vocab.json exists", "sentencepiece.bpe.model is not read", "save_pretrained"],
    );
    said(
        &[("vocab.txt", "a"), ("tokenizer_config.json", r#"{"tokenizer_class": "BertJapaneseTokenizer"}"#)],
        &["tokenizer_class is \"BertJapaneseTokenizer\"", "DistilBertTokenizer"],
    );
    said(
        &[("vocab.txt", "a"), ("tokenizer_config.json", r#"{"do_lower_case": "no"}"#)],
        &["tokenizer_config.json: do_lower_case is \"\\\"no\\\"\"; true, false and null"],
    );
}

#[test]
fn class_names_and_probabilities_are_what_the_configuration_says() {
    let at = tempfile::tempdir().unwrap();
    let original = folder(at.path(), Family::Bert);
    let words = fs::read_to_string(original.join("tokenizer.json")).unwrap();
    let with = |change: &dyn Fn(&mut Value)| {
        let folder = variant(at.path(), "with", &original, &[("tokenizer.json", &words)]);
        changed(&folder, change);
        folder
    };
    let plain = said(&with(&|_| {}), "good film");
    let named = |change: &dyn Fn(&mut Value), names: [&str; 2]| {
        let line = said(&with(change), "good film");
        for (name, old) in names.into_iter().zip(["NEGATIVE", "POSITIVE"]) {
            assert_eq!(line["probabilities"][name], plain["probabilities"][old], "{line}");
        }
    };
    let without = |config: &mut Value| drop(config.as_object_mut().unwrap().remove("id2label"));
    named(&without, ["LABEL_0", "LABEL_1"]);
    named(&|config| config["id2label"] = Value::Null, ["LABEL_0", "LABEL_1"]);
    named(&|config| config["id2label"] = json!(["bad", "good"]), ["bad", "good"]);
    named(
        &|config| {
            without(config);
            config["label2id"] = json!({"good": 1, "bad": 0});
        },
        ["bad", "good"],
    );
    // every class by itself
    let line = said(&with(&|config| config["problem_type"] = json!("multi_label_classification")), "good film");
    let of = |line: &Value, name: &str| line["probabilities"][name].as_f64().unwrap();
    let odds = |p: f64| p / (1. - p);
    let ratio = odds(of(&line, "POSITIVE")) / odds(of(&line, "NEGATIVE"));
    assert!((ratio / (of(&plain, "POSITIVE") / of(&plain, "NEGATIVE")) - 1.).abs() < 2e-3, "{line} {plain}");
    assert!(
        (of(&line, "POSITIVE") + of(&line, "NEGATIVE") - 1.).abs() > 1e-3 && line["labels"].is_array() && line["label"].is_null(),
        "{line}"
    );
    let mut command = program();
    command.args(["evaluate", "--test", "reviews-films", "--run-dir"]).arg(at.path().join("with"));
    refused(command, &["reviews-films", "problem_type", "use predict"]);
    for (change, words) in [
        (json!({"0": "a", "2": "b"}), "id2label: the numbers are not 0 to 1"),
        (json!({"0": "a", "1": "a"}), "two classes are named \"a\""),
        (json!({"0": "a"}), "id2label names 1 class(es)"),
    ] {
        let mut command = program();
        command.args(["predict", "--run-dir"]).arg(with(&|config| config["id2label"] = change.clone())).write_stdin("x");
        refused(command, &["config.json", words]);
    }
}

#[test]
fn what_a_configuration_leaves_out_is_as_in_the_family() {
    let at = tempfile::tempdir().unwrap();
    let original = folder(at.path(), Family::Roberta);
    let want = said(&original, "good film, not bad");
    let short = config(Family::Roberta);
    let keep = |keys: &[&str]| {
        Value::Object(
            short
                .as_object()
                .unwrap()
                .iter()
                .filter(|(key, _)| !keys.contains(&key.as_str()))
                .map(|(k, v)| (k.clone(), v.clone()))
                .collect(),
        )
    };
    for config in [
        keep(&["pad_token_id", "hidden_dropout_prob", "classifier_dropout", "position_embedding_type", "hidden_act"]),
        {
            let mut config = short.clone();
            config["pad_token_id"] = Value::Null;
            config
        },
        {
            let mut config = short.clone();
            config["model_type"] = json!("xlm-roberta");
            config
        },
    ] {
        fs::write(original.join("config.json"), format!("\u{feff}{config}")).unwrap();
        assert_eq!(said(&original, "good film, not bad"), want, "{config}");
    }
    // texts are cut where the tokenizer's settings say so
    fs::write(original.join("config.json"), short.to_string()).unwrap();
    fs::write(original.join("tokenizer_config.json"), r#"{"model_max_length": 4}"#).unwrap();
    assert_eq!(said(&original, &WORDS.join(" "))["probabilities"], said(&original, &WORDS[..2].join(" "))["probabilities"]);
    fs::write(original.join("tokenizer_config.json"), r#"{"model_max_length": 1000000000000000019884624838656}"#).unwrap();
    assert_eq!(said(&original, "good film, not bad"), want);
}

#[test]
fn a_folder_with_a_classifier_becomes_an_onnx_file() {
    let at = tempfile::tempdir().unwrap();
    let original = folder(at.path(), Family::Bert);
    let words = fs::read_to_string(original.join("tokenizer.json")).unwrap();
    let given = variant(at.path(), "given", &original, &[("tokenizer.json", &words)]);
    let export = |name: &str| {
        let mut command = program();
        command.arg("export").arg(&given).arg("--output").arg(at.path().join(name));
        command
    };
    let holds = |name: &str, word: &str| {
        let bytes = fs::read(at.path().join(name)).unwrap();
        bytes.windows(word.len()).any(|part| part == word.as_bytes())
    };
    export("one.onnx").assert().success();
    assert!(["sncn.classes", "sncn.tokenizer", "attention_mask"].iter().all(|word| holds("one.onnx", word)));
    assert!(!holds("one.onnx", "sncn.multi_label"));
    changed(&given, |config| config["problem_type"] = json!("multi_label_classification"));
    export("several.onnx").assert().success();
    assert!(holds("several.onnx", "sncn.multi_label"));
    // its weights are a file of their own already
    refused(export("weights.safetensors"), &["given", "no checkpoint"]);
}
