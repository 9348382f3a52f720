//! `sncn-classify` in sentences: what it does with good input, and what it says to bad input.

use crate::common::{checkpoints, refused, resumes, sncn, table, train};
use predicates::prelude::*;
use predicates::str::contains;
use serde_json::{Value, json};
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;

/// Of the uncorrupted set, whose three images each fall into one cell and one bin.
fn the_confusion_matrix_and_the_reliability_bins_add_up(results: &str, images: usize) {
    let lines: Vec<Value> = results.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines[0]["classes"].as_array().unwrap().len(), 10);
    let values = |test: &dyn Fn(&str) -> bool| -> Vec<f64> {
        let of_set = lines.iter().filter(|line| line["split"] == "shapes");
        of_set.filter(|line| test(line["metric"].as_str().unwrap())).map(|line| line["value"].as_f64().unwrap()).collect()
    };
    let sum = |test: &dyn Fn(&str) -> bool| values(test).iter().sum::<f64>();
    assert_eq!(sum(&|metric| metric.starts_with("confusion/")), images as f64);
    assert_eq!(sum(&|metric| metric.starts_with("reliability/") && metric.ends_with("/count")), images as f64);
    assert_eq!(values(&|metric| metric == "macro_f1").len(), 1);
    let cells = |line: &&Value| line["metric"].as_str().is_some_and(|metric| metric.contains('/'));
    let of_set = |line: &&Value| line["split"] != "training";
    assert!(lines.iter().filter(cells).filter(of_set).all(|line| line["split"] == "shapes"), "detail of a corrupted set");
}

fn refused_row(change: impl FnOnce(&mut Value), words: &[&str]) {
    let (folder, path) = table(change);
    refused(train(&path, &folder.path().join("run")), words);
    assert!(!folder.path().join("run").exists(), "something was written");
}

/// `timeout` signals a process and then its group; a cluster says by USR1 or USR2 that the time is nearly over.
#[cfg(unix)]
#[test]
fn an_interrupt_that_comes_twice_at_once_leaves_a_checkpoint() {
    for signal in ["INT", "USR1", "USR2"] {
        interrupted_twice(signal);
    }
}

#[cfg(unix)]
fn interrupted_twice(signal: &str) {
    let (folder, path) = table(|row| row["epochs"] = json!(1000));
    let run = folder.path().join("run");
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_sncn-classify"));
    command.arg("train").arg("--table").arg(&path).args(["--row", "small"]).arg("--run-dir").arg(&run);
    let mut child = command.stderr(std::process::Stdio::piped()).spawn().unwrap();
    let mut said = BufReader::new(child.stderr.take().unwrap()).lines().map(|line| line.unwrap());
    assert!(said.by_ref().any(|line| line.contains("parameters")), "it ended before it began");
    let twice = format!("kill -{signal} {0} && kill -{signal} {0}", child.id());
    assert!(std::process::Command::new("sh").args(["-c", &twice]).status().unwrap().success());
    let said: Vec<String> = said.collect();
    assert_eq!(child.wait().unwrap().code(), Some(130), "{said:?}");
    assert!(said.last().unwrap().contains("run the same command to resume"), "{said:?}");
    assert_eq!(checkpoints(&run).len(), 1);
}

