//! `Rows`: the texts of a file with their labels, before it is known which classes these mean; and `Columns`, where they stand.

use super::labels::{Label, Meaning, Seen};
use crate::dataset::texts::{Example, Labels, Texts};
use anyhow::{Context, Result, ensure};
use sncn_train::text_file::listed;
use std::collections::BTreeMap;
use std::path::Path;

/// The names of the columns with texts and labels.
#[derive(Clone, Debug)]
pub(crate) struct Columns {
    pub(super) text: String,
    pub(super) label: String,
}

impl Columns {
    /// The columns with these names.
    pub(crate) fn new(text: &str, label: &str) -> Self {
        Self { text: text.to_string(), label: label.to_string() }
    }

    /// The name among `names` that is `wanted`, whatever its letters' case and the spaces around it.
    pub(super) fn find(wanted: &str, names: &[&str]) -> Result<usize> {
        let is = |name: &&str| name.trim() == wanted;
        let resembles = |name: &&str| name.trim().eq_ignore_ascii_case(wanted);
        let place = names.iter().position(is).or_else(|| names.iter().position(resembles));
        ensure!(names.iter().filter(|name| is(name)).count() < 2, "two columns are named {wanted:?}");
        place.with_context(|| {
            format!(
                "no column {wanted:?}; there are: {}. Name the columns as <path>:<column of texts>:<column of labels>",
                listed(names)
            )
        })
    }
}

/// The rows of a file; labels are numbered in the order of their first rows.
#[derive(Default)]
pub(super) struct Rows {
    pub(super) examples: Vec<Example>,
    pub(super) seen: BTreeMap<Label, Seen>,
    /// What was not plain UTF-8.
    pub(super) remark: Option<String>,
}

impl Rows {
    /// Adds a row that stands at `place`.
    pub(super) fn push(&mut self, text: String, label: &str, place: &dyn Fn() -> String) -> Result<()> {
        let number = self.seen.len();
        let key = Label::parse(label).with_context(place)?;
        let seen = self.seen.entry(key).or_insert_with(|| Seen { number, text: label.to_string(), place: place() });
        self.examples.push(Example { text, label: seen.number as u32 });
        Ok(())
    }

    /// The texts with the classes that their labels mean; `what` begins the description.
    pub(super) fn texts(self, meaning: Meaning, path: &Path, what: &str) -> Texts {
        let Self { examples, seen, remark } = self;
        let mut seen: Vec<Seen> = seen.into_values().collect();
        seen.sort_unstable_by_key(|seen| seen.number);
        let mut places = vec![String::new(); meaning.names.len()];
        for Seen { number, place, .. } in seen.into_iter().rev() {
            places[meaning.classes[number] as usize] = place;
        }
        let examples = examples.into_iter().map(|row| Example { label: meaning.classes[row.label as usize], ..row }).collect();
        let describe = format!("{what}{}", path.display());
        let labels = Labels { numbers: meaning.numbers, places };
        Texts { examples, classes: meaning.names, labels, describe, remark }
    }
}
