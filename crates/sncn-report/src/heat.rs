//! `HeatMap`: a matrix of percentages as coloured cells with numbers, as SVG.

use crate::draw::{LETTER, fill, number, open, tick, write};
use std::fmt::Write;

/// A matrix of percentages.
pub struct HeatMap {
    /// The heading.
    pub title: String,
    /// The names of the rows.
    pub rows: Vec<String>,
    /// The names of the columns.
    pub columns: Vec<String>,
    /// The values by row and column.
    pub values: Vec<Vec<Option<f64>>>,
    /// The meaning of values, rows and columns.
    pub legend: String,
}

/// The colour scale from low to high; lightness decreases, so it can be read without colour.
const RAMP: [[f64; 3]; 5] = [[255., 247., 229.], [253., 208., 150.], [241., 141., 76.], [196., 66., 44.], [106., 16., 34.]];
/// The largest number of columns for which cells show numbers.
const NUMBERED: usize = 24;
const LEGEND: f64 = 240.;

fn mixed(fraction: f64) -> [f64; 3] {
    let at = fraction.clamp(0., 1.) * (RAMP.len() - 1) as f64;
    let low = (at as usize).min(RAMP.len() - 2);
    std::array::from_fn(|c| RAMP[low][c] + (RAMP[low + 1][c] - RAMP[low][c]) * (at - low as f64))
}

fn hex(colour: [f64; 3]) -> String {
    colour.iter().fold("#".to_string(), |text, part| text + &format!("{:02x}", part.round() as u8))
}

/// Black or white, whichever has more contrast.
fn ink([red, green, blue]: [f64; 3]) -> &'static str {
    if 0.299 * red + 0.587 * green + 0.114 * blue > 140. { "#111111" } else { "#ffffff" }
}

fn longest(names: &[String]) -> f64 {
    names.iter().map(|name| name.chars().count()).max().unwrap_or(0) as f64 * LETTER
}

impl HeatMap {
    /// The ends of the scale, round numbers that enclose all values.
    fn range(&self) -> (f64, f64) {
        let all = || self.values.iter().flatten().flatten().copied();
        let (low, high) = (all().fold(f64::INFINITY, f64::min), all().fold(f64::NEG_INFINITY, f64::max));
        if low > high {
            return (0., 1.);
        }
        let step = tick(high - low);
        let (low, high) = ((low / step).floor() * step, (high / step).ceil() * step);
        if high > low { (low, high) } else { (low, low + step) }
    }

    /// The heat map as SVG.
    pub fn svg(&self) -> String {
        let numbered = self.columns.len() <= NUMBERED;
        let (cell_width, cell_height) = if numbered { (42., 26.) } else { (8., 8.) };
        let left = 16. + longest(&self.rows) + 8.;
        // column names rise to the right at 40 degrees
        let top = 44. + longest(&self.columns) * 0.643 + 10.;
        let (width, height) = (self.columns.len() as f64 * cell_width, self.rows.len() as f64 * cell_height);
        let wanted =
            [left + width + longest(&self.columns) * 0.766 - cell_width / 2., 16. + self.title.chars().count() as f64 * 8.2];
        let under = 16. + self.legend.chars().count() as f64 * LETTER;
        let whole = wanted.into_iter().fold(under.max(left + LEGEND + 20.), f64::max) + 16.;
        let mut out = open(whole, top + height + 84., &self.title);
        let every = if numbered { 1 } else { 10 };
        for (index, name) in self.columns.iter().enumerate().step_by(every) {
            let (x, y) = (left + (index as f64 + 0.5) * cell_width, top - 6.);
            write(&mut out, x, y, "start", &format!(" transform=\"rotate(-40 {x:.1} {y:.1})\""), name);
        }
        for (index, name) in self.rows.iter().enumerate().step_by(every) {
            write(&mut out, left - 8., top + (index as f64 + 0.5) * cell_height + 4., "end", "", name);
        }
        let (low, high) = self.range();
        if !numbered {
            // cells at the low end, which are most of a large matrix, are drawn as one background
            fill(&mut out, (left, top), (width, height), &hex(mixed(0.)), "");
        }
        for (row, (name, values)) in self.rows.iter().zip(&self.values).enumerate() {
            for (column, value) in values.iter().enumerate() {
                let (x, y) = (left + column as f64 * cell_width, top + row as f64 * cell_height);
                let label = format!("{name}, {}: ", self.columns.get(column).map_or("", String::as_str));
                let gap = if numbered { 1. } else { 0. };
                let size = (cell_width - gap, cell_height - gap);
                let Some(value) = value else {
                    fill(&mut out, (x, y), size, "#eeeeee", &(label + "not measured"));
                    continue;
                };
                if !numbered && *value == low {
                    continue;
                }
                let colour = mixed((value - low) / (high - low));
                fill(&mut out, (x, y), size, &hex(colour), &format!("{label}{value:.2}"));
                if numbered {
                    let (x, y) = (x + (cell_width - gap) / 2., y + cell_height / 2. + 3.5);
                    let more = format!(" font-size=\"11\" fill=\"{}\" pointer-events=\"none\"", ink(colour));
                    write(&mut out, x, y, "middle", &more, &if *value == 0. { "0".to_string() } else { format!("{value:.1}") });
                }
            }
        }
        self.scale(&mut out, left, top + height + 18., (low, high));
        write(&mut out, 16., top + height + 70., "start", "", &self.legend);
        out + "</svg>\n"
    }

