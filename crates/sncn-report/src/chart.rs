//! `Chart`: a grouped bar chart with error bars, as SVG.

use crate::draw::{COLOURS, LETTER, LINE, fill, heading, line, number, open, rectangle, tick, write, write_heading};

/// A bar.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bar {
    /// Its height above 0.
    pub height: f64,
    /// Half the length of the error bar.
    pub error: Option<f64>,
}

/// Groups of bars, one bar of each series in each group.
pub struct Chart {
    /// The heading.
    pub title: String,
    /// The label of the axis.
    pub axis: String,
    /// The names of the series.
    pub series: Vec<String>,
    /// The groups: a name, and a bar for each series.
    pub groups: Vec<(String, Vec<Option<Bar>>)>,
}

const HEIGHT: f64 = 260.;
const LEFT: f64 = 56.;
/// The smallest and the largest width of a bar.
const BAR: (f64, f64) = (22., 44.);
const GAP: f64 = 28.;
impl Chart {
    /// The chart as SVG.
    pub fn svg(&self) -> String {
        let legend = self.legend();
        let (series, groups) = (self.series.len().max(1) as f64, self.groups.len().max(1) as f64);
        let group = (series * BAR.0).max(self.groups.iter().map(|(name, _)| name.len()).max().unwrap_or(0) as f64 * LETTER);
        let wanted = legend.iter().map(|(x, _, w)| x + w).fold(0., f64::max) + 16.;
        let width = (LEFT + groups * (group + GAP) + 16.).max(wanted).max(560.);
        let step = (width - LEFT - 16.) / groups;
        let bar_width = ((step - GAP) / series).min(BAR.1);
        let rows = legend.iter().map(|(_, row, _)| row + 1).max().unwrap_or(1) as f64;
        let heading = heading(&self.title, width);
        let head = LINE * (heading.len() as f64 - 1.);
        let top = 44. + head + 20. * rows;
        let base = top + HEIGHT;
        let highest = self
            .groups
            .iter()
            .flat_map(|(_, bars)| bars)
            .flatten()
            .map(|bar| bar.height + bar.error.unwrap_or(0.))
            .fold(0., f64::max);
        let tick = tick(highest);
        let ticks = (highest / tick).ceil().max(1.);
        let y = |value: f64| base - value / (tick * ticks) * HEIGHT;
        let mut out = open(width, base + 34., &heading[0]);
        for (row, line) in heading.iter().enumerate().skip(1) {
            write_heading(&mut out, 24. + LINE * row as f64, line);
        }
        if self.series.len() > COLOURS.len() {
            out += STRIPES;
        }
        let mut text = |x: f64, y: f64, anchor: &str, more: &str, what: &str| write(&mut out, x, y, anchor, more, what);
        for ((x, row, _), name) in legend.iter().zip(&self.series) {
            text(x + 18., 48. + head + 20. * *row as f64, "start", "", name);
        }
        for index in 0..=ticks as u32 {
            let value = f64::from(index) * tick;
            text(LEFT - 8., y(value) + 4., "end", "", &number(value));
        }
        for (index, (name, _)) in self.groups.iter().enumerate() {
            text(LEFT + (index as f64 + 0.5) * step, base + 20., "middle", "", name);
        }
        let turned = format!(" transform=\"rotate(-90 14 {:.1})\"", top + HEIGHT / 2.);
        text(14., top + HEIGHT / 2., "middle", &turned, &self.axis);
        for index in 0..=ticks as u32 {
            let at = y(f64::from(index) * tick);
            let colour = if index == 0 { "#222222" } else { "#dddddd" };
            line(&mut out, LEFT, at, width - 16., at, colour);
        }
        for (index, (x, row, _)) in legend.iter().enumerate() {
            swatch(&mut out, *x, 38. + head + 20. * *row as f64, 12., 12., index, &self.series[index]);
        }
        for (index, (name, bars)) in self.groups.iter().enumerate() {
            let start = LEFT + (index as f64 + 0.5) * step - bars.len() as f64 * bar_width / 2.;
            for (place, bar) in bars.iter().enumerate() {
                let Some(bar) = bar else { continue };
                let x = start + place as f64 * bar_width;
                let error = bar.error.map_or(String::new(), |error| format!(" ± {error:.2}"));
                let label = format!("{}, {name}: {:.2}{error}", self.series.get(place).map_or("", String::as_str), bar.height);
                swatch(&mut out, x + 1., y(bar.height), bar_width - 2., base - y(bar.height), place, &label);
                if let Some(error) = bar.error {
                    let (low, high, middle) = (y((bar.height - error).max(0.)), y(bar.height + error), x + bar_width / 2.);
                    line(&mut out, middle, low, middle, high, "#222222");
                    line(&mut out, middle - 4., low, middle + 4., low, "#222222");
                    line(&mut out, middle - 4., high, middle + 4., high, "#222222");
                }
            }
        }
        out + "</svg>\n"
    }

