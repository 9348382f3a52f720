//! Predictions of any program, measured on images that `corrupt` wrote.

use crate::common::{refused, sncn};
use crate::measured::{answers, corrupted, robustness};
use assert_cmd::Command;
use predicates::prelude::*;
use predicates::str::contains;
use serde_json::Value;
use std::fs;
use std::path::Path;

#[test]
fn predictions_of_any_program_are_scored() {
    let (folder, out) = corrupted();
    let list = fs::read_to_string(out.join("images.csv")).unwrap();
    assert_eq!(list.lines().count(), 1 + 5 * 6, "{list}");
    assert!(
        list.contains("clean/dark/0.png,dark,clean,0") && list.contains("brightness/5/light/2.png,light,brightness,5"),
        "{list}"
    );
    let manifest: Value = serde_json::from_str(&fs::read_to_string(out.join("manifest.json")).unwrap()).unwrap();
    assert_eq!((&manifest["images"], &manifest["input"], &manifest["clean"]), (&6.into(), &"photos".into(), &true.into()));
    let file = folder.path().join("predictions.csv");
    fs::write(&file, answers(&out, false)).unwrap();
    let results = folder.path().join("results.jsonl");
    let said = robustness(&out, &file).arg("--results").arg(&results).assert().success();
    said.stdout(
        contains("images-c: error % by shift and severity")
            .and(contains("predictions that differ from those on the clean images"))
            .and(contains(
                "predictions of predictions.csv on 6 images of photos: 2 corruptions × severities [1, 5] (auto table, seed 0)",
            ))
            .and(contains("severities 1, 5 of 1 to 5 only"))
            .and(contains("NaN").not()),
    );
    let lines: Vec<Value> =
        fs::read_to_string(results).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let value = |split: &str, metric: &str| {
        lines.iter().find(|line| line["split"] == split && line["metric"] == metric).map(|line| line["value"].as_f64().unwrap())
    };
    assert_eq!(value("images", "error"), Some(0.));
    // contrast keeps the mean, brightness makes the dark ones so light that all are taken for light
    assert_eq!((value("images-c/contrast/5", "error"), value("images-c/contrast/5", "changed")), (Some(0.), Some(0.)));
    assert_eq!((value("images-c/brightness/5", "error"), value("images-c/brightness/5", "changed")), (Some(0.5), Some(0.5)));
    assert_eq!(value("images", "ece"), None);
    fs::write(&file, answers(&out, true)).unwrap();
    let said = robustness(&out, &file).arg("--json").assert().success();
    let text = String::from_utf8_lossy(&said.get_output().stdout).into_owned();
    let ece = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let ece = ece.filter(|line| line["metric"] == "ece" && line["split"] == "images").map(|line| line["value"].as_f64().unwrap());
    // right with 0.8 and 0.9 on three images each
    assert!(ece.collect::<Vec<_>>().iter().all(|ece| (ece - 0.15).abs() < 1e-9) && text.contains("\"ece\""), "{text}");
    robustness(&out, &file).args(["--fail-below", "50"]).assert().success();
    refused(robustness_with(&out, &file, &["--fail-below", "99"]), &["the mean accuracy under corruption is", "below the 99 %"]);
}

fn robustness_with(images: &Path, predictions: &Path, more: &[&str]) -> Command {
    let mut command = robustness(images, predictions);
    command.args(more);
    command
}

#[test]
fn predictions_that_do_not_fit_are_refused() {
    let (folder, out) = corrupted();
    let file = folder.path().join("predictions.csv");
    let (plain, with) = (answers(&out, false), answers(&out, true));
    let said = |text: &str, words: &[&str]| {
        fs::write(&file, text).unwrap();
        refused(robustness(&out, &file), words);
    };
    let first = "clean/dark/0.png";
    said(
        &plain.replace("path,class", "file,answer"),
        &["predictions.csv: the first line is \"file,answer\"; path,class is wanted"],
    );
    said(&plain.replace(&format!("{first},"), "clean/dark/9.png,"), &["line 2", "clean/dark/9.png", "none of the images"]);
    said(&format!("{plain}{first},dark\n"), &["line 32: a second answer to clean/dark/0.png"]);
    let fewer: String = plain.lines().filter(|line| !line.contains("brightness/5")).map(|line| format!("{line}\n")).collect();
    said(&fewer, &["no answer to 6 of 30 images: brightness/5/dark/0.png"]);
    said(
        &plain.replace(&format!("{first},dark"), &format!("{first},grey")),
        &["line 2", "\"grey\" is no class; known: dark, light"],
    );
    said(&with.replace("class,light,dark", "class,light,grey"), &["no column is named after dark"]);
    said(&with.replace("0.2,0.8", "-3.1,0.8"), &["line 2", "-3.1 is no probability", "before softmax"]);
    said(&with.replace("0.2,0.8", "0.2,0.3"), &["add up to 0.5000 and not to 1"]);
    said(&with.replace("0.2,0.8", "0.8,0.2"), &["the class is \"dark\", and another has a larger probability"]);
    said(&with.replace("0.2,0.8", "0.2,much"), &["\"much\" is no number"]);
    said("", &["predictions.csv"]);
    // paths below the folder, as another program may print them
    let prefix = out.display().to_string();
    let long: String = plain
        .lines()
        .enumerate()
        .map(|(at, line)| if at == 0 { format!("{line}\n") } else { format!("{prefix}/{line}\n") })
        .collect();
    fs::write(&file, long).unwrap();
    robustness(&out, &file).assert().success();
    refused(robustness_with(&out, &file, &["--severities", "3"]), &["--severities is for --model"]);
    // folders that are none
    refused(robustness(folder.path(), &file), &["manifest.json: not readable", "corrupt --clean"]);
    let list = fs::read_to_string(out.join("images.csv")).unwrap();
    fs::write(out.join("images.csv"), list.lines().take(9).collect::<Vec<_>>().join("\n")).unwrap();
    refused(robustness(&out, &file), &["images.csv: 8 images, and manifest.json says 30"]);
    let mut command = sncn();
    command.args(["corrupt", "--clean", "--input", "shapes", "--output"]).arg(&out);
    refused(command, &["--clean: shapes has arrays and no image files"]);
}
