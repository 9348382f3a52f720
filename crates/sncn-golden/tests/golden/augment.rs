//! Byte operations and AugMix against golden images.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "helpers of tests may stop")]

use crate::corruptions::{INDEX, tensors};
use anyhow::Result;
use serde_json::Value;
use sncn_golden::{Array, json};
use sncn_vision::augment::augmix::{AUGMIX, AugMixDraw, mix};
use sncn_vision::augment::crop::{PADDING, crop_mirrored};
use sncn_vision::augment::cutout::cutout_bytes;
use sncn_vision::augment::operation::{OperationCall, operation};
use sncn_vision::augment::randaugment::{RANDAUGMENT, RandAugmentDraw, apply};
use sncn_vision::corruption::Dims;
use sncn_vision::preprocess::{Normalisation, Preprocessing};

/// The keys under which an index may hold an operation's number.
const PARAMETERS: [&str; 6] = ["bits", "degrees", "threshold", "factor", "pixels", "addition"];

fn dims(images: &Array<u8>) -> Dims {
    Dims { height: images.shape[1], width: images.shape[2] }
}

/// The number of an operation, from a map that may hold other keys; solarize_add has a threshold too.
fn parameter(map: &Value, name: &str) -> f64 {
    let key = if name == "solarize_add" { Some("addition") } else { PARAMETERS.into_iter().find(|key| !map[key].is_null()) };
    key.map_or(0.0, |key| map[key].as_f64().unwrap())
}

fn differences(got: &[u8], want: &[u8]) -> usize {
    assert_eq!(got.len(), want.len());
    got.iter().zip(want).filter(|(g, w)| g != w).count()
}

