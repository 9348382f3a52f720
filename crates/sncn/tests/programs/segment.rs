//! `sncn-segment` in sentences: what it does with good input, and what it says to bad input.

use crate::common::{checkpoints, refused, resumes, segment, segment_table, training};
use image::{GrayImage, RgbImage};
use predicates::prelude::*;
use predicates::str::contains;
use serde_json::{Value, json};
use std::fs;
use std::path::{Path, PathBuf};

fn train(table: &Path, run_dir: &Path) -> assert_cmd::Command {
    training(segment(), table, run_dir)
}

fn evaluate(run_dir: &Path, arguments: &[&str]) -> assert_cmd::Command {
    let mut command = segment();
    command.arg("evaluate").arg("--run-dir").arg(run_dir).args(arguments);
    command
}

#[test]
fn a_stopped_run_resumes_to_the_same_bytes_and_the_net_is_measured_and_used() {
    let (folder, path) = segment_table(|_| {});
    let (whole, broken) = (folder.path().join("whole"), folder.path().join("broken"));
    train(&path, &whole).args(["--threads", "1"]).assert().success();
    resumes(&|| train(&path, &broken), &broken, [4, 10], 9, 16);
    let last = |folder: &Path| fs::read(checkpoints(folder).last().unwrap()).unwrap();
    assert_eq!(last(&whole), last(&broken));
    let results = |folder: &Path, threads: &str| {
        let (file, csv) = (folder.join("results.jsonl"), folder.join("iou.csv"));
        let files = ["--results", file.to_str().unwrap(), "--csv", csv.to_str().unwrap(), "--threads", threads];
        evaluate(folder, &files)
            .assert()
            .success()
            .stdout(contains("mIoU %").and(contains("scenes-weather")).and(contains("pavement")));
        (fs::read_to_string(file).unwrap(), fs::read_to_string(csv).unwrap())
    };
    let (text, csv) = results(&whole, "1");
    assert_eq!((text.clone(), csv.clone()), results(&broken, "2"));
    assert!(csv.starts_with("set,miou,sky,road,pavement,building,tree,car,person,pole\nscenes,"), "{csv}");
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let of = |split: &str, metric: &str| {
        let found = lines.iter().find(|line| line["split"] == split && line["metric"] == metric);
        found.unwrap_or_else(|| panic!("{split} {metric}"))["value"].as_f64().unwrap()
    };
    let counts =
        lines.iter().filter(|line| line["split"] == "scenes" && line["metric"].as_str().unwrap().starts_with("confusion/"));
    let pixels: f64 = counts.map(|line| line["value"].as_f64().unwrap()).sum();
    assert!(pixels > 0.8 * (3 * 64 * 96) as f64 && pixels <= (3 * 64 * 96) as f64, "{pixels}");
    assert!(of("scenes", "miou") <= of("scenes", "miou_present") && of("scenes", "pixel_accuracy") > 0.2);
    // whole images and windows agree where one window covers the image
    let window = evaluate(&whole, &["--window", "96", "--json"]).assert().success().get_output().stdout.clone();
    let window: Value = serde_json::from_str(String::from_utf8(window).unwrap().lines().next().unwrap()).unwrap();
    assert_eq!(window["value"].as_f64().unwrap(), of("scenes", "miou"));
    evaluate(&whole, &["--window", "48", "--test", "scenes-crop48,scenes-c"]).assert().success().stdout(
        contains("scenes-crop48").and(contains("scenes-c: mIoU % by shift and severity")).and(contains("generated textures")),
    );
    used(folder.path(), &whole);
}

