//! Files with one text per row, read whole: JSON, tab- and comma-separated tables with a header, plain or packed by gzip.
//!
//! The ending of the name says which; the encoding is found by [`sncn_train::text_file`]. In tab-separated files quotes are ordinary
//! characters, as in GLUE; in comma-separated ones they enclose fields, which may contain line breaks.

mod json;
mod labels;
mod rows;
mod separated;

pub use labels::CLASSES;
pub(crate) use labels::matched;
pub(crate) use rows::Columns;

use super::texts::Texts;
use anyhow::{Context, Result, bail, ensure};
use labels::{Label, Meaning, Seen};
use rows::Rows;
use sncn_train::text_file::{self, quoted};
use std::collections::BTreeMap;
use std::path::Path;

/// Endings of the names of tables, each also with `.gz`.
pub(super) const ENDINGS: [&str; 6] = ["jsonl", "json", "ndjson", "tsv", "tab", "csv"];

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

fn rows(path: &Path, columns: &Columns) -> Result<Rows> {
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
fn parse(file: text_file::TextFile, end: &str, columns: &Columns, path: &Path) -> Result<Rows> {
    let mut table = Rows { remark: file.remark, ..Rows::default() };
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