#[test]
fn a_stopped_run_resumes_to_the_same_bytes_with_any_thread_count() {
    let (folder, path) = table(|_| {});
    let (whole, broken) = (folder.path().join("whole"), folder.path().join("broken"));
    train(&path, &whole).args(["--threads", "1"]).assert().success();
    resumes(&|| train(&path, &broken), &broken, [5, 11], 9, 20);
    fs::remove_file(checkpoints(&broken).last().unwrap()).unwrap();
    let other = fs::File::open(broken.join(".lock")).unwrap();
    other.lock().unwrap();
    refused(train(&path, &broken), &["another process is training there"]);
    drop(other);
    train(&path, &broken).assert().success().stderr(contains("resuming at step 18 of 20"));
    let last = |folder: &Path| fs::read(checkpoints(folder).last().unwrap()).unwrap();
    assert_eq!(last(&whole), last(&broken));
    assert_eq!(checkpoints(&whole).len(), 2, "the last two are kept");
    let results = |folder: &Path, threads: &str| {
        let file = folder.join("results.jsonl");
        let mut evaluate = sncn();
        evaluate.arg("evaluate").arg("--run-dir").arg(folder).arg("--results").arg(&file).args(["--threads", threads]);
        evaluate.arg("--csv").arg(folder.join("errors.csv"));
        evaluate
            .assert()
            .success()
            .stdout(contains("mean corruption error ").and(contains("relative: ")))
            .stdout(contains("generated textures"));
        fs::read_to_string(file).unwrap()
    };
    let text = results(&whole, "1");
    assert_eq!(text, results(&broken, "2"));
    assert!(text.lines().last().unwrap().contains("\"complete\":true"));
    assert!(text.contains("\"split\":\"shapes-c/fog/3\""));
    the_confusion_matrix_and_the_reliability_bins_add_up(&text, 3);
    let table = fs::read_to_string(whole.join("errors.csv")).unwrap();
    assert_eq!((table.lines().next(), table.lines().count()), (Some("set,shift,1,2,3,4,5,mean"), 16));
    assert!(table.contains("\nshapes-c,fog,"), "{table}");
    // and the net labels a picture
    let picture = folder.path().join("a.png");
    image::RgbaImage::from_pixel(45, 17, image::Rgba([9, 80, 200, 100])).save(&picture).unwrap();
    let mut predict = sncn();
    predict.arg("predict").arg("--run-dir").arg(&whole).arg(&picture);
    predict.assert().success().stdout(contains("a.png: ").and(contains("%")));
    fs::write(&picture, b"not a picture").unwrap();
    let mut predict = sncn();
    predict.arg("predict").arg("--checkpoint").arg(checkpoints(&whole).last().unwrap()).arg(&picture);
    refused(predict, &["a.png", "cannot be decoded"]);
}

/// Killed as `kill -9` does, once it has written checkpoints.
#[test]
fn a_killed_run_goes_on_from_its_newest_checkpoint() {
    let (folder, path) = table(|row| row["epochs"] = json!(100));
    let run = folder.path().join("run");
    let mut child = std::process::Command::new(env!("CARGO_BIN_EXE_sncn-classify"));
    child.arg("train").arg("--table").arg(&path).args(["--row", "small", "--checkpoint-every", "1"]);
    let mut child = child.arg("--run-dir").arg(&run).stderr(std::process::Stdio::null()).spawn().unwrap();
    let written = || run.is_dir() && checkpoints(&run).len() == 2;
    while !written() {
        assert!(child.try_wait().unwrap().is_none(), "it ended before it was killed");
        std::thread::sleep(std::time::Duration::from_millis(1));
    }
    child.kill().unwrap();
    assert!(!child.wait().unwrap().success());
    let newest = checkpoints(&run).pop().unwrap();
    let step: u64 = newest.file_stem().unwrap().to_str().unwrap().trim_start_matches("checkpoint-").parse().unwrap();
    assert!(step < 1000, "it had ended before it was killed");
    let mut more = train(&path, &run);
    more.args(["--stop-after", &(step + 1).to_string()])
        .assert()
        .code(130)
        .stderr(contains(format!("resuming at step {step} of 1000")));
}

#[test]
fn damaged_and_foreign_checkpoints_are_refused() {
    let (folder, path) = table(|_| {});
    let run = folder.path().join("run");
    train(&path, &run).assert().success();
    let files = checkpoints(&run);
    let good = fs::read(&files[1]).unwrap();
    for bad in [&good[..good.len() / 2], b"junk", b""] {
        fs::write(&files[1], bad).unwrap();
        refused(train(&path, &run), &["damaged", "is whole", files[0].file_name().unwrap().to_str().unwrap()]);
    }
    let mut flipped = good.clone();
    *flipped.last_mut().unwrap() ^= 1;
    fs::write(&files[1], &flipped).unwrap();
    refused(train(&path, &run), &["checksum"]);
    fs::write(&files[1], &good).unwrap();
    let (_other, other) = table(|row| row["lr"] = json!(0.2));
    refused(train(&other, &run), &["another run", "--run-dir"]);
    let mut predict = sncn();
    predict.arg("predict").arg("--checkpoint").arg(folder.path().join("none.safetensors")).arg("x.png");
    refused(predict, &["none.safetensors"]);
}

