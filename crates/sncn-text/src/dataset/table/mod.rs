//! Files with one text per row, read by [`read`]: JSON, tab- and comma-separated tables with a header, plain or packed by gzip.
//!
//! The ending of the name says which; the encoding is found by [`sncn_train::text_file`]. In tab-separated files quotes are ordinary
//! characters, as in GLUE; in comma-separated ones they enclose fields, which may contain line breaks.

mod json;
mod labels;
mod separated;

pub use labels::CLASSES;
pub(crate) use labels::matched;

use super::texts::{Example, Labels, Texts};
use anyhow::{Context, Result, bail, ensure};
use labels::{Label, Meaning, Seen};
use sncn_train::text_file::{self, listed, quoted};
use std::collections::BTreeMap;
use std::path::Path;

/// Endings of the names of tables, each also with `.gz`.
pub(super) const ENDINGS: [&str; 6] = ["jsonl", "json", "ndjson", "tsv", "tab", "csv"];

/// The names of the columns with texts and labels.
#[derive(Clone, Debug)]
pub(crate) struct Columns {
    text: String,
    label: String,
}

impl Columns {
    /// The columns with these names.
    pub(crate) fn new(text: &str, label: &str) -> Self {
        Self { text: text.to_string(), label: label.to_string() }
    }

    /// The name among `names` that is `wanted`, whatever its letters' case and the spaces around it.
    fn find(wanted: &str, names: &[&str]) -> Result<usize> {
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
pub(crate) struct Table {
    examples: Vec<Example>,
    seen: BTreeMap<Label, Seen>,
    remark: Option<String>,
}

impl Table {
    /// Adds a row that stands at `place`.
    fn push(&mut self, text: String, label: &str, place: &dyn Fn() -> String) -> Result<()> {
        let number = self.seen.len();
        let key = Label::parse(label).with_context(place)?;
        let seen = self.seen.entry(key).or_insert_with(|| Seen { number, text: label.to_string(), place: place() });
        self.examples.push(Example { text, label: seen.number as u32 });
        Ok(())
    }

    /// The texts with the classes that their labels mean; `what` begins the description.
    fn texts(self, meaning: Meaning, path: &Path, what: &str) -> Texts {
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
        Texts { examples, classes: meaning.names, labels, describe, remarks: remark.into_iter().collect() }
    }
}

/// Reads a file whose labels may be anything: sentiment in any spelling, numbers, words, stars.
///
/// # Errors
/// If the file cannot be read or decoded, the ending of its name is unknown, a row does not fit (the error names file and row), or its
/// labels are no classes.
pub(crate) fn read(path: &Path, columns: &Columns) -> Result<Texts> {
    let table = rows(path, columns)?;
    let meaning = Meaning::of(&table.seen, table.examples.len())
        .with_context(|| format!("{}: column {:?}", path.display(), columns.label))?;
    Ok(table.texts(meaning, path, ""))
}

/// Reads a file whose labels are sentiment; `what` begins its description.
///
/// # Errors
/// As [`read`], and if a label is another.
pub(crate) fn read_sentiment(path: &Path, columns: &Columns, what: &str) -> Result<Texts> {
    let table = rows(path, columns)?;
    let Some(meaning) = Meaning::sentiment(&table.seen) else {
        let odd = table.seen.values().find(|seen| {
            let one =
                BTreeMap::from([(Label::of_class(&seen.text), Seen { number: 0, text: String::new(), place: String::new() })]);
            Meaning::sentiment(&one).is_none()
        });
        let (place, text) = odd.map_or((String::new(), ""), |seen| (seen.place.clone(), &seen.text));
        bail!("{place}: label {}; accepted: 0, neg, negative, 1, pos, positive", quoted(text))
    };
    Ok(table.texts(meaning, path, what))
}

fn rows(path: &Path, columns: &Columns) -> Result<Table> {
    let name = path.file_name().map(|name| name.to_string_lossy().to_lowercase()).unwrap_or_default();
    let end = name.trim_end_matches(".gz").rsplit('.').next().unwrap_or_default();
    ensure!(
        ENDINGS.contains(&end),
        "{}: its name ends in {}; .{} are accepted, also with .gz",
        path.display(),
        quoted(end),
        ENDINGS.join(", .")
    );
    parse(text_file::read(path)?, end, columns, path)
}

/// Reads the rows of a decoded file whose name ends in `end`.
pub(super) fn parse(file: text_file::TextFile, end: &str, columns: &Columns, path: &Path) -> Result<Table> {
    let mut table = Table { remark: file.remark, ..Table::default() };
    match end {
        "tsv" | "tab" => separated::read(&file.text, Some(b'\t'), columns, path, &mut table)?,
        "csv" => separated::read(&file.text, None, columns, path, &mut table)?,
        _ => json::read(&file.text, columns, path, &mut table)?,
    }
    ensure!(!table.examples.is_empty(), "{}: no rows", path.display());
    Ok(table)
}

/// Reads a table from the bytes of a file whose name would end in `end`, with columns `text` and `label`; for tests of the reader.
///
/// # Errors
/// As of a file.
pub fn parsed(bytes: Vec<u8>, end: &str) -> Result<Texts> {
    let path = Path::new("table");
    let file = text_file::decode(bytes).map_err(anyhow::Error::msg)?;
    let table = parse(file, end, &Columns::new("text", "label"), path)?;
    let meaning = Meaning::of(&table.seen, table.examples.len())?;
    Ok(table.texts(meaning, path, ""))
}

#[cfg(test)]
mod tests;
