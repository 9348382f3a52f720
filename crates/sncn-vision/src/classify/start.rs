//! The row that stands for images, a network and a method, for users without a table.

use super::corrupted::corruptions;
use super::setup::{self, Classify};
use crate::dataset::{self, Parts, Splits};
use crate::picture;
use anyhow::{Context, Result};
use serde_json::{Value, json};
use sncn_train::DataDir;
use sncn_train::harness::Task;
use sncn_train::harness::given::{Given, Method, Row, is_path, method, methods};
use sncn_train::text_file::listed;
use std::path::PathBuf;

/// The name that a user's own photographs have as a data set.
const OWN: &str = "folder";
/// Photographs whose size is looked at; they are decoded for that.
const LOOKED_AT: usize = 32;
/// Sides of inputs that are chosen among, in pixels, by the short side of the photographs.
const SIDES: [usize; 7] = [32, 64, 96, 112, 128, 160, 224];
/// The largest side that networks for CIFAR are chosen for.
const SMALL: usize = 64;
/// The fraction of a data set without a validation part that is trained on.
const TRAINED: f64 = 0.9;

/// Where layers are attached in a network.
struct Places {
    cross: &'static str,
    own: &'static str,
}

/// CrossNorm on the input image of networks for photographs, as published for ImageNet; inside others, as published for CIFAR.
fn places(network: &str) -> Places {
    match network {
        name if name.starts_with("allconv") => Places { cross: "conv", own: "conv" },
        name if name.starts_with("densenet") => Places { cross: "conv1_pre", own: "conv1_pre" },
        name if setup::is_for_cifar(name) => Places { cross: "post", own: "post" },
        _ => Places { cross: "image", own: "post" },
    }
}

/// The methods of the paper and those beside it, by name, their layers at the places of a network.
fn all_methods(places: &Places) -> Vec<Method> {
    let crossnorm = json!({"kind": "crossnorm", "at": places.cross, "crop": "both"});
    let selfnorm = json!({"kind": "selfnorm", "at": places.own});
    let mixstyle = json!({"kind": "mixstyle", "at": places.own, "stages": [1, 2]});
    let mixstyle = json!({"layers": [mixstyle], "mix": {"probability": 0.5, "active": 2}});
    let augmix = json!({"augment": {"kind": "augmix"}, "objective": {"kind": "augmix", "weight": 12}});
    let mut known = methods(&crossnorm, &selfnorm, mixstyle);
    let with_both = |more: Value| match (known.iter().find(|(name, _)| *name == "cnsn"), more) {
        (Some((_, Value::Object(both))), Value::Object(more)) => Value::Object(both.clone().into_iter().chain(more).collect()),
        (_, more) => more,
    };
    let both = [
        ("cnsn-consist", with_both(json!({"objective": {"kind": "consistency", "weight": 10}}))),
        ("cnsn-augmix", with_both(augmix.clone())),
    ];
    // published at every site by itself, pAdaIN with 0.01 at every convolution
    let everywhere = json!({"probability": 1, "active": 1000});
    let acting = |kind: &str, probability: f64| json!({"layers": [{"kind": kind, "at": places.own, "probability": probability}], "mix": everywhere});
    let efdmix = json!({"kind": "efdmix", "at": places.own, "stages": [1, 2]});
    known.extend([
        ("efdmix", json!({"layers": [efdmix], "mix": {"probability": 0.5, "active": 2}})),
        ("dsu", acting("dsu", 0.5)),
        ("padain", acting("padain", 0.03)),
        ("cutout", json!({"augment": {"kind": "cutout"}})),
        ("mixup", json!({"objective": {"kind": "mixup", "alpha": 0.2}})),
        ("cutmix", json!({"objective": {"kind": "cutmix", "alpha": 1.0, "probability": 0.5}})),
        ("augmix", augmix),
        ("randconv", json!({"augment": {"kind": "randconv", "probability": 0.5}})),
    ]);
    known.extend(both);
    known
}

/// The side of the inputs for images whose median short side is so many pixels: the largest of those chosen among that is not larger.
fn side(short: usize) -> usize {
    SIDES.into_iter().rev().find(|side| *side <= short).unwrap_or(SIDES[0])
}

/// The median short side of the first images.
fn short_side(splits: &Splits) -> Result<usize> {
    let train = splits.trained(OWN)?;
    let mut photo = picture::Photo::default();
    let read = |index| train.read(index, &mut photo).map(|_| photo.dims().height.min(photo.dims().width));
    let mut sides: Vec<usize> = match train.dims() {
        Some(dims) => vec![dims.height.min(dims.width)],
        // what cannot be read is told when all files are checked
        None => (0..train.len().min(LOOKED_AT)).map(read).filter_map(Result::ok).collect(),
    };
    sides.sort_unstable();
    sides.get(sides.len() / 2).copied().context("no image can be read")
}

