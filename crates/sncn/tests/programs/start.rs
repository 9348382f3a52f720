//! Training without a table: own images with labelled pixels and own texts, a network and a method.

use crate::common::{refused, segment, sentiment};
use crate::pretrained;
use assert_cmd::Command;
use image::{GrayImage, Luma, Rgb, RgbImage};
use predicates::prelude::*;
use predicates::str::contains;
use serde_json::{Value, json};
use sncn_text::backbone::Family;
use std::fs;
use std::path::Path;

/// A command of training on that data, in that folder.
fn train(mut program: Command, folder: &Path, data: &str, run_dir: &str, more: &[&str]) -> Command {
    program.current_dir(folder).args(["train", "--data", data, "--run-dir", run_dir]).args(more);
    program
}

/// The row of the table that a run wrote.
fn row(folder: &Path, run_dir: &str) -> Value {
    let text = fs::read_to_string(folder.join(run_dir).join("table.json")).unwrap();
    serde_json::from_str::<Value>(&text).unwrap()["runs"][0].clone()
}

/// That of the best epoch, and the table.
fn bytes(folder: &Path, run_dir: &str) -> Vec<u8> {
    fs::read(folder.join(run_dir).join("selected.safetensors")).unwrap()
}

/// What is printed has all these words.
fn says(output: &str, words: &[&str]) {
    words.iter().for_each(|word| assert!(output.contains(word), "{word:?} is not in: {output}"));
}

fn succeeds(mut command: Command) -> (String, String) {
    let output = command.assert().success().get_output().clone();
    (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap())
}

/// Streets below skies, of these sizes in a part of a folder.
fn streets(folder: &Path, part: &str, sizes: &[(u32, u32)]) {
    for what in ["images", "labels"] {
        fs::create_dir_all(folder.join(part).join(what)).unwrap();
    }
    for (i, &(width, height)) in sizes.iter().enumerate() {
        let pixel = |x: u32, y: u32| if y > height / 2 { [90, 90, (x * 3) as u8] } else { [40, (y * 2) as u8, 230] };
        let name = format!("frame_{i:02}.png");
        let image = RgbImage::from_fn(width, height, |x, y| Rgb(pixel(x, y)));
        image.save(folder.join(part).join("images").join(&name)).unwrap();
        let labels = GrayImage::from_fn(width, height, |_, y| Luma([u8::from(y > height / 2)]));
        labels.save(folder.join(part).join("labels").join(&name)).unwrap();
    }
}

#[test]
fn own_pixels_are_trained_on_measured_and_used_to_begin_with() {
    let folder = tempfile::tempdir().unwrap();
    let (at, mine) = (folder.path(), folder.path().join("mine"));
    fs::create_dir(&mine).unwrap();
    let small = ["--network", "fcn_resnet18_4", "--epochs", "2"];
    refused(train(segment(), at, "mine", "run", &small), &["classes.txt"]);
    fs::write(mine.join("classes.txt"), "sky\nroad\n").unwrap();
    streets(&mine, "train", &[(48, 40), (48, 40), (52, 40), (48, 44), (48, 40), (48, 40)]);
    // no folder beside train: the last image is kept out of training
    let (out, err) = succeeds(train(segment(), at, "mine", "run", &[&small[..], &["--method", "cnsn"]].concat()));
    says(&err, &["6 images, 2 classes", "classes sky, road", "differ in size", "crops of 48 × 40", "the last 1 of them"]);
    says(
        &err,
        &["table.json: the table of this run", "sncn-segment evaluate --run-dir run --data mine --test folder-validation"],
    );
    says(
        &out,
        &["folder-validation ", "folder-validation-c: mIoU % by shift and severity", "speckle_noise", "severities 3 of 1 to 5"],
    );
    let made = row(at, "run");
    assert_eq!(made["augment"]["crop"], json!([40, 48]));
    assert_eq!(
        (&made["train_limit"], &made["batch_size"], &made["layers"][1]["kind"]),
        (&json!(5), &json!(5), &json!("selfnorm"))
    );
    assert_eq!(made["test"], json!(["folder-validation", "folder-validation-c"]));

    // the table may be used again, the command resumes, and measures again once all is done
    let mut again = segment();
    again.current_dir(at).args([
        "train",
        "--table",
        "run/table.json",
        "--row",
        "cnsn",
        "--data-dir",
        "mine",
        "--run-dir",
        "again",
    ]);
    again.assert().success();
    assert_eq!(bytes(at, "run"), bytes(at, "again"));
    let cnsn = [&small[..], &["--method", "cnsn"]].concat();
    train(segment(), at, "mine", "parts", &[&cnsn[..], &["--stop-after", "1"]].concat()).assert().code(130);
    let (_, err) = succeeds(train(segment(), at, "mine", "parts", &cnsn));
    says(&err, &["resuming at step 1 of 2"]);
    assert_eq!(bytes(at, "run"), bytes(at, "parts"));
    let (out, err) = succeeds(train(segment(), at, "mine", "parts", &cnsn));
    says(&err, &["training is complete"]);
    says(&out, &["folder-validation-c: mIoU"]);

    // with parts of their own, another number of classes, and weights to begin with
    streets(&mine, "val", &[(48, 40), (48, 40)]);
    streets(&mine, "night", &[(48, 40)]);
    fs::write(mine.join("classes.txt"), "sky\nroad\nvehicle\n").unwrap();
    let weights = ["--weights", "run/selected.safetensors", "--set", "optimizer.weight_decay=0.001"];
    let (_, err) = succeeds(train(segment(), at, "mine", "tuned", &[&cnsn[..], &weights].concat()));
    says(&err, &["no pixel of the class \"vehicle\"", "the head begins anew, for 3 classes", "aux_classifier.4.weight"]);
    says(&err, &["chosen on mine/val (2 images"]);
    let made = row(at, "tuned");
    assert_eq!((&made["optimizer"]["weight_decay"], &made["train_limit"]), (&json!(0.001), &Value::Null));
    assert_eq!(made["test"], json!(["folder-validation", "folder-validation-c", "night", "val", "night-c"]));
    let mut evaluate = segment();
    evaluate.current_dir(at).args(["evaluate", "--run-dir", "tuned", "--data", "mine", "--severities", "1,5", "--json"]);
    let (out, _) = succeeds(evaluate);
    says(&out, &["folder-validation-c/saturate/5", "night-c/fog/1"]);
    assert!(!out.contains("/3\"") && !out.contains("folder-validation-c/fog"), "{out}");
    // a row with weights that begin another network
    let other = ["--network", "fcn_resnet18_8", "--weights", "run/selected.safetensors"];
    refused(train(segment(), at, "mine", "other", &other), &["selected.safetensors", "name the network"]);
    assert!(!at.join("other").exists());
}

