//! Restyled training images: rows of kind `style`, and folders that `stylise` writes.

use crate::common::{checkpoints, refused, resumes, segment, segment_table, sncn, table, train};
use assert_cmd::Command;
use image::{Rgb, RgbImage};
use predicates::prelude::*;
use predicates::str::contains;
use serde_json::{Value, json};
use std::fs;
use std::path::Path;

/// Three paintings, each of one colour and a little grain.
fn paintings(folder: &Path) -> String {
    fs::create_dir_all(folder).unwrap();
    for (at, colour) in [[200u8, 30, 30], [20, 180, 40], [30, 40, 210]].into_iter().enumerate() {
        let image = RgbImage::from_fn(24, 20, |x, y| Rgb(colour.map(|c| c + ((x * 7 + y * 3) % 19) as u8)));
        image.save(folder.join(format!("{at}.png"))).unwrap();
    }
    folder.display().to_string()
}

#[test]
fn rows_train_on_restyled_images_and_resume_to_the_same_bytes() {
    let styles = tempfile::tempdir().unwrap();
    let source = paintings(&styles.path().join("paintings"));
    for augment in [
        json!({"kind": "style", "source": source, "share": 0.5}),
        json!({"kind": "style", "source": source, "strength": 0.7, "then": {"kind": "noise", "form": "speckle"}}),
    ] {
        let (folder, path) = table(|row| {
            (row["train_limit"], row["epochs"]) = (json!(80), json!(2));
            row["augment"] = augment.clone();
        });
        let [whole, broken, plain] = ["whole", "broken", "plain"].map(|name| folder.path().join(name));
        let said = train(&path, &whole).args(["--threads", "1"]).assert().success();
        said.stderr(contains("3 styles of").and(contains("AdaIN on pixel values: a stand-in for Stylized-ImageNet")));
        resumes(&|| train(&path, &broken), &broken, [5, 8], 6, 10);
        let last = |folder: &Path| fs::read(checkpoints(folder).last().unwrap()).unwrap();
        assert!(last(&whole) == last(&broken), "{augment}");
        let mut table: Value = serde_json::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
        table["runs"][0]["augment"] = json!(true);
        fs::write(&path, table.to_string()).unwrap();
        train(&path, &plain).assert().success();
        assert!(last(&whole) != last(&plain), "{augment}");
    }
    // below the data folder, and for labelled pixels
    let (folder, path) = segment_table(|row| {
        row["augment"] = json!({"kind": "paired", "style": {"kind": "style", "source": "paintings"}});
        (row["train_limit"], row["epochs"]) = (json!(8), json!(1));
    });
    let mut command = segment();
    command.arg("train").arg("--table").arg(&path).args(["--row", "small", "--run-dir"]).arg(folder.path().join("run"));
    command.arg("--data-dir").arg(styles.path()).assert().success().stderr(contains("3 styles of paintings"));
}

#[test]
fn styles_that_do_not_fit_are_refused() {
    let styles = tempfile::tempdir().unwrap();
    let source = paintings(styles.path());
    let said = |augment: Value, words: &[&str]| {
        let (folder, path) = table(|row| row["augment"] = augment.clone());
        refused(train(&path, &folder.path().join("run")), words);
    };
    said(json!({"kind": "style"}), &["augment: missing field `source`"]);
    said(json!({"kind": "style", "source": "nowhere"}), &["nowhere: no such file or folder"]);
    said(json!({"kind": "style", "source": source, "share": 2}), &["augment.share is 2; 0 to 1 is accepted"]);
    said(json!({"kind": "style", "source": source, "rate": 1}), &["unknown field `rate`"]);
    said(json!({"kind": "style", "source": source, "encoder": "vgg.pth"}), &["encoder and decoder go together"]);
    said(json!({"kind": "style", "source": source, "then": {"kind": "cutout", "size": 0}}), &["size is 0"]);
    said(json!({"kind": "style", "source": source, "then": {"kind": "augmix"}}), &["augment gives 3"]);
    let nothing = tempfile::tempdir().unwrap();
    said(json!({"kind": "style", "source": nothing.path().display().to_string()}), &["no image files"]);
}

#[test]
fn a_stylised_folder_is_written_once_and_trained_on() {
    let folder = tempfile::tempdir().unwrap();
    let styles = paintings(&folder.path().join("paintings"));
    let (input, out) = (folder.path().join("photos"), folder.path().join("stylised"));
    for class in ["a", "b"] {
        fs::create_dir_all(input.join(class)).unwrap();
        for number in 0..12u32 {
            let image = RgbImage::from_fn(40, 34, |x, y| {
                let on = if class == "a" { x / 4 % 2 == 0 } else { y / 4 % 2 == 0 };
                if on { Rgb([90, 120, 200 + number as u8]) } else { Rgb([20, 40, 60]) }
            });
            image.save(input.join(class).join(format!("{number}.jpg"))).unwrap();
        }
    }
    let stylise = |more: &[&str]| -> Command {
        let mut command = sncn();
        command.args(["stylise", "--styles", &styles, "--input"]).arg(&input).arg("--output").arg(&out).args(more);
        command
    };
    refused(stylise(&["--strength", "1.5"]), &["strength is 1.5; 0 to 1 is accepted"]);
    stylise(&["--encoder", "vgg.pth"]).assert().failure().stderr(contains("--decoder"));
    refused(stylise(&["--encoder", "vgg.pth", "--decoder", "decoder.pth"]), &["there is no vgg.pth"]);
    assert!(!out.exists());
    stylise(&["--threads", "1"]).assert().success().stdout(contains("24 images with one of 3 styles of"));
    let one = image::open(out.join("a/3.png")).unwrap().to_rgb8();
    assert_eq!((one.width(), one.height()), (40, 34));
    let bytes = || fs::read(out.join("b/7.png")).unwrap();
    let before = bytes();
    stylise(&["--threads", "2"]).assert().success();
    assert_eq!(bytes(), before);
    stylise(&["--seed", "1", "--size", "17"]).assert().success();
    assert_eq!(image::image_dimensions(out.join("b/7.png")).unwrap(), (20, 17));
    let mut train = sncn();
    train.arg("train").arg("--data").arg(&out).arg("--run-dir").arg(folder.path().join("run"));
    train.args(["--network", "wrn10_1", "--epochs", "1", "--set", "batch_size=4"]);
    train.args(["--set", r#"input={"like": "imagenet", "size": 16}"#]).assert().success().stderr(contains("2 classes"));
    fs::write(input.join("a/bad.png"), b"x").unwrap();
    refused(stylise(&[]), &["bad.png", "cannot be decoded"]);
}