#[test]
fn a_table_with_mistakes_is_explained() {
    refused_row(|row| row["epoch"] = json!(3), &["table.json", "small", "epoch", "expected one of"]);
    refused_row(|row| row["epochs"] = json!("three"), &["table.json", "small", "epochs", "three"]);
    refused_row(|row| row["train"] = json!("cifar11"), &["cifar11", "cifar10", "shapes"]);
    refused_row(|row| row["backbone"] = json!("wrn17_1"), &["wrn17_1", "6n + 4"]);
    refused_row(|row| row["backbone"] = json!("vgg"), &["vgg", "allconv"]);
    refused_row(|row| row["layers"][1]["kind"] = json!("selfish"), &["selfish", "selfnorm"]);
    refused_row(|row| row["layers"][1]["at"] = json!("side"), &["side", "residual"]);
    refused_row(|row| row["layers"][1]["gates"] = json!(3), &["gates", "1 or 2"]);
    refused_row(|row| row["layers"][0]["crop"] = json!("all"), &["crop", "content"]);
    refused_row(|row| row["layers"][0]["bet"] = json!(1), &["bet", "beta"]);
    refused_row(|row| row["optimizer"]["kind"] = json!("lion"), &["lion", "sgd"]);
    refused_row(|row| row["batch_size"] = json!(0), &["batch_size"]);
    refused_row(|row| row["batch_size"] = json!(1), &["BatchNorm", "at least 2"]);
    refused_row(|row| row["mix"]["probability"] = json!(1.5), &["probability", "1.5"]);
    refused_row(|row| row["train"] = json!("cifar10"), &["--data-dir"]);
    let (folder, path) = table(|_| {});
    let mut row = sncn();
    row.args(["train", "--row", "big", "--table"]).arg(&path).arg("--run-dir").arg(folder.path());
    refused(row, &["big", "small"]);
    fs::write(&path, "{").unwrap();
    refused(train(&path, folder.path()), &["table.json"]);
    let mut plan = sncn();
    plan.args(["plan", "--table", "nowhere.json"]);
    refused(plan, &["nowhere.json"]);
}

