//! Tables of committed measurements of speed, `results/bench/<machine>-<commit>.jsonl`, for pages of the documentation.
//!
//! `467394e67c1c wrn40_2, AugMix; 0302c89ef333` asks for the figures of the first file that have one of these words, and for all of
//! the second.

use crate::sheet::NONE;
use anyhow::{Context, Result, ensure};
use serde_json::Value;
use sncn_report::Grid;
use std::fs;
use std::path::Path;

/// The figures that a query asks for, in the order of the query and of the files.
///
/// # Errors
/// Where no file has that ending, a line is damaged, or a word finds nothing.
pub(crate) fn table(query: &str, folder: &Path) -> Result<Grid> {
    let heading = ["training or run", "here", "peer", "ratio", "lowest to highest"];
    let mut grid = Grid::new(heading.map(str::to_string).to_vec());
    for part in query.split(';') {
        let (file, words) = part.trim().split_once(' ').unwrap_or((part.trim(), ""));
        let figures = figures(folder, file)?;
        for word in words.split(',').map(str::trim) {
            let fitting: Vec<_> = figures.iter().filter(|(name, _)| name.contains(word)).collect();
            ensure!(!fitting.is_empty(), "{file}: no figure has {word:?} in its name");
            fitting.into_iter().for_each(|(name, figure)| grid.push(row(name, figure)));
        }
    }
    Ok(grid)
}

/// The figures of the file whose name ends in `commit`, with their names.
fn figures(folder: &Path, commit: &str) -> Result<Vec<(String, Value)>> {
    let names = crate::files::names(folder, "jsonl");
    let name = names
        .iter()
        .find(|name| name.ends_with(commit))
        .with_context(|| format!("no measurements end in {commit:?}; {} has: {}", folder.display(), names.join(", ")))?;
    let path = folder.join(format!("{name}.jsonl"));
    let text = fs::read_to_string(&path).with_context(|| path.display().to_string())?;
    let lines = text.lines().skip(1).map(|line| {
        let figure: Value = serde_json::from_str(line).with_context(|| format!("{}: not a figure: {line}", path.display()))?;
        let words = |key: &str| figure[key].as_str().unwrap_or_default().to_string();
        Ok((format!("{}, {}", words("case"), words("what")), figure))
    });
    lines.collect()
}

fn row(name: &str, figure: &Value) -> Vec<String> {
    let unit = figure["unit"].as_str().unwrap_or_default();
    let value =
        |key: &str, unit: &str| figure[key].as_f64().map_or(NONE.to_string(), |value| format!("{} {unit}", rounded(value)));
    let plain = |key: &str| value(key, "").trim_end().to_string();
    let range = match figure["low"].as_f64().zip(figure["high"].as_f64()) {
        Some(_) => format!("{} to {}", plain("low"), plain("high")),
        None => NONE.to_string(),
    };
    vec![name.to_string(), value("ours", unit), value("peer", unit), plain("ratio"), range]
}

/// Three digits, and commas between thousands.
fn rounded(value: f64) -> String {
    match value.abs() {
        size if size < 10. => format!("{value:.2}"),
        size if size < 100. => format!("{value:.1}"),
        size => {
            let step = 10f64.powf((size.log10().floor() - 2.).max(0.));
            let digits = format!("{:.0}", (value / step).round() * step);
            let groups = digits.as_bytes().rchunks(3).rev().map(|group| String::from_utf8_lossy(group).into_owned());
            groups.collect::<Vec<_>>().join(",")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_found_by_commit_and_word() -> Result<()> {
        let folder = tempfile::tempdir()?;
        let lines = "{\"format\":1}\n\
            {\"case\":\"net\",\"what\":\"train\",\"ours\":134830.4,\"peer\":5393.7,\"ratio\":24.998,\"low\":9.5,\"high\":133.4,\"unit\":\"images/s\"}\n\
            {\"case\":\"net\",\"what\":\"inference\",\"ours\":7.689,\"peer\":null,\"ratio\":null,\"low\":null,\"high\":null,\"unit\":\"ms\"}\n";
        fs::write(folder.path().join("a-cpu-0123.jsonl"), lines)?;
        let all = table("0123", folder.path())?.markdown();
        assert!(all.contains("| net, train      | 135,000 images/s | 5,390 images/s |  25.0 |       9.50 to 133 |"), "{all}");
        assert!(all.contains("| net, inference  |          7.69 ms |              – |     – |                 – |"), "{all}");
        let one = table("0123 train; 0123 inference", folder.path())?.markdown();
        assert_eq!(one, all);
        let error = |query: &str| table(query, folder.path()).err().map(|error| error.to_string()).unwrap_or_default();
        assert!(error("0123 nothing").contains("no figure has \"nothing\""));
        assert!(error("4567").contains("no measurements end in \"4567\"") && error("4567").contains("a-cpu-0123"));
        Ok(())
    }
}
