//! `Reliability`: accuracy against confidence, bin by bin (Guo et al. 2017), written as SVG by hand.

use crate::draw::{COLOURS, LETTER, fill, line, open, write};
use std::fmt::Write;

/// A bin of confidence that some examples fell into.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bin {
    /// Its place, from 0.
    pub index: usize,
    /// Examples in it.
    pub count: f64,
    /// Share of them that are right.
    pub accuracy: f64,
    /// Their mean confidence.
    pub confidence: f64,
}

/// One row on one test set.
pub struct Panel {
    /// Name of the row.
    pub name: String,
    /// Expected calibration error, as text.
    pub ece: String,
    /// Its bins.
    pub bins: Vec<Bin>,
}

/// Panels of several rows on several test sets.
pub struct Reliability {
    /// Heading.
    pub title: String,
    /// Bins between 0 and 1.
    pub bins: usize,
    /// Names of test sets, each with the panels of the rows.
    pub sets: Vec<(String, Vec<Panel>)>,
}

const SIDE: f64 = 168.;
/// Height of the strip below a panel that shows where the examples are.
const STRIP: f64 = 30.;
const STEP: f64 = SIDE + 40.;
const LEFT: f64 = 62.;
const TOP: f64 = 76.;
/// Height of a set's name.
const NAME: f64 = 22.;
/// Height of a line of panels: two lines of text, the panel, its strip and the axis.
const ROW: f64 = 40. + SIDE + STRIP + 52.;
/// Panels beside each other.
const ACROSS: usize = 5;
const ACCURACY: &str = COLOURS[1];
const OVER: &str = COLOURS[2];
const UNDER: &str = COLOURS[5];
const SHARE: &str = COLOURS[0];

impl Reliability {
    /// The drawing.
    pub fn svg(&self) -> String {
        let most = self.sets.iter().map(|(_, panels)| panels.len()).max().unwrap_or(0).min(ACROSS);
        let width = (LEFT + most as f64 * STEP).max(16. + self.title.chars().count() as f64 * 8.2 + 16.).max(730.);
        let lines: usize = self.sets.iter().map(|(_, panels)| panels.len().div_ceil(ACROSS)).sum();
        let mut out = open(width, TOP + self.sets.len() as f64 * NAME + lines as f64 * ROW, &self.title);
        self.key(&mut out);
        let mut y = TOP;
        for (set, panels) in &self.sets {
            write(&mut out, 16., y + 12., "start", " font-weight=\"bold\"", set);
            y += NAME;
            for line in panels.chunks(ACROSS) {
                let middle = y + 40. + SIDE / 2.;
                write(&mut out, 18., middle, "middle", &format!(" transform=\"rotate(-90 18 {middle:.1})\""), "accuracy");
                for (column, panel) in line.iter().enumerate() {
                    self.panel(&mut out, LEFT + column as f64 * STEP, y + 40., panel, column == 0);
                }
                y += ROW;
            }
        }
        out + "</svg>\n"
    }

    /// What the colours mean.
    fn key(&self, out: &mut String) {
        let mut x = 16.;
        let names = [
            (ACCURACY, "accuracy"),
            (OVER, "confidence beyond accuracy"),
            (UNDER, "accuracy beyond confidence"),
            (SHARE, "examples"),
        ];
        for (colour, name) in names {
            fill(out, (x, 40.), (12., 12.), colour, name);
            write(out, x + 18., 50., "start", "", name);
            x += 34. + name.len() as f64 * LETTER;
        }
        diagonal(out, (x, 52.), (x + 12., 40.));
        write(out, x + 18., 50., "start", "", "calibrated");
    }

    /// One panel with its upper left corner at (x, y).
    fn panel(&self, out: &mut String, x: f64, y: f64, panel: &Panel, first: bool) {
        let base = y + SIDE;
        write(out, x, y - 24., "start", "", &panel.name);
        write(out, x, y - 8., "start", " fill=\"#555555\"", &format!("ECE {} %", panel.ece));
        for share in [0., 0.25, 0.5, 0.75, 1.] {
            line(out, x, base - share * SIDE, x + SIDE, base - share * SIDE, "#dddddd");
        }
        let wide = SIDE / self.bins.max(1) as f64;
        let total = panel.bins.iter().map(|bin| bin.count).sum::<f64>().max(1.);
        let most = panel.bins.iter().map(|bin| bin.count).fold(1., f64::max);
        let foot = base + 6. + STRIP;
        for bin in &panel.bins {
            let at = x + bin.index as f64 * wide;
            let (lower, upper) = (bin.accuracy.min(bin.confidence), bin.accuracy.max(bin.confidence));
            let label =
                format!("{}: {} examples, accuracy {:.3}, confidence {:.3}", panel.name, bin.count, bin.accuracy, bin.confidence);
            let mut bar = |from: f64, to: f64, colour: &str| {
                fill(out, (at, base - to * SIDE), (wide - 1., (to - from) * SIDE), colour, &label);
            };
            bar(0., lower, ACCURACY);
            bar(lower, upper, if bin.accuracy > bin.confidence { UNDER } else { OVER });
            let (height, share) = (bin.count / most * STRIP, 100. * bin.count / total);
            fill(out, (at, foot - height), (wide - 1., height), SHARE, &format!("{share:.1} % of examples"));
        }
        diagonal(out, (x, base), (x + SIDE, y));
        line(out, x, base, x + SIDE, base, "#222222");
        line(out, x, foot, x + SIDE, foot, "#222222");
        for (share, text) in [(0., "0"), (0.5, "0.5"), (1., "1")] {
            if first {
                write(out, x - 8., base - share * SIDE + 4., "end", "", text);
            }
            write(out, x + share * SIDE, foot + 16., "middle", "", text);
        }
        write(out, x + SIDE / 2., foot + 32., "middle", "", "confidence");
    }
}

fn diagonal(out: &mut String, (x1, y1): (f64, f64), (x2, y2): (f64, f64)) {
    let _ = writeln!(
        out,
        "<line x1=\"{x1:.1}\" y1=\"{y1:.1}\" x2=\"{x2:.1}\" y2=\"{y2:.1}\" stroke=\"#222222\" stroke-dasharray=\"4 3\"/>"
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bin_has_its_accuracy_its_gap_and_its_share() {
        let bins = vec![
            Bin { index: 7, count: 25., accuracy: 0.4, confidence: 0.5 },
            Bin { index: 14, count: 75., accuracy: 0.9, confidence: 0.98 },
        ];
        let panel = |name: String| Panel { name, ece: "8.50".into(), bins: bins.clone() };
        let svg = Reliability { title: "t".into(), bins: 15, sets: vec![("s".into(), vec![panel("base".into())])] }.svg();
        // the ground, the key, three a bin
        assert_eq!(svg.matches("<rect").count(), 1 + 4 + 2 * 3);
        assert!(svg.contains("ECE 8.50 %") && svg.contains("75.0 % of examples"), "{svg}");
        assert!(svg.contains("base: 25 examples, accuracy 0.400, confidence 0.500"), "{svg}");
        assert_eq!(svg.matches("<g").count(), svg.matches("</g>").count());
        // of many rows all are drawn, some of them below the others
        let many: Vec<_> = (0..=ACROSS).map(|row| panel(format!("row {row}"))).collect();
        let svg = Reliability { title: "t".into(), bins: 15, sets: vec![("s".into(), many)] }.svg();
        assert_eq!((svg.matches("ECE 8.50 %").count(), svg.matches(">accuracy</text>").count()), (ACROSS + 1, 3), "{svg}");
    }
}