#[test]
fn what_cannot_be_trained_on_is_told_with_what_can() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    fs::write(at.join("page.txt"), "good\n").unwrap();
    fs::create_dir(at.join("empty")).unwrap();
    let segments = |data: &str, more: &[&str], words: &[&str]| refused(train(segment(), at, data, "run", more), words);
    segments("mien", &[], &["--data mien: no such file or folder", "scenes, camvid, cityscapes, gta5, folder"]);
    segments("page.txt", &[], &["--data page.txt: a file", "classes.txt and train/{images,labels}"]);
    segments("scenes", &["--method", "ibn"], &["--method ibn: unknown; known: baseline, cn, sn, cnsn, mixstyle, randconv"]);
    segments("scenes", &["--network", "fcn_resnet19"], &["fcn_resnet19", "<18|34|50|101>"]);
    segments("scenes", &["--set", "weights=", "--epochs", "1"], &["weights is empty"]);
    segments("camvid", &[], &["no data folder", "--data-dir"]);
    segments("empty", &[], &["empty/classes.txt", "one class per line"]);
    let texts = |data: &str, more: &[&str], words: &[&str]| refused(train(sentiment(), at, data, "run", more), words);
    texts(
        "reviewz",
        &[],
        &["--data reviewz: no such file or folder", "known: reviews, imdb, sst2, sst2-sentences, amazon-books"],
    );
    texts(
        "reviews",
        &["--method", "randconv"],
        &["--method randconv: unknown; known: baseline, cn, sn, cnsn, mixstyle, word-dropout"],
    );
    texts("reviews", &["--network", "lstm"], &["unknown backbone \"lstm\"", "convnet<channels>"]);
    texts("reviews", &["--weights", "nowhere"], &["nowhere: no such file or folder here", "pretrained encoder"]);
    texts("reviews", &["--weights", "empty", "--network", "encoder2_64"], &["--network encoder2_64", "leave --network out"]);
    texts("reviews", &["--set", "weights=x.pth"], &["weights is set", "input.pretrained"]);
    texts("reviews", &["--set", "data={\"train\": \"a\"}"], &["data is set; tables of task \"sentiment\""]);
    texts("empty", &[], &["empty: none of train.jsonl"]);
    texts("page.txt", &[], &["page.txt: its name ends in \"txt\"", "csv"]);
    fs::write(at.join("few.csv"), "text,label\na,1\nb,0\nc,1\n").unwrap();
    texts("few.csv", &[], &["few.csv", "3 texts; at least 10 of a class"]);
    fs::write(at.join("names.csv"), "review,stars\na,1\nb,0\nc,1\n").unwrap();
    texts("names.csv", &[], &["no column \"text\"; there are: review, stars", "<path>:<column of texts>"]);
    let mut neither = segment();
    let said = neither.args(["train", "--run-dir", "run"]).current_dir(at).assert().code(2).get_output().stderr.clone();
    says(&String::from_utf8_lossy(&said), &["--table <FILE>", "--data <PATH>"]);
    assert!(!at.join("run").exists());
}

