//! What tests of `robustness` measure.

use crate::common::sncn;
use assert_cmd::Command;
use image::{Rgb, RgbImage};
use std::fs;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// Class folders `dark` and `light` of three photographs each, corrupted by brightness and contrast at severities 1 and 5.
pub(crate) fn corrupted() -> (TempDir, PathBuf) {
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

pub(crate) fn robustness(images: &Path, predictions: &Path) -> Command {
    let mut command = sncn();
    command.arg("robustness").arg("--images").arg(images).arg("--predictions").arg(predictions);
    command
}

/// What a program would answer: light where the mean of an image is above 60, with a probability.
pub(crate) fn answers(out: &Path, probabilities: bool) -> String {
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

/// The ONNX model that tells dark images from light ones, as `answers` does.
pub(crate) fn model() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../sncn-onnx/tests/data/light.onnx")
}

/// How images become inputs of it.
pub(crate) const INPUT: &str = r#"{"like": "cifar", "mean": [0, 0, 0], "std": [1, 1, 1]}"#;

/// `robustness --model` on the photographs of `corrupted`.
pub(crate) fn measured(folder: &TempDir, model: &Path, more: &[&str]) -> Command {
    let mut command = sncn();
    command.args(["robustness", "--corruptions", "brightness,contrast", "--severities", "1,5", "--images"]);
    command.arg(folder.path().join("photos")).arg("--model").arg(model).args(more);
    command
}
