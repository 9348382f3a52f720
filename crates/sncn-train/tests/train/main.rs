//! The commands of a program, over a task of a few lines: train, stop, resume, evaluate, predict, plan, bench, and what they refuse.
#![allow(clippy::unwrap_used, missing_docs, reason = "helpers of tests may stop")]

mod adapt;
mod toy;

use serde_json::{Value, json};
use sncn_train::checkpoint::{Checkpoint, newest};
use sncn_train::harness::{Ending, Task, program};
use std::path::{Path, PathBuf};
use toy::Pitch;

fn table(folder: &Path, change: impl FnOnce(&mut Value)) -> PathBuf {
    let mut table = json!({
        "title": "Tones", "task": "pitch", "seeds": [0], "select": "last",
        "runs": [{
            "name": "sn", "train": "tones", "test": ["tones", "tones-c"], "backbone": "ear", "epochs": 4, "batch_size": 30, "lr": 0.1,
            "optimizer": {"kind": "sgd", "momentum": 0.9, "nesterov": true, "weight_decay": 0.0005},
            "schedule": {"kind": "constant"}, "objective": {"kind": "plain"}, "layers": [{"kind": "selfnorm", "at": "post"}]
        }]
    });
    change(&mut table);
    let path = folder.join("tones.json");
    std::fs::write(&path, table.to_string()).unwrap();
    path
}

fn run(arguments: &[&str]) -> Result<Ending, String> {
    program::run::<Pitch>(arguments).map_err(|error| format!("{error:#}"))
}

fn train(table: &Path, run_dir: &Path, more: &[&str]) -> Result<Ending, String> {
    let paths = ["train", "--row", "sn", "--table", table.to_str().unwrap(), "--run-dir", run_dir.to_str().unwrap()];
    run(&[&paths, more].concat())
}

fn weights(folder: &Path) -> Checkpoint {
    newest(folder).unwrap().unwrap()
}

#[test]
fn a_toy_task_is_trained_stopped_resumed_and_measured_by_the_shared_commands() {
    let folder = tempfile::tempdir().unwrap();
    let table = table(folder.path(), |_| {});
    let (whole, parts) = (folder.path().join("whole"), folder.path().join("parts"));
    assert_eq!(train(&table, &whole, &[]), Ok(Ending::Done));
    assert_eq!(train(&table, &parts, &["--stop-after", "13"]), Ok(Ending::Interrupted));
    assert_eq!(weights(&parts).header.step, 13);
    // stopped where it was told to already
    assert_eq!(train(&table, &parts, &["--stop-after", "13"]), Ok(Ending::Interrupted));
    assert_eq!(weights(&parts).header.step, 13);
    assert_eq!(train(&table, &parts, &[]), Ok(Ending::Done));
    assert_eq!(weights(&whole).header, weights(&parts).header, "a resumed run is not the unbroken one");
    assert_eq!(weights(&whole).header.step, 40);

    let results = folder.path().join("results.jsonl");
    let csv = folder.path().join("errors.csv");
    let (run_dir, results_file) = (whole.to_str().unwrap(), results.to_str().unwrap());
    assert_eq!(
        run(&["evaluate", "--run-dir", run_dir, "--results", results_file, "--csv", csv.to_str().unwrap()]),
        Ok(Ending::Done)
    );
    let found = sncn_record::Results::parse(&std::fs::read_to_string(&results).unwrap()).unwrap();
    let error = |split: &str| found.measurements.iter().find(|m| m.split == split && m.metric == "error").unwrap().value;
    assert!(error("tones") < 0.1 && error("tones-c/noise/5") > error("tones"), "{} {}", error("tones"), error("tones-c/noise/5"));
    let text = std::fs::read_to_string(csv).unwrap();
    assert!(text.starts_with("set,shift,1,2,3,4,5,mean\ntones-c,noise,"), "{text}");
    assert_eq!(run(&["predict", "--run-dir", run_dir]), Ok(Ending::Done));
    let table = table.to_str().unwrap();
    assert_eq!(run(&["plan", "--table", table]), Ok(Ending::Done));
    assert_eq!(run(&["bench", "row", "--table", table, "--row", "sn", "--runs", "1"]), Ok(Ending::Done));
}

#[test]
fn early_stopping_goes_by_the_validation_set_of_any_task() {
    let folder = tempfile::tempdir().unwrap();
    let table = table(folder.path(), |table| {
        table["select"] = json!("validation");
        table["runs"][0]["early_stopping"] = json!({"patience": 1});
        table["runs"][0]["epochs"] = json!(30);
    });
    let run_dir = folder.path().join("run");
    assert_eq!(train(&table, &run_dir, &[]), Ok(Ending::Done));
    let header = weights(&run_dir).header;
    assert!(header.step < 300 && header.validation.len() == header.step / 10, "{}", header.step);
    assert!(run_dir.join("selected.safetensors").is_file());
}