/// `predict` and `show` with a trained network.
fn used(folder: &Path, run_dir: &Path) {
    let (photos, output) = (folder.join("photos"), folder.join("labelled"));
    fs::create_dir_all(photos.join("more")).unwrap();
    RgbImage::from_fn(70, 50, |x, y| image::Rgb([(3 * x) as u8, (4 * y) as u8, 90])).save(photos.join("one.png")).unwrap();
    RgbImage::new(40, 33).save(photos.join("more/two.png")).unwrap();
    let mut command = segment();
    command.arg("predict").arg("--run-dir").arg(run_dir).arg("--output").arg(&output).arg(&photos);
    command.assert().success().stdout(contains("one-overlay.png").and(contains("more-two-overlay.png")).and(contains(" %")));
    let labels = image::open(output.join("one-labels.png")).unwrap();
    assert_eq!((labels.width(), labels.height()), (70, 50));
    assert!(output.join("legend.png").is_file() && output.join("more-two-labels.png").is_file());
    let sheet = folder.join("sheet.png");
    let mut command = segment();
    command
        .arg("show")
        .arg("--run-dirs")
        .arg(run_dir)
        .args(["--test", "scenes-weather", "--images", "0,2", "--overlay", "--output"])
        .arg(&sheet);
    command.assert().success().stdout(contains("columns image, truth, small"));
    assert!(image::open(sheet).unwrap().width() > 3 * 96);
    let mut command = segment();
    command.arg("show").arg("--run-dirs").arg(run_dir).args(["--test", "scenes", "--images", "7000", "--output", "x.png"]);
    refused(command, &["7000", "from 0 on"]);
    let mut command = segment();
    command.arg("predict").arg("--run-dir").arg(run_dir).arg("--output").arg(&output).arg(folder.join("table.json"));
    refused(command, &["table.json", "cannot be decoded"]);
    refused(evaluate(run_dir, &["--test", "nonesuch"]), &["unknown test set \"nonesuch\"", "scenes-weather"]);
    refused(evaluate(run_dir, &["--window", "3"]), &["at least 16"]);
}

fn refused_row(change: impl FnOnce(&mut Value), words: &[&str]) {
    let (folder, path) = segment_table(change);
    refused(train(&path, &folder.path().join("run")), words);
    assert!(!folder.path().join("run").exists(), "something was written");
}

#[test]
fn rows_that_do_not_fit_are_refused_before_anything_is_written() {
    refused_row(|row| row["backbone"] = json!("fcn_resnet19"), &["fcn_resnet19", "<18|34|50|101>"]);
    refused_row(|row| row["train"] = json!("nonesuch"), &["nonesuch", "scenes, camvid, cityscapes, gta5, folder"]);
    refused_row(|row| row["objective"] = json!({"kind": "plain"}), &["labelled pixels", "segment"]);
    refused_row(|row| row["objective"] = json!({"kind": "segment", "auxiliary": -1}), &["objective.auxiliary is -1"]);
    refused_row(|row| row["augment"] = json!({"kind": "augmix"}), &["augment", "augmix", "paired"]);
    refused_row(|row| row["evaluate"] = json!({"window": [2, 2]}), &["evaluate.window", "at least 16"]);
    refused_row(|row| row["evaluate"] = json!({"windows": [64, 64]}), &["windows"]);
    refused_row(|row| row["lr_factors"] = json!({"head.": 10}), &["lr_factors", "head.", "backbone.conv1.weight"]);
    refused_row(|row| row["lr_factors"] = json!({"classifier.": 0}), &["lr_factors", "positive"]);
    refused_row(|row| row["layers"][1]["stages"] = json!([5]), &["selfnorm", "no stage 5", "1 to 4"]);
    refused_row(|row| row["layers"][1]["stages"] = json!([]), &["stages is empty"]);
    refused_row(|row| row["layers"][1]["at"] = json!("nowhere"), &["nowhere", "residual"]);
    refused_row(|row| row["train"] = json!("camvid"), &["no data folder", "--data-dir"]);
    // a table of another task names the program that takes it
    let (folder, path) = crate::common::table(|_| {});
    refused(train(&path, &folder.path().join("run")), &["table.json", "task is \"classify\"", "sncn-classify takes this table"]);
    let (folder, path) = segment_table(|_| {});
    refused(crate::common::train(&path, &folder.path().join("run")), &["sncn-segment takes this table"]);
    // and settings of segmentation are none of classification's
    let (folder, path) = crate::common::table(|row| row["evaluate"] = json!({"window": [64, 64]}));
    refused(
        crate::common::train(&path, &folder.path().join("run")),
        &["evaluate", "unknown field `window`, expected `corrupt` or `severities`"],
    );
}

/// A folder of pairs, which `change` edits.
fn pairs(change: impl FnOnce(&Path)) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("classes.txt"), "sky\nroad\ncar\nvoid\n").unwrap();
    for (part, count) in [("train", 4), ("night", 2)] {
        for what in ["images", "labels"] {
            fs::create_dir_all(folder.path().join(part).join(what)).unwrap();
        }
        for i in 0..count {
            let name = format!("{part}/images/{i}.png");
            RgbImage::from_fn(48, 40, |x, y| image::Rgb([(4 * x) as u8, (5 * y) as u8, 60 * i as u8]))
                .save(folder.path().join(name))
                .unwrap();
            // no car anywhere, and the first image of the test set is all void
            let label = move |_, y| image::Luma([if part == "night" && i == 0 { 3 } else { u8::from(y > 20) }]);
            GrayImage::from_fn(48, 40, label).save(folder.path().join(format!("{part}/labels/{i}.png"))).unwrap();
        }
    }
    change(folder.path());
    folder
}

