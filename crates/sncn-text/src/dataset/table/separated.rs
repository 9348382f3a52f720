//! Rowss with a header whose columns are separated by a character.

use super::rows::{Columns, Rows};
use anyhow::{Context, Result, bail};
use std::path::Path;

/// What separates the columns of a `.csv` file: the first of these in its header; spreadsheets of some countries write semicolons.
const SEPARATORS: [u8; 3] = [b',', b';', b'\t'];

/// Reads the rows into `table`; without a `separator` it is that of the header.
pub(super) fn read(text: &str, separator: Option<u8>, columns: &Columns, path: &Path, table: &mut Rows) -> Result<()> {
    let (text, skipped, stated) = match text.strip_prefix("sep=").and_then(|rest| rest.split_once('\n')) {
        // the line by which spreadsheets state the separator
        Some((stated, rest)) if separator.is_none() => (rest, 1, stated.trim().bytes().next()),
        _ => (text, 0, None),
    };
    let header = text.lines().next().unwrap_or_default();
    let found = SEPARATORS.into_iter().find(|&separator| header.bytes().any(|byte| byte == separator));
    let (delimiter, quoting) = (separator.or(stated).or(found).unwrap_or(b','), separator.is_none());
    let mut reader = csv::ReaderBuilder::new().delimiter(delimiter).quoting(quoting).from_reader(text.as_bytes());
    let head = reader.headers().with_context(|| path.display().to_string())?.clone();
    let names: Vec<&str> = head.iter().collect();
    let find = |name: &str| Columns::find(name, &names).with_context(|| path.display().to_string());
    let (text, label) = (find(&columns.text)?, find(&columns.label)?);
    let mut record = csv::StringRecord::new();
    loop {
        let more = reader.read_record(&mut record);
        let line = record.position().map_or(0, csv::Position::line) + skipped;
        let at = || format!("{}:{line}", path.display());
        if !more.with_context(at)? {
            return Ok(());
        }
        let (Some(text), Some(label)) = (record.get(text), record.get(label)) else {
            bail!("{}: {} columns", at(), record.len())
        };
        table.push(text.to_string(), label, &at)?;
    }
}
