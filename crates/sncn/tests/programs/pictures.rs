//! Image files as people have them, given to the programs.

use crate::common::{refused, segment, segment_table, sncn, table, train, training};
use image::{GrayImage, Luma, Rgb, RgbImage};
use predicates::prelude::*;
use predicates::str::contains;
use serde_json::{Value, json};
use std::fs;
use std::path::Path;

fn picture(width: u32, height: u32) -> RgbImage {
    RgbImage::from_fn(width, height, |x, y| Rgb([(7 * x) as u8, (5 * y) as u8, (x * y) as u8]))
}

fn corrupt(input: &Path, output: &Path, arguments: &[&str]) -> assert_cmd::Command {
    let mut command = sncn();
    command.arg("corrupt").arg("--input").arg(input).arg("--output").arg(output).args(arguments);
    command
}

#[test]
fn one_photograph_is_a_folder_of_one_and_what_cannot_be_corrupted_is_explained() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let (one, out) = (at("a photo.png"), at("out"));
    picture(40, 30).save(&one).unwrap();
    corrupt(&one, &out, &["--corruptions", "fog,snow", "--severities", "1"])
        .assert()
        .success()
        .stdout(contains("1 images × 2").and(contains("severities as in CIFAR-10-C")))
        .stderr(contains("frost").not());
    assert!(out.join("fog/1/a photo.png").is_file() && out.join("snow/1/a photo.png").is_file());
    // the table is that of the size of each image, or the one that is named
    let mixed = at("mixed");
    fs::create_dir(&mixed).unwrap();
    picture(200, 64).save(mixed.join("small.png")).unwrap();
    picture(200, 65).save(mixed.join("large.png")).unwrap();
    let (auto, named) = (at("auto"), at("named"));
    let contrast = ["--corruptions", "contrast", "--severities", "3"];
    let said = "severities as in CIFAR-10-C for 1 image (shorter side up to 64 pixels), as in ImageNet-C for 1 image";
    corrupt(&mixed, &auto, &contrast).assert().success().stdout(contains(said));
    let imagenet = [&contrast[..], &["--variant", "imagenet"]].concat();
    corrupt(&mixed, &named, &imagenet).assert().success().stdout(contains("severities as in ImageNet-C\n"));
    let bytes = |folder: &Path, name: &str| fs::read(folder.join("contrast/3").join(name)).unwrap();
    assert_eq!(bytes(&auto, "large.png"), bytes(&named, "large.png"));
    assert_ne!(bytes(&auto, "small.png"), bytes(&named, "small.png"));
    let out = at("none");
    refused(corrupt(&at("photoss"), &out, &[]), &["photoss: no such file or folder", "shapes, cifar10"]);
    fs::write(at("page.jpg"), "<!DOCTYPE html><html>404</html>").unwrap();
    refused(corrupt(&at("page.jpg"), &out, &[]), &["page.jpg", "web page"]);
    fs::create_dir(at("phone")).unwrap();
    fs::write(at("phone/IMG_1.HEIC"), b"\0\0\0\x18ftypheic\0\0\0\0").unwrap();
    refused(corrupt(&at("phone"), &out, &[]), &["no image files (png", "1 file passed over: .heic 1"]);
    refused(corrupt(&at("phone/IMG_1.HEIC"), &out, &[]), &["IMG_1.HEIC", "it is HEIC"]);
    refused(corrupt(&at("phone"), &at("phone"), &[]), &["phone", "name another folder"]);
    // the decoder's words are said once
    let bytes = fs::read(&one).unwrap();
    fs::write(at("cut.png"), &bytes[..bytes.len() / 2]).unwrap();
    let cut = corrupt(&at("cut.png"), &out, &[]).assert().failure().code(1).get_output().stderr.clone();
    assert_eq!(String::from_utf8_lossy(&cut).matches("nexpected end of file").count(), 1, "{}", String::from_utf8_lossy(&cut));
    // a limit on pixels, before anything is made
    picture(1250, 1000).save(at("large.png")).unwrap();
    let words = ["large.png", "1250 × 1000 are 1250000 pixels", "at most 1249999 are", "--max-pixels"];
    refused(corrupt(&at("large.png"), &out, &["--max-pixels", "1249999"]), &words);
    refused(corrupt(&one, &out, &["--sheet", "--sheet-width", "3"]), &["--sheet-width", "200 to 20000"]);
    assert!(!out.exists());
}