    /// The left edge, row and width of each entry of the legend.
    fn legend(&self) -> Vec<(f64, usize, f64)> {
        let (mut x, mut row) = (LEFT, 0);
        let place = |name: &String| {
            let width = 18. + name.chars().count() as f64 * LETTER + 16.;
            if x > LEFT && x + width > 720. {
                (x, row) = (LEFT, row + 1);
            }
            x += width;
            (x - width, row, width)
        };
        self.series.iter().map(place).collect()
    }
}

/// The pattern for series beyond the colours.
const STRIPES: &str = "<defs><pattern id=\"stripes\" width=\"5\" height=\"5\" patternUnits=\"userSpaceOnUse\" \
    patternTransform=\"rotate(45)\"><path d=\"M0 0V5\" stroke=\"#ffffff\" stroke-width=\"4\"/></pattern></defs>\n";

/// A rectangle of a series.
fn swatch(out: &mut String, x: f64, y: f64, width: f64, height: f64, series: usize, title: &str) {
    rectangle(out, x, y, width, height, series, title);
    if series >= COLOURS.len() {
        fill(out, (x, y), (width, height), "url(#stripes)", title);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_headings_are_broken_and_many_series_told_apart() {
        let series: Vec<String> = (0..10).map(|i| format!("row {i}")).collect();
        let bars = vec![Some(Bar { height: 1., error: None }); 10];
        let title = "words of a heading ".repeat(12);
        let svg =
            Chart { title: title.trim().into(), axis: "error %".into(), series, groups: vec![("clean".into(), bars)] }.svg();
        assert_eq!(svg.matches("font-weight=\"bold\"").count(), heading(title.trim(), 560.).len(), "{svg}");
        assert!(heading(title.trim(), 560.).iter().all(|line| line.len() <= 58));
        // two series beyond the colours, each in the legend and as a bar
        assert_eq!(svg.matches("fill=\"url(#stripes)\"").count(), 4);
    }

    #[test]
    fn bars_error_bars_and_names_are_drawn() {
        let bar = |height, error| Some(Bar { height, error });
        let chart = Chart {
            title: "a < b".into(),
            axis: "error %".into(),
            series: vec!["base".into(), "good".into()],
            groups: vec![("clean".into(), vec![bar(50., Some(2.)), None]), ("fog".into(), vec![bar(30., None), bar(60., None)])],
        };
        let svg = chart.svg();
        assert!(svg.contains("a &lt; b") && svg.contains("<title>base, clean: 50.00 ± 2.00</title>"), "{svg}");
        assert_eq!(svg.matches("<rect").count(), 1 + 2 + 3);
        assert_eq!(svg.matches("<text").count(), svg.matches("</text>").count());
        // 60 is the highest tick, so its bar has the full height
        assert!(svg.contains("height=\"260.0\" fill=\"#0072b2\"><title>good, fog: 60.00"), "{svg}");
    }
}
