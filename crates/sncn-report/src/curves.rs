//! `Curves`: a line for each series over named steps, such as errors over severities, as SVG.

use crate::draw::{COLOURS, LETTER, line, number, open, tick, write};
use std::fmt::Write;

/// Lines over named steps.
pub struct Curves {
    /// The heading.
    pub title: String,
    /// The label of the axis of values.
    pub axis: String,
    /// The label of the axis of steps.
    pub steps: String,
    /// The names of the steps.
    pub names: Vec<String>,
    /// The name of each series with its values by step.
    pub series: Vec<(String, Vec<Option<f64>>)>,
}

const HEIGHT: f64 = 260.;
const LEFT: f64 = 56.;
const TOP: f64 = 48.;
const STEP: f64 = 110.;
/// The most that all steps together take.
const WIDEST: f64 = 720.;
/// The least between two names of steps.
const APART: f64 = 36.;
/// The height of a line of the legend.
const ENTRY: f64 = 18.;
/// How lines beyond the colours are dashed.
const DASHES: [&str; 3] = ["", " stroke-dasharray=\"6 3\"", " stroke-dasharray=\"2 3\""];

impl Curves {
    /// The drawing, with the names of the series to the right, in the order of their last values.
    pub fn svg(&self) -> String {
        let steps = self.names.len().saturating_sub(1).max(1);
        let width = (STEP * steps as f64).min(WIDEST);
        let longest = self.series.iter().map(|(name, _)| name.chars().count()).max().unwrap_or(0) as f64;
        let legend = LEFT + width + 28.;
        let height = HEIGHT.max(ENTRY * self.series.len() as f64);
        let base = TOP + height;
        let whole = (legend + 24. + longest * LETTER + 16.).max(16. + self.title.chars().count() as f64 * 8.2 + 16.);
        let highest = self.series.iter().flat_map(|(_, values)| values).flatten().copied().fold(0., f64::max);
        let step = tick(highest);
        let ticks = (highest / step).ceil().max(1.);
        let y = |value: f64| base - value / (step * ticks) * height;
        let x = |index: usize| LEFT + width * index as f64 / steps as f64;
        let mut out = open(whole, base + 48., &self.title);
        for index in 0..=ticks as u32 {
            let value = f64::from(index) * step;
            line(&mut out, LEFT, y(value), LEFT + width, y(value), if index == 0 { "#222222" } else { "#dddddd" });
            write(&mut out, LEFT - 8., y(value) + 4., "end", "", &number(value));
        }
        // where there are many steps, the first is named and every so many
        let every = (APART * steps as f64 / width).ceil().max(1.) as usize;
        let is_named = |index: usize| every == 1 || index == 0 || (index + 1).is_multiple_of(every);
        for (index, name) in self.names.iter().enumerate().filter(|(index, _)| is_named(*index)) {
            write(&mut out, x(index), base + 18., "middle", "", name);
        }
        write(&mut out, LEFT + width / 2., base + 38., "middle", "", &self.steps);
        let middle = TOP + height / 2.;
        write(&mut out, 14., middle, "middle", &format!(" transform=\"rotate(-90 14 {middle:.1})\""), &self.axis);
        for (number, (name, values)) in self.series.iter().enumerate() {
            let points: Vec<String> = values
                .iter()
                .enumerate()
                .filter_map(|(index, value)| Some(format!("{:.1},{:.1}", x(index), y((*value)?))))
                .collect();
            let _ = writeln!(
                out,
                "<polyline points=\"{}\"{}><title>{}</title></polyline>",
                points.join(" "),
                stroke(number),
                crate::draw::escape(name)
            );
        }
        let mut order: Vec<usize> = (0..self.series.len()).collect();
        let last = |at: usize| self.series[at].1.iter().rev().flatten().next().copied().unwrap_or(0.);
        order.sort_by(|&a, &b| last(b).total_cmp(&last(a)));
        for (place, series) in order.into_iter().enumerate() {
            let at = TOP + ENTRY * (place as f64 + 0.5);
            let _ = writeln!(out, "<polyline points=\"{legend:.1},{at:.1} {:.1},{at:.1}\"{}/>", legend + 18., stroke(series));
            write(&mut out, legend + 24., at + 4., "start", "", &self.series[series].0);
        }
        out + "</svg>\n"
    }
}

/// The attributes of the line of a series.
fn stroke(series: usize) -> String {
    let (colour, dashes) = (COLOURS[series % COLOURS.len()], DASHES[series / COLOURS.len() % DASHES.len()]);
    format!(" fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\"{dashes}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_series_has_a_line_and_a_name_and_what_is_missing_is_left_out() {
        let series = (0..10).map(|index| (format!("row & {index}"), vec![Some(f64::from(index)), None, Some(20.)])).collect();
        let names = ["1", "2", "3"].map(str::to_string).to_vec();
        let svg = Curves { title: "t".into(), axis: "error %".into(), steps: "severity".into(), names, series }.svg();
        assert_eq!((svg.matches("<polyline").count(), svg.matches("<title>").count()), (20, 10), "{svg}");
        assert!(svg.contains("row &amp; 9") && svg.contains("stroke-dasharray"), "{svg}");
        let names: Vec<String> = (1..=200).map(|step: usize| step.to_string()).collect();
        let series = vec![("row".to_string(), vec![Some(1.); 200])];
        let long = Curves { title: "t".into(), axis: "loss".into(), steps: "epoch".into(), names, series }.svg();
        assert!(long.contains(">10</text>") && long.contains(">200</text>") && !long.contains(">11</text>"), "{long}");
        // 20 is the highest tick
        assert!(svg.contains(&format!("276.0,{TOP:.1}")) && !svg.contains("NaN"), "{svg}");
    }
}