#[test]
fn copies_and_sheets_are_the_same_by_any_number_of_threads() {
    let folder = tempfile::tempdir().unwrap();
    let photos = folder.path().join("photos");
    fs::create_dir(&photos).unwrap();
    for (name, width, height) in [("a.png", 333, 150), ("b.png", 20, 300), ("c.png", 64, 64)] {
        picture(width, height).save(photos.join(name)).unwrap();
    }
    let made = |threads: &str| {
        let out = folder.path().join(threads);
        corrupt(&photos, &out, &["--severities", "2", "--threads", threads]).assert().success();
        let sheet = out.join("sheet.png");
        let arguments = ["--sheet", "--sheet-width", "500", "--corruptions", "fog,spatter", "--threads", threads];
        corrupt(&photos, &sheet, &arguments).assert().success();
        let size = image::image_dimensions(&sheet).unwrap();
        assert!((450..=500).contains(&size.0), "{size:?}");
        let mut files = vec![fs::read(sheet).unwrap()];
        for corruption in fs::read_dir(&out).unwrap().map(|entry| entry.unwrap().path()).filter(|path| path.is_dir()) {
            files.extend(["a.png", "b.png", "c.png"].map(|name| fs::read(corruption.join("2").join(name)).unwrap()));
        }
        files.sort();
        files
    };
    let one = made("1");
    assert_eq!(one.len(), 1 + 3 * 15);
    assert_eq!(one, made("3"));
}

#[test]
fn folders_are_labelled_and_masks_of_0_and_255_are_noticed() {
    let (folder, path) = table(|row| row["epochs"] = json!(1));
    let run = folder.path().join("run");
    train(&path, &run).assert().success();
    let photos = folder.path().join("photos");
    fs::create_dir_all(photos.join("more")).unwrap();
    picture(40, 30).save(photos.join("one.png")).unwrap();
    picture(30, 40).save(photos.join("more/two.bmp")).unwrap();
    let mut command = sncn();
    command.arg("predict").arg("--run-dir").arg(&run).arg(&photos).arg(photos.join("one.png"));
    command.assert().success().stdout(contains("one.png: ").count(1).and(contains("two.bmp: ")));
    let mut command = sncn();
    command.arg("predict").arg("--run-dir").arg(&run).arg(photos.join("three.png"));
    refused(command, &["three.png: no such file or folder"]);

    let data = folder.path().join("masks");
    fs::create_dir_all(&data).unwrap();
    fs::write(data.join("classes.txt"), "\u{feff}background\r\nan object\r\n").unwrap();
    for part in ["train", "day"] {
        for what in ["images", "labels"] {
            fs::create_dir_all(data.join(part).join(what)).unwrap();
        }
        for i in 0..4 {
            picture(48, 40).save(data.join(part).join(format!("images/{i}.jpg"))).unwrap();
            let mask = GrayImage::from_fn(48, 40, |x, _| Luma([if x > 30 { 255 } else { 0 }]));
            mask.save(data.join(part).join(format!("labels/{i}_mask.png"))).unwrap();
        }
    }
    let (_table, path) = segment_table(|row| {
        (row["train"], row["test"], row["epochs"]) = (json!("folder"), json!(["day"]), json!(1));
        row.as_object_mut().unwrap().remove("test_limit");
    });
    let run = |name: &str| {
        let mut command = training(segment(), &path, &folder.path().join(name));
        command.arg("--data-dir").arg(&data).assert().success()
    };
    let words =
        ["warning: no pixel of the class \"an object\"", "% of their pixels are void", "{\"values\": [0, 255]}", "a_mask.png"];
    let noticed = words.iter().fold(run("void"), |assert, word| assert.stderr(contains(*word)));
    noticed.stderr(contains("2 classes"));
    // with the remedy it is learnt
    fs::write(data.join("labels.json"), "{\"values\": [0, 255], \"suffix\": \"_mask\"}").unwrap();
    run("learnt").stderr(contains("warning").not());
    let mut command = segment();
    command.arg("evaluate").arg("--run-dir").arg(folder.path().join("learnt")).arg("--data-dir").arg(&data);
    command.assert().success().stdout(contains("an object").and(contains("7680")));
    fs::write(data.join("labels.json"), "{\"value\": [0, 255]}").unwrap();
    let mut command = training(segment(), &path, &folder.path().join("wrong"));
    command.arg("--data-dir").arg(&data);
    refused(command, &["labels.json", "\"suffix\": \"_mask\"", "unknown field `value`"]);
}

