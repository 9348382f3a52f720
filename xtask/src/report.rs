//! `cargo xtask report`: a pure reader of a table file and its results; writes `report/<table>.md` and `.svg`.

use crate::files::write_atomically;
use crate::provenance;
use crate::results;
use crate::sheet::Sheet;
use crate::table::{self, Table};
use anyhow::{Result, ensure};
use std::path::Path;
use std::process::ExitCode;

/// Render the report of a table from its results.
#[derive(clap::Args, Debug)]
pub(crate) struct Report {
    /// Table file, or the name of one in models/.
    #[arg(long, default_value = table::QUICK)]
    table: String,
}

impl Report {
    /// Runs the command.
    ///
    /// # Errors
    /// Where the table is unknown or has no results yet.
    pub(crate) fn run(self, here: &Path) -> Result<ExitCode> {
        render(&Table::read(&self.table, here)?)?;
        Ok(ExitCode::SUCCESS)
    }
}

/// Writes the report of a table and prints its main table.
///
/// # Errors
/// Where there are no results, or a file cannot be written.
pub(crate) fn render(table: &Table) -> Result<()> {
    let collected = results::collect(table);
    for line in &collected.left_out {
        eprintln!("left out: {line}");
    }
    let rows = collected.rows.iter().filter(|(_, results)| !results.is_empty()).count();
    let (folder, file) = (table.results(), table.path.display());
    ensure!(rows > 0, "{}: no results of this table; cargo xtask reproduce --table {file} makes them", folder.display());
    let sheet = Sheet::new(table, &collected);
    let base = Path::new("report").join(table::safe(&table.name));
    let (text, drawing) = (base.with_extension("md"), base.with_extension("svg"));
    write_atomically(&drawing, sheet.chart().svg().as_bytes())?;
    write_atomically(&text, markdown(&sheet, &drawing).as_bytes())?;
    out!("{}\n\n{}\n{}", table.title, sheet.main().narrow(), sheet.verdict());
    out!("\nreport: {} and {}", text.display(), drawing.display());
    Ok(())
}

/// The report as Markdown, with the chart beside it.
fn markdown(sheet: &Sheet, drawing: &Path) -> String {
    let table = sheet.table;
    let mut text = format!("# {}\n\n", table.title);
    if !table.paper.is_empty() {
        text += &format!("After {}. ", table.paper);
    }
    text += &format!("Rendered from `{}` and `{}`; do not edit.\n\n", table.results().display(), table.path.display());
    text += &sheet.main().markdown();
    text += "\nMean ± standard error over seeds, in percent, at the checkpoint named below. ";
    if sheet.corrupted().is_some() {
        text += "mCE: mean corruption error, the error over all corruptions and severities of a set, not normalised by another \
                 network's; the ECE of a corrupted set is the same mean. ";
    }
    if table.baseline.is_some() {
        text += "Δ: difference to the baseline, paired by seed, in percentage points; * beyond two standard errors. ";
    }
    text += "The standard errors are of the seeds alone; the test examples are the same for all.\n\n";
    text += &format!("{}\n", sheet.verdict());
    let picture = drawing.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    text += &format!("\n![Error by test set and row, with standard errors]({picture})\n");
    let differences = sheet.differences();
    if table.baseline.is_some() && !differences.is_empty() {
        text += "\n## Difference to the baseline\n\nError in percentage points, paired by seed (less than 0 is better); * beyond two \
                 standard errors.\n\n";
        text += &differences.markdown();
    }
    for set in sheet.sets.iter().filter(|set| sheet.has_corruptions(set)) {
        text += &format!("\n## {set} by corruption\n\nError in percent, the mean over severities.\n\n");
        text += &sheet.corruptions(set).markdown();
    }
    text + "\n## Provenance\n\n" + &provenance::lines(sheet)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sheet::tests::{collected, table};

    #[test]
    fn the_report_has_all_its_parts() {
        let (table, collected) = (table(), collected());
        let text = markdown(&Sheet::new(&table, &collected), Path::new("report/t.svg"));
        for part in [
            "# A title\n\nAfter a paper. Rendered from `results/t` and `models/t.json`",
            "| base  |     2 | 11.00 ± 1.00 |",
            "![Error by test set and row, with standard errors](t.svg)",
            "## Difference to the baseline",
            "## s-c by corruption",
            "| frost      |",
            "## Provenance",
        ] {
            assert!(text.contains(part), "{part:?} is missing in\n{text}");
        }
    }
}
