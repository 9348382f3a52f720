//! What drawings are made of: lines, rectangles and text of SVG, round numbers for axes.

use std::fmt::Write;

/// Okabe and Ito's colours, which colour-blind readers can distinguish; series beyond the last are striped.
pub(crate) const COLOURS: [&str; 8] = ["#999999", "#0072b2", "#e69f00", "#009e73", "#d55e00", "#56b4e9", "#cc79a7", "#f0e442"];
/// The approximate width of a letter at font size 12.
pub const LETTER: f64 = 6.8;

/// The distance between lines of a heading.
pub(crate) const LINE: f64 = 18.;

/// Breaks a heading into lines for a drawing of this width.
pub(crate) fn heading(title: &str, width: f64) -> Vec<String> {
    let most = ((width - 32.) / 9.) as usize;
    let mut lines = vec![String::new()];
    for word in title.split(' ') {
        let line = lines.len() - 1;
        let full = lines[line].chars().count() + 1 + word.chars().count() > most;
        match lines[line].is_empty() {
            true => lines[line].push_str(word),
            false if full => lines.push(word.to_string()),
            false => lines[line] += &format!(" {word}"),
        }
    }
    lines
}

/// Begins a drawing: its size, a white background and its heading.
pub fn open(width: f64, height: f64, title: &str) -> String {
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width:.0}\" height=\"{height:.0}\" \
         viewBox=\"0 0 {width:.0} {height:.0}\" font-family=\"sans-serif\" font-size=\"12\" fill=\"#222222\">\n\
         <rect width=\"100%\" height=\"100%\" fill=\"#ffffff\"/>\n"
    );
    write_heading(&mut out, 24., title);
    out
}

/// Writes text at (x, y); `more` are further attributes.
pub fn write(out: &mut String, x: f64, y: f64, anchor: &str, more: &str, what: &str) {
    let _ = writeln!(out, "<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\"{more}>{}</text>", escape(what));
}

pub(crate) fn write_heading(out: &mut String, y: f64, line: &str) {
    write(out, 16., y, "start", " font-size=\"14\" font-weight=\"bold\"", line);
}

/// Writes a rectangle in one of the colours with `title` as its tooltip.
pub fn rectangle(out: &mut String, x: f64, y: f64, width: f64, height: f64, colour: usize, title: &str) {
    fill(out, (x, y), (width, height), COLOURS[colour % COLOURS.len()], title);
}

/// Writes a rectangle with its upper left corner at (x, y), a fill colour, and `title` as its tooltip.
pub(crate) fn fill(out: &mut String, (x, y): (f64, f64), (width, height): (f64, f64), colour: &str, title: &str) {
    let _ = writeln!(
        out,
        "<rect x=\"{x:.1}\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"{height:.1}\" fill=\"{colour}\"><title>{}</title></rect>",
        escape(title)
    );
}

/// Writes a line from (x1, y1) to (x2, y2).
pub fn line(out: &mut String, x1: f64, y1: f64, x2: f64, y2: f64, colour: &str) {
    let _ = writeln!(out, "<line x1=\"{x1:.1}\" y1=\"{y1:.1}\" x2=\"{x2:.1}\" y2=\"{y2:.1}\" stroke=\"{colour}\"/>");
}

/// A round distance between ticks: 1, 2 or 5 times a power of ten, for about six ticks at most.
pub fn tick(highest: f64) -> f64 {
    let rough = if highest > 0. { highest / 6. } else { 1. };
    let power = 10f64.powf(rough.log10().floor());
    let factor = [1., 2., 5., 10.].into_iter().find(|factor| factor * power >= rough * 0.999).unwrap_or(10.);
    factor * power
}

/// A number without trailing zeros.
pub fn number(value: f64) -> String {
    let text = format!("{value:.3}");
    text.trim_end_matches('0').trim_end_matches('.').to_string()
}

pub(crate) fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_round() {
        assert_eq!([tick(60.), tick(7.), tick(0.), tick(33.)], [10., 2., 1., 10.]);
        assert_eq!((number(20.), number(0.5)), ("20".to_string(), "0.5".to_string()));
    }
}
