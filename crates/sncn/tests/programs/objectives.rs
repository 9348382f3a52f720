//! Every objective in whole runs, and semi-supervised training: what it prints and keeps, and what it refuses.

use crate::common::{checkpoints, refused, resumes, sncn, table, train};
use predicates::prelude::*;
use predicates::str::contains;
use serde_json::{Value, json};
use std::fs;
use std::path::Path;

/// What is changed in a row.
type Change = Box<dyn Fn(&mut Value)>;

/// Makes a row one of FixMatch with 30 labels, in epochs of 5 steps.
fn semi_supervised(row: &mut Value) {
    row["objective"] = json!({"kind": "fixmatch", "ratio": 2, "threshold": 0.2});
    row["augment"] = json!({"kind": "fixmatch"});
    row["input"] = json!("cifar-fixmatch");
    row["backbone"] = json!("wrn10_1_fixmatch");
    row["schedule"] = json!({"kind": "fixmatch_cosine"});
    (row["labels"], row["steps_per_epoch"], row["no_decay"]) = (json!(30), json!(5), json!(["bias", "bn"]));
    row["ema"] = json!({"decay": 0.9});
}

#[test]
fn every_objective_resumes_to_the_same_bytes() {
    let plain = |objective: Value| move |row: &mut Value| row["objective"] = objective.clone();
    let augmix = |consistency: Value| {
        move |row: &mut Value| {
            row["objective"] = json!({"kind": "augmix", "weight": 12, "consistency": consistency});
            row["augment"] = json!({"kind": "augmix"});
        }
    };
    let noise = |more: Value| {
        let mut objective = json!({"kind": "adversarial_noise", "new_steps": 3, "earlier": 0.2});
        objective.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        plain(objective)
    };
    let rows: [(&str, Change); 9] = [
        ("consistency", Box::new(plain(json!({"kind": "consistency", "weight": 10})))),
        ("augmix", Box::new(augmix(json!(null)))),
        ("augmix, consistency", Box::new(augmix(json!(10)))),
        ("mixup", Box::new(plain(json!({"kind": "mixup", "alpha": 1})))),
        ("cutmix", Box::new(plain(json!({"kind": "cutmix", "alpha": 1, "probability": 0.5})))),
        ("adversarial", Box::new(plain(json!({"kind": "adversarial", "epsilon": 0.06, "step": 0.02, "steps": 2})))),
        ("adversarial_noise", Box::new(noise(json!({})))),
        ("adversarial_noise, window of 3", Box::new(noise(json!({"window": 3, "size": 0.1})))),
        ("fixmatch", Box::new(semi_supervised)),
    ];
    for (name, change) in rows {
        let (folder, path) = table(|row| {
            (row["train_limit"], row["epochs"]) = (json!(80), json!(2));
            change(row);
        });
        let (whole, broken) = (folder.path().join("whole"), folder.path().join("broken"));
        train(&path, &whole).args(["--threads", "1"]).assert().success();
        resumes(&|| train(&path, &broken), &broken, [5, 8], 6, 10);
        let last = |folder: &Path| fs::read(checkpoints(folder).last().unwrap()).unwrap();
        assert!(last(&whole) == last(&broken), "{name}");
    }
}

#[test]
fn semi_supervised_training_tells_of_its_pseudo_labels() {
    let (folder, path) = table(semi_supervised);
    let run = folder.path().join("run");
    let said = train(&path, &run).assert().success();
    said.stderr(contains("30 of 160 with labels").and(contains("pseudo labels")).and(contains("confidence")));
    let results = folder.path().join("results.jsonl");
    sncn()
        .arg("evaluate")
        .arg("--run-dir")
        .arg(&run)
        .args(["--test", "shapes"])
        .arg("--results")
        .arg(&results)
        .assert()
        .success();
    let lines: Vec<Value> =
        fs::read_to_string(results).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    for metric in ["pseudo_labels", "pseudo_accuracy", "confidence"] {
        let told = lines.iter().find(|line| line["split"] == "training" && line["metric"] == metric).unwrap();
        assert!((0. ..=1.).contains(&told["value"].as_f64().unwrap()), "{told}");
    }
    // 5 steps of 16 · 2 images without a label
    let share = lines.iter().find(|line| line["metric"] == "pseudo_labels").unwrap();
    assert_eq!(share["n"], 160);
}

#[test]
fn labels_that_do_not_fit_are_refused() {
    let said = |change: &dyn Fn(&mut Value), words: &[&str]| {
        let (folder, path) = table(|row| {
            semi_supervised(row);
            change(row);
        });
        refused(train(&path, &folder.path().join("run")), words);
    };
    said(&|row| row["labels"] = json!(35), &["labels is 35; a multiple of the 10 classes is accepted"]);
    said(&|row| row["labels"] = json!(1000), &["labels is 1000, 100 of every class", "at most"]);
    said(&|row| (row["labels"], row["train_limit"]) = (json!(10), json!(3)), &["class", "has 0 examples"]);
    said(&|row| row["labels"] = Value::Null, &["\"fixmatch\" needs the key labels"]);
    said(&|row| row["labels"] = json!(0), &["labels is 0"]);
    said(&|row| row["steps_per_epoch"] = json!(0), &["steps_per_epoch is 0; at least 1 is accepted"]);
    said(&|row| row["no_decay"] = json!(["none"]), &["no_decay: no variable of wrn10_1_fixmatch has \"none\" in its name"]);
    said(&|row| row["augment"] = json!(true), &["takes 2 view(s) of an image, augment gives 1", "\"fixmatch\" (2)"]);
    for (key, value, words) in [
        ("threshold", json!(1.5), "objective.threshold is 1.5; 0 to 1 is accepted"),
        ("threshold", json!(-0.1), "objective.threshold is -0.1"),
        ("weight", json!(0), "objective.weight is 0; a positive number is accepted"),
        ("temperature", json!(-1), "objective.temperature is -1"),
        ("ratio", json!(0), "objective.ratio is 0; at least 1 is accepted"),
        ("rate", json!(0), "objective: unknown field `rate`"),
    ] {
        said(&|row| row["objective"][key] = value.clone(), &[words]);
    }
    // without a label for every example there is nothing to guess
    let (folder, path) = table(|row| {
        semi_supervised(row);
        (row["train"], row["labels"], row["train_limit"]) = (json!("shapes"), json!(10), json!(10));
    });
    refused(train(&path, &folder.path().join("run")), &["labels is 10, and no example of shapes is left without one"]);
}

#[test]
fn fewer_labels_are_trained_on_without_the_objective_too() {
    let (folder, path) = table(|row| (row["labels"], row["steps_per_epoch"]) = (json!(20), json!(4)));
    let said = train(&path, &folder.path().join("run")).assert().success();
    said.stderr(contains("20 of 160 with labels").and(contains("8 steps")));
}