#[test]
fn features_of_a_trained_network_are_carried_back_to_pixels() {
    let (folder, path) = table(|row| (row["epochs"], row["train_limit"]) = (json!(1), json!(64)));
    let run = folder.path().join("run");
    train(&path, &run).assert().success();
    let show = |more: &[&str], output: &Path| {
        let mut command = sncn();
        command.args(["show", "--input", "shapes", "--contents", "2", "--styles", "2", "--steps", "4"]);
        command.args(more).arg("--output").arg(output);
        command
    };
    let picture = |more: &[&str], name: &str| {
        let output = folder.path().join(name);
        let said = show(more, &output).arg("--run-dir").arg(&run).assert().success();
        (fs::read(output).unwrap(), String::from_utf8(said.get_output().stdout.clone()).unwrap())
    };
    for (site, block) in [("block1.0", "block 0 of stage 1"), ("3.0", "block 0 of stage 3")] {
        let (bytes, said) = picture(&["--site", site, "--threads", "1"], "one.png");
        assert!(said.contains(&format!("{block} of wrn10_1: the distance of channel statistics")), "{said}");
        assert_eq!(bytes, picture(&["--site", site, "--threads", "2"], "two.png").0, "{site}");
    }
    let (_, said) = picture(&["--site", "block2.0", "--layer", "selfnorm"], "gates.png");
    assert!(said.contains("SelfNorm at block 0 of stage 2 of wrn10_1"), "{said}");
    let output = folder.path().join("none.png");
    let with_run = |more: &[&str]| {
        let mut command = show(more, &output);
        command.arg("--run-dir").arg(&run);
        command
    };
    refused(with_run(&["--site", "block2.7"]), &["--site: stage 2 of wrn10_1 has the blocks 0 to 0, not 7"]);
    refused(with_run(&["--site", "block9.0"]), &["no stage 9; this network has the stages 1 to 3"]);
    let mut without = sncn();
    without.args(["show", "--input", "shapes", "--output", "none.png", "--run-dir"]).arg(&run);
    refused(without, &["--run-dir and --checkpoint go with --site"]);
    refused(show(&["--site", "block2.0"], &output), &["give --run-dir or --checkpoint"]);
    let wrong = with_run(&["--site", "last"]).assert().failure().code(2);
    wrong.stderr(contains("\"last\" is no block; stage and block are accepted, as in block2.0"));
    with_run(&["--site", "1.0", "--crop", "both"]).assert().failure().code(2).stderr(contains("cannot be used with"));
    assert!(!output.exists());
    let (plain, path) = table(|row| (row["layers"], row["mix"], row["epochs"]) = (json!([]), Value::Null, json!(1)));
    let run = plain.path().join("run");
    train(&path, &run).assert().success();
    let mut without = show(&["--site", "1.0", "--layer", "selfnorm"], &output);
    without.arg("--run-dir").arg(&run);
    refused(without, &["the network has no SelfNorm at \"post\" of stage 1"]);
}
