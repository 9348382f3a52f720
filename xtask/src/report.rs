//! `cargo xtask report`: a pure reader of a table file and its results; writes `report/<table>.md` with its pictures
//! and a CSV file of its numbers, or the pages of the documentation that show committed results.

use crate::classes;
use crate::figures;
use crate::files::write_atomically;
use crate::pages::Pages;
use crate::provenance;
use crate::results;
use crate::sheet::Sheet;
use crate::table::{self, Table};
use crate::tidy;
use crate::verdict::verdict;
use anyhow::{Result, ensure};
use std::path::Path;
use std::process::ExitCode;

/// Render the report of a table from its results.
#[derive(clap::Args, Debug)]
pub(crate) struct Report {
    /// Table file, or the name of one in models/.
    #[arg(long, default_value = table::QUICK)]
    table: String,
    /// Write docs/results/ and the marked tables of the documentation from the committed results instead.
    #[arg(long, conflicts_with = "table")]
    docs: bool,
}

impl Report {
    /// Runs the command.
    ///
    /// # Errors
    /// Where the table is unknown or has no results yet, or a file cannot be written.
    pub(crate) fn run(self, here: &Path) -> Result<ExitCode> {
        match self.docs {
            true => Pages::read()?.write(&tidy::texts()?)?,
            false => render(&Table::read(&self.table, here)?)?,
        }
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
    let name = table::safe(&table.name);
    let text = Path::new("report").join(format!("{name}.md"));
    let (document, files) = report(&sheet, &name);
    for (name, content) in &files {
        write_atomically(&text.with_file_name(name), content.as_bytes())?;
    }
    write_atomically(&text, document.as_bytes())?;
    out!("{}\n\n{}\n{}", table.title, sheet.main().narrow(), verdict(&sheet).join("\n"));
    out!("\nreport: {}, with {}", text.display(), files.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>().join(", "));
    Ok(())
}

/// The files beside a report: name and content.
pub(crate) type Files = Vec<(String, String)>;

/// The report as Markdown, and the pictures and numbers that it points to.
fn report(sheet: &Sheet, name: &str) -> (String, Files) {
    let csv = format!("{name}.csv");
    let (text, mut files) = document(sheet, &format!("[{csv}]({csv}), mean and standard error in fractions"), "");
    files.push((csv, figures::csv(sheet)));
    (text, files)
}

/// The report as Markdown with its pictures: `numbers` says where every number is, `notes` is what a person remarks.
pub(crate) fn document(sheet: &Sheet, numbers: &str, notes: &str) -> (String, Files) {
    let (table, measure, differences) = (sheet.table, sheet.table.measure(), sheet.differences());
    let name = table::safe(&table.name);
    let mut files = Files::new();
    // a picture, and the line that shows it
    let mut picture = |kind: &str, says: &str, drawing: String| {
        let file = format!("{name}{kind}.svg");
        let line = format!("\n![{says}]({file})\n");
        files.push((file, drawing));
        line
    };
    let mut text = format!("# {}\n\n", table.title);
    if !table.paper.is_empty() {
        text += &format!("After {}. ", table.paper);
    }
    let shown = |path: &Path| path.display().to_string().replace('\\', "/");
    text += &format!("Rendered from `{}` and `{}`; do not edit.\n\n", shown(&table.results()), shown(&table.path));
    text += &sheet.main().markdown();
    text += "\nMean ± standard error over seeds, in percent, at the checkpoint named below. ";
    if sheet.corrupted().is_some() && measure.low {
        text += "mCE: mean corruption error, the error over all corruptions and severities of a set, not normalised by another \
                 network's; the ECE of a corrupted set is the same mean. Relative: the mCE beyond the error on the uncorrupted \
                 set, in percentage points. ";
    }
    if measure.metric == "miou" {
        text +=
            "mIoU: the mean intersection over union of all classes, void pixels left out; a class that does not occur counts 0. ";
    }
    if !differences.is_empty() {
        text += "Δ: difference to the baseline, paired by seed, in percentage points; * beyond two standard errors. ";
    }
    text += "The standard errors are of the seeds alone; the test examples are the same for all.\n\n";
    verdict(sheet).iter().for_each(|sentence| text += &format!("- {sentence}\n"));
    text += &picture("", &format!("{} by test set and row, with standard errors", measure.title), sheet.chart().svg());
    if !differences.is_empty() {
        text += &format!(
            "\n## Difference to the baseline\n\n{} in percentage points, paired by seed ({} than 0 is better); * beyond two standard \
             errors.\n\n",
            measure.title,
            if measure.low { "less" } else { "more" }
        );
        text += &differences.markdown();
    }
    for set in sheet.sets.iter().filter(|set| !classes::names(sheet, set).is_empty()) {
        text += &format!("\n## {set} by class\n\nIoU in percent; classes that do not occur are left out.\n\n");
        text += &classes::grid(sheet, set).markdown();
        let kind = format!("-classes-{}", table::safe(set));
        text += &picture(&kind, &format!("IoU on {set} by row and class"), classes::heat(sheet, set).svg());
    }
    for set in sheet.sets.iter().filter(|set| sheet.has_corruptions(set)) {
        text += &format!("\n## {set} by corruption\n\n{} in percent, the mean over severities.\n\n", measure.title);
        text += &sheet.corruptions(set).markdown();
        let kind = format!("-{}", table::safe(set));
        text += &picture(&kind, &format!("{} on {set} by corruption", measure.title), figures::heat(sheet, set).svg());
    }
    let f1 = sheet.macro_f1();
    if !f1.is_empty() {
        text += "\n## Macro-F1\n\nIn percent, over the classes that occur; of a corrupted set, the mean over its parts.\n\n";
        text += &f1.markdown();
    }
    if let Some(diagram) = figures::reliability(sheet) {
        text += "\n## Calibration\n\nThe share of right answers among those given with about one confidence. What the confidence \
                 is beyond it, or it beyond the confidence, is what the expected calibration error (ECE) adds up.\n";
        text += &picture("-reliability", "Accuracy against confidence", diagram.svg());
    }
    let confusions = figures::confusions(sheet);
    if !confusions.is_empty() {
        text += "\n## Confusion\n";
    }
    for (set, map) in confusions {
        let kind = format!("-confusion-{}", table::safe(&set));
        text += &picture(&kind, &map.title, map.svg());
    }
    if !notes.trim().is_empty() {
        text += &format!("\n## Remarks\n\n{}\n", notes.trim());
    }
    text += &format!("\n## Provenance\n\n- every number: {numbers}\n");
    text += &provenance::lines(sheet);
    (text, files)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sheet::tests::{collected, table};

    #[test]
    fn the_report_has_all_its_parts() {
        let (table, collected) = (table(), collected());
        let (text, files) = report(&Sheet::new(&table, &collected), "t");
        for part in [
            "# A title\n\nAfter a paper. Rendered from `results/t` and `models/t.json`",
            "| base  |     2 | 11.00 ± 1.00 |",
            "![Error by test set and row, with standard errors](t.svg)",
            "## Difference to the baseline",
            "## s-c by corruption",
            "| frost      |",
            "![Error on s-c by corruption](t-s-c.svg)",
            "## Macro-F1\n\nIn percent",
            "![Accuracy against confidence](t-reliability.svg)",
            "![base: what it takes s for](t-confusion-s.svg)",
            "## Provenance\n\n- every number: [t.csv](t.csv)",
        ] {
            assert!(text.contains(part), "{part:?} is missing in\n{text}");
        }
        let names: Vec<&str> = files.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["t.svg", "t-s-c.svg", "t-reliability.svg", "t-confusion-s.svg", "t.csv"]);
        assert!(files.iter().all(|(name, content)| content.starts_with("<svg") == name.ends_with(".svg")));
    }
}