/// The tensors of a checkpoint file whose names begin with `prefix`, without it.
fn tensors(path: &Path, prefix: &str) -> Vec<(String, Vec<f32>)> {
    let all = candle_core::safetensors::load(path, &candle_core::Device::Cpu).unwrap();
    let mut found: Vec<_> = all
        .iter()
        .filter(|(_, tensor)| tensor.dtype() == candle_core::DType::F32)
        .filter_map(|(name, tensor)| Some((name.strip_prefix(prefix)?.to_string(), tensor)))
        .map(|(name, tensor)| (name, tensor.flatten_all().unwrap().to_vec1().unwrap()))
        .collect();
    found.sort_by(|a, b| a.0.cmp(&b.0));
    found
}

#[test]
fn averaged_weights_and_accumulated_gradients_resume_to_the_same_bytes() {
    let folder = tempfile::tempdir().unwrap();
    let table = table(folder.path(), |table| {
        table["select"] = json!("validation");
        let row = &mut table["runs"][0];
        row["early_stopping"] = json!({"patience": 9});
        row["ema"] = json!({"decay": 0.9});
        row["accumulate"] = json!(3);
        row["label_smoothing"] = json!(0.1);
        row["clip"] = json!(1.0);
    });
    let (whole, parts) = (folder.path().join("whole"), folder.path().join("parts"));
    // 10 batches an epoch are 4 steps, the last of one batch
    assert_eq!(train(&table, &whole, &[]), Ok(Ending::Done));
    for stop in ["3", "6"] {
        assert_eq!(train(&table, &parts, &["--stop-after", stop]), Ok(Ending::Interrupted));
    }
    assert_eq!(train(&table, &parts, &[]), Ok(Ending::Done));
    assert_eq!(weights(&whole).header, weights(&parts).header, "a resumed run is not the unbroken one");
    assert_eq!((weights(&whole).header.step, weights(&whole).header.validation.len()), (16, 4));
    for file in ["checkpoint-00000016.safetensors", "selected.safetensors"] {
        assert_eq!(std::fs::read(whole.join(file)).unwrap(), std::fs::read(parts.join(file)).unwrap(), "{file}");
    }
    // what is evaluated and exported are the averages, and what was selected had the weights that were scored
    let last = whole.join("checkpoint-00000016.safetensors");
    let (averaged, trained) = (tensors(&last, "head."), tensors(&last, "trained/head."));
    assert!(averaged.len() == 2 && trained.len() == 2 && averaged != trained);
    assert!(tensors(&last, "trained/").iter().all(|(name, _)| !name.contains("running_")));
    let best = weights(&whole).header.validation.into_iter().reduce(|best, one| if one.score > best.score { one } else { best });
    if best.is_some_and(|best| best.step == 16) {
        assert_eq!(tensors(&whole.join("selected.safetensors"), "head."), averaged);
    }
    let exported = folder.path().join("ear.safetensors");
    assert_eq!(run(&["export", last.to_str().unwrap(), "--output", exported.to_str().unwrap()]), Ok(Ending::Done));
    assert_eq!((tensors(&exported, "head."), tensors(&exported, "trained/").len()), (averaged, 0));
}

/// Trains without a table.
fn start(run_dir: &Path, more: &[&str]) -> Result<Ending, String> {
    run(&[&["train", "--data", "tones", "--run-dir", run_dir.to_str().unwrap()], more].concat())
}

#[test]
fn data_and_a_method_become_a_table_that_trains_to_the_same_bytes() {
    let folder = tempfile::tempdir().unwrap();
    let [whole, parts, again] = ["whole", "parts", "again"].map(|name| folder.path().join(name));
    assert_eq!(start(&whole, &["--method", "cnsn"]), Ok(Ending::Done));
    let table = whole.join("table.json");
    let row = |table: &Path| {
        let table: Value = serde_json::from_str(&std::fs::read_to_string(table).unwrap()).unwrap();
        assert_eq!((&table["task"], &table["select"]), (&json!("pitch"), &json!("validation")));
        table["runs"][0].clone()
    };
    assert_eq!((&row(&table)["name"], row(&table)["layers"].as_array().unwrap().len()), (&json!("cnsn"), 2));
    // by the table that was written
    let paths = ["--table", table.to_str().unwrap(), "--run-dir", again.to_str().unwrap()];
    assert_eq!(run(&[&["train", "--row", "cnsn"], &paths[..]].concat()), Ok(Ending::Done));
    // stopped, and by the same command again, also after its end
    assert_eq!(start(&parts, &["--method", "cnsn", "--stop-after", "13"]), Ok(Ending::Interrupted));
    assert_eq!(start(&parts, &["--method", "cnsn"]), Ok(Ending::Done));
    assert_eq!(start(&parts, &["--method", "cnsn"]), Ok(Ending::Done));
    for file in ["checkpoint-00000020.safetensors", "selected.safetensors"] {
        let bytes = |folder: &Path| std::fs::read(folder.join(file)).unwrap();
        assert!(bytes(&whole) == bytes(&parts) && bytes(&whole) == bytes(&again), "{file}");
    }
    assert_eq!(std::fs::read(parts.join("table.json")).unwrap(), std::fs::read(&table).unwrap());
    let other = start(&parts, &["--method", "sn"]).unwrap_err();
    assert!(other.contains("another run") || other.contains("another folder"), "{other}");

    // a key that is set is in the table and in the run
    let changed = folder.path().join("changed");
    assert_eq!(start(&changed, &["--epochs", "3", "--set", "epochs=1", "--set", "optimizer.momentum=0.5"]), Ok(Ending::Done));
    let changed_row = row(&changed.join("table.json"));
    assert_eq!((&changed_row["epochs"], &changed_row["optimizer"]["momentum"]), (&json!(1), &json!(0.5)));
    assert_eq!(weights(&changed).header.step, 10);
    let paths = ["--table", table.to_str().unwrap(), "--run-dir", folder.path().to_str().unwrap()];
    let set = run(&[&["train", "--row", "cnsn", "--set", "epochs=0"], &paths[..]].concat()).unwrap_err();
    assert!(set.contains("epochs"), "{set}");
}

