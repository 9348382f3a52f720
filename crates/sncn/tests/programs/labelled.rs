//! Networks that label pixels, measured under corruption: ONNX files, checkpoints, and the label images of any program.

use crate::common::{refused, segment, segment_table, sncn, training};
use assert_cmd::Command;
use image::{GrayImage, Luma, Rgb, RgbImage};
use predicates::prelude::*;
use predicates::str::contains;
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// The ONNX network that tells dark pixels from light ones.
fn model() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../sncn-onnx/tests/data/shade.onnx")
}

/// How images become inputs of it.
const INPUT: &str = r#"{"like": "cifar", "mean": [0, 0, 0], "std": [1, 1, 1]}"#;

/// Three images that are dark above and light below, with their labels; the last row of labels is void.
fn data() -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let part = folder.path().join("streets");
    fs::create_dir_all(part.join("images")).unwrap();
    fs::create_dir_all(part.join("labels")).unwrap();
    fs::write(part.join("classes.txt"), "dark\nlight\n").unwrap();
    for number in 0..3u32 {
        let at = 20 + 8 * number;
        let image = RgbImage::from_fn(96, 72, |x, y| Rgb([if y < at { 20 } else { 150 } + (x % 5) as u8; 3]));
        let labels = GrayImage::from_fn(96, 72, |_, y| Luma([if y == 71 { 255 } else { u8::from(y >= at) }]));
        image.save(part.join("images").join(format!("{number}.png"))).unwrap();
        labels.save(part.join("labels").join(format!("{number}.png"))).unwrap();
    }
    (folder, part)
}

fn robustness(data: &Path, more: &[&str]) -> Command {
    let mut command = segment();
    command.arg("robustness").arg("--data").arg(data).args(more);
    command
}

fn measured(data: &Path, more: &[&str]) -> Command {
    let mut command =
        robustness(data, &["--corruptions", "brightness,contrast", "--severities", "1,5", "--input", INPUT, "--model"]);
    command.arg(model()).args(more);
    command
}

