//! The pages that are written from committed results: `docs/results/`, and the tables between markers in other pages.
//!
//! A page may say `<!-- results: quick -->`, and `<!-- verdict: quick -->`; what stands from there to `<!-- end -->` is the
//! table of `results/quick`, or what it comes to; `<!-- bench: … -->` asks for measurements of speed ([`speeds`]), `<!-- zoo: models -->` for
//! the models that come with the project ([`zoo`]). `cargo xtask report --docs` writes all of them, and `cargo xtask tidy` holds
//! what stands in the tree to what the results give.

use crate::document::document;
use crate::measured;
use crate::results::{self, Collected};
use crate::sheet::Sheet;
use crate::speeds;
use crate::table::{self, Table};
use crate::tree::GENERATED as FOLDER;
use crate::verdict::verdict;
use crate::zoo;
use anyhow::{Context, Result, bail};
use sncn_report::Grid;
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

/// Where committed results are.
const RESULTS: &str = "results";
/// Where committed measurements of speed are.
const BENCH: &str = "results/bench";
/// How to mend a page that differs.
const REMEDY: &str = "cargo xtask report --docs writes it";

/// Everything that committed results give.
#[derive(Default)]
pub(crate) struct Pages {
    /// Whole files, by path.
    files: BTreeMap<String, String>,
    /// What stands between markers, by what the marker says.
    marked: BTreeMap<String, String>,
    /// Results that fit no row.
    left_out: Vec<String>,
    /// The list of the index.
    index: String,
}

impl Pages {
    /// Reads every table that has committed results, with what was remarked of them in `results/<table>/notes.md`.
    ///
    /// # Errors
    /// Where a table cannot be read.
    pub(crate) fn read() -> Result<Self> {
        let mut pages = Self::default();
        for name in crate::files::names(Path::new(table::FOLDER), "json") {
            let mut table = Table::read(&name, Path::new(""))?;
            // the committed ones, also of a table that every machine makes its own of
            table.file.local = false;
            if table.results().is_dir() {
                let notes = fs::read_to_string(table.results().join("notes.md")).unwrap_or_default();
                pages.add(&table, &results::collect(&table), &notes);
            }
        }
        pages.add_measured()?;
        pages.marked.insert(zoo::MARK.to_string(), zoo::table(Path::new(""))?.markdown());
        Ok(pages.with_index())
    }

    /// Adds the models that were measured without a table.
    fn add_measured(&mut self) -> Result<()> {
        let folder = Path::new(RESULTS).join(measured::NAME);
        let notes = fs::read_to_string(folder.join("notes.md")).unwrap_or_default();
        let Some((page, pictures)) = measured::page(&folder, &notes)? else { return Ok(()) };
        self.files.insert(format!("{FOLDER}/{}.md", measured::NAME), page);
        self.files.extend(pictures.into_iter().map(|(file, content)| (format!("{FOLDER}/{file}"), content)));
        self.index +=
            &format!("## [{0}]({0}.md)\n\nModels of others, and own ones, as `robustness` measures them.\n\n", measured::NAME);
        Ok(())
    }

    fn add(&mut self, table: &Table, collected: &Collected, notes: &str) {
        let (sheet, name) = (Sheet::new(table, collected), table::safe(&table.name));
        let folder = format!("{RESULTS}/{name}");
        let numbers = format!("[{folder}](../../{folder}), a line each, in fractions");
        let (page, pictures) = document(&sheet, &numbers, notes);
        self.files.insert(format!("{FOLDER}/{name}.md"), page);
        self.files.extend(pictures.into_iter().map(|(file, content)| (format!("{FOLDER}/{file}"), content)));
        let said: String = verdict(&sheet).iter().map(|sentence| format!("- {sentence}\n")).collect();
        self.index += &format!("## [{}]({name}.md)\n\n{}\n\n{said}\n", table.name, table.title);
        self.marked.insert(format!("results: {name}"), brief(&sheet).markdown());
        self.marked.insert(format!("verdict: {name}"), said);
        self.left_out.extend(collected.left_out.iter().cloned());
    }

