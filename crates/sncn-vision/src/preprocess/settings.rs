//! The settings of `Preprocessing`, and those that have a name.

use super::normalise::Normalisation;
use super::resample::Interpolation;
use super::resized_crop::ResizedCrop;
use crate::augment::crop::Edge;
use anyhow::{Context, Result, bail, ensure};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// How images become the input of a classifier.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Preprocessing {
    /// Side of the network's input in pixels.
    pub size: usize,
    /// In evaluation, the short side of an image before its middle is cut out, in pixels.
    pub resize: usize,
    /// In evaluation, whether both sides of an image are resized to `resize`, whatever its proportions.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub stretch: bool,
    /// How images are resized.
    pub interpolation: Interpolation,
    /// Which part of an image is taken in training, where images are augmented.
    pub train_crop: TrainCrop,
    /// The mean of each channel, as a fraction of the full range.
    pub mean: [f32; 3],
    /// The standard deviation of each channel, as a fraction of the full range.
    pub std: [f32; 3],
}

/// Which part of an image is taken in training.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum TrainCrop {
    /// The image of evaluation with 4 pixels on each side, moved at random.
    Padded {
        /// What these pixels are.
        #[serde(default, skip_serializing_if = "Edge::is_black")]
        edge: Edge,
    },
    /// A random part, resized.
    Resized(ResizedCrop),
}

/// A named preprocessing: its name, the settings, and where they are used.
pub type Named = (&'static str, Preprocessing, &'static str);

/// Every preprocessing by name.
pub const NAMED: &[Named] = &[
    ("cifar", CIFAR, "the CIFAR experiments of the paper"),
    ("cifar-fixmatch", FIXMATCH, "FixMatch on CIFAR-10"),
    ("imagenet", IMAGENET, "torchvision's classifiers"),
    ("imagenet-inception", INCEPTION, "timm's classifiers that were trained in TensorFlow's way"),
    ("efficientnet-lite", LITE, "EfficientNet-Lite with its published weights: (v − 127)/128"),
];

const CIFAR: Preprocessing = Preprocessing {
    size: 32,
    resize: 32,
    stretch: false,
    interpolation: Interpolation::Bilinear,
    train_crop: TrainCrop::Padded { edge: Edge::Black },
    mean: Normalisation::CIFAR.mean,
    std: Normalisation::CIFAR.std,
};

const FIXMATCH: Preprocessing = Preprocessing {
    train_crop: TrainCrop::Padded { edge: Edge::Mirrored },
    mean: [0.4914, 0.4822, 0.4465],
    std: [0.2471, 0.2435, 0.2616],
    ..CIFAR
};

const IMAGENET: Preprocessing = Preprocessing {
    size: 224,
    resize: 256,
    stretch: false,
    interpolation: Interpolation::Bilinear,
    train_crop: TrainCrop::Resized(ResizedCrop { scale: [0.08, 1.], ratio: [0.75, 4. / 3.] }),
    mean: [0.485, 0.456, 0.406],
    std: [0.229, 0.224, 0.225],
};

const INCEPTION: Preprocessing =
    Preprocessing { interpolation: Interpolation::Bicubic, mean: [0.5; 3], std: [0.5; 3], ..IMAGENET };

const LITE: Preprocessing = Preprocessing { mean: [127. / 255.; 3], std: [128. / 255.; 3], ..INCEPTION };

/// The key whose value names the settings that others are changed from.
const LIKE: &str = "like";

impl Default for Preprocessing {
    /// `cifar`.
    fn default() -> Self {
        CIFAR
    }
}

impl Preprocessing {
    /// The settings of that name.
    ///
    /// # Errors
    /// If the name is unknown; the known ones are listed.
    pub fn named(name: &str) -> Result<Self> {
        let found = NAMED.iter().find(|(known, ..)| *known == name);
        let known: Vec<&str> = NAMED.iter().map(|(known, ..)| *known).collect();
        found.map(|(_, settings, _)| *settings).with_context(|| format!("input is {name:?}; known: {}", known.join(", ")))
    }

    /// Reads the key `input` of a row: a name, or settings; `{"like": <name>, …}` has those of the name but for what follows.
    /// Where the size is changed and `resize` is not, `resize` keeps its proportion.
    ///
    /// # Errors
    /// Names the key that does not fit, and what is accepted.
    pub fn read(value: &Value) -> Result<Self> {
        let settings = match value {
            Value::String(name) => Self::named(name)?,
            Value::Object(keys) => Self::of(keys.clone())?,
            _ => bail!(
                "input is {value}; a name such as \"imagenet\", or an object such as {{\"like\": \"imagenet\", \"size\": 160}}"
            ),
        };
        settings.check()?;
        Ok(settings)
    }

    fn of(mut keys: Map<String, Value>) -> Result<Self> {
        let like = match keys.remove(LIKE) {
            Some(Value::String(name)) => Some(Self::named(&name).context("input.like")?),
            Some(other) => bail!("input.like is {other}; the name of settings is accepted, such as \"imagenet\""),
            None => None,
        };
        if let Some(like) = like {
            if let (Some(size), false) = (keys.get("size").and_then(Value::as_u64), keys.contains_key("resize")) {
                let resize = (size as f64 * like.resize as f64 / like.size as f64).round();
                keys.insert("resize".to_string(), Value::from(resize as u64));
            }
            if let Value::Object(usual) = serde_json::to_value(like)? {
                keys = usual.into_iter().chain(keys).collect();
            }
        }
        serde_path_to_error::deserialize(Value::Object(keys)).map_err(|error| match error.path().to_string().as_str() {
            "." => anyhow::anyhow!("input: {}", error.inner()),
            path => anyhow::anyhow!("input.{path}: {}", error.inner()),
        })
    }

    pub(super) fn check(&self) -> Result<()> {
        ensure!((8..=2048).contains(&self.size), "input.size is {}; 8 to 2048 pixels are accepted", self.size);
        ensure!(
            (self.size..=4096).contains(&self.resize),
            "input.resize is {}; {} (the size that is cut out) to 4096 pixels are accepted",
            self.resize,
            self.size
        );
        let is_range = |values: [f32; 3]| values.iter().all(|value| value.is_finite() && (0. ..=1.).contains(value));
        ensure!(is_range(self.mean), "input.mean is {:?}; three fractions of the full range are accepted, 0 to 1", self.mean);
        ensure!(
            is_range(self.std) && self.std.iter().all(|std| *std > 0.),
            "input.std is {:?}; three fractions of the full range are accepted, above 0, at most 1",
            self.std
        );
        match self.train_crop {
            TrainCrop::Padded { .. } => Ok(()),
            TrainCrop::Resized(settings) => settings.check(),
        }
    }

    /// Mean and standard deviation of the channels.
    pub fn normalisation(&self) -> Normalisation {
        Normalisation { mean: self.mean, std: self.std }
    }
}
