//! Texts whose answers changed, for a page.

use sncn_record::task::SENTIMENT;
use sncn_train::harness::robustness::{Changed, Samples, plain};

/// The most characters of a text on a page.
const SHOWN: usize = 240;

/// Shows texts whose answers changed; `of` gives the one with a number as it is and under the shift.
pub(super) fn shown(
    classes: &[String],
    (changed, severity): (&[Changed<'_>], usize),
    of: impl Fn(&str, usize) -> [String; 2],
) -> Samples {
    let heads = ["shift", "class", "text", "answer", "shifted", "answer to it"];
    let mut samples = Samples::of_changes(&SENTIMENT, severity, &heads);
    for one in changed {
        let class = |class: u32| plain(classes.get(class as usize).map_or("", String::as_str));
        let text = |text: String| {
            let words = text.split_whitespace().collect::<Vec<_>>().join(" ");
            let cut: String = words.chars().take(SHOWN).collect();
            let end = if cut.len() < words.len() { "…" } else { "" };
            plain(&cut) + end
        };
        let ([label, before, after], [clean, shifted]) = (one.classes.map(class), of(one.shift, one.index).map(text));
        samples.grid.push(vec![one.shift.to_string(), label, clean, before, shifted, after]);
    }
    samples
}
