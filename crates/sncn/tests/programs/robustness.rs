//! Predictions of any program, measured on images that `corrupt` wrote.

use crate::browser;
use crate::common::{refused, sncn};
use assert_cmd::Command;
use image::{Rgb, RgbImage};
use predicates::prelude::*;
use predicates::str::contains;
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// Class folders `dark` and `light` of three photographs each, corrupted by brightness and contrast at severities 1 and 5.
fn corrupted() -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let (photos, out) = (folder.path().join("photos"), folder.path().join("out"));
    for (class, light) in [("dark", 30u8), ("light", 200)] {
        fs::create_dir_all(photos.join(class)).unwrap();
        for number in 0..3u32 {
            let image =
                RgbImage::from_fn(40, 36, |x, y| Rgb([light + (x % 7) as u8, light + (y % 9) as u8, light + number as u8]));
            image.save(photos.join(class).join(format!("{number}.jpg"))).unwrap();
        }
    }
    let mut command = sncn();
    command.args(["corrupt", "--clean", "--corruptions", "brightness,contrast", "--severities", "1,5", "--input"]).arg(&photos);
    command.arg("--output").arg(&out).assert().success();
    (folder, out)
}

fn robustness(images: &Path, predictions: &Path) -> Command {
    let mut command = sncn();
    command.arg("robustness").arg("--images").arg(images).arg("--predictions").arg(predictions);
    command
}

/// What a program would answer: light where the mean of an image is above 60, with a probability.
fn answers(out: &Path, probabilities: bool) -> String {
    let list = fs::read_to_string(out.join("images.csv")).unwrap();
    let mut text = if probabilities { "path,class,light,dark\n" } else { "path,class\n" }.to_string();
    for line in list.lines().skip(1) {
        let path = line.split(',').next().unwrap();
        let image = image::open(out.join(path)).unwrap().to_rgb8();
        let mean = image.as_raw().iter().map(|&byte| f64::from(byte)).sum::<f64>() / image.as_raw().len() as f64;
        let (class, p) = if mean > 60. { ("light", 0.9) } else { ("dark", 0.2) };
        text += &if probabilities { format!("{path},{class},{p},{:.1}\n", 1. - p) } else { format!("{path},{class}\n") };
    }
    text
}

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
    // folders that are none
    refused(robustness(folder.path(), &file), &["manifest.json: not readable", "corrupt --clean"]);
    let list = fs::read_to_string(out.join("images.csv")).unwrap();
    fs::write(out.join("images.csv"), list.lines().take(9).collect::<Vec<_>>().join("\n")).unwrap();
    refused(robustness(&out, &file), &["images.csv: 8 images, and manifest.json says 30"]);
    let mut command = sncn();
    command.args(["corrupt", "--clean", "--input", "shapes", "--output"]).arg(&out);
    refused(command, &["--clean: shapes has arrays and no image files"]);
}

/// The program of the documentation, if there is Python here.
#[test]
fn the_python_example_of_the_documentation_works() {
    let page = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/classify.md")).unwrap();
    let example = page.split("```python\n").nth(1).and_then(|rest| rest.split("```").next()).unwrap();
    assert!(example.lines().count() <= 20, "{example}");
    let (folder, out) = corrupted();
    let script = folder.path().join("predict.py");
    // a model that needs no package: the size of the file tells
    let import = example.lines().find(|line| line.starts_with("from my_model")).unwrap();
    let body = example.lines().find(|line| line.trim_start().starts_with("return ")).unwrap();
    let model = r#"    return "dark" if open(path, "rb").read(64) else "light""#;
    fs::write(&script, example.replace(import, "").replace(body, model)).unwrap();
    let file = folder.path().join("predictions.csv");
    let Ok(output) = std::process::Command::new("python3").arg(&script).arg(&out).arg(&file).output() else { return };
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    robustness(&out, &file).assert().success().stdout(contains("images-c"));
}

/// The ONNX model that tells dark images from light ones, as `answers` does.
fn model() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../sncn-onnx/tests/data/light.onnx")
}

/// How images become inputs of it.
const INPUT: &str = r#"{"like": "cifar", "mean": [0, 0, 0], "std": [1, 1, 1]}"#;