fn lines(path: &Path) -> Vec<Value> {
    fs::read_to_string(path).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn value(lines: &[Value], split: &str, metric: &str) -> Option<f64> {
    lines.iter().find(|line| line["split"] == split && line["metric"] == metric).and_then(|line| line["value"].as_f64())
}

/// Corrupts the images as `measured` does, and answers to the copies as its network does.
fn answered(folder: &Path, part: &Path) -> (PathBuf, PathBuf) {
    let (copies, answers) = (folder.join("copies"), folder.join("answers"));
    let mut corrupt = sncn();
    corrupt.args(["corrupt", "--clean", "--corruptions", "brightness,contrast", "--severities", "1,5", "--input"]);
    corrupt.arg(part.join("images")).arg("--output").arg(&copies).assert().success();
    for line in fs::read_to_string(copies.join("images.csv")).unwrap().lines().skip(1) {
        let path = line.split(',').next().unwrap();
        let image = image::open(copies.join(path)).unwrap().to_rgb8();
        let label = |x, y| u8::from(image.get_pixel(x, y).0.iter().map(|&v| u32::from(v)).sum::<u32>() > 180);
        let labels = GrayImage::from_fn(image.width(), image.height(), |x, y| Luma([label(x, y)]));
        fs::create_dir_all(answers.join(path).parent().unwrap()).unwrap();
        labels.save(answers.join(path)).unwrap();
    }
    (copies, answers)
}

#[test]
fn a_network_and_its_label_images_are_measured_alike() {
    let (folder, part) = data();
    let at = |name: &str| folder.path().join(name);
    let (own, told, page) = (at("own.jsonl"), at("told.jsonl"), at("page.html"));
    let said = measured(&part, &["--results"]).arg(&own).arg("--page").arg(&page).assert().success();
    said.stdout(
        contains("images-c: mIoU % by shift and severity")
            .and(contains("shade.onnx on 3 images of streets: 2 corruptions × severities [1, 5] (imagenet table, seed 0), corrupted at their own size"))
            .and(contains("2 classes a pixel"))
            .and(contains("NaN").not()),
    )
    .stderr(contains("3 images × (1 + 2 corruptions × 2 severities) = 15 images"));
    assert!(!at("own.jsonl.partial").exists());
    let shown = fs::read_to_string(&page).unwrap();
    for words in [
        "shade.onnx under corruption",
        "mIoU <strong>100.00 %</strong> on the clean images",
        "Labels</h2>",
        "with the labels of the set",
    ] {
        assert!(shown.contains(words), "{words:?} is missing in\n{shown}");
    }
    // the image and its labels: of the set, clean, and under two corruptions
    assert_eq!(shown.matches("<img src=\"data:image/png;base64,").count(), 8);
    let (copies, answers) = answered(folder.path(), &part);
    let told_by = |more: &[&str]| {
        let mut command = robustness(&part, &[]);
        command.arg("--images").arg(&copies).arg("--predictions").arg(&answers).args(more);
        command
    };
    told_by(&["--results"])
        .arg(&told)
        .arg("--page")
        .arg(&page)
        .assert()
        .success()
        .stdout(contains("label images in answers on 3 images"));
    let (own_lines, told_lines) = (lines(&own), lines(&told));
    assert_eq!(own_lines[0]["run"]["protocol"], told_lines[0]["run"]["protocol"]);
    for split in ["images", "images-c/brightness/1", "images-c/brightness/5", "images-c/contrast/5"] {
        for metric in ["miou", "pixel_accuracy", "iou/light"] {
            let (own, told) = (value(&own_lines, split, metric).unwrap(), value(&told_lines, split, metric).unwrap());
            assert!((own - told).abs() < 1e-12, "{split} {metric}: {own} {told}");
        }
    }
    assert!(value(&own_lines, "images-c/brightness/5", "miou").unwrap() < 0.9);
    told_by(&["--rank"]).arg(&own).assert().success().stdout(contains("mIoU under corruption %"));
    refused(told_by(&["--fail-below", "99"]), &["the mean mIoU under corruption is", "below the 99 %"]);
    refused(told_by(&["--severities", "1"]), &["--corruptions, --severities and --limit are for --model"]);
    // what is missing, of another size, or without a class
    let file = answers.join("contrast/5/1.png");
    GrayImage::from_pixel(96, 72, Luma([255])).save(&file).unwrap();
    refused(told_by(&[]), &["contrast/5/1.png: a pixel without a class"]);
    GrayImage::new(50, 50).save(&file).unwrap();
    refused(told_by(&[]), &["contrast/5/1.png: 50 × 50 labels for an image of 96 × 72"]);
    fs::remove_file(&file).unwrap();
    refused(told_by(&[]), &["no label image for 1 of 15 copies: contrast/5/1.png"]);
    // copies of other images
    RgbImage::new(96, 72).save(part.join("images/2.png")).unwrap();
    refused(told_by(&[]), &["copies of other images than those of streets"]);
}

#[test]
fn a_checkpoint_is_measured_as_evaluate_does() {
    let (folder, table) = segment_table(|row| row["test"] = serde_json::json!(["scenes", "scenes-c"]));
    let run = folder.path().join("run");
    training(segment(), &table, &run).args(["--stop-after", "3"]).assert().code(130);
    let (own, other) = (folder.path().join("own.jsonl"), folder.path().join("other.jsonl"));
    let mut command = robustness(Path::new("scenes"), &["--limit", "3", "--severities", "2", "--model"]);
    command.arg(&run).arg("--results").arg(&own).assert().success();
    let mut evaluate = segment();
    evaluate.args(["evaluate", "--severities", "2", "--run-dir"]).arg(&run).arg("--results").arg(&other).assert().success();
    let (own, other) = (lines(&own), lines(&other));
    for (split, theirs) in [
        ("images", "scenes"),
        ("images-c/fog/2", "scenes-c/fog/2"),
        ("images-c/jpeg_compression/2", "scenes-c/jpeg_compression/2"),
    ] {
        let (own, other) = (value(&own, split, "miou").unwrap(), value(&other, theirs, "miou").unwrap());
        assert!((own - other).abs() < 1e-12, "{split}: {own} {other}");
    }
    // the network as an ONNX file answers as the checkpoint does
    let (file, exported) = (folder.path().join("network.onnx"), folder.path().join("exported.jsonl"));
    let newest = crate::common::checkpoints(&run).pop().unwrap();
    segment().arg("export").arg(newest).arg("--output").arg(&file).assert().success();
    let mut command = robustness(Path::new("scenes"), &["--limit", "3", "--severities", "2", "--corruptions", "fog", "--model"]);
    command.arg(&file).arg("--results").arg(&exported).assert().success();
    let (own, other) =
        (value(&lines(&exported), "images-c/fog/2", "miou").unwrap(), value(&own, "images-c/fog/2", "miou").unwrap());
    assert!((own - other).abs() < 1e-3, "{own} {other}");
    let (_folder, part) = data();
    let mut other = robustness(&part, &["--model"]);
    other.arg(&run);
    refused(other, &["its classes (", "are not those of the set (dark, light)"]);
    refused(measured(Path::new("scenes"), &[]), &["shade.onnx tells 2 classes, and classes.txt of the set has"]);
    refused(measured(Path::new("avenues"), &[]), &["\"avenues\" is neither a folder nor a test set"]);
    let mut bare = robustness(&part, &["--model"]);
    bare.arg(model());
    refused(bare, &["how images become its inputs is not known: give --input"]);
}
