//! The table of the models that come with the project, from their cards.

use anyhow::{Context, Result};
use sncn_record::Task;
use sncn_record::card::{CARD, Card, FOLDER, WEIGHTS};
use sncn_report::Grid;
use std::fs;
use std::path::Path;

/// What a page says where the table is to stand.
pub(crate) const MARK: &str = "zoo: models";

/// A line: the model, what it is, how it does.
fn line(name: &str, card: &Card, bytes: u64) -> Result<Vec<String>> {
    let task = Task::of(&card.task)?;
    let percent = |set: &str| {
        let number = card.number(set, task.metric).with_context(|| format!("{name}: no {} of {set}", task.metric))?;
        Ok::<_, anyhow::Error>(format!("{:.2}", 100. * number.value))
    };
    let examples = card.number(task.examples, task.metric).filter(|_| task.counted == task.examples);
    let count = examples.map_or(String::new(), |one| format!(", {} {}", one.n, task.examples));
    Ok(vec![
        format!("`{name}`"),
        task.program.to_string(),
        card.about.clone(),
        format!("{}{count}", card.test),
        task.called.to_string(),
        percent(task.examples)?,
        percent(&format!("{}-c", task.examples))?,
        format!("{:.1}", bytes as f64 / 1e6),
    ])
}

/// The table, below the folder of the project.
///
/// # Errors
/// Where a card cannot be read, or lacks the main number of its task.
pub(crate) fn table(root: &Path) -> Result<Grid> {
    let heads = ["model", "program", "what it is", "measured on", "in percent", "as it is", "shifted", "MB"];
    let mut grid = Grid::new(heads.map(str::to_string).to_vec());
    let folder = root.join(FOLDER);
    let mut names: Vec<String> = Vec::new();
    for entry in fs::read_dir(&folder).with_context(|| folder.display().to_string())? {
        names.push(entry?.file_name().to_string_lossy().into_owned());
    }
    names.sort();
    for name in names {
        let path = folder.join(&name).join(CARD);
        let text = fs::read_to_string(&path).with_context(|| path.display().to_string())?;
        let card: Card = serde_json::from_str(&text).with_context(|| path.display().to_string())?;
        grid.push(line(&name, &card, fs::metadata(folder.join(&name).join(WEIGHTS))?.len())?);
    }
    Ok(grid)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_line_has_the_main_numbers_of_the_task() {
        let number = |set: &str, value: f64| json!({"set": set, "metric": "error", "value": value, "n": 7});
        let card = json!({
            "task": "classify", "about": "A network", "data": "d", "test": "t", "row": "r", "sha256": "00",
            "results": [number("images", 0.25), number("images-c", 0.5)], "notes": [], "limits": "l", "licence": "m"
        });
        let mut card: Card = serde_json::from_value(card).unwrap();
        let cells = line("mine", &card, 1_400_000).unwrap();
        assert_eq!(cells, ["`mine`", "sncn-classify", "A network", "t, 7 images", "error", "25.00", "50.00", "1.4"]);
        card.results.pop();
        assert!(line("mine", &card, 0).unwrap_err().to_string().contains("mine: no error of images-c"));
    }
}