/// The row, and what was chosen.
pub(super) fn row(given: &Given<'_>) -> Result<Row> {
    let known: Vec<&str> = dataset::names().collect();
    let is_own = is_path(given.data, &known)?;
    let parts = Parts::read(given.keys.get("data").unwrap_or(&Value::Null))?;
    let (train, data_dir) = match is_own {
        true => (OWN, DataDir { path: Some(PathBuf::from(given.data)) }),
        false => (given.data, given.data_dir.clone()),
    };
    let splits = dataset::open_parts(train, &data_dir, &parts, None)?;
    let (images, short) = (splits.trained(train)?, short_side(&splits)?);
    let network = given.network.unwrap_or(if short <= SMALL { "wrn16_2" } else { "resnet18" });
    let is_small = setup::is_for_cifar(network);
    let input = match setup::usual_input(network) {
        usual if is_small => json!(usual),
        usual => json!({"like": usual, "size": side(short)}),
    };
    let batch_size = if is_small { 64 } else { 32 };
    let (epochs, lr) = match given.weights {
        Some(_) => (given.epochs.unwrap_or(10), 0.01),
        None => (given.epochs.unwrap_or(30), 0.05),
    };
    let mut keys = json!({
        "name": given.method, "train": train, "backbone": network, "epochs": epochs, "batch_size": batch_size, "lr": lr,
        "optimizer": {"kind": "sgd", "momentum": 0.9, "nesterov": true, "weight_decay": if is_small { 0.0005 } else { 0.0001 }},
        "schedule": {"kind": "cosine", "floor": 1e-6}, "objective": {"kind": "plain"}, "augment": true,
        "input": input, "early_stopping": {"patience": epochs.max(1)}
    });
    let mut said = vec![format!(
        "{}: classes {}; half of the images have {short} pixels or more along the short side",
        images.describe(),
        listed(images.classes())
    )];
    let kept = match &splits.validation {
        Some(kept) => kept.len(),
        None => {
            let trained = (images.len() as f64 * TRAINED) as usize;
            keys["train_limit"] = trained.into();
            images.len() - trained
        }
    };
    said.push(format!(
        "{kept} images are kept out of training, and the best of the epochs is chosen on them; network {network}, method {}, {epochs} epochs",
        given.method
    ));
    let validation = format!("{train}-validation");
    let mut tests = vec![validation.clone(), format!("{validation}-c")];
    tests.extend(splits.test.iter().map(|(name, _)| name.clone()));
    tests.extend(splits.test.first().map(|(name, _)| format!("{name}-c")));
    keys["test"] = json!(tests);
    let Value::Object(mut keys) = keys else { return Err(anyhow::anyhow!("a row is an object")) };
    keys.extend(method(given.method, all_methods(&places(network)))?);
    keys.extend(given.weights.map(|file| ("weights".to_string(), file.into())));
    let evaluation = ["--test", &format!("{validation},{validation}-c"), "--severities", "3"].map(str::to_string).to_vec();
    let base = splits.test.first().map_or(&validation, |(name, _)| name);
    said.push(format!(
        "{} evaluate measures more, such as --test {base}-c ({} corruptions × 5 severities)",
        Classify::INFO.program,
        corruptions(base).count()
    ));
    Ok(Row { keys, data_dir: is_own.then(|| PathBuf::from(given.data)), said, evaluation })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_method_has_layers_at_places_of_the_network() {
        for (network, at) in [("resnet18", "image"), ("wrn16_2", "post"), ("densenet40_12", "conv1_pre"), ("allconv", "conv")] {
            let known = all_methods(&places(network));
            let keys = |name: &str| &known.iter().find(|(known, _)| *known == name).unwrap().1;
            assert_eq!(keys("cn")["layers"][0]["at"], at);
            assert_eq!(keys("cnsn-augmix")["layers"], keys("cnsn")["layers"]);
            assert_eq!(keys("cnsn-consist")["mix"], keys("cn")["mix"]);
        }
        let unknown = method("magic", all_methods(&places("resnet18"))).unwrap_err().to_string();
        assert!(unknown.contains("known: baseline, cn, sn, cnsn, mixstyle, efdmix, dsu, padain, cutout"), "{unknown}");
        assert_eq!([10, 32, 112, 150, 4000].map(side), [32, 32, 112, 128, 224]);
    }
}