#[test]
fn early_stopping_goes_by_images_that_are_not_trained_on() {
    let stopping = |limit: Value| {
        let (folder, path) = table(|row| {
            row["early_stopping"] = json!({"patience": 1});
            row["train_limit"] = limit;
        });
        let text = fs::read_to_string(&path).unwrap().replace(r#""select":"last""#, r#""select":"validation""#);
        fs::write(&path, text).unwrap();
        (folder, path)
    };
    let (folder, path) = stopping(json!(null));
    refused(train(&path, &folder.path().join("run")), &["early_stopping is set", "no example of shapes", "set train_limit"]);
    let (folder, path) = stopping(json!(160));
    train(&path, &folder.path().join("run")).assert().success().stderr(contains("on the validation set is epoch"));
}

#[test]
fn a_loss_that_is_not_finite_stops_the_run_and_names_the_step() {
    let (folder, path) = table(|row| row["lr"] = json!(1e30));
    refused(train(&path, &folder.path().join("run")), &["the loss of step", "last checkpoint is kept"]);
}

#[test]
fn data_folders_with_mistakes_are_explained() {
    let folder = tempfile::tempdir().unwrap();
    let open = |words: &[&str]| {
        let (_keep, path) = table(|row| row["train"] = json!("cifar10"));
        let mut command = train(&path, &folder.path().join("run"));
        command.arg("--data-dir").arg(folder.path());
        refused(command, words);
    };
    open(&["batches.meta.txt", "cifar-10-batches-bin"]);
    let set = folder.path().join("cifar-10-batches-bin");
    fs::create_dir(&set).unwrap();
    fs::write(set.join("batches.meta.txt"), "a\nb\n").unwrap();
    open(&["2 class names", "10"]);
    fs::write(set.join("batches.meta.txt"), "a\nb\nc\nd\ne\nf\ng\nh\ni\nj\n").unwrap();
    open(&["data_batch_1.bin"]);
    for name in ["data_batch_1", "data_batch_2", "data_batch_3", "data_batch_4", "data_batch_5", "test_batch"] {
        fs::write(set.join(format!("{name}.bin")), vec![0; 2 * 3073]).unwrap();
    }
    fs::write(set.join("data_batch_3.bin"), vec![0; 3072]).unwrap();
    open(&["data_batch_3.bin", "truncated"]);
    fs::write(set.join("data_batch_3.bin"), vec![77; 3073]).unwrap();
    open(&["data_batch_3.bin", "label 77", "0 to 9"]);
}

#[test]
fn corrupt_writes_copies_and_refuses_nonsense() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out");
    let corrupt = |arguments: &[&str]| {
        let mut command = sncn();
        command.args(["corrupt", "--output"]).arg(&out).args(arguments);
        command
    };
    refused(corrupt(&["--input", "shapes", "--severities", "0"]), &["severity 0"]);
    refused(corrupt(&["--input", "shapes", "--severities", "6"]), &["severity 6", "5"]);
    refused(corrupt(&["--input", "shapes", "--corruptions", "rain"]), &["rain", "snow"]);
    refused(corrupt(&["--input", "nothing"]), &["nothing", "shapes"]);
    assert!(!out.exists());
    corrupt(&["--input", "shapes", "--corruptions", "fog,snow", "--limit", "4"]).assert().success();
    assert_eq!(fs::metadata(out.join("fog.npy")).unwrap().len(), 128 + 5 * 4 * 3072);
    assert_eq!(fs::metadata(out.join("labels.npy")).unwrap().len(), 128 + 20);
    let pictures = folder.path().join("pictures/inner");
    fs::create_dir_all(&pictures).unwrap();
    refused(corrupt(&["--input", folder.path().join("pictures").to_str().unwrap()]), &["pictures", "no image files"]);
    image::GrayImage::new(33, 18).save(pictures.join("grey.png")).unwrap();
    image::RgbImage::new(1, 1).save(pictures.join("dot.bmp")).unwrap();
    let input = folder.path().join("pictures");
    corrupt(&["--input", input.to_str().unwrap(), "--severities", "5"]).assert().success();
    let one = image::open(out.join("fog/5/inner/grey.png")).unwrap();
    assert_eq!((one.width(), one.height()), (33, 18));
    // written into its own input, and again: its own output is no input
    let inside = input.join("corrupted");
    for _ in 0..2 {
        let mut command = sncn();
        command
            .args(["corrupt", "--corruptions", "fog", "--severities", "1", "--input"])
            .arg(&input)
            .arg("--output")
            .arg(&inside);
        command.assert().success().stdout(contains(": 2 images × 1 corruptions"));
    }
    fs::write(pictures.join("notes.txt"), "").unwrap();
    image::RgbImage::new(4, 4).save(pictures.join("grey.jpg")).unwrap();
    // of two inputs of one stem both are written
    let two = corrupt(&["--input", input.to_str().unwrap(), "--corruptions", "snow", "--severities", "2"]).assert().success();
    two.stderr(contains("3 files passed over: .csv 1, .json 1, .txt 1"));
    assert!(["grey.jpg.png", "grey.png.png"].iter().all(|name| out.join("snow/2/inner").join(name).is_file()));
    fs::remove_file(pictures.join("grey.jpg")).unwrap();
    fs::write(pictures.join("bad.png"), b"x").unwrap();
    refused(corrupt(&["--input", input.to_str().unwrap()]), &["bad.png", "cannot be decoded"]);
    let mut sheet = sncn();
    sheet.args(["corrupt", "--input", "shapes", "--sheet", "--output"]).arg(folder.path().join("sheet.png"));
    sheet.assert().success().stdout(contains("saturate"));
    assert!(image::open(folder.path().join("sheet.png")).is_ok());
}

#[test]
fn results_that_cannot_be_written_leave_nothing_behind() {
    let (folder, path) = table(|row| row["test"] = json!(["shapes"]));
    let run = folder.path().join("run");
    train(&path, &run).assert().success();
    let blocked = folder.path().join("file");
    fs::write(&blocked, "").unwrap();
    let mut evaluate = sncn();
    evaluate.arg("evaluate").arg("--run-dir").arg(&run).arg("--results").arg(blocked.join("r.jsonl"));
    refused(evaluate, &["file"]);
    let mut evaluate = sncn();
    evaluate.arg("evaluate").arg("--run-dir").arg(&run).args(["--test", "shapes-moon"]);
    refused(evaluate, &["shapes-moon", "shapes-lighting"]);
    let mut evaluate = sncn();
    evaluate.arg("evaluate").arg("--run-dir").arg(&run).arg("--csv").arg(folder.path().join("e.csv"));
    refused(evaluate, &["--csv", "none of the test sets shapes is shifted", "shapes-c"]);
    let mut evaluate = sncn();
    evaluate.arg("evaluate").arg("--run-dir").arg(folder.path().join("empty"));
    refused(evaluate, &["no such folder", "train first"]);
    sncn().args(["evaluate", "--run-dir"]).arg(&run).arg("--json").assert().success().stdout(contains("\"metric\":\"error\""));
}

