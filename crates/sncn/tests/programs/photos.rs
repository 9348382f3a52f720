//! `sncn-classify` on photographs of a user's own: training without a table, evaluation, prediction, and what goes wrong there.

use crate::common::{checkpoints, refused, sncn};
use assert_cmd::Command;
use image::{Rgb, RgbImage};
use std::fs;
use std::path::Path;

/// Writes JPEG files of different sizes, `<class>/<number>.jpg`: stripes across, along, or a plain colour.
fn photos(folder: &Path, count: u32) {
    for (class, kind) in [("across", 0), ("along", 1), ("plain", 2)] {
        fs::create_dir_all(folder.join(class)).unwrap();
        for number in 0..count {
            let (width, height) = (40 + 3 * (number % 5), 36 + 5 * (number % 3));
            let image = RgbImage::from_fn(width, height, |x, y| {
                let on = [x / 4 % 2 == 0, y / 4 % 2 == 0, true][kind];
                let light = 60 + (number * 13 % 90) as u8;
                if on { Rgb([light + 90, light, 200]) } else { Rgb([20, 40, light]) }
            });
            image.save(folder.join(class).join(format!("{number:02}.jpg"))).unwrap();
        }
    }
}

fn train(data: &Path, run: &Path, arguments: &[&str]) -> Command {
    let mut command = sncn();
    command.arg("train").arg("--data").arg(data).arg("--run-dir").arg(run).args(["--network", "wrn10_1", "--epochs", "2"]);
    command.args(["--set", "batch_size=8"]).args(arguments);
    command
}

