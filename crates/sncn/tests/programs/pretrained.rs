//! Encoders of Hugging Face's layout: equal to candle-transformers' own, loaded, trained on, and used; and what is said of folders that
//! do not fit.

use assert_cmd::Command;
use candle_core::{DType, Device, Result, Tensor};
use candle_nn::VarBuilder;
use candle_transformers::models::{bert, distilbert, xlm_roberta};
use predicates::prelude::PredicateBooleanExt;
use predicates::str::contains;
use serde_json::{Value, json};
use sncn_core::{Pass, Seed, Vars};
use sncn_text::backbone::{Encoder, EncoderConfig, Family, Head};
use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};

pub(crate) const FAMILIES: [Family; 3] = [Family::Bert, Family::Roberta, Family::Distilbert];

/// Words of the vocabulary behind the four special tokens.
pub(crate) const WORDS: [&str; 12] = ["good", "bad", "film", "plot", "a", "the", "not", "very", "great", "awful", ".", ","];

/// A small `config.json` of that family, as Hugging Face writes it.
pub(crate) fn config(family: Family) -> Value {
    let common =
        json!({"vocab_size": 16, "pad_token_id": 1, "id2label": {"1": "POSITIVE", "0": "NEGATIVE"}, "initializer_range": 0.02});
    let own = match family {
        Family::Distilbert => json!({"model_type": "distilbert", "dim": 16, "n_layers": 2, "n_heads": 2, "hidden_dim": 24,
            "max_position_embeddings": 24, "dropout": 0.1, "attention_dropout": 0.1, "seq_classif_dropout": 0.2, "activation": "gelu"}),
        _ => {
            json!({"model_type": if family == Family::Bert { "bert" } else { "roberta" }, "hidden_size": 16, "num_hidden_layers": 2,
            "num_attention_heads": 2, "intermediate_size": 24, "hidden_act": "gelu", "hidden_dropout_prob": 0.1,
            "attention_probs_dropout_prob": 0.1, "max_position_embeddings": 26, "type_vocab_size": 2, "layer_norm_eps": 1e-6,
            "position_embedding_type": "absolute", "classifier_dropout": null})
        }
    };
    let mut all = common.as_object().unwrap().clone();
    all.extend(own.as_object().unwrap().clone());
    Value::Object(all)
}

fn encoder(family: Family, config: &Value) -> (Encoder, Vars) {
    let sizes: EncoderConfig = serde_json::from_value(config.clone()).unwrap();
    assert_eq!(sizes.family, family);
    let vars = Vars::new(Seed::new(7), DType::F32, &Device::Cpu);
    let network = Encoder::new(&sizes, 2, Head::Pooler, &[], &vars).unwrap();
    // initial biases are 0 and norms 1, which would hide that they are mixed up
    for (i, (_, var)) in vars.all().iter().enumerate() {
        let shift: Vec<f32> = (0..var.elem_count()).map(|k| ((k * 7 + i * 13) % 11) as f32 / 40. - 0.1).collect();
        let shift = Tensor::from_vec(shift, var.shape(), &Device::Cpu).unwrap();
        var.set(&(var.as_tensor() * 5.).unwrap().add(&shift).unwrap()).unwrap();
    }
    (network, vars)
}

/// The weights under the names that Hugging Face's classifiers have.
fn published(family: Family, vars: &Vars) -> HashMap<String, Tensor> {
    let name = |name: &str| match family {
        _ if name.starts_with("classifier.") && family == Family::Roberta => name.replace("classifier.", "classifier.out_proj."),
        _ if name.starts_with("classifier.") || name.starts_with("pre_classifier.") => name.to_string(),
        Family::Bert => {
            format!("bert.{}", name.replace("LayerNorm.weight", "LayerNorm.gamma").replace("LayerNorm.bias", "LayerNorm.beta"))
        }
        Family::Roberta if name.starts_with("pooler.") => name.replace("pooler.dense.", "classifier.dense."),
        Family::Roberta => format!("roberta.{name}"),
        Family::Distilbert => format!("distilbert.{name}"),
    };
    vars.all().into_iter().map(|(ours, var)| (name(&ours), var.as_detached_tensor())).collect()
}

