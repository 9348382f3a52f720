//! What any program answered to a list of examples: a CSV file of paths, classes and, where there are some, probabilities.

use crate::text_file::listed;
use anyhow::{Context, Result, bail, ensure};
use csv::StringRecord;
use std::collections::HashMap;
use std::path::Path;

/// By how much probabilities may miss a sum of 1.
const TOLERANCE: f64 = 0.01;

/// An answer to an example.
pub(super) struct Answer {
    /// The class, an index.
    pub(super) class: usize,
    /// The probability of every class; empty where none are told.
    pub(super) probabilities: Vec<f64>,
}

/// The columns that have probabilities: for every class its place in a line.
struct Columns(Vec<usize>);

/// Reads the answers to the examples of these paths, which are called `examples`, and gives each to `answer` with the index of its example.
///
/// # Errors
/// If an example has no answer, or two; a path is none of the examples, a class none of `classes`, or probabilities are none. The error names the
/// line.
pub(super) fn read(
    file: &Path,
    (folder, examples): (&Path, &str),
    paths: &[&str],
    classes: &[String],
    mut answer: impl FnMut(usize, Answer) -> Result<()>,
) -> Result<()> {
    let at = file.display();
    let mut reader =
        csv::ReaderBuilder::new().flexible(true).trim(csv::Trim::All).from_path(file).with_context(|| at.to_string())?;
    let columns = Columns::of(reader.headers().with_context(|| at.to_string())?, classes).with_context(|| at.to_string())?;
    let known: HashMap<&str, usize> = paths.iter().enumerate().map(|(index, path)| (*path, index)).collect();
    let prefix = format!("{}/", folder.display().to_string().replace('\\', "/").trim_end_matches('/'));
    let mut seen = vec![false; paths.len()];
    let mut record = StringRecord::new();
    while reader.read_record(&mut record).with_context(|| at.to_string())? {
        let line = record.position().map_or(0, csv::Position::line);
        let path = record.get(0).unwrap_or_default().replace('\\', "/");
        let path = path.strip_prefix(&prefix).unwrap_or(&path);
        let path = path.strip_prefix("./").unwrap_or(path);
        let Some(&index) = known.get(path) else {
            bail!(
                "{at}: line {line}: {path:?} is none of the {examples} of {}, such as {:?}; paths are relative to that folder",
                folder.display(),
                paths.first().copied().unwrap_or_default()
            )
        };
        ensure!(!seen[index], "{at}: line {line}: a second answer to {path}");
        seen[index] = true;
        let found = columns.answer(&record, classes).with_context(|| format!("{at}: line {line}: {path}"))?;
        answer(index, found)?;
    }
    let missing: Vec<&str> = paths.iter().zip(&seen).filter(|(_, seen)| !**seen).map(|(path, _)| *path).collect();
    ensure!(missing.is_empty(), "{at}: no answer to {} of {} {examples}: {}", missing.len(), paths.len(), listed(&missing));
    Ok(())
}

impl Columns {
    /// Those that the first line names.
    fn of(header: &StringRecord, classes: &[String]) -> Result<Self> {
        let names: Vec<&str> = header.iter().collect();
        ensure!(
            names.first() == Some(&"path") && names.get(1) == Some(&"class"),
            "the first line is {:?}; path,class is wanted, and the names of all classes where there are probabilities",
            names.join(",")
        );
        if names.len() == 2 {
            return Ok(Self(Vec::new()));
        }
        let place = |class: &String| names.iter().skip(2).position(|name| name == class).map(|at| at + 2);
        let missing: Vec<&str> = classes.iter().filter(|class| place(class).is_none()).map(String::as_str).collect();
        ensure!(missing.is_empty(), "probabilities are told, and no column is named after {}", listed(&missing));
        ensure!(
            names.len() == 2 + classes.len(),
            "{} columns of probabilities for {} classes ({})",
            names.len() - 2,
            classes.len(),
            listed(&classes.iter().map(String::as_str).collect::<Vec<_>>())
        );
        Ok(Self(classes.iter().filter_map(place).collect()))
    }

    fn answer(&self, record: &StringRecord, classes: &[String]) -> Result<Answer> {
        let name = record.get(1).unwrap_or_default();
        let class = classes.iter().position(|class| class == name);
        let class = class.with_context(|| {
            format!("{name:?} is no class; known: {}", listed(&classes.iter().map(String::as_str).collect::<Vec<_>>()))
        })?;
        let mut probabilities = Vec::with_capacity(self.0.len());
        for &column in &self.0 {
            let field = record.get(column).unwrap_or_default();
            let value: f64 = field.parse().with_context(|| format!("{field:?} is no number"))?;
            ensure!(
                (0. ..=1.).contains(&value),
                "{value} is no probability; 0 to 1 is accepted (are these scores before softmax?)"
            );
            probabilities.push(value);
        }
        if let Some(most) = probabilities.iter().copied().reduce(f64::max) {
            let sum: f64 = probabilities.iter().sum();
            ensure!((sum - 1.).abs() <= TOLERANCE, "probabilities add up to {sum:.4} and not to 1");
            ensure!(
                probabilities[class] >= most - 1e-6,
                "the class is {name:?}, and another has a larger probability ({most} against {})",
                probabilities[class]
            );
        }
        Ok(Answer { class, probabilities })
    }
}
