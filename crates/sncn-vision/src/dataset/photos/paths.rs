//! `read`: a table of paths and labels, one image a line, as CSV or tab-separated.
//!
//! A header names the columns; without one the first column has paths and the second labels. Paths are relative to the table's
//! folder. Labels are names; where all are whole numbers, classes are in their order. A third column may name parts.

use super::files::{Part, PhotoFiles};
use anyhow::{Context, Result, ensure};
use csv::{ReaderBuilder, StringRecord, Trim};
use sncn_train::text_file::{self, listed};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Names of the columns, in lower case.
const PATH: [&str; 8] = ["path", "file", "filename", "file_name", "image", "image_path", "filepath", "img"];
const LABEL: [&str; 6] = ["label", "class", "target", "category", "class_name", "labels"];
const PART: [&str; 5] = ["split", "part", "set", "subset", "domain"];

/// The columns that have paths, labels and, where there is one, parts.
struct Columns {
    path: usize,
    label: usize,
    part: Option<usize>,
}

impl Columns {
    /// Those that a header names; nothing where it is none.
    fn of(header: &StringRecord) -> Option<Self> {
        let place = |names: &[&str]| header.iter().position(|name| names.contains(&name.to_lowercase().as_str()));
        Some(Self { path: place(&PATH)?, label: place(&LABEL)?, part: place(&PART) })
    }
}

/// The separator of a text: the one of tab, semicolon and comma that its first line has most of.
fn separator(text: &str) -> u8 {
    let first = text.lines().next().unwrap_or_default();
    let count = |separator: &u8| first.bytes().filter(|byte| byte == separator).count();
    // of equal counts the last
    [b';', b'\t', b','].into_iter().max_by_key(count).unwrap_or(b',')
}

/// Reads a table of paths.
///
/// # Errors
/// If the table has no lines, a line has no path or label, or files are missing: they are listed.
pub(super) fn read(path: &Path) -> Result<Vec<Part>> {
    let (text, at) = (text_file::read(path)?.text, path.display());
    let mut reader = ReaderBuilder::new()
        .delimiter(separator(&text))
        .has_headers(false)
        .flexible(true)
        .trim(Trim::All)
        .from_reader(text.as_bytes());
    let records = reader.records().collect::<Result<Vec<_>, _>>().with_context(|| at.to_string())?;
    let first = records.first().with_context(|| format!("{at}: the table is empty; lines of a path and a label are expected"))?;
    let named = Columns::of(first);
    let skipped = usize::from(named.is_some());
    let columns = named.unwrap_or(Columns { path: 0, label: 1, part: None });
    let folder = path.parent().unwrap_or(Path::new("."));
    let mut parts: BTreeMap<String, BTreeMap<String, Vec<PathBuf>>> = BTreeMap::new();
    let mut missing = Vec::new();
    for record in records.iter().skip(skipped) {
        let line = record.position().map_or(0, csv::Position::line);
        let field = |column: usize| record.get(column).filter(|field| !field.is_empty());
        let (Some(file), Some(label)) = (field(columns.path), field(columns.label)) else {
            let found = record.iter().collect::<Vec<_>>().join(", ");
            anyhow::bail!(
                "{at}: line {line} is {}; a path and a label are expected, in columns that a header names ({}; {}) or in the first two",
                text_file::quoted(&found),
                PATH.join(", "),
                LABEL.join(", ")
            )
        };
        let image = folder.join(file);
        if !image.is_file() {
            missing.push(format!("{} (line {line})", image.display()));
        }
        let part = columns.part.and_then(field).unwrap_or_default().to_string();
        parts.entry(part).or_default().entry(label.to_string()).or_default().push(image);
    }
    ensure!(
        missing.is_empty(),
        "{at}: {} of its files are not there: {}; correct the paths, which are relative to {}",
        missing.len(),
        listed(&missing),
        folder.display()
    );
    ensure!(!parts.is_empty(), "{at}: no lines after the header");
    Ok(parts.into_iter().map(|(name, classes)| (name, ordered(&at.to_string(), classes))).collect())
}

/// The files of a part, its classes in the order of their names, or of their numbers where all are whole.
fn ordered(at: &str, classes: BTreeMap<String, Vec<PathBuf>>) -> PhotoFiles {
    let mut classes: Vec<(String, Vec<PathBuf>)> = classes.into_iter().collect();
    let number = |name: &str| name.parse::<u64>().ok();
    if classes.iter().all(|(name, _)| number(name).is_some()) {
        classes.sort_by_key(|(name, _)| number(name));
    }
    let (names, files) = classes.into_iter().unzip();
    PhotoFiles::new(at.to_string(), names, files, Vec::new())
}