fn said(command: &mut Command) -> String {
    let output = command.assert().success().get_output().clone();
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

#[test]
fn own_photographs_are_trained_on_without_a_table_and_the_run_can_be_used() {
    let folder = tempfile::tempdir().unwrap();
    let (data, run) = (folder.path().join("photos"), folder.path().join("run"));
    photos(&data, 20);
    let text = said(&mut train(&data, &run, &["--method", "cnsn", "--set", r#"input={"like": "imagenet", "size": 32}"#]));
    for words in [
        "54 images, 3 classes",
        "classes across, along, plain",
        "6 images are kept out of training",
        "folder-validation ",
        "speckle_noise",
        "severities 3 of 1 to 5 only",
        "table.json",
    ] {
        assert!(text.contains(words), "{words}: {text}");
    }
    // the table that stands for it trains to the same bytes
    let again = folder.path().join("again");
    let mut command = sncn();
    command.arg("train").arg("--table").arg(run.join("table.json")).args(["--row", "cnsn"]);
    command.arg("--data-dir").arg(&data).arg("--run-dir").arg(&again);
    command.assert().success();
    assert_eq!(weights(&run), weights(&again));
    // predict takes the size of inputs from the run
    let mut predict = sncn();
    predict.arg("predict").arg("--run-dir").arg(&run).arg(data.join("plain/00.jpg"));
    assert!(said(&mut predict).contains("00.jpg: "));
    // and evaluate any folder of the same classes, or of some of them, and one that corrupt wrote
    let copies = folder.path().join("copies");
    let mut corrupt = sncn();
    corrupt.args(["corrupt", "--severities", "2", "--corruptions", "fog", "--input"]).arg(&data).arg("--output").arg(&copies);
    corrupt.assert().success();
    let some = folder.path().join("some");
    fs::create_dir_all(some.join("plain")).unwrap();
    fs::copy(data.join("plain/01.jpg"), some.join("plain/01.jpg")).unwrap();
    let mut evaluate = sncn();
    let tests = format!("{},{}", copies.display(), some.display());
    evaluate.arg("evaluate").arg("--run-dir").arg(&run).arg("--data").arg(&data).args(["--test", &tests]);
    let text = said(&mut evaluate);
    assert!(text.contains("fog") && text.lines().any(|line| line.starts_with("some ")), "{text}");
    fs::create_dir_all(some.join("other")).unwrap();
    fs::copy(data.join("plain/01.jpg"), some.join("other/01.jpg")).unwrap();
    let mut evaluate = sncn();
    evaluate.arg("evaluate").arg("--run-dir").arg(&run).arg("--data").arg(&data).arg("--test").arg(&some);
    refused(evaluate, &["classes that the network does not know: other", "across, along, plain"]);
}

/// The bytes of the newest checkpoint.
fn weights(run: &Path) -> Vec<u8> {
    fs::read(checkpoints(run).last().unwrap()).unwrap()
}

#[test]
fn a_run_on_jpeg_files_that_was_stopped_ends_in_the_same_bytes_with_one_thread_or_two() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("photos");
    photos(&data, 16);
    let settings = ["--method", "cnsn-augmix", "--set", r#"input={"like": "imagenet", "size": 32}"#];
    let whole = folder.path().join("whole");
    train(&data, &whole, &settings).args(["--threads", "1"]).assert().success();
    for threads in ["1", "2"] {
        let run = folder.path().join(threads);
        train(&data, &run, &settings).args(["--threads", threads, "--stop-after", "3"]).assert().code(130);
        train(&data, &run, &settings).args(["--threads", threads]).assert().success();
        assert!(weights(&run) == weights(&whole), "{threads} thread(s)");
    }
}

#[test]
fn weights_of_another_number_of_classes_keep_all_but_the_head() {
    let folder = tempfile::tempdir().unwrap();
    let (data, first, second) = (folder.path().join("photos"), folder.path().join("first"), folder.path().join("second"));
    photos(&data, 12);
    train(&data, &first, &["--method", "baseline"]).assert().success();
    let file = folder.path().join("first.safetensors");
    let mut export = sncn();
    export.arg("export").arg(checkpoints(&first).last().unwrap());
    export.arg("--output").arg(&file).assert().success();
    fs::remove_dir_all(data.join("plain")).unwrap();
    let text = said(&mut train(&data, &second, &["--method", "cnsn", "--weights", file.to_str().unwrap()]));
    assert!(text.contains("the head begins anew, for 2 classes: fc.weight, fc.bias"), "{text}");
    assert!(text.contains("SelfNorm gates begin near 1"), "{text}");
    // import takes the classes and the size of inputs from what export wrote
    let imported = folder.path().join("imported.safetensors");
    let mut import = sncn();
    import.arg("import").arg(&file).args(["--backbone", "wrn10_1", "--output"]).arg(&imported);
    let text = said(&mut import);
    assert!(text.contains("3 classes") && !text.contains("numbered"), "{text}");
    let predicted = |of: &Path| {
        let mut predict = sncn();
        predict.arg("predict").arg("--checkpoint").arg(of).arg(data.join("across/00.jpg"));
        said(&mut predict).lines().filter(|line| line.contains("00.jpg")).map(str::to_string).collect::<Vec<_>>()
    };
    let lines = predicted(&imported);
    assert!(lines.len() == 1 && lines == predicted(checkpoints(&first).last().unwrap()), "{lines:?}");
    // no epoch at all tests them as they are; a network of more classes keeps these
    let kept = folder.path().join("kept");
    let mut untrained = sncn();
    untrained.arg("train").arg("--data").arg(&data).arg("--run-dir").arg(&kept).arg("--weights").arg(&file);
    let text = said(untrained.args(["--network", "wrn10_1", "--method", "baseline", "--epochs", "0"]));
    assert!(text.contains("--test folder-validation-c (4 corruptions × 5 severities)"), "{text}");
    assert!(text.contains("not trained (epochs is 0)") && text.contains("first.safetensors as they are"), "{text}");
    let exported = folder.path().join("kept.safetensors");
    let mut export = sncn();
    export.arg("export").arg(checkpoints(&kept).last().unwrap()).arg("--output").arg(&exported).assert().success();
    let tensors = |path: &Path| {
        let file = candle_core::safetensors::load(path, &candle_core::Device::Cpu).unwrap();
        let sums = file.into_iter().map(|(name, tensor)| {
            (name, tensor.to_dtype(candle_core::DType::F64).unwrap().flatten_all().unwrap().to_vec1::<f64>().unwrap())
        });
        sums.collect::<std::collections::BTreeMap<_, _>>()
    };
    assert!(tensors(&exported) == tensors(&file));
    let other = folder.path().join("other");
    let command = train(&data, &other, &["--set", "epochs=0"]);
    refused(command, &["epochs is 0", "the key weights"]);
    let mut command = train(&data, &other, &["--method", "baseline", "--weights", file.to_str().unwrap()]);
    command.args(["--set", "backbone=wrn16_1"]);
    refused(command, &["first.safetensors", "missing", "name the network that it was saved from"]);
    let command = train(&data, &other, &["--weights", "nowhere.pth"]);
    refused(command, &["there is no nowhere.pth", "correct the path"]);
}

#[test]
fn what_is_wrong_with_photographs_is_told_before_training() {
    let folder = tempfile::tempdir().unwrap();
    let (data, run) = (folder.path().join("photos"), folder.path().join("run"));
    photos(&data, 10);
    fs::write(data.join("along/03.jpg"), "").unwrap();
    let whole = fs::read(data.join("plain/04.jpg")).unwrap();
    fs::write(data.join("plain/04.jpg"), &whole[..whole.len() - 20]).unwrap();
    refused(train(&data, &run, &[]), &["1 of 30 files cannot be read", "along/03.jpg: the file is empty", "--skip-unreadable"]);
    let mut full = train(&data, &run, &[]);
    full.args(["--check", "full"]);
    refused(full, &["2 of 30 files cannot be read", "plain/04.jpg", "cut short"]);
    assert!(!run.join("table.json").exists());
    let text = said(train(&data, &run, &[]).args(["--check", "full", "--skip-unreadable"]));
    assert!(text.contains("2 of 30 files cannot be read and are left out") && text.contains("unreadable left out"), "{text}");
    refused(train(&data.join("nowhere"), &run, &[]), &["no such file or folder, and no data set", "shapes"]);
    refused(train(&data, &folder.path().join("b"), &["--method", "magic"]), &["--method magic", "known: baseline, cn"]);
    refused(train(&data, &folder.path().join("b"), &["--set", "epoch=3"]), &["epoch: unknown field"]);
    refused(train(&data, &folder.path().join("b"), &["--set", "epochs"]), &["KEY=VALUE is expected"]);
    refused(train(&data, &folder.path().join("b"), &["--set", "input.size=3"]), &["input.size is 3"]);
}
