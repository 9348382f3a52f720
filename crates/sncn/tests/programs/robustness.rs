//! Models measured under corruption: ONNX files and checkpoints.

use crate::common::{refused, sncn};
use crate::measured::{INPUT, answers, corrupted, measured, model, robustness};
use predicates::prelude::*;
use predicates::str::contains;
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};

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
            "Error <strong>0.00 %</strong> on the clean images, <strong>12.50 %</strong> under corruption (+12.50 points); corruption changes 12.50 %",
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
fn results_are_ranked_with_those_of_the_same_protocol_alone() {
    let (folder, out) = corrupted();
    let (one, other, file) =
        (folder.path().join("one.jsonl"), folder.path().join("other.jsonl"), folder.path().join("predictions.csv"));
    let page = folder.path().join("page.html");
    let original = ["--input", INPUT, "--corrupt", "original", "--results"];
    measured(&folder, &model(), &original).arg(&one).assert().success();
    // a worse answer to the same images: everything is dark
    let dark: String = answers(&out, false).lines().map(|line| line.replace(",light", ",dark") + "\n").collect();
    fs::write(&file, dark).unwrap();
    let mut command = robustness(&out, &file);
    command.arg("--results").arg(&other).arg("--page").arg(&page).arg("--rank").arg(&one);
    let said = command.assert().success();
    let text = String::from_utf8_lossy(&said.get_output().stdout).into_owned();
    let ranked: Vec<&str> = text.lines().skip_while(|line| !line.contains("error under corruption %")).collect();
    assert!(ranked.len() == 3 && ranked[1].starts_with("light.onnx") && ranked[2].starts_with("predictions.csv"), "{text}");
    assert!(ranked[2].contains("50.00") && ranked[2].contains("this measurement"), "{text}");
    assert!(fs::read_to_string(&page).unwrap().contains("Rank</h2>"));
    // another protocol: the measurement is kept, the ranking refused
    let third = folder.path().join("third.jsonl");
    let mut command = measured(&folder, &model(), &["--input", INPUT, "--results"]);
    command.arg(&third).arg("--rank").arg(&one);
    refused(command, &["one.jsonl is not to be compared: corrupt is \"original\" there, and \"fitted\" here"]);
    assert!(third.is_file());
    refused(
        measured(&folder, &model(), &["--input", INPUT, "--rank"]),
        &["no published results on photos are known here (cifar10, cifar100, imagenet are)"],
    );
    fs::write(&file, "no results").unwrap();
    let mut command = measured(&folder, &model(), &["--input", INPUT, "--rank"]);
    command.arg(&file);
    refused(command, &["predictions.csv"]);
}

#[test]
fn models_that_do_not_fit_are_refused() {
    let (folder, _) = corrupted();
    refused(
        measured(&folder, &model(), &[]),
        &["how images become its inputs is not known", "--input", "preprocessor_config.json"],
    );
    refused(measured(&folder, &model(), &["--input", "nothing"]), &["--input", "known: cifar"]);
    refused(measured(&folder, &model(), &["--network", "resnet18"]), &["light.onnx is an ONNX file", "take --network away"]);
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
