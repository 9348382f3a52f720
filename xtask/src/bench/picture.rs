//! The picture of a training step: a bar for the time of each operation, longest first.

use super::figure::Figure;
use sncn_report::{LETTER, line, number, open, rectangle, tick, write};

const WIDTH: f64 = 420.;
const ROW: f64 = 26.;
const TOP: f64 = 60.;

/// The name of the figure for all operations together.
const WHOLE: &str = "whole";

/// The picture as SVG; `None` without figures.
pub(crate) fn svg(title: &str, figures: &[Figure]) -> Option<String> {
    let drawn = |figure: &&Figure| figure.what != WHOLE && figure.value.is_finite() && figure.value >= 0.;
    let mut bars: Vec<&Figure> = figures.iter().filter(drawn).collect();
    bars.sort_by(|a, b| b.value.total_cmp(&a.value));
    let unit = &bars.first()?.unit;
    let whole = figures.iter().find(|figure| figure.what == WHOLE).map(|figure| figure.value);
    let total = whole.unwrap_or_else(|| bars.iter().map(|figure| figure.value).sum());
    let highest = bars[0].value;
    let tick = tick(highest);
    let ticks = (highest / tick).ceil().max(1.);
    let left = 32. + LETTER * bars.iter().map(|figure| figure.what.chars().count()).max().unwrap_or(0) as f64;
    let base = TOP + ROW * bars.len() as f64;
    let x = |value: f64| left + value / (tick * ticks) * WIDTH;
    let title = format!("{title}: {total:.1} {unit}");
    let width = (left + WIDTH + 110.).max(title.chars().count() as f64 * 8.2 + 32.);
    let mut out = open(width, base + 40., &title);
    for index in 0..=ticks as u32 {
        let value = f64::from(index) * tick;
        line(&mut out, x(value), TOP - 6., x(value), base, if index == 0 { "#222222" } else { "#dddddd" });
        let label = if f64::from(index) == ticks { format!("{} {unit}", number(value)) } else { number(value) };
        write(&mut out, x(value), base + 18., "middle", "", &label);
    }
    for (row, figure) in bars.iter().enumerate() {
        let (top, share) = (TOP + ROW * row as f64, 100. * figure.value / total.max(f64::MIN_POSITIVE));
        let value = format!("{:.1} {unit}, {share:.1} %", figure.value);
        write(&mut out, left - 8., top + 14., "end", "", &figure.what);
        rectangle(&mut out, left, top, x(figure.value) - left, ROW - 6., 1, &format!("{}: {value}", figure.what));
        write(&mut out, x(figure.value) + 6., top + 14., "start", "", &value);
    }
    Some(out + "</svg>\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn operations_are_drawn_the_longest_first() {
        let line = |what: &str, value: f64| {
            serde_json::from_value(serde_json::json!({"case": "c", "what": what, "value": value, "unit": "ms"})).unwrap()
        };
        let svg = svg("A step", &[line("add", 10.), line("conv <3x3>", 30.), line("whole", 40.)]).unwrap();
        assert!(svg.contains("A step: 40.0 ms") && svg.contains("conv &lt;3x3&gt;") && svg.contains("30.0 ms, 75.0 %"), "{svg}");
        // ticks of 5 up to 30, so the longest bar is as wide as the drawing
        assert!(svg.contains("width=\"420.0\" height=\"20.0\"") && svg.contains("width=\"140.0\" height=\"20.0\""), "{svg}");
        assert!(svg.find("conv").unwrap() < svg.find(">add<").unwrap());
        assert!(!svg.contains("whole"), "{svg}");
        assert!(super::svg("A step", &[line("add", 10.), line("conv", 20.)]).unwrap().contains("A step: 30.0 ms"));
        assert!(super::svg("nothing", &[line("whole", 40.)]).is_none());
    }
}