/// A `tokenizer.json` of whole words, in the manner of the family.
fn tokenizer(family: Family) -> String {
    let [begin, pad, end, unknown] =
        if family == Family::Roberta { ["<s>", "<pad>", "</s>", "<unk>"] } else { ["[CLS]", "[PAD]", "[SEP]", "[UNK]"] };
    let special = [begin, pad, end, unknown];
    let vocabulary: serde_json::Map<String, Value> =
        special.iter().chain(&WORDS).enumerate().map(|(id, word)| (word.to_string(), json!(id))).collect();
    let added: Vec<Value> = special
        .iter()
        .enumerate()
        .map(|(id, word)| json!({"id": id, "content": word, "single_word": false, "lstrip": false, "rstrip": false, "normalized": false, "special": true}))
        .collect();
    json!({"version": "1.0", "truncation": null, "padding": null, "added_tokens": added, "normalizer": {"type": "Lowercase"},
        "pre_tokenizer": {"type": "BertPreTokenizer"}, "post_processor": {"type": "BertProcessing", "sep": [end, 2], "cls": [begin, 0]},
        "decoder": null, "model": {"type": "WordLevel", "vocab": vocabulary, "unk_token": unknown}})
    .to_string()
}

/// A folder with an encoder of that family.
pub(crate) fn folder(at: &Path, family: Family) -> PathBuf {
    let folder = at.join(format!("{family:?}"));
    fs::create_dir_all(&folder).unwrap();
    let config = config(family);
    let (_, vars) = encoder(family, &config);
    fs::write(folder.join("config.json"), config.to_string()).unwrap();
    fs::write(folder.join("tokenizer.json"), tokenizer(family)).unwrap();
    candle_core::safetensors::save(&published(family, &vars), folder.join("model.safetensors")).unwrap();
    folder
}

/// What candle-transformers' encoder of that family makes of a batch whose `mask` is 1 where there is no padding.
fn oracle(family: Family, config: &Value, vars: &Vars, ids: &Tensor, mask: &Tensor) -> Result<Tensor> {
    let tensors = vars.all().into_iter().map(|(name, var)| (name, var.as_detached_tensor())).collect();
    let vb = VarBuilder::from_tensors(tensors, DType::F32, &Device::Cpu);
    match family {
        Family::Bert => {
            let sizes: bert::Config = serde_json::from_value(config.clone()).map_err(candle_core::Error::wrap)?;
            assert_eq!(EncoderConfig::try_from(&sizes)?, serde_json::from_value(config.clone()).unwrap());
            bert::BertModel::load(vb, &sizes)?.forward(ids, &ids.zeros_like()?, Some(mask))
        }
        Family::Roberta => {
            let sizes: xlm_roberta::Config = serde_json::from_value(config.clone()).map_err(candle_core::Error::wrap)?;
            let ours = EncoderConfig::try_from(&sizes)?;
            assert_eq!((ours.family, ours.longest()), (Family::Roberta, 24));
            let model = xlm_roberta::XLMRobertaModel::new(&sizes, vb)?;
            model.forward(ids, mask, &ids.zeros_like()?, None, None, None)
        }
        Family::Distilbert => {
            let sizes: distilbert::Config = serde_json::from_value(config.clone()).map_err(candle_core::Error::wrap)?;
            let padding = mask.eq(0u32)?.unsqueeze(1)?.unsqueeze(1)?;
            distilbert::DistilBertModel::load(vb, &sizes)?.forward(ids, &padding)
        }
    }
}