    fn with_index(mut self) -> Self {
        let index = format!(
            "# Results\n\nOne page a table, written from the committed files in `{RESULTS}/` by `cargo xtask report --docs`; do not \
             edit. `cargo xtask tidy` fails where a page differs from what the files give.\n\n{}",
            self.index
        );
        self.files.insert(format!("{FOLDER}/README.md"), format!("{}\n", index.trim_end()));
        self
    }

    /// A page with its marked parts as the results give them.
    ///
    /// # Errors
    /// Where a marker is unknown or has no end.
    fn filled(&self, text: &str) -> Result<String> {
        const OPEN: &str = "<!-- ";
        const END: &str = "<!-- end -->";
        let text = text.replace("\r\n", "\n");
        let (mut filled, mut rest) = (String::new(), text.as_str());
        loop {
            let at = ["results: ", "verdict: ", "bench: ", "zoo: "]
                .iter()
                .filter_map(|kind| rest.find(&format!("\n{OPEN}{kind}")))
                .min();
            let Some(at) = at else { break };
            let (before, marker) = rest.split_at(at + 1);
            let (marker, after) = marker.split_once(" -->\n").context("a marker that its line does not close")?;
            let what = marker.trim_start_matches(OPEN);
            let content = match (what.strip_prefix("bench: "), self.marked.get(what)) {
                (Some(query), _) => speeds::table(query, Path::new(BENCH))?.markdown(),
                (None, Some(content)) => content.clone(),
                (None, None) => {
                    let known: Vec<&str> = self.marked.keys().map(String::as_str).collect();
                    bail!("<!-- {what} --> is unknown; known: {}", known.join(", "))
                }
            };
            let (_, after) = after.split_once(END).with_context(|| format!("<!-- {what} --> has no {END}"))?;
            filled += &format!("{before}{OPEN}{what} -->\n{content}{END}");
            rest = after;
        }
        Ok(filled + rest)
    }

    /// What differs from the results in the tree: `texts` has its Markdown files and all of `docs/results`, by path.
    pub(crate) fn problems(&self, texts: &BTreeMap<String, String>) -> Vec<String> {
        let mut problems: Vec<String> = self.left_out.iter().map(|line| format!("left out of {FOLDER}: {line}")).collect();
        for (path, wanted) in &self.files {
            match texts.get(path) {
                None => problems.push(format!("{path}: missing; {REMEDY}")),
                Some(found) => problems.extend(difference(path, found, wanted)),
            }
        }
        for (path, text) in texts {
            if path.starts_with(&format!("{FOLDER}/")) {
                if !self.files.contains_key(path) {
                    problems.push(format!("{path}: no results give it; delete it"));
                }
            } else if path.ends_with(".md") {
                match self.filled(text) {
                    Ok(wanted) => problems.extend(difference(path, text, &wanted)),
                    Err(error) => problems.push(format!("{path}: {error:#}")),
                }
            }
        }
        problems
    }

    /// Writes what differs, and names it.
    ///
    /// # Errors
    /// Where a marker is unknown, or a file cannot be written.
    pub(crate) fn write(&self, texts: &BTreeMap<String, String>) -> Result<()> {
        let pages = texts.iter().filter(|(path, _)| path.ends_with(".md") && !path.starts_with(&format!("{FOLDER}/")));
        let marked = pages.map(|(path, text)| Ok((path, self.filled(text).with_context(|| path.clone())?)));
        let marked = marked.collect::<Result<Vec<_>>>()?;
        let files = self.files.iter().map(|(path, content)| (path, content.clone()));
        for (path, content) in files.chain(marked).filter(|(path, content)| texts.get(*path) != Some(content)) {
            crate::files::write_atomically(Path::new(path), content.as_bytes())?;
            out!("{path}");
        }
        Ok(())
    }
}

/// The first line in which a file differs from what is wanted.
fn difference(path: &str, found: &str, wanted: &str) -> Option<String> {
    let (mut found, mut wanted) = (found.lines(), wanted.lines());
    let mut number = 0;
    loop {
        number += 1;
        match (found.next(), wanted.next()) {
            (None, None) => return None,
            (found, wanted) if found == wanted => {}
            _ => return Some(format!("{path}:{number}: differs from what {RESULTS}/ gives; {REMEDY}")),
        }
    }
}