#[test]
fn what_is_unknown_without_a_table_is_told_with_what_is_known() {
    let folder = tempfile::tempdir().unwrap();
    let run_dir = folder.path().join("run");
    let refused = |arguments: &[&str], words: &[&str]| {
        let error = start(&run_dir, arguments).unwrap_err();
        assert!(words.iter().all(|word| error.contains(word)), "{error}");
        assert!(!run_dir.exists());
    };
    refused(&["--method", "magic"], &["--method magic: unknown; known: baseline, cn, sn, cnsn, mixstyle"]);
    refused(&["--network", "nose"], &["unknown network \"nose\"; known: ear"]);
    refused(&["--set", "epoch=3"], &["epoch"]);
    refused(&["--set", "epochs"], &["--set epochs: KEY=VALUE is expected"]);
    refused(&["--set", "lr.kind=x"], &["--set lr.kind", "set it as a whole"]);
    refused(&["--weights", "x.pth", "--set", "weights=x.pth"], &["weights is set; tables of task \"pitch\""]);
    let unknown = run(&["train", "--data", "noises", "--run-dir", run_dir.to_str().unwrap()]).unwrap_err();
    assert!(unknown.contains("--data noises: no such file or folder, and no data set; known: tones"), "{unknown}");
    let both = run(&["train", "--data", "tones", "--table", "t.json", "--row", "sn", "--run-dir", "r"]).unwrap_err();
    assert!(both.contains("cannot be used with"), "{both}");
}

#[test]
fn what_does_not_fit_is_refused_before_anything_is_made() {
    let folder = tempfile::tempdir().unwrap();
    let run_dir = folder.path().join("run");
    let refused = |change: &dyn Fn(&mut Value), words: &[&str]| {
        let error = train(&table(folder.path(), change), &run_dir, &[]).unwrap_err();
        assert!(words.iter().all(|word| error.contains(word)), "{error}");
        assert!(!run_dir.exists());
    };
    let row = |key: &'static str, value: Value| move |table: &mut Value| table["runs"][0][key] = value.clone();
    for key in ["input", "augment", "evaluate"] {
        refused(
            &row(key, json!({"kind": "x"})),
            &["tones.json", "run \"sn\"", &format!("{key} is set; tables of task \"pitch\"")],
        );
    }
    refused(
        &row("objective", json!({"kind": "adversarial_noise"})),
        &["the objective \"adversarial_noise\" needs inputs with a range of values", "tones have none"],
    );
    refused(&row("backbone", json!("nose")), &["unknown network \"nose\"; known: ear"]);
    refused(&row("baseline", json!("cn")), &["baseline \"cn\" is no run of this table"]);
    refused(
        &|table| table["task"] = json!("classify"),
        &["task is \"classify\"; \"pitch\" is accepted; sncn-classify takes this table"],
    );
    refused(&|table| table["task"] = json!("smell"), &["task is \"smell\"; known: classify, segment, sentiment"]);
    let unknown = run(&["bench", "nothing"]).unwrap_err();
    assert!(unknown.contains("unknown case \"nothing\"; known: list, row"), "{unknown}");
    let zero = run(&["bench", "list", "--threads", "0"]).unwrap_err();
    assert!(zero.contains("--threads is 0; at least 1 is accepted"), "{zero}");
}

#[test]
fn every_help_fits_a_screen() {
    for (name, help) in program::helps::<Pitch>() {
        assert!(help.lines().count() <= 30, "{name}:\n{help}");
    }
    assert!(program::helps::<Pitch>()[0].1.contains(Pitch::ABOUT));
}
