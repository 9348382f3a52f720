//! Test sets of `sncn-classify evaluate` in sentences: further ones in files, and the images a run held out.

use crate::common::{refused, sncn, table, train};
use predicates::prelude::*;
use predicates::str::contains;
use serde_json::json;
use std::fs;
use std::path::Path;

/// A `.npy` file of numpy type `kind`.
fn npy(path: &Path, kind: &str, shape: &str, values: &[u8]) {
    let header = format!("{{'descr': '{kind}', 'fortran_order': False, 'shape': ({shape}), }}\n");
    let length = (header.len() as u16).to_le_bytes();
    fs::write(path, [b"\x93NUMPY\x01\x00", length.as_slice(), header.as_bytes(), values].concat()).unwrap();
}

#[test]
fn further_test_sets_are_read_from_files_and_mistakes_in_them_are_named() {
    let (folder, path) = table(|row| {
        row["test"] = json!(["shapes"]);
        row["epochs"] = json!(1);
    });
    let run = folder.path().join("run");
    train(&path, &run).assert().success();
    let data = folder.path().join("data");
    let set = data.join("moon.1");
    fs::create_dir_all(&set).unwrap();
    let evaluate = |test: &str| {
        let mut command = sncn();
        command.arg("evaluate").arg("--run-dir").arg(&run).args(["--test", test]).arg("--data-dir").arg(&data);
        command
    };
    refused(evaluate("moon.1"), &["unknown test set \"moon.1\"", "shapes-lighting", "moon.1/data.npy", "moon.1_labels.npy"]);
    refused(evaluate("../moon.1"), &["unknown test set", "the name of a folder"]);
    let (images, labels) = (set.join("data.npy"), set.join("labels.npy"));
    npy(&images, "|u1", "2, 32, 32, 3", &[90; 2 * 3072]);
    refused(evaluate("moon.1"), &["test set moon.1", "labels.npy", "not readable"]);
    npy(&labels, ">i2", "2,", &[0, 3, 0, 9]);
    evaluate("moon.1").assert().success().stdout(contains("moon.1  "));
    evaluate("moon.1-c").assert().success().stdout(contains("moon.1-c: error % by shift"));
    refused(evaluate("moon.1-c-files"), &["unknown test set \"moon.1\""]);
    // the corrupted images in files are those that are corrupted here
    let mut corrupt = sncn();
    corrupt.args(["corrupt", "--input", "shapes", "--limit", "3", "--output"]).arg(data.join("shapes-c")).assert().success();
    let output = evaluate("shapes-c,shapes-c-files").arg("--json").assert().success().get_output().stdout.clone();
    let text = String::from_utf8(output).unwrap().replace("-c-files/", "-c/");
    let lines: Vec<&str> = text.lines().filter(|line| !line.contains("\"training\"")).collect();
    let half = lines.len() / 2;
    assert_eq!((half, &lines[..half]), (375, &lines[half..]));
    // severities are not guessed from the number of rows
    let files = data.join("shapes-c");
    fs::remove_file(files.join("corrupted.json")).unwrap();
    refused(evaluate("shapes-c-files"), &["gaussian_noise.npy", "15 rows; 5 × ", "corrupted.json"]);
    let mut corrupt = sncn();
    corrupt
        .args(["corrupt", "--input", "shapes", "--limit", "3", "--severities", "4,2", "--output"])
        .arg(&files)
        .assert()
        .success();
    let output = evaluate("shapes-c-files").arg("--json").assert().success().get_output().stdout.clone();
    let text = String::from_utf8(output).unwrap();
    assert!(text.contains("shapes-c-files/fog/4") && text.contains("shapes-c-files/fog/2") && !text.contains("/fog/1"), "{text}");
    // as an editor saves it
    fs::write(files.join("corrupted.json"), "\u{feff}{\"severities\": [4, 2],\r\n\"images\": 3}\r\n").unwrap();
    evaluate("shapes-c-files").assert().success();
    fs::write(files.join("corrupted.json"), r#"{"severities": [4, 4], "images": 3}"#).unwrap();
    refused(evaluate("shapes-c-files"), &["corrupted.json", "severities [4, 4]"]);
    npy(&labels, "<i8", "2,", &[3i64.to_le_bytes(), 10i64.to_le_bytes()].concat());
    refused(evaluate("moon.1"), &["labels.npy", "element 1 is label 10", "0 to 9"]);
    npy(&labels, "<i8", "2,", &[3i64.to_le_bytes(), (-1i64).to_le_bytes()].concat());
    refused(evaluate("moon.1"), &["labels.npy", "element 1 is -1"]);
    npy(&labels, "|u1", "3,", &[1, 2, 3]);
    refused(evaluate("moon.1"), &["labels.npy", "3 labels for the 2 images"]);
    npy(&labels, "|u1", "2,", &[1, 2]);
    npy(&images, "|u1", "2, 16, 64, 3", &[90; 2 * 3072]);
    refused(evaluate("moon.1"), &["data.npy", "[2, 16, 64, 3]", "expected (images, 32, 32, 3)"]);
    npy(&images, "|i1", "2, 32, 32, 3", &[90; 2 * 3072]);
    refused(evaluate("moon.1"), &["data.npy", "|i1", "|u1"]);
}

#[test]
fn images_held_out_of_training_have_corruptions_of_their_own() {
    let all = sncn_vision::dataset::open("shapes", &Default::default()).unwrap().train.unwrap().len();
    let (folder, path) = table(|row| {
        row["test"] = json!(["shapes-validation", "shapes-validation-c"]);
        row["train_limit"] = json!(all - 7);
        row["test_limit"] = json!(null);
        row["epochs"] = json!(1);
        row["batch_size"] = json!(256);
    });
    let run = folder.path().join("run");
    train(&path, &run).assert().success();
    let mut evaluate = sncn();
    evaluate.arg("evaluate").arg("--run-dir").arg(&run).arg("--json");
    let output = evaluate.assert().success().stderr(contains("frost").not()).get_output().stdout.clone();
    let lines = String::from_utf8(output).unwrap();
    let lines: Vec<serde_json::Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let lines: Vec<_> = lines.into_iter().filter(|line| line["split"] != "training").collect();
    let mut sets: Vec<_> = lines.iter().map(|line| line["split"].as_str().unwrap()).collect();
    sets.dedup();
    assert_eq!(sets.len(), 1 + 4 * 5, "{sets:?}");
    assert_eq!((sets[1], sets[20]), ("shapes-validation-c/speckle_noise/1", "shapes-validation-c/saturate/5"));
    assert!(lines.iter().all(|line| line["n"] == 7), "{lines:?}");

    let (folder, path) = table(|row| {
        row["test"] = json!(["shapes-validation"]);
        row["train_limit"] = json!(null);
        row["epochs"] = json!(1);
        row["batch_size"] = json!(256);
    });
    let run = folder.path().join("run");
    train(&path, &run).assert().success();
    let mut evaluate = sncn();
    evaluate.arg("evaluate").arg("--run-dir").arg(&run);
    refused(evaluate, &["shapes-validation", "train_limit is not set", &all.to_string()]);
}