#[test]
fn encoders_equal_those_of_candle_transformers() -> Result<()> {
    let lengths = [9usize, 4, 1, 7];
    let id = |n: usize, i: usize| if i < lengths[n] { 2 + ((n * 5 + i * 3) % 14) as u32 } else { 1 };
    let ids: Vec<u32> = (0..4).flat_map(|n| (0..9).map(move |i| id(n, i))).collect();
    let ids = Tensor::from_vec(ids, (4, 9), &Device::Cpu)?;
    let mask = ids.ne(1u32)?.to_dtype(DType::U32)?;
    for family in FAMILIES {
        let config = config(family);
        let (network, vars) = encoder(family, &config);
        let want: Vec<Vec<Vec<f32>>> = oracle(family, &config, &vars, &ids, &mask)?.to_vec3()?;
        // candle-transformers' DistilBERT takes the hyperbolic tangent's approximation of GELU
        let near = if family == Family::Distilbert { 1e-3 } else { 2e-5 };
        let tokens = network.read(&ids, &Pass::eval().with_lengths(lengths))?;
        let packed: Vec<Vec<f32>> = network.vectors(&tokens, None, &Pass::eval())?.to_vec2()?;
        let valid = lengths.iter().enumerate().flat_map(|(n, &len)| want[n][..len].to_vec());
        for (ours, theirs) in packed.iter().zip(valid) {
            for (a, b) in ours.iter().zip(&theirs) {
                assert!((a - b).abs() < near * (1. + b.abs()), "{family:?}: {a} against {b}");
            }
        }
    }
    Ok(())
}

pub(crate) fn program() -> Command {
    let mut command = Command::cargo_bin("sncn-sentiment").unwrap();
    command.env_remove("SNCN_DATA");
    command
}

fn table(at: &Path, pretrained: &Path, change: &str) -> PathBuf {
    let text = format!(
        r#"{{"title":"t","task":"sentiment","seeds":[0],"select":"validation","defaults":{{"train":"reviews","test":["reviews-films"],
        "backbone":"pretrained","epochs":3,"batch_size":8,"train_limit":48,"test_limit":30,"lr":0.0001,"clip":1.0,
        "optimizer":{{"kind":"adam_w","betas":[0.9,0.999],"eps":1e-8,"weight_decay":0.01}},"early_stopping":{{"patience":1}},
        "schedule":{{"kind":"warmup_linear","warmup":0.1}},"objective":{{"kind":"plain"}},
        "input":{{"longest":20,"pretrained":{pretrained:?}}}}},"runs":[{{"name":"one"{change}}}]}}"#
    );
    let path = at.join("table.json");
    fs::write(&path, text).unwrap();
    path
}

fn train(table: &Path, run: &Path) -> Command {
    let mut command = program();
    command.args(["train", "--row", "one", "--checkpoint-every", "4", "--table"]).arg(table).arg("--run-dir").arg(run);
    command
}

