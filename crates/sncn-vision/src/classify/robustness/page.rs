//! The page of a measurement, for a browser.

use super::answers::{CHANGED, SET};
use super::protocol::Protocol;
use super::samples::Sample;
use anyhow::Result;
use serde_json::Value;
use sncn_record::corruption_error::CorruptionErrors;
use sncn_record::task::CLASSIFY;
use sncn_report::{Bin, Curves, File, Grid, HeatMap, Panel, Reliability};
use sncn_train::calibration::BINS;
use sncn_train::harness::record::Recorder;
use sncn_train::harness::summary::{shifted, value};

/// What a page is made of.
pub(super) struct Page<'a> {
    pub(super) recorder: &'a Recorder,
    pub(super) protocol: &'a Protocol,
    pub(super) samples: &'a [Sample],
    /// The ranking, where one was asked for.
    pub(super) ranked: Option<&'a Grid>,
}

/// Text as Markdown shows it.
fn plain(text: &str) -> String {
    let is_sign = |letter: char| "\\`*_[]<>#&!".contains(letter);
    text.chars().flat_map(|letter| is_sign(letter).then_some('\\').into_iter().chain([letter])).collect()
}

fn row(cells: impl IntoIterator<Item = String>) -> Vec<String> {
    cells.into_iter().collect()
}

fn percent(value: f64) -> String {
    format!("{:.2}", 100. * value)
}