/// Rows × test sets with one decimal; * where a row differs from its baseline by more than two standard errors.
fn brief(sheet: &Sheet) -> Grid {
    let heading = ["row", "seeds"].map(str::to_string).into_iter().chain(sheet.sets.iter().map(|set| sheet.label(set)));
    let mut grid = Grid::new(heading.collect());
    for (row, results) in sheet.measured() {
        let cells = sheet.sets.iter().map(|set| {
            let mark = if sheet.differs(row, results, set) { "*" } else { "" };
            sheet.percent(results, set).map_or(crate::sheet::NONE.to_string(), |estimate| format!("{estimate:.1}{mark}"))
        });
        grid.push([row.name.clone(), results.len().to_string()].into_iter().chain(cells).collect());
    }
    grid
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::results::Results;
    use crate::results::tests::detailed;
    use crate::sheet::tests::{collected, table};

    fn pages(collected: &Collected) -> Pages {
        let mut pages = Pages::default();
        pages.add(&table(), collected, "A remark.");
        pages.with_index()
    }

    #[test]
    fn the_tree_as_the_results_give_it_has_no_problem() {
        let pages = pages(&collected());
        let page = &pages.files["docs/results/t.md"];
        assert!(page.contains("| base  |     2 | 11.00 ± 1.00 |") && page.contains("## Remarks\n\nA remark.\n"), "{page}");
        assert!(page.contains("[results/t](../../results/t)") && !page.contains(".csv"), "{page}");
        assert!(pages.files["docs/results/README.md"].contains("## [t](t.md)\n\nA title\n\n- Helped, by"));
        assert_eq!(pages.problems(&pages.files), Vec::<String>::new());
    }

    #[test]
    fn a_changed_number_is_told() {
        let committed = pages(&collected()).files;
        let mut changed = collected();
        changed.rows[1].1[0] = Results::parse(&detailed("good", 0, &serde_json::json!({}), 0.10, 0.25)).unwrap();
        let problems = pages(&changed).problems(&committed);
        assert!(
            problems.iter().any(|line| line.starts_with("docs/results/t.md:8: differs from what results/ gives")),
            "{problems:?}"
        );
        // nor may a page be edited by hand, go missing, or outlive its results
        let pages = pages(&collected());
        let mut edited = committed.clone();
        edited.insert("docs/results/t.md".into(), committed["docs/results/t.md"].replace("11.00", "10.00"));
        edited.insert("docs/results/old.md".into(), String::new());
        edited.remove("docs/results/t.svg");
        let problems = pages.problems(&edited);
        assert_eq!(problems.len(), 3, "{problems:?}");
    }

    #[test]
    fn a_marked_table_is_filled_and_held_to_the_results() {
        let pages = pages(&collected());
        let text = "# A page\n\n<!-- results: t -->\nold\n<!-- end -->\n\n<!-- verdict: t -->\n<!-- end -->\nafter\n";
        let filled = pages.filled(text).unwrap();
        assert!(filled.contains("| good |     2 | 11.5 ± 1.5 |               25.5 ± 1.5* |"), "{filled}");
        assert!(filled.contains("- Helped, ") && filled.ends_with("<!-- end -->\nafter\n"), "{filled}");
        assert_eq!(pages.filled(&filled).unwrap(), filled);
        let mut tree = pages.files.clone();
        tree.insert("README.md".into(), filled.replace("11.5", "10.5"));
        assert_eq!(pages.problems(&tree), ["README.md:7: differs from what results/ gives; cargo xtask report --docs writes it"]);
        let unknown = pages.filled("\n<!-- results: x -->\n<!-- end -->").unwrap_err().to_string();
        assert_eq!(unknown, "<!-- results: x --> is unknown; known: results: t, verdict: t");
        assert!(pages.filled("\n<!-- results: t -->\n").is_err());
    }

    #[test]
    fn results_that_fit_no_row_are_a_problem() {
        let mut collected = collected();
        collected.left_out.push("results/t/x.jsonl: cut short".into());
        let pages = pages(&collected);
        assert_eq!(pages.problems(&pages.files), ["left out of docs/results: results/t/x.jsonl: cut short"]);
    }
}