/// Training on such a folder: the folders to keep, the command and the folder of checkpoints.
fn on_pairs(change: impl FnOnce(&Path)) -> ([tempfile::TempDir; 2], assert_cmd::Command, PathBuf) {
    let data = pairs(change);
    let (table, path) = segment_table(|row| {
        row["train"] = json!("folder");
        row["test"] = json!(["night"]);
        row.as_object_mut().unwrap().remove("test_limit");
    });
    let run_dir = data.path().join("run");
    let mut command = train(&path, &run_dir);
    command.arg("--data-dir").arg(data.path());
    ([data, table], command, run_dir)
}

#[test]
fn classes_that_do_not_occur_and_images_without_labels_have_defined_numbers() {
    let ([data, _table], mut command, run_dir) = on_pairs(|_| {});
    command.assert().success();
    let data_dir = data.path().to_str().unwrap().to_string();
    let output = evaluate(&run_dir, &["--json", "--data-dir", &data_dir]).assert().success().get_output().stdout.clone();
    let text = String::from_utf8(output).unwrap();
    assert!(!text.contains("NaN") && !text.contains("null"), "{text}");
    let miou: Value = serde_json::from_str(text.lines().next().unwrap()).unwrap();
    // one image of 48 × 40 pixels has labels
    assert_eq!((miou["metric"].as_str(), miou["n"].as_u64()), (Some("miou"), Some(1920)));
    let printed = evaluate(&run_dir, &["--data-dir", &data_dir]).assert().success().get_output().stdout.clone();
    assert!(!String::from_utf8(printed).unwrap().contains("NaN"));
    // nothing but void: all is 0, over 0 pixels
    fs::remove_file(data.path().join("night/images/1.png")).unwrap();
    fs::remove_file(data.path().join("night/labels/1.png")).unwrap();
    let output = evaluate(&run_dir, &["--json", "--data-dir", &data_dir]).assert().success().get_output().stdout.clone();
    let miou: Value = serde_json::from_str(String::from_utf8(output).unwrap().lines().next().unwrap()).unwrap();
    assert_eq!((miou["value"].as_f64(), miou["n"].as_u64()), (Some(0.), Some(0)));
}

#[test]
fn pairs_that_do_not_fit_are_named() {
    let refused_pairs = |change: &dyn Fn(&Path), words: &[&str]| {
        let (_folders, command, _) = on_pairs(change);
        refused(command, words);
    };
    refused_pairs(&|folder| fs::remove_file(folder.join("train/labels/1.png")).unwrap(), &["1.png", "label file", "missing"]);
    refused_pairs(&|folder| fs::remove_file(folder.join("train/images/1.png")).unwrap(), &["labels/1.png", "no image"]);
    refused_pairs(&|folder| fs::remove_file(folder.join("classes.txt")).unwrap(), &["classes.txt", "one class per line"]);
    refused_pairs(&|folder| fs::remove_dir_all(folder.join("night")).unwrap(), &["no test set"]);
    refused_pairs(&|folder| fs::remove_dir_all(folder.join("train/images")).unwrap(), &["images", "not readable"]);
    let all = |folder: &Path, label: &dyn Fn(&Path)| (0..4).for_each(|i| label(&folder.join(format!("train/labels/{i}.png"))));
    refused_pairs(
        &|folder| all(folder, &|path| GrayImage::new(47, 40).save(path).unwrap()),
        &["48 × 40", "47 × 40", "labels", "must have the same size"],
    );
    refused_pairs(
        &|folder| all(folder, &|path| GrayImage::from_pixel(48, 40, image::Luma([9])).save(path).unwrap()),
        &["labels", "value 9", "row 0, column 0", "0 to 3"],
    );
    let red = RgbImage::from_pixel(48, 40, image::Rgb([200, 0, 0]));
    refused_pairs(&|folder| all(folder, &|path| red.save(path).unwrap()), &["coded by colours", "name r g b"]);
    refused_pairs(&|folder| all(folder, &|path| fs::write(path, b"no picture").unwrap()), &["labels", "PNG"]);
    // images of two sizes fit into no batch without a crop
    refused_pairs(
        &|folder| {
            RgbImage::new(60, 40).save(folder.join("train/images/0.png")).unwrap();
            GrayImage::new(60, 40).save(folder.join("train/labels/0.png")).unwrap();
        },
        &["60 × 40", "one size", "augment.crop"],
    );
}