fn lines(command: &mut Command) -> Vec<Value> {
    let out = command.write_stdin("A very good film.\nunheard words\n\n").assert().success().get_output().stdout.clone();
    String::from_utf8(out).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn a_folder_is_loaded_trained_on_and_used() {
    let at = tempfile::tempdir().unwrap();
    for family in FAMILIES {
        let pretrained = folder(at.path(), family);
        // as it is
        let mut predict = program();
        let as_it_is = lines(predict.args(["predict", "--run-dir"]).arg(&pretrained));
        assert_eq!(as_it_is.len(), 3);
        assert!(as_it_is.iter().all(|line| ["NEGATIVE", "POSITIVE"].contains(&line["label"].as_str().unwrap())));
        let mut evaluate = program();
        evaluate
            .args(["evaluate", "--test", "reviews-films", "--run-dir"])
            .arg(&pretrained)
            .assert()
            .success()
            .stdout(contains("reviews-films"));
        // trained on, with layers hung on it, and resumed to the byte
        let layers =
            r#","layers":[{"kind":"crossnorm","at":"sum"},{"kind":"selfnorm","at":"sum"}],"mix":{"probability":0.5,"active":1}"#;
        let table = table(at.path(), &pretrained, layers);
        let (run, parts) = (at.path().join(format!("{family:?}-run")), at.path().join(format!("{family:?}-parts")));
        train(&table, &run).assert().success().stderr(
            contains("variables have weights; initial ones: encoder.layer.0.selfnorm.")
                .or(contains("variables have weights; initial ones: transformer.layer.0.selfnorm.")),
        );
        train(&table, &parts).args(["--stop-after", "9"]).assert().code(130).stderr(contains("stopped at step 9 of"));
        let checkpoints = |folder: &Path| {
            let mut all: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
            all.retain(|path| path.file_name().unwrap().to_string_lossy().starts_with("checkpoint-"));
            all.sort();
            all
        };
        fs::remove_file(checkpoints(&parts).last().unwrap()).unwrap();
        // the run no longer needs the folder
        fs::rename(&pretrained, at.path().join(format!("{family:?}-gone"))).unwrap();
        train(&table, &parts)
            .assert()
            .success()
            .stderr(contains("resuming at step 8 of").and(contains("on the validation set is epoch")));
        let last = |folder: &Path| fs::read(checkpoints(folder).last().unwrap()).unwrap();
        assert!(last(&run) == last(&parts), "{family:?}: a resumed run is not the unbroken one");
        let selected = |folder: &Path| fs::read(folder.join("selected.safetensors")).unwrap();
        assert!(selected(&run) == selected(&parts), "{family:?}: a resumed run keeps other weights");
        let mut predict = program();
        let trained = lines(predict.args(["predict", "--run-dir"]).arg(&run));
        assert_eq!(trained[0]["text"], "A very good film.");
        assert!(["negative", "positive"].contains(&trained[0]["label"].as_str().unwrap()));
        assert_ne!(trained[0]["probabilities"]["positive"], as_it_is[0]["probabilities"]["POSITIVE"]);
    }
}

#[test]
fn folders_that_do_not_fit_are_named() {
    let at = tempfile::tempdir().unwrap();
    let pretrained = folder(at.path(), Family::Bert);
    let table = table(at.path(), &pretrained, "");
    let run = at.path().join("run");
    let said = |what: &str| {
        train(&table, &run).assert().failure().code(1).stderr(contains(what));
        assert!(!run.join("checkpoint-00000001.safetensors").exists());
    };
    let change = |file: &str, from: &str, to: &str| {
        let path = pretrained.join(file);
        let text = fs::read_to_string(&path).unwrap();
        assert!(text.contains(from));
        fs::write(&path, text.replace(from, to)).unwrap();
    };
    change("config.json", "\"vocab_size\":16", "\"vocab_size\":12");
    said("tokenizer.json: a vocabulary of 16 tokens for weights of 12");
    change("config.json", "\"vocab_size\":12", "\"vocab_size\":17");
    said("embeddings.word_embeddings.weight has shape [16, 16] instead of [17, 16]");
    change("config.json", "\"vocab_size\":17", "\"vocab_size\":16");
    change("config.json", "\"pad_token_id\":1", "\"pad_token_id\":0");
    said("pads with 1, the weights with 0");
    change("config.json", "\"pad_token_id\":0", "\"pad_token_id\":1");
    change("config.json", "\"gelu\"", "\"swish\"");
    said("swish");
    change("config.json", "\"swish\"", "\"gelu\"");
    change("config.json", "\"max_position_embeddings\":26", "\"max_position_embeddings\":16");
    said("input.longest is 20; this encoder takes 16 tokens");
    change("config.json", "\"max_position_embeddings\":16", "\"max_position_embeddings\":26");
    let weights = pretrained.join("model.safetensors");
    let whole = fs::read(&weights).unwrap();
    fs::write(&weights, &whole[..whole.len() / 2]).unwrap();
    said("model.safetensors: a safetensors file that is damaged or cut short");
    fs::remove_file(&weights).unwrap();
    said("no weights in it: none of model.safetensors");
    let unfit = |words: &str| {
        let mut predict = program();
        predict.args(["predict", "--run-dir"]).arg(&pretrained).write_stdin("x").assert().failure().stderr(contains(words));
    };
    unfit("no weights in it: none of model.safetensors");
    // without a classifier there is nothing to predict with, but something to train on
    let (_, vars) = encoder(Family::Bert, &config(Family::Bert));
    let mut tensors = published(Family::Bert, &vars);
    tensors.retain(|name, _| !name.starts_with("classifier."));
    candle_core::safetensors::save(&tensors, &weights).unwrap();
    unfit("no weights of a classifier");
    train(&table, &run).assert().success().stderr(contains("initial ones: classifier.weight, classifier.bias; not used: none"));
}

#[test]
fn what_a_folder_has_too_much_or_instead_is_told_apart() {
    let at = tempfile::tempdir().unwrap();
    let said = |folder: &Path| {
        let output = program().args(["predict", "--run-dir"]).arg(folder).write_stdin("good film\n").output().unwrap();
        (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap())
    };
    let tensor = |shape: &[usize]| Tensor::ones(shape, DType::F32, &Device::Cpu).unwrap();
    for family in FAMILIES {
        let folder = folder(at.path(), family);
        let weights = folder.join("model.safetensors");
        let (whole, _) = said(&folder);
        assert!(whole.contains("probabilities"), "{whole}");
        let (_, vars) = encoder(family, &config(family));
        let good = published(family, &vars);
        // left over from pretraining
        let begin = format!("{family:?}").to_lowercase();
        let mut tensors = good.clone();
        tensors.insert(format!("{begin}.embeddings.position_ids"), tensor(&[1, 26]));
        tensors.insert("cls.predictions.bias".into(), tensor(&[16]));
        if family != Family::Bert {
            tensors.insert(format!("{begin}.pooler.dense.weight"), tensor(&[16, 16]));
            tensors.insert(format!("{begin}.pooler.dense.bias"), tensor(&[16]));
        }
        candle_core::safetensors::save(&tensors, &weights).unwrap();
        assert_eq!(said(&folder).0, whole, "{family:?}");
        // under a wrapper and another name, in two files with an index
        let wrapped: HashMap<String, Tensor> = good.iter().map(|(n, t)| (format!("_orig_mod.{n}"), t.clone())).collect();
        fs::remove_file(&weights).unwrap();
        candle_core::safetensors::save(&wrapped, folder.join("pytorch_model.bin")).unwrap();
        assert_eq!(said(&folder).0, whole, "{family:?}");
        fs::remove_file(folder.join("pytorch_model.bin")).unwrap();
        let (one, two): (HashMap<_, _>, HashMap<_, _>) = good.clone().into_iter().partition(|(name, _)| name.contains("layer.0"));
        let map: HashMap<_, _> =
            good.keys().map(|name| (name, if one.contains_key(name) { "1.safetensors" } else { "2.safetensors" })).collect();
        candle_core::safetensors::save(&one, folder.join("1.safetensors")).unwrap();
        candle_core::safetensors::save(&two, folder.join("2.safetensors")).unwrap();
        fs::write(folder.join("model.safetensors.index.json"), json!({"weight_map": map}).to_string()).unwrap();
        assert_eq!(said(&folder).0, whole, "{family:?}");
        // a classifier of three classes
        let mut tensors = good.clone();
        for (name, tensor) in &mut tensors {
            if ["classifier.weight", "classifier.bias", "classifier.out_proj.weight", "classifier.out_proj.bias"]
                .contains(&name.as_str())
            {
                *tensor = Tensor::cat(&[&*tensor, &tensor.narrow(0, 0, 1).unwrap()], 0).unwrap();
            }
        }
        candle_core::safetensors::save(&tensors, &weights).unwrap();
        let (_, error) = said(&folder);
        assert!(
            error.contains("classifier.weight has shape [3, 16] in the file, config.json's id2label names 2 classes"),
            "{error}"
        );
    }
    let only = at.path().join("Bert");
    for name in ["model.safetensors", "model.safetensors.index.json", "1.safetensors", "2.safetensors"] {
        fs::remove_file(only.join(name)).unwrap();
    }
    for (name, words) in [
        ("tf_model.h5", "only TensorFlow's weights are in it"),
        ("flax_model.msgpack", "only Flax's weights are in it"),
        ("adapter_model.safetensors", "only an adapter is in it, without its base model"),
    ] {
        fs::write(only.join(name), "").unwrap();
        let (_, error) = said(&only);
        assert!(error.contains(words) && !error.contains("no checkpoint"), "{error}");
        fs::remove_file(only.join(name)).unwrap();
    }
    fs::write(only.join("model.safetensors"), "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 438000000\n")
        .unwrap();
    let (_, error) = said(&only);
    assert!(
        error.contains("model.safetensors: a Git LFS pointer to a file of 438000000 bytes") && error.contains("git lfs pull"),
        "{error}"
    );
}