#[test]
fn a_reader_that_goes_away_is_no_failure() {
    let (_folder, path) = table(|_| {});
    let mut child = std::process::Command::new(env!("CARGO_BIN_EXE_sncn-classify"));
    let mut child = child.arg("plan").arg("--table").arg(&path).stdout(std::process::Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    assert!(child.wait().unwrap().success());
}

#[test]
fn bf16_says_what_it_loses() {
    for backbone in ["wrn10_1", "allconv"] {
        let (folder, path) = table(|row| {
            row["backbone"] = json!(backbone);
            row["test"] = json!(["shapes"]);
            row["epochs"] = json!(1);
            row["layers"] = json!([]);
            row.as_object_mut().unwrap().remove("mix");
        });
        let run = folder.path().join("run");
        train(&path, &run).assert().success();
        let mut evaluate = sncn();
        evaluate.arg("evaluate").arg("--run-dir").arg(&run).args(["--precision", "bf16"]);
        evaluate.assert().success().stdout(contains("in f32 the error is").and(contains("bf16 gives the same class to")));
    }
}

#[test]
fn show_draws_contents_in_styles_and_marks_the_boxes() {
    let folder = tempfile::tempdir().unwrap();
    let output = folder.path().join("grid.png");
    let show = |arguments: &[&str]| {
        let mut command = sncn();
        command.args(["show", "--output"]).arg(&output).args(arguments);
        command
    };
    refused(show(&["--input", "shapes", "--contents", "0"]), &["--contents is 0", "1 to 64"]);
    refused(show(&["--input", "nothing"]), &["nothing", "shapes"]);
    let red = folder.path().join("red.png");
    let half = |x: u32, y: u32| image::Rgb(if (x / 4 + y / 4).is_multiple_of(2) { [220, 0, 20] } else { [180, 40, 60] });
    image::RgbImage::from_fn(40, 30, half).save(&red).unwrap();
    let grey = folder.path().join("grey.png");
    image::RgbImage::from_fn(64, 64, |x, _| image::Rgb([x as u8 * 2 + 60; 3])).save(&grey).unwrap();
    let (one, two) = (grey.to_str().unwrap(), red.to_str().unwrap());
    refused(show(&["--input", one, two]), &["2 images; 4 contents and 4 styles need 8"]);
    refused(show(&["--input", one, two, one, "--contents", "1", "--styles", "1"]), &["3 files", "make 2"]);
    assert!(!output.exists());
    let pair = ["--input", one, two, "--contents", "1", "--styles", "1", "--size", "96"];
    show(&pair).assert().success().stdout(contains("contents (rows) grey; styles (columns) red").and(contains("box").not()));
    let picture = image::open(&output).unwrap().into_rgb8();
    // the last tile is the grey ramp in the colours of the red one
    let mean = |channel: usize| {
        let tile = image::imageops::crop_imm(&picture, picture.width() - 98, picture.height() - 98, 96, 96).to_image();
        tile.pixels().map(|pixel| f64::from(pixel.0[channel])).sum::<f64>() / (96. * 96.)
    };
    assert!((mean(0) - 200.).abs() < 3. && mean(1) < 30. && mean(2) < 50., "{} {} {}", mean(0), mean(1), mean(2));
    let both = ["--input", "shapes", "--crop", "both", "--contents", "2", "--styles", "3"];
    show(&both).assert().success().stdout(contains("content box (orange)").and(contains("style box (blue)")));
    let first = fs::read(&output).unwrap();
    show(&both).assert().success();
    assert_eq!(first, fs::read(&output).unwrap());
    show(&[&both[..], &["--seed", "1"]].concat()).assert().success();
    assert_ne!(first, fs::read(&output).unwrap());
    let pixels =
        |colour: [u8; 3]| image::load_from_memory(&first).unwrap().into_rgb8().pixels().filter(|pixel| pixel.0 == colour).count();
    assert!(pixels([230, 159, 0]) > 8 * 40 && pixels([86, 180, 233]) > 3 * 40, "the boxes are marked");
}