    /// The colour scale with its numbers.
    fn scale(&self, out: &mut String, x: f64, y: f64, (low, high): (f64, f64)) {
        let stops = RAMP.iter().enumerate().map(|(index, colour)| {
            format!("<stop offset=\"{}\" stop-color=\"{}\"/>", index as f64 / (RAMP.len() - 1) as f64, hex(*colour))
        });
        let _ = writeln!(out, "<defs><linearGradient id=\"scale\">{}</linearGradient></defs>", stops.collect::<String>());
        let label = format!("from {} to {}", number(low), number(high));
        fill(out, (x, y), (LEGEND, 12.), "url(#scale)", &label);
        for fraction in [0., 0.25, 0.5, 0.75, 1.] {
            write(out, x + fraction * LEGEND, y + 28., "middle", "", &number(low + fraction * (high - low)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(columns: usize) -> HeatMap {
        HeatMap {
            title: "a & b".into(),
            rows: vec!["base".into(), "good".into()],
            columns: (0..columns).map(|column| format!("c{column}")).collect(),
            values: vec![vec![Some(12.), Some(88.)], vec![Some(50.), None]],
            legend: "error %".into(),
        }
    }

    #[test]
    fn cells_have_colours_and_numbers_that_stand_out() {
        let svg = map(2).svg();
        // the ground, four cells, the scale
        assert_eq!(svg.matches("<rect").count(), 1 + 4 + 1);
        assert!(svg.contains("<title>base, c1: 88.00</title>") && svg.contains("good, c1: not measured"), "{svg}");
        assert!(svg.contains("fill=\"#ffffff\" pointer-events=\"none\">88.0</text>"), "{svg}");
        assert!(svg.contains("fill=\"#111111\" pointer-events=\"none\">12.0</text>"), "{svg}");
        assert_eq!(map(2).range(), (0., 100.));
        let mut large = map(100);
        assert!(!large.svg().contains("88.0</text>"));
        // a matrix without numbers leaves its lowest cells to the ground
        large.values = vec![vec![Some(0.); 100], vec![Some(1.); 100]];
        assert_eq!(large.svg().matches("<rect").count(), 1 + 1 + 100 + 1);
    }

    #[test]
    fn the_ramp_grows_darker() {
        let light = |fraction: f64| mixed(fraction).iter().sum::<f64>();
        assert!((1..=20).all(|step| light(f64::from(step) / 20.) < light(f64::from(step - 1) / 20.)));
        assert_eq!((hex(mixed(0.)), hex(mixed(1.))), ("#fff7e5".to_string(), "#6a1022".to_string()));
    }
}