pub(crate) fn golden_augmix_operations_are_exact() -> Result<()> {
    let (index, images) = (json(INDEX).unwrap(), tensors("images").u8("images").unwrap());
    let (want, dims) = (tensors("augmix").u8("ops").unwrap(), dims(&images));
    let cases = index["augmix_ops"].as_array().unwrap();
    assert_eq!(cases.len(), want.shape[0]);
    let mut wrong = Vec::new();
    for (row, case) in cases.iter().enumerate() {
        let name = case["op"].as_str().unwrap();
        let number = parameter(&case["parameter"], name);
        for image in 0..want.shape[1] {
            let mut got = vec![7; dims.bytes()];
            operation(name).unwrap()(images.part(&[image]), dims, number, &mut got);
            let count = differences(&got, want.part(&[row, image]));
            if count > 0 {
                wrong.push(format!("{name} {number} image {image}: {count} bytes differ"));
            }
        }
        let levelled = AUGMIX.iter().find(|entry| entry.name == name).unwrap();
        let sign = case["sign"].as_f64();
        assert_eq!(levelled.signed, sign.is_some(), "{name}");
        if let Some(level) = case["level"].as_f64() {
            let got = sign.unwrap_or(1.0) * (levelled.parameter)(level, dims);
            assert!((got - number).abs() < 1e-12, "{name}: level {level} gives {got}, not {number}");
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    Ok(())
}

pub(crate) fn golden_augmix_mixtures() -> Result<()> {
    let (index, images) = (json(INDEX).unwrap(), tensors("images").u8("images").unwrap());
    let (want, dims) = (tensors("augmix").f32("full").unwrap(), dims(&images));
    let cases = index["augmix_full"].as_array().unwrap();
    assert_eq!(cases.len(), want.shape[0]);
    for (row, case) in cases.iter().enumerate() {
        let mut drawn = AugMixDraw { weight: case["m"].as_f64().unwrap(), ..AugMixDraw::default() };
        let weights: Vec<f64> = serde_json::from_value(case["weights"].clone()).unwrap();
        for (weight, chain) in weights.into_iter().zip(case["chains"].as_array().unwrap()) {
            let chain = chain.as_array().unwrap();
            drawn.chains.push((weight, chain.len()));
            for step in chain {
                let name = step["op"].as_str().unwrap();
                drawn.calls.push(OperationCall { operation: operation(name).unwrap(), parameter: parameter(step, name) });
            }
        }
        let image = images.part(&[case["image"].as_u64().unwrap() as usize]);
        let mut got = vec![0f32; dims.bytes()];
        mix(&drawn, image, dims, &mut Default::default(), &mut got);
        Normalisation::CIFAR.apply(&mut got);
        let worst = got.iter().zip(want.part(&[row])).map(|(g, w)| (g - w).abs()).fold(0.0, f32::max);
        assert!(worst <= 1e-5, "case {row}: {worst}");
    }
    Ok(())
}

/// RandAugment on whole images: operations of the registry at their strengths, with the golden signs, then the grey square.
pub(crate) fn golden_randaugment_images() -> Result<()> {
    let (index, images) = (json(INDEX).unwrap(), tensors("images").u8("images").unwrap());
    let (want, normalised) =
        (tensors("fixmatch").u8("strong_u8").unwrap(), tensors("fixmatch").f32("strong_normalised").unwrap());
    let (cases, dims) = (index["fixmatch_strong"].as_array().unwrap(), dims(&images));
    assert_eq!(cases.len(), want.shape[0]);
    let input = Preprocessing::named("cifar-fixmatch").unwrap();
    for (row, case) in cases.iter().enumerate() {
        let mut drawn = RandAugmentDraw::default();
        for step in case["ops"].as_array().unwrap().iter().filter(|step| step["applied"] == true) {
            let plain = |name: &str| name.replace(['_'], "").replace("nearest", "");
            let name = step["op"].as_str().unwrap().to_lowercase();
            let found = RANDAUGMENT.iter().find(|entry| plain(entry.name) == name).unwrap();
            let sign = step["sign"].as_f64();
            assert_eq!(found.signed, sign.is_some(), "{name}");
            let parameter = sign.unwrap_or(1.) * (found.parameter)(step["v"].as_f64().unwrap(), dims);
            let known = PARAMETERS.into_iter().find_map(|key| step[key].as_f64()).unwrap_or(parameter);
            assert!((parameter - known).abs() < 1e-12, "case {row}, {name}: {parameter}, wanted {known}");
            drawn.calls.push(OperationCall { operation: found.operation, parameter });
        }
        let square = |key: &str| case["cutout"][key].as_f64().unwrap();
        drawn.cutout = Some((square("size") as usize, (square("x_draw"), square("y_draw"))));
        let image = images.part(&[case["image"].as_u64().unwrap() as usize]);
        let mut buffers = Default::default();
        let got = apply(&drawn, image, dims, &mut buffers);
        assert_eq!(differences(got, want.part(&[row])), 0, "case {row}");
        let values = input.normalisation().values(got);
        let worst = values.iter().zip(normalised.part(&[row])).map(|(g, w)| (g - w).abs()).fold(0.0, f32::max);
        assert!(worst <= 1e-5, "case {row}: {worst}");
    }
    Ok(())
}

pub(crate) fn golden_randaugment_operations_are_exact() -> Result<()> {
    let (index, images) = (json(INDEX).unwrap(), tensors("images").u8("images").unwrap());
    let (want, dims) = (tensors("fixmatch").u8("ops").unwrap(), dims(&images));
    let cases = index["fixmatch_ops"].as_array().unwrap();
    assert_eq!(cases.len(), want.shape[0]);
    // the images used are the first rows and the last two
    let (used, all) = (want.shape[1], images.shape[0]);
    let rows: Vec<usize> = (0..used - 2).chain(all - 2..all).collect();
    let mut wrong = Vec::new();
    for (row, case) in cases.iter().enumerate() {
        let name = case["op"].as_str().unwrap();
        for (slot, &image) in rows.iter().enumerate() {
            let image = images.part(&[image]);
            let mut got = vec![7; dims.bytes()];
            if name == "cutout" {
                let number = |key: &str| case[key].as_f64().unwrap();
                cutout_bytes(image, dims, number("size"), (number("x_draw"), number("y_draw")), &mut got);
            } else if name == "weak_flip_crop" {
                // the golden image is flipped before the crop, so a flipped column counts from the other side
                let [flip, down, right] = ["flip", "row", "col"].map(|key| case[key].as_u64().unwrap() as usize);
                let right = if flip == 1 { 2 * PADDING - right } else { right };
                crop_mirrored(image, dims, (down, right), flip == 1, &mut got);
            } else {
                operation(name).unwrap()(image, dims, parameter(case, name), &mut got);
            }
            let count = differences(&got, want.part(&[row, slot]));
            if count > 0 {
                wrong.push(format!("case {row}, {name}, image {slot}: {count} bytes differ"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    Ok(())
}
