//! `Protocol`: which texts are shifted how, as far as it decides whether two results may be compared.

use crate::dataset::{self, Texts};
use crate::shift::{SEED, SHIFTS};
use anyhow::{Result, ensure};
use serde::{Deserialize, Serialize};
use sncn_train::digest;
use sncn_train::harness::cli::{self, Severities};
use sncn_train::harness::robustness::{Shifts, given};
use sncn_train::text_file::listed;
use std::path::{Path, PathBuf};

/// Which texts are shifted how.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Protocol {
    /// The name of the set, or of the file.
    pub(super) data: String,
    /// Its texts.
    pub(super) texts: usize,
    /// SHA-256 over the texts and their classes.
    pub(super) sha256: String,
    /// The shifts, in order.
    pub(super) shifts: Vec<String>,
    /// The severities, in order.
    pub(super) severities: Vec<usize>,
    /// The seed of the shifts.
    pub(super) seed: u64,
}

impl Protocol {
    /// The shifts.
    pub(super) fn shifts(&self) -> Shifts<'_> {
        Shifts { names: &self.shifts, severities: &self.severities, examples: self.texts }
    }

    /// It in words, for a reader of the numbers.
    pub(super) fn notes(&self, who: &str) -> Vec<String> {
        let Self { data, texts, shifts, severities, .. } = self;
        let about = format!("{who} on {texts} texts of {data}: {} shifts × severities {severities:?}", shifts.len());
        std::iter::once(about).chain(Severities::note(severities)).collect()
    }
}

/// How texts are shifted.
#[derive(clap::Args, Debug)]
pub(super) struct Options {
    /// Shifts (default: all eight).
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    shifts: Vec<String>,
    #[command(flatten)]
    severities: Severities,
    /// Only the first texts.
    #[arg(long, value_name = "COUNT")]
    limit: Option<usize>,
    /// Folder that holds the data sets (default: $SNCN_DATA).
    #[arg(long, value_name = "FOLDER")]
    data_dir: Option<PathBuf>,
}

impl Options {
    /// Whether none is given.
    pub(super) fn are_usual(&self) -> bool {
        self.shifts.is_empty() && self.severities.given().is_none() && self.limit.is_none()
    }

    /// Opens texts, and what is asked for of them; with how many there are in all.
    ///
    /// # Errors
    /// If there are none, or a shift is unknown.
    pub(super) fn open(&self, name: &str) -> Result<(Texts, Protocol, usize)> {
        let known: Vec<&str> = SHIFTS.iter().map(|(name, _)| *name).collect();
        let shifts = given::names("--shifts", &self.shifts, known.iter().copied())?;
        let unknown = shifts.iter().find(|name| !known.contains(&name.as_str()));
        ensure!(unknown.is_none(), "--shifts: {:?} is unknown; known: {}", unknown.map_or("", String::as_str), listed(&known));
        let severities = given::severities(&self.severities)?;
        given::check_limit(self.limit)?;
        let texts = dataset::open(name, &cli::data_dir(self.data_dir.as_deref()))?;
        texts.remark.iter().for_each(|remark| eprintln!("{name}: {remark}"));
        let all = texts.examples.len();
        let texts = texts.first(self.limit);
        let class = |label: u32| texts.classes.get(label as usize).map_or("", String::as_str);
        let each = texts.examples.iter().map(|one| digest::of_example(&[one.text.as_bytes(), class(one.label).as_bytes()]));
        let protocol = Protocol {
            data: given::called(Path::new(name)),
            texts: texts.examples.len(),
            sha256: digest::of_set(each.collect()),
            shifts,
            severities,
            seed: SEED,
        };
        Ok((texts, protocol, all))
    }
}
