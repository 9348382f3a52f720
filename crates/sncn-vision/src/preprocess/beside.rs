//! How images become inputs, from the files that published image models have beside them: `preprocessor_config.json` of Hugging Face, and
//! timm's `config.json`.

use super::Preprocessing;
use super::resample::Interpolation;
use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;
use std::path::Path;

/// A size as such a file gives it.
enum Size {
    /// Of the short side.
    Short(usize),
    /// Of both.
    Both(usize),
}

/// By how much the factor of bytes may miss 1/255.
const TOLERANCE: f64 = 1e-6;

impl Preprocessing {
    /// Reads such a file.
    ///
    /// # Errors
    /// If it is damaged, or asks for what is not done here; names the key.
    pub(crate) fn beside(path: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(path).with_context(|| path.display().to_string())?;
        let keys: Value = serde_json::from_str(&text).with_context(|| path.display().to_string())?;
        Self::described(&keys).with_context(|| format!("{}: give --input instead", path.display()))
    }

    /// Reads the part `pretrained_cfg` of timm's `config.json`.
    ///
    /// # Errors
    /// If it asks for what is not done here; names the key.
    pub(crate) fn of_timm(keys: &Value) -> Result<Self> {
        let mut read = Self::named("imagenet")?;
        let side = keys.get("input_size").and_then(|size| size.get(1)).and_then(Value::as_u64);
        read.size = side.context("input_size is missing; such as [3, 224, 224] is wanted")? as usize;
        (read.mean, read.std) = (three(keys, "mean")?, three(keys, "std")?);
        read.interpolation = match keys.get("interpolation").and_then(Value::as_str) {
            Some("bilinear") => Interpolation::Bilinear,
            None | Some("bicubic") => Interpolation::Bicubic,
            Some("lanczos") => Interpolation::Lanczos,
            Some("nearest") => Interpolation::Nearest,
            Some(other) => bail!("interpolation is {other:?}; bilinear, bicubic, lanczos and nearest are accepted"),
        };
        let share = keys.get("crop_pct").and_then(Value::as_f64).unwrap_or(0.875);
        ensure!(share > 0. && share <= 1., "crop_pct is {share}; above 0 and at most 1 is accepted");
        read.resize = (read.size as f64 / share) as usize;
        read.stretch = match keys.get("crop_mode").and_then(Value::as_str) {
            None | Some("center") => false,
            Some("squash") => true,
            Some(other) => bail!("crop_mode is {other:?}; center and squash are accepted"),
        };
        read.check()?;
        Ok(read)
    }

    fn described(keys: &Value) -> Result<Self> {
        let flag = |key: &str| keys.get(key).and_then(Value::as_bool);
        let mut read = Self::named("imagenet")?;
        if flag("do_rescale") == Some(false) {
            bail!("do_rescale is false; images are fractions of the full range here");
        }
        if let Some(factor) = keys.get("rescale_factor").and_then(Value::as_f64) {
            ensure!((factor * 255. - 1.).abs() < TOLERANCE, "rescale_factor is {factor}; 1/255 is accepted");
        }
        (read.mean, read.std) = match flag("do_normalize") {
            Some(false) => ([0.; 3], [1.; 3]),
            _ => (three(keys, "image_mean")?, three(keys, "image_std")?),
        };
        read.interpolation = match keys.get("resample").and_then(Value::as_u64) {
            Some(0) => Interpolation::Nearest,
            Some(1) => Interpolation::Lanczos,
            Some(2) => Interpolation::Bilinear,
            None | Some(3) => Interpolation::Bicubic,
            Some(other) => bail!("resample is {other}; 0, 1, 2 and 3 are accepted, as Pillow has them"),
        };
        let crops = flag("do_center_crop").unwrap_or(keys.get("crop_size").is_some());
        let share = keys.get("crop_pct").and_then(Value::as_f64);
        let size = match size(keys, "size")? {
            // a number alone is both sides, unless something is cut off
            Size::Short(side) if keys["size"].is_u64() && !crops && share.is_none() => Size::Both(side),
            other => other,
        };
        (read.size, read.resize, read.stretch) = match (size, share) {
            (Size::Short(side), Some(share)) if side < 384 => (side, (side as f64 / share) as usize, false),
            (Size::Short(side), Some(_)) => (side, side, true),
            (Size::Short(short), None) if crops => (self::side(size_or(keys, "crop_size", short)?), short, false),
            (Size::Short(short), None) => (short, short, false),
            (Size::Both(side), _) if crops => (self::side(size_or(keys, "crop_size", side)?), side, true),
            (Size::Both(side), _) => (side, side, true),
        };
        read.check()?;
        Ok(read)
    }
}

fn three(keys: &Value, key: &str) -> Result<[f32; 3]> {
    let values = keys.get(key).with_context(|| format!("{key} is missing; three fractions of the full range are wanted"))?;
    serde_json::from_value(values.clone())
        .with_context(|| format!("{key} is {values}; three fractions of the full range are accepted"))
}

fn size(keys: &Value, key: &str) -> Result<Size> {
    let value = keys.get(key).with_context(|| format!("{key} is missing"))?;
    let number = |value: &Value| value.as_u64().map(|side| side as usize);
    let side = |name: &str| value.get(name).and_then(number);
    match (number(value), side("shortest_edge"), side("height"), side("width")) {
        (Some(side), ..) | (_, Some(side), ..) => Ok(Size::Short(side)),
        (.., Some(height), Some(width)) if height == width => Ok(Size::Both(height)),
        _ => bail!("{key} is {value}; a number, shortest_edge, or the same height and width are accepted"),
    }
}

fn size_or(keys: &Value, key: &str, usual: usize) -> Result<Size> {
    if keys.get(key).is_some() { size(keys, key) } else { Ok(Size::Both(usual)) }
}

fn side(size: Size) -> usize {
    match size {
        Size::Short(side) | Size::Both(side) => side,
    }
}