/// A table of such texts, in three classes.
fn reviews(columns: &str, count: usize) -> String {
    let kinds = [("awful bad plot", "bad"), ("a film , a plot", "so-so"), ("very good great film", "good")];
    let line = |i: usize| format!("\"{} {} .\",{}\n", kinds[i % 3].0, ["the", "a", "not"][i / 3 % 3], kinds[i % 3].1);
    format!("{columns}\n{}", (0..count).map(line).collect::<String>())
}

#[test]
fn own_texts_are_trained_on_and_measured_by_path_and_in_a_folder() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    // names with a space, a comma and columns of their own
    fs::write(at.join("my, own.csv"), reviews("review,mark", 120)).unwrap();
    let data = "my, own.csv:review:mark";
    let arguments = ["--network", "encoder1_16", "--method", "cn", "--epochs", "4"];
    let (out, err) = succeeds(train(sentiment(), at, data, "run", &arguments));
    says(&err, &["108 texts of the classes bad, good, so-so", "12 texts are kept out of training", "texts are cut to 16 tokens"]);
    says(&out, &["my, own.csv:review:mark-validation ", "typing_errors", "severities 3 of 1 to 5 only"]);
    let made = row(at, "run");
    assert_eq!((&made["train"], &made["test"][1]), (&json!(data), &json!(format!("{data}-validation-c"))));
    assert_eq!((&made["input"]["vocabulary"]["kind"], &made["mix"]["active"]), (&json!("pieces"), &json!(1)));
    train(sentiment(), at, data, "parts", &[&arguments[..], &["--stop-after", "9"]].concat()).assert().code(130);
    succeeds(train(sentiment(), at, data, "parts", &arguments));
    let mut again = sentiment();
    again.current_dir(at).args(["train", "--table", "run/table.json", "--row", "cn", "--run-dir", "again"]).assert().success();
    assert!(bytes(at, "run") == bytes(at, "parts") && bytes(at, "run") == bytes(at, "again"));

    // a folder as it is, and with the folder `own` in it; its test part is there to be measured
    for inner in ["", "own"] {
        let mine = at.join(format!("mine{inner}"));
        fs::create_dir_all(mine.join(inner)).unwrap();
        fs::write(mine.join(inner).join("train.csv"), reviews("text,label", 90)).unwrap();
        fs::write(mine.join(inner).join("test.csv"), reviews("text,label", 9)).unwrap();
        let (data, run) = (format!("mine{inner}"), format!("run{inner}-folder"));
        let (out, _) = succeeds(train(sentiment(), at, &data, &run, &["--network", "convnet8_4", "--epochs", "1"]));
        says(&out, &["own-validation ", "own-validation-c"]);
        assert_eq!(row(at, &run)["test"], json!(["own-validation", "own-validation-c", "own"]));
        let mut evaluate = sentiment();
        evaluate.current_dir(at).args(["evaluate", "--run-dir", &run, "--data", &data, "--test", "own,my, own.csv:review:mark"]);
        // a comma parts names
        refused(evaluate, &["unknown set of texts \"my\""]);
    }
    // most of a table that is trained on is known to the network
    let plain = at.join("plain.csv");
    fs::write(&plain, reviews("text,label", 90)).unwrap();
    succeeds(train(
        sentiment(),
        at,
        "plain.csv",
        "plain",
        &["--network", "convnet8_4", "--epochs", "1", "--method", "word-dropout"],
    ));
    let mut evaluate = sentiment();
    evaluate.current_dir(at).args(["evaluate", "--run-dir", "plain", "--test", "plain.csv"]);
    evaluate.assert().success().stdout(contains("trained on nine tenths of these texts").and(contains("plain.csv ")));
}

#[test]
fn an_encoder_begins_with_the_weights_of_a_folder() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    pretrained::folder(at, Family::Bert);
    fs::write(at.join("mine.csv"), reviews("text,label", 60)).unwrap();
    let (out, err) = succeeds(train(sentiment(), at, "mine.csv", "run", &["--weights", "Bert", "--epochs", "1"]));
    says(&err, &["network pretrained", "39 variables have weights", "classifier.weight, classifier.bias; not used: none"]);
    says(&out, &["mine.csv-validation-c"]);
    let made = row(at, "run");
    assert_eq!((&made["backbone"], &made["input"]), (&json!("pretrained"), &json!({"longest": 16, "pretrained": "Bert"})));
    // what the run needs lies in its folder
    fs::remove_dir_all(at.join("Bert")).unwrap();
    let mut predict = sentiment();
    predict.current_dir(at).args(["predict", "--run-dir", "run"]).write_stdin("very good film\n");
    predict.assert().success().stdout(contains("so-so"));
}