/// `robustness --model` on the photographs of `corrupted`.
fn measured(folder: &TempDir, model: &Path, more: &[&str]) -> Command {
    let mut command = sncn();
    command.args(["robustness", "--corruptions", "brightness,contrast", "--severities", "1,5", "--images"]);
    command.arg(folder.path().join("photos")).arg("--model").arg(model).args(more);
    command
}

/// The lines of a results file or of `--json`.
fn lines(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn an_onnx_model_is_measured_as_its_predictions_are() {
    let (folder, out) = corrupted();
    let file = folder.path().join("predictions.csv");
    fs::write(&file, answers(&out, false)).unwrap();
    let results = |name: &str| folder.path().join(name);
    robustness(&out, &file).arg("--results").arg(results("told.jsonl")).assert().success();
    let said =
        measured(&folder, &model(), &["--input", INPUT, "--corrupt", "original", "--results"]).arg(results("own.jsonl")).assert();
    said.success()
        .stdout(
            contains("light.onnx: images of 32 x 32 pixels, channels first, any batch; 2 classes, answered by logits; 2 of 3 nodes")
                .and(contains("light.onnx on 6 images of photos: 2 corruptions × severities [1, 5] (auto table, seed 0), corrupted at their own size"))
                .and(contains("class names: those of the folders, sorted, taken for the order of the model's outputs")),
        )
        .stderr(contains("6 images × (1 + 2 corruptions × 2 severities) = 30 images"));
    let read = |name: &str| lines(&fs::read_to_string(results(name)).unwrap());
    let (told, own) = (read("told.jsonl"), read("own.jsonl"));
    let kinds = ["error", "macro_f1", "changed"];
    let found = |lines: &[Value]| -> Vec<(String, String, String)> {
        let text = |line: &Value, key: &str| line[key].as_str().unwrap_or_default().to_string();
        let kept = lines.iter().filter(|line| kinds.iter().any(|kind| line["metric"] == *kind));
        kept.map(|line| (text(line, "split"), text(line, "metric"), line["value"].to_string())).collect()
    };
    assert_eq!(found(&told), found(&own));
    // both say that they measured the same images
    let (told, own) = (&told[0]["run"]["protocol"], &own[0]["run"]["protocol"]);
    for key in ["data", "images", "sha256", "corrupt", "corruptions", "severities", "severity_table", "frost", "seed"] {
        assert!(!told[key].is_null() && told[key] == own[key], "{key}: {} and {}", told[key], own[key]);
    }
    assert!(!folder.path().join("own.jsonl.partial").exists());
}

#[test]
fn a_page_shows_what_was_measured_with_images_whose_answers_changed() {
    let (folder, out) = corrupted();
    let (page, file) = (folder.path().join("page.html"), folder.path().join("predictions.csv"));
    let parts = |more: &[&str]| {
        let text = fs::read_to_string(&page).unwrap();
        let all = [
            "<!doctype html>",
            "Wrong on <strong>0.00 %</strong> of the clean images and on <strong>12.50 %</strong> under corruption, 12.50 points more",
            "<td>contrast</td><td style=\"text-align: right\">0.00</td>",
            "By severity</h2>",
            "<li>sha256: ",
            "<details><summary>",
            "corrupted at",
        ];
        for part in all.iter().chain(more) {
            assert!(text.contains(part), "{part:?} is missing in\n{text}");
        }
        // brightness changes an answer, contrast none
        assert_eq!(text.matches("<img src=\"data:image/png;base64,").count(), 2, "{text}");
        assert!(!text.contains("src=\"http") && !text.contains("href=\"http"), "{text}");
        fs::remove_file(&page).unwrap();
    };
    let model = model();
    measured(&folder, &model, &["--input", INPUT, "--page"]).arg(&page).assert().success().stderr(contains("page: "));
    browser::looks_at(&page);
    parts(&["light.onnx under corruption", "Accuracy against confidence", "corrupted at the size of the model's input"]);
    fs::write(&file, answers(&out, false)).unwrap();
    robustness(&out, &file).arg("--page").arg(&page).assert().success();
    parts(&["predictions.csv under corruption", "clean/dark/0.png", "corrupted at their own size"]);
}

#[test]
fn an_interrupted_measurement_goes_on_and_gives_the_same() {
    let (folder, _) = corrupted();
    let results = folder.path().join("results.jsonl");
    let run = || measured(&folder, &model(), &["--input", INPUT, "--results"]).arg(&results).assert().success();
    run();
    let whole = fs::read_to_string(&results).unwrap();
    let partial = folder.path().join("results.jsonl.partial");
    let mut command = measured(&folder, &model(), &["--input", INPUT, "--fail-below", "100", "--results"]);
    command.arg(&results).assert().failure().stderr(contains("below the 100 %"));
    assert!(!partial.exists(), "what is written is not kept again");
    // results that cannot be written are not lost: a folder is in their place
    fs::remove_file(&results).unwrap();
    fs::create_dir(&results).unwrap();
    let mut command = measured(&folder, &model(), &["--input", INPUT, "--results"]);
    command.arg(&results).assert().failure().stderr(contains("could not be written"));
    fs::remove_dir(&results).unwrap();
    let kept = fs::read_to_string(&partial).unwrap();
    assert_eq!(kept.lines().count(), 6);
    run().stderr(contains("a second").not());
    assert_eq!(fs::read_to_string(&results).unwrap(), whole);
    // what a kill leaves: some parts, and a line that is cut short
    let end = kept.match_indices('\n').nth(2).unwrap().0;
    fs::write(&partial, &kept[..end + 30]).unwrap();
    run().stderr(contains("2 of 5 parts are measured already"));
    assert_eq!(fs::read_to_string(&results).unwrap(), whole);
    // of another model nothing is taken over
    fs::write(&partial, kept.replace("light.onnx", "other.onnx")).unwrap();
    run().stderr(contains("measured already").not());
    assert_eq!(fs::read_to_string(&results).unwrap(), whole);
}

/// The last checkpoint in a folder.
fn newest(run: &Path) -> PathBuf {
    let files = fs::read_dir(run).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<PathBuf> = files.filter(|path| path.extension().is_some_and(|ending| ending == "safetensors")).collect();
    files.sort();
    files.pop().unwrap()
}

#[test]
fn a_checkpoint_is_measured_as_evaluate_does() {
    let folder = tempfile::tempdir().unwrap();
    let run = folder.path().join("run");
    let mut command = sncn();
    command.args(["train", "--table", "models/smoke.json", "--row", "cnsn", "--seed", "0", "--run-dir"]).arg(&run);
    command.current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/../..")).assert().success();
    let (theirs, own) = (folder.path().join("theirs.jsonl"), folder.path().join("own.jsonl"));
    let mut command = sncn();
    command.args(["evaluate", "--test", "shapes,shapes-c", "--severities", "3", "--run-dir"]).arg(&run);
    command.arg("--results").arg(&theirs).assert().success();
    let mut command = sncn();
    command.args(["robustness", "--images", "shapes", "--severities", "3", "--model"]).arg(&run).arg("--results").arg(&own);
    command.assert().success().stdout(contains("trained on shapes"));
    let errors = |path: &Path, set: &str| -> Vec<(String, String)> {
        let lines = lines(&fs::read_to_string(path).unwrap());
        let text = |line: &Value| line["split"].as_str().unwrap_or_default().replacen(set, "", 1);
        let kept =
            lines.iter().filter(|line| line["metric"] == "error" && !text(line).is_empty() && text(line).starts_with("-c/"));
        kept.map(|line| (text(line), line["value"].to_string())).collect()
    };
    // as an ONNX file, which notes its classes and how images become inputs, it gives the same
    let file = folder.path().join("network.onnx");
    let mut command = sncn();
    command.arg("export").arg(newest(&run)).arg("--output").arg(&file).assert().success().stdout(contains("network.onnx: "));
    let again = folder.path().join("again.jsonl");
    let mut command = sncn();
    command.args(["robustness", "--images", "shapes", "--severities", "3", "--model"]).arg(&file).arg("--results").arg(&again);
    command.assert().success().stdout(contains("nodes run on this program's kernels").and(contains("class names").not()));
    assert_eq!(errors(&again, "images"), errors(&own, "images"));
    let (theirs, own) = (errors(&theirs, "shapes"), errors(&own, "images"));
    assert_eq!(theirs.len(), 15);
    // smoke.json evaluates on some of the test images only
    assert_eq!(theirs.iter().map(|(name, _)| name).collect::<Vec<_>>(), own.iter().map(|(name, _)| name).collect::<Vec<_>>());
}

#[test]
fn models_that_do_not_fit_are_refused() {
    let (folder, _) = corrupted();
    refused(
        measured(&folder, &model(), &[]),
        &["an ONNX file does not say how images become its inputs", "--input", "preprocessor_config.json"],
    );
    refused(measured(&folder, &model(), &["--input", "nothing"]), &["--input", "known: cifar"]);
    let other = model().with_file_name("gated.onnx");
    refused(
        measured(&folder, &other, &["--input", INPUT]),
        &["gated.onnx answers with 5 classes, and the images have 2", "--class-names"],
    );
    let names = folder.path().join("names.txt");
    fs::write(&names, "light\ndark\ngrey\n").unwrap();
    let with_names = |names: &Path| {
        let mut command = measured(&folder, &model(), &["--input", INPUT, "--class-names"]);
        command.arg(names);
        command
    };
    refused(with_names(&names), &["names.txt: 3 names, and", "has 2 classes"]);
    fs::write(&names, "light\nbright\n").unwrap();
    refused(with_names(&names), &["classes that the network does not know: dark"]);
    // names in the other order turn every answer round
    fs::write(&names, "light\ndark\n").unwrap();
    let said = with_names(&names).arg("--json").assert().success();
    let text = String::from_utf8_lossy(&said.get_output().stdout).into_owned();
    let clean = lines(&text).into_iter().find(|line| line["split"] == "images" && line["metric"] == "error").unwrap();
    assert_eq!(clean["value"], 1.0);
    refused(measured(&folder, &folder.path().join("none.onnx"), &["--input", INPUT]), &["none.onnx"]);
    refused(measured(&folder, &model(), &["--input", "imagenet", "--corruptions", "mist"]), &["mist"]);
    refused(measured(&folder, &model(), &["--input", INPUT, "--severities", "1,5,1"]), &["--severities names one twice"]);
    refused(measured(&folder, &model(), &["--input", INPUT, "--limit", "0"]), &["--limit is 0"]);
    let damaged = folder.path().join("damaged.onnx");
    fs::write(&damaged, &fs::read(model()).unwrap()[..120]).unwrap();
    refused(measured(&folder, &damaged, &["--input", INPUT]), &["damaged.onnx: not a whole ONNX model"]);
    let mut command = sncn();
    command.args(["robustness", "--images"]).arg(folder.path());
    command.assert().failure().stderr(contains("--predictions"));
}

#[test]
fn the_file_beside_a_model_says_how_images_become_inputs() {
    let (folder, _) = corrupted();
    let (own, beside) = (folder.path().join("light.onnx"), folder.path().join("preprocessor_config.json"));
    fs::copy(model(), &own).unwrap();
    let config = r#"{"do_resize": true, "size": {"height": 32, "width": 32}, "resample": 2, "do_rescale": true,
        "rescale_factor": 0.00392156862745098, "do_normalize": false}"#;
    fs::write(&beside, config).unwrap();
    measured(&folder, &own, &["--limit", "2"]).assert().success().stdout(contains("a subset: the first 2 of 6 images"));
    let fails = |text: &str, words: &[&str]| {
        fs::write(&beside, text).unwrap();
        refused(measured(&folder, &own, &[]), words);
    };
    fails(
        &config.replace("0.00392156862745098", "0.5"),
        &["preprocessor_config.json", "rescale_factor is 0.5; 1/255 is accepted"],
    );
    fails(&config.replace("\"resample\": 2", "\"resample\": 9"), &["resample is 9"]);
    fails(&config.replace("\"do_normalize\": false", "\"image_mean\": [0.5]"), &["image_mean is [0.5]"]);
    fails("{", &["preprocessor_config.json"]);
}
