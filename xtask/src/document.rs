//! The report of a table as Markdown, with its pictures.

use crate::classes;
use crate::domains;
use crate::figures;
use crate::provenance;
use crate::sheet::Sheet;
use crate::table;
use crate::tested;
use crate::verdict::verdict;
use sncn_record::corruption_error::MCE_ALEXNET;
use std::path::Path;

/// Metrics that have a table of rows × test sets of their own: metric, heading, what it is over.
const TABLES: [(&str, &str, &str); 4] = [
    ("top5_error", "Top-5 error", "how often the right class is not among the five with the highest scores"),
    ("error_all_classes", "Error over all classes", "of sets of some of the network's classes, with all to choose from"),
    (
        "top5_error_all_classes",
        "Top-5 error over all classes",
        "of sets of some of the network's classes, with all to choose from",
    ),
    ("macro_f1", "Macro-F1", "over the classes that occur"),
];

/// The files beside a report: name and content.
pub(crate) type Files = Vec<(String, String)>;

/// The report as Markdown with its pictures: `numbers` says where every number is, `notes` is what a person remarks.
pub(crate) fn document(sheet: &Sheet, numbers: &str, notes: &str) -> (String, Files) {
    let (table, measure, differences) = (sheet.table, sheet.table.task(), sheet.differences());
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
        if sheet.sets.iter().any(|set| sheet.has(set, MCE_ALEXNET)) {
            text += "mCE (AlexNet): the error of every corruption divided by AlexNet's, averaged; relative mCE (AlexNet): the same of \
                     what corruption adds to the error. ";
        }
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
    for (folder, grid) in domains::by_domain(sheet) {
        text += &format!(
            "\n## {}\n\n{} in percent on the domain that a network was not trained on; rows that differ in their domains alone are one \
             method. The mean is that over the domains, of seeds that have them all; Δ: its difference to the baseline's.\n\n",
            if folder.is_empty() { "By domain".to_string() } else { format!("{folder} by domain") },
            measure.title
        );
        text += &grid.markdown();
    }
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
    let others = tested::without_noise(sheet);
    if !others.is_empty() {
        text += &format!(
            "\n## Without noise\n\n{} in percent over the corruptions that are not noise, since some rows are trained on its kin.\n\n",
            measure.title
        );
        text += &others.markdown();
    }
    for set in &sheet.sets {
        let grid = tested::by_severity(sheet, set);
        if !grid.is_empty() {
            text += &format!("\n## {set} by severity\n\n{} in percent, the mean over corruptions.\n\n", measure.title);
            text += &grid.markdown();
        }
    }
    for (metric, heading, says) in TABLES {
        let grid = sheet.by_set(metric);
        if !grid.is_empty() {
            text += &format!("\n## {heading}\n\nIn percent, {says}; of a corrupted set, the mean over its parts.\n\n");
            text += &grid.markdown();
        }
    }
    if let Some(diagram) = figures::reliability(sheet) {
        text += "\n## Calibration\n\nThe fraction of right answers at each level of confidence. The gap between the two is what the \
                 expected calibration error (ECE) adds up.\n";
        text += &picture("-reliability", "Accuracy against confidence", diagram.svg());
    }
    let curves = figures::training(sheet);
    if !curves.is_empty() {
        text += "\n## Training\n";
    }
    for (name, curves) in curves {
        text += &picture(&format!("-training-{name}"), &curves.title, curves.svg());
    }
    let training = tested::training(sheet);
    if !training.is_empty() {
        text += "\n## Pseudo-labels\n\nIn the last epoch of training: the share of images without a label that got one, the share of these \
                 that is right, and the mean probability of the likeliest class.\n\n";
        text += &training.markdown();
    }
    let tempered = tested::tempered(sheet);
    if !tempered.is_empty() {
        text += "\n## Temperature scaling\n\nBefore → after all scores are divided by one number, which was fitted on what was kept out of \
                 training; of a corrupted set, the mean over its parts. Answers stay the same.\n\n";
        text += &tempered.markdown();
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