impl Page<'_> {
    /// The page.
    ///
    /// # Errors
    /// If an image cannot be written as PNG.
    pub(super) fn html(&self) -> Result<String> {
        let title = format!("{} under corruption", self.recorder.header().row);
        let mut files = Vec::new();
        let mut text = format!("# {}\n\n{}\n", plain(&title), self.verdict());
        text += &self.sets().markdown();
        let corrupted = shifted(self.recorder.measurements(), "error").into_iter().next();
        if let Some((_, errors)) = &corrupted {
            text += "\n## By corruption\n\nError in percent at each severity, and the share of answers that differ from those to the clean images.\n\n";
            text += &self.by_corruption(errors).markdown();
            text += &picture(&mut files, "heat.svg", self.heat(errors).svg());
            if self.protocol.severities.len() > 1 {
                text += "\n## By severity\n\n";
                text += &picture(&mut files, "curves.svg", self.curves(errors).svg());
            }
        }
        if let Some(ranked) = self.ranked {
            text += "\n## Rank\n\nBeside results of the same protocol, the best first.\n\n";
            text += &ranked.markdown();
        }
        if let Some(reliability) = self.reliability() {
            text += "\n## Calibration\n\nThe fraction of right answers to the clean images at each level of confidence.\n\n";
            text += &picture(&mut files, "reliability.svg", reliability.svg());
        }
        if !self.samples.is_empty() {
            let severity = self.protocol.strongest();
            text += &format!(
                "\n## Answers that changed\n\nFor each corruption at severity {severity} the first image whose answer was right and is wrong, or \
                 else the first whose answer changed.\n\n"
            );
            text += &self.changed(&mut files)?.markdown();
        }
        text += "\n## Protocol\n\nResults may be compared where all of this is the same, but for how images become inputs.\n\n";
        text += &self.told()?;
        text += &format!("\n## Provenance\n\n{}", self.provenance());
        Ok(sncn_report::page(&title, &text, &files))
    }

    /// The main numbers in a sentence.
    fn verdict(&self) -> String {
        let measurements = self.recorder.measurements();
        let (error, changes) = (shifted(measurements, "error"), shifted(measurements, CHANGED));
        let clean = value(measurements, SET, "error").unwrap_or_default();
        match (error.first(), changes.first()) {
            (Some((_, errors)), Some((_, changes))) => format!(
                "Wrong on **{} %** of the clean images and on **{} %** under corruption, {} points more; corruption changes {} % of its answers.\n",
                percent(clean),
                percent(errors.mean()),
                percent(errors.relative(clean)),
                percent(changes.mean())
            ),
            _ => format!("Wrong on **{} %** of the images.\n", percent(clean)),
        }
    }

    fn sets(&self) -> Grid {
        let measurements = self.recorder.measurements();
        let columns: Vec<(&str, &str)> = CLASSIFY.columns.to_vec();
        let mut grid = Grid::new(row(["set".to_string()].into_iter().chain(columns.iter().map(|(_, head)| head.to_string()))));
        let cell = |found: Option<f64>| found.map_or("–".to_string(), percent);
        let clean = columns.iter().map(|(metric, _)| cell(value(measurements, SET, metric)));
        grid.push(row(["clean".to_string()].into_iter().chain(clean)));
        let mean =
            |metric: &str| shifted(measurements, metric).first().map(|(_, rows)| rows.mean()).filter(|mean| mean.is_finite());
        if mean("error").is_some() {
            let means = columns.iter().map(|(metric, _)| cell(mean(metric)));
            grid.push(row(["corrupted, mean".to_string()].into_iter().chain(means)));
        }
        grid
    }

    fn by_corruption(&self, errors: &CorruptionErrors) -> Grid {
        let changes = shifted(self.recorder.measurements(), CHANGED);
        let changed = changes.first().map(|(_, rows)| rows.by_corruption()).unwrap_or_default();
        let severities = self.protocol.severities.iter().map(|severity| format!("severity {severity}"));
        let head = ["corruption".to_string()].into_iter().chain(severities).chain(["mean", "changed"].map(str::to_string));
        let mut grid = Grid::new(row(head));
        for (index, ((name, each), mean)) in errors.rows().iter().zip(errors.by_corruption()).enumerate() {
            let cells = each.iter().copied().chain([mean]).chain(changed.get(index).copied()).map(percent);
            grid.push(row([name.clone()].into_iter().chain(cells)));
        }
        grid
    }

    fn heat(&self, errors: &CorruptionErrors) -> HeatMap {
        let values = errors.rows().iter().zip(errors.by_corruption());
        let values = values.map(|((_, each), mean)| each.iter().copied().chain([mean]).map(|value| Some(100. * value)).collect());
        HeatMap {
            title: "Error % by corruption and severity".to_string(),
            rows: errors.rows().iter().map(|(name, _)| name.clone()).collect(),
            columns: self.protocol.severities.iter().map(usize::to_string).chain(["mean".to_string()]).collect(),
            values: values.collect(),
            legend: format!("{} images at each severity", self.protocol.images),
        }
    }

    fn curves(&self, errors: &CorruptionErrors) -> Curves {
        let clean = value(self.recorder.measurements(), SET, "error").map(|error| 100. * error);
        let series = |(name, each): &(String, Vec<f64>)| {
            (name.clone(), [clean].into_iter().chain(each.iter().map(|error| Some(100. * error))).collect())
        };
        Curves {
            title: "Error % from the clean images to the strongest corruption".to_string(),
            axis: "error %".to_string(),
            steps: "severity".to_string(),
            names: ["clean".to_string()].into_iter().chain(self.protocol.severities.iter().map(usize::to_string)).collect(),
            series: errors.rows().iter().map(series).collect(),
        }
    }

    fn reliability(&self) -> Option<Reliability> {
        let measurements = self.recorder.measurements();
        let of = |index: usize| -> Option<Bin> {
            let part = |what: &str| value(measurements, SET, &format!("reliability/{index}/{what}"));
            Some(Bin { index, count: part("count")?, accuracy: part("accuracy")?, confidence: part("confidence")? })
        };
        let bins: Vec<Bin> = (0..BINS).filter_map(of).collect();
        let ece = value(measurements, SET, "ece").map(percent)?;
        let panel = Panel { name: self.recorder.header().row.clone(), ece, bins };
        let title = "Accuracy against confidence".to_string();
        (!panel.bins.is_empty()).then(|| Reliability { title, bins: BINS, sets: vec![("clean images".to_string(), vec![panel])] })
    }

    fn changed(&self, files: &mut Vec<File>) -> Result<Grid> {
        let heads = ["corruption", "class", "clean", "answer", "corrupted", "answer to it", "image"];
        let mut grid = Grid::new(row(heads.map(str::to_string)));
        for (index, sample) in self.samples.iter().enumerate() {
            let mut image = |what: &str, png: &[u8]| {
                let name = format!("{index}-{what}.png");
                files.push((name.clone(), png.to_vec()));
                format!("![]({name})")
            };
            let (clean, corrupted) = (image("clean", &sample.clean), image("corrupted", &sample.corrupted));
            let [label, before, after] = [&sample.label, &sample.before, &sample.after].map(|name| plain(name));
            grid.push(row([sample.corruption.clone(), label, clean, before, corrupted, after, plain(&sample.name)]));
        }
        Ok(grid)
    }

    /// The protocol, a line a key.
    fn told(&self) -> Result<String> {
        let Value::Object(keys) = serde_json::to_value(self.protocol)? else { return Ok(String::new()) };
        let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_string);
        let line = |(key, value): (String, Value)| {
            let told = match &value {
                Value::Array(all) => all.iter().map(text).collect::<Vec<_>>().join(", "),
                other => text(other),
            };
            format!("- {}: {}\n", plain(&key), plain(&told))
        };
        Ok(keys.into_iter().map(line).collect())
    }

    fn provenance(&self) -> String {
        let header = self.recorder.header();
        let commit = header.built.commit.as_deref().unwrap_or("unknown");
        let dirty = if header.built.dirty { ", with changes" } else { "" };
        let machine = &header.machine;
        let about = [
            format!("sncn-classify {}, commit {commit}{dirty}", header.version),
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
