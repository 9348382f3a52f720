//! The page of a measurement, for a browser.

use super::about::About;
use super::shifts::{CHANGED, Shifts};
use crate::calibration::BINS;
use crate::harness::record::Recorder;
use crate::harness::summary::{shifted, value};
use serde_json::Value;
use sncn_record::Task;
use sncn_record::corruption_error::CorruptionErrors;
use sncn_report::{Bin, Curves, File, Grid, HeatMap, Panel, Reliability};

/// Examples: a table, with the pictures that it shows. An empty one is left out.
pub struct Samples {
    /// The heading.
    pub heading: &'static str,
    /// What they are, in a sentence.
    pub says: String,
    /// The table.
    pub grid: Grid,
    /// The pictures, by the names under which the table shows them.
    pub files: Vec<File>,
}

/// What a page is made of.
pub(super) struct Page<'a> {
    pub(super) about: &'a About,
    pub(super) recorder: &'a Recorder,
    pub(super) shifts: Shifts<'a>,
    pub(super) samples: Samples,
    /// The ranking, where one was asked for.
    pub(super) ranked: Option<&'a Grid>,
}

/// Text as Markdown shows it.
pub fn plain(text: &str) -> String {
    let is_sign = |letter: char| "\\`*_[]<>#&!".contains(letter);
    text.chars().flat_map(|letter| is_sign(letter).then_some('\\').into_iter().chain([letter])).collect()
}

fn row(cells: impl IntoIterator<Item = String>) -> Vec<String> {
    cells.into_iter().collect()
}

fn percent(value: f64) -> String {
    format!("{:.2}", 100. * value)
}

impl Samples {
    /// Examples whose answers changed, with a table of them that has these headings.
    pub fn of_changes(task: &Task, severity: usize, heads: &[&str]) -> Self {
        let (shift, examples) = (task.shift, task.examples);
        Self {
            heading: "Answers that changed",
            says: format!(
                "For each {shift} at severity {severity} the first of the {examples} whose answer was right and is wrong, or else the first \
                 whose answer changed."
            ),
            grid: Grid::new(heads.iter().map(ToString::to_string).collect()),
            files: Vec::new(),
        }
    }
}

