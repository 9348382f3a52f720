//! `Parts`: which parts of a folder of photographs are for what; the key `data` of a row.

use anyhow::{Context, Result, ensure};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;
use std::path::{Component, Path};

/// Names of the parts of a data set, such as `train` and `val`, or domains.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Parts {
    /// The folder in the data folder in which the parts lie, for tables on several sets; absent: the data folder itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub folder: Option<String>,
    /// Parts that are trained on; empty: the one called `train` or `training`, or all images where there are no parts.
    #[serde(default, deserialize_with = "one_or_more")]
    pub train: Vec<String>,
    /// What is kept out of training to choose on; absent: the part called `val`, `valid`, `validation` or `dev`, or a tenth.
    #[serde(default)]
    pub validation: Option<Validation>,
    /// Parts that are test sets under their own names; empty: that called `test` or `testing`, and where `train` is set, all
    /// others.
    #[serde(default, deserialize_with = "one_or_more")]
    pub test: Vec<String>,
    /// Whether class folders may all have folders of the same names; otherwise they are taken for domains that a run has to name.
    #[serde(default)]
    pub nested: bool,
    /// Whether parts that are trained on together may each lack some of the classes; otherwise they are domains, which have the same ones.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub partial: bool,
}

/// A name, or a list of names.
#[derive(Deserialize)]
#[serde(untagged)]
enum OneOrMore {
    One(String),
    More(Vec<String>),
}

fn one_or_more<'de, D: Deserializer<'de>>(names: D) -> Result<Vec<String>, D::Error> {
    Ok(match OneOrMore::deserialize(names)? {
        OneOrMore::One(name) => vec![name],
        OneOrMore::More(names) => names,
    })
}

/// Whether a path leads to something inside a folder.
fn is_inside(path: &str) -> bool {
    !path.is_empty() && Path::new(path).components().all(|part| matches!(part, Component::Normal(_)))
}

/// What is kept out of training.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Validation {
    /// This fraction of the training images of every class; 0: nothing.
    Fraction(f64),
    /// These parts.
    Parts(Vec<String>),
}

impl Parts {
    /// Reads the key `data` of a row; absent: the usual.
    ///
    /// # Errors
    /// Names the key that does not fit, and what is accepted.
    pub fn read(value: &Value) -> Result<Self> {
        let parts: Self = match value {
            Value::Null => Self::default(),
            given => serde_path_to_error::deserialize(given).context("data")?,
        };
        if let Some(Validation::Fraction(fraction)) = parts.validation {
            ensure!(
                (0. ..1.).contains(&fraction),
                "data.validation is {fraction}; a fraction of the training images is accepted, 0 to below 1, or a list of parts"
            );
        }
        ensure!(
            parts.folder.as_ref().is_none_or(|folder| is_inside(folder)),
            "data.folder is {:?}; the path of a folder inside the data folder is accepted",
            parts.folder.as_deref().unwrap_or_default()
        );
        let named = |names: &[String], other: &[String]| names.iter().find(|name| other.contains(name)).cloned();
        let kept: &[String] = match &parts.validation {
            Some(Validation::Parts(names)) => names,
            _ => &[],
        };
        let twice = named(&parts.train, kept).or(named(&parts.train, &parts.test));
        ensure!(
            twice.is_none(),
            "data: the part {:?} is trained on and tested on; take it out of one list",
            twice.unwrap_or_default()
        );
        Ok(parts)
    }

    /// Whether any part is named.
    pub(super) fn names_some(&self) -> bool {
        !self.train.is_empty() || !self.test.is_empty() || matches!(self.validation, Some(Validation::Parts(_)))
    }
}
