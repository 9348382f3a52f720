//! `cargo xtask report`: a pure reader of a table file and its results; writes `report/<table>.md` with its pictures
//! and a CSV file of its numbers, or the pages of the documentation that show committed results.

use crate::document::{Files, document};
use crate::figures;
use crate::files::write_atomically;
use crate::pages::Pages;
use crate::results;
use crate::sheet::Sheet;
use crate::table::{self, Table};
use crate::tree;
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
            true => Pages::read()?.write(&tree::texts()?)?,
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
    let page = text.with_extension("html");
    write_atomically(&page, self_contained(&table.title, &document, &files).as_bytes())?;
    out!("{}\n\n{}\n{}", table.title, sheet.main().narrow(), verdict(&sheet).join("\n"));
    out!("\nreport: {}, with {}", text.display(), files.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>().join(", "));
    out!("the same as one page for a browser: {}", page.display());
    Ok(())
}

/// The report as one page with its pictures.
fn self_contained(title: &str, document: &str, files: &Files) -> String {
    let files: Vec<sncn_report::File> =
        files.iter().map(|(name, content)| (name.clone(), content.clone().into_bytes())).collect();
    sncn_report::page(title, document, &files)
}

/// The report as Markdown, and the pictures and numbers that it points to.
fn report(sheet: &Sheet, name: &str) -> (String, Files) {
    let csv = format!("{name}.csv");
    let (text, mut files) = document(sheet, &format!("[{csv}]({csv}), mean and standard error in fractions"), "");
    files.push((csv, figures::csv(sheet)));
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
        let page = self_contained("A title", &text, &files);
        assert_eq!(page.matches("<svg").count(), 4);
        assert!(page.contains("11.00 ± 1.00</td>") && page.contains("href=\"t.csv\"") && !page.contains(".svg"), "{page}");
    }
}