impl Page<'_> {
    pub(super) fn html(mut self) -> String {
        let task = self.about.task;
        let (shift, examples, called) = (task.shift, task.examples, task.called);
        let title = format!("{} under {shift}", self.recorder.header().row);
        let mut files = std::mem::take(&mut self.samples.files);
        let mut text = format!("# {}\n\n{}\n", plain(&title), self.verdict());
        text += &self.sets().markdown();
        let found = shifted(self.recorder.measurements(), task.metric).into_iter().next();
        if let Some((_, found)) = &found {
            text += &format!("\n## By {shift}\n\n{} in percent at each severity", task.title);
            let changes = shifted(self.recorder.measurements(), CHANGED);
            let changed = changes.first().map(|(_, rows)| rows.by_corruption());
            if changed.is_some() {
                text += &format!(", and the share of answers that differ from those to the clean {examples}");
            }
            text += ".\n\n";
            text += &self.by_shift(found, changed).markdown();
            text += &picture(&mut files, "heat.svg", self.heat(found).svg());
            if self.shifts.severities.len() > 1 {
                text += "\n## By severity\n\n";
                text += &picture(&mut files, "curves.svg", self.curves(found).svg());
            }
        }
        if let Some(ranked) = self.ranked {
            text += "\n## Rank\n\nBeside results of the same protocol, the best first.\n\n";
            text += &ranked.markdown();
        }
        if let Some(reliability) = self.reliability() {
            text += &format!(
                "\n## Calibration\n\nThe fraction of right answers to the clean {examples} at each level of confidence.\n\n"
            );
            text += &picture(&mut files, "reliability.svg", reliability.svg());
        }
        if !self.samples.grid.is_empty() {
            text += &format!("\n## {}\n\n{}\n\n", self.samples.heading, self.samples.says);
            text += &self.samples.grid.markdown();
        }
        text += &format!(
            "\n## Protocol\n\nThe {called} of others may be compared where all of this is the same, but for how {examples} become inputs.\n\n"
        );
        text += &self.told();
        text += &format!("\n## Provenance\n\n{}", self.provenance());
        sncn_report::page(&title, &text, &files)
    }

    /// The main numbers in a sentence.
    fn verdict(&self) -> String {
        let (measurements, task) = (self.recorder.measurements(), self.about.task);
        let (found, changes) = (shifted(measurements, task.metric), shifted(measurements, CHANGED));
        let clean = value(measurements, task.examples, task.metric).unwrap_or_default();
        let head = format!("{} **{} %** on the clean {}", task.title, percent(clean), task.examples);
        let Some((_, found)) = found.first() else { return format!("{head}.\n") };
        let difference = format!("{:+.2}", 100. * found.relative(clean));
        let changed = changes.first().map_or(String::new(), |(_, changes)| {
            format!("; {} changes {} % of the answers", task.shift, percent(changes.mean()))
        });
        format!("{head}, **{} %** under {} ({difference} points){changed}.\n", percent(found.mean()), task.shift)
    }

    fn sets(&self) -> Grid {
        let (measurements, task) = (self.recorder.measurements(), self.about.task);
        let heads = task.columns.iter().map(|(_, head)| head.to_string());
        let mut grid = Grid::new(row(["set".to_string()].into_iter().chain(heads)));
        let cell = |found: Option<f64>| found.map_or("–".to_string(), percent);
        let clean = task.columns.iter().map(|(metric, _)| cell(value(measurements, task.examples, metric)));
        grid.push(row(["clean".to_string()].into_iter().chain(clean)));
        let mean =
            |metric: &str| shifted(measurements, metric).first().map(|(_, rows)| rows.mean()).filter(|mean| mean.is_finite());
        if mean(task.metric).is_some() {
            let means = task.columns.iter().map(|(metric, _)| cell(mean(metric)));
            grid.push(row([format!("under {}, mean", task.shift)].into_iter().chain(means)));
        }
        grid
    }

    fn by_shift(&self, found: &CorruptionErrors, changed: Option<Vec<f64>>) -> Grid {
        let severities = self.shifts.severities.iter().map(|severity| format!("severity {severity}"));
        let head = [self.about.task.shift.to_string()].into_iter().chain(severities).chain(["mean".to_string()]);
        let mut grid = Grid::new(row(head.chain(changed.is_some().then(|| "changed".to_string()))));
        for (index, ((name, each), mean)) in found.rows().iter().zip(found.by_corruption()).enumerate() {
            let changed = changed.as_ref().and_then(|changed| changed.get(index).copied());
            let cells = each.iter().copied().chain([mean]).chain(changed).map(percent);
            grid.push(row([name.clone()].into_iter().chain(cells)));
        }
        grid
    }

    fn heat(&self, found: &CorruptionErrors) -> HeatMap {
        let values = found.rows().iter().zip(found.by_corruption());
        let values = values.map(|((_, each), mean)| each.iter().copied().chain([mean]).map(|value| Some(100. * value)).collect());
        let task = self.about.task;
        HeatMap {
            title: format!("{} % by {} and severity", task.title, task.shift),
            rows: found.rows().iter().map(|(name, _)| name.clone()).collect(),
            columns: self.shifts.severities.iter().map(usize::to_string).chain(["mean".to_string()]).collect(),
            values: values.collect(),
            legend: format!("{} {} at each severity", self.shifts.examples, task.examples),
        }
    }

    fn curves(&self, found: &CorruptionErrors) -> Curves {
        let task = self.about.task;
        let clean = value(self.recorder.measurements(), task.examples, task.metric).map(|value| 100. * value);
        let series = |(name, each): &(String, Vec<f64>)| {
            (name.clone(), [clean].into_iter().chain(each.iter().map(|value| Some(100. * value))).collect())
        };
        Curves {
            title: format!("{} % from the clean {} to the strongest {}", task.title, task.examples, task.shift),
            axis: format!("{} %", task.called),
            steps: "severity".to_string(),
            names: ["clean".to_string()].into_iter().chain(self.shifts.severities.iter().map(usize::to_string)).collect(),
            series: found.rows().iter().map(series).collect(),
        }
    }

    fn reliability(&self) -> Option<Reliability> {
        let (measurements, examples) = (self.recorder.measurements(), self.about.task.examples);
        let of = |index: usize| -> Option<Bin> {
            let part = |what: &str| value(measurements, examples, &format!("reliability/{index}/{what}"));
            Some(Bin { index, count: part("count")?, accuracy: part("accuracy")?, confidence: part("confidence")? })
        };
        let bins: Vec<Bin> = (0..BINS).filter_map(of).collect();
        let ece = value(measurements, examples, "ece").map(percent)?;
        let panel = Panel { name: self.recorder.header().row.clone(), ece, bins };
        let title = "Accuracy against confidence".to_string();
        (!panel.bins.is_empty()).then(|| Reliability {
            title,
            bins: BINS,
            sets: vec![(format!("clean {examples}"), vec![panel])],
        })
    }

    /// The protocol, a line a key.
    fn told(&self) -> String {
        let Value::Object(keys) = &self.about.protocol else { return String::new() };
        let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_string);
        let line = |(key, value): (&String, &Value)| {
            let told = match value {
                Value::Array(all) => all.iter().map(text).collect::<Vec<_>>().join(", "),
                other => text(other),
            };
            format!("- {}: {}\n", plain(key), plain(&told))
        };
        keys.iter().map(line).collect()
    }

    fn provenance(&self) -> String {
        let header = self.recorder.header();
        let commit = header.built.commit.as_deref().unwrap_or("unknown");
        let dirty = if header.built.dirty { ", with changes" } else { "" };
        let machine = &header.machine;
        let about = [
            format!("{} {}, commit {commit}{dirty}", self.about.task.program, header.version),
            format!("{}, {} processors, {}", machine.cpu, machine.cores, machine.os),
        ];
        about.iter().chain(self.recorder.notes()).map(|line| format!("- {}\n", plain(line))).collect()
    }
}

/// The line that shows a drawing, which becomes a file.
fn picture(files: &mut Vec<File>, name: &str, drawing: String) -> String {
    files.push((name.to_string(), drawing.into_bytes()));
    format!("\n![]({name})\n")
}
