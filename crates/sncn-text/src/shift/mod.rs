//! Distribution shifts of texts as named test sets, the counterpart of the image corruptions: 8 kinds, 5 severities. A shifted text
//! depends only on the text and on the stream of its kind, severity and index.
//!
//! A new shift is a function and a line in [`SHIFTS`].

mod letters;
mod severity;
mod words;

pub use severity::SEVERITIES;

use crate::dataset::{Example, Labels, Texts};
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;
use sncn_core::Seed;

/// Changes a text at a severity from 1 to 5; random draws come from the generator.
pub type Apply = fn(&str, usize, &mut ChaCha8Rng) -> String;

/// Every shift by name.
pub const SHIFTS: &[(&str, Apply)] = &[
    ("typing_errors", letters::typing_errors),
    ("dropped_letters", letters::dropped),
    ("doubled_letters", letters::doubled),
    ("case", words::case),
    ("word_dropout", words::dropped),
    ("punctuation", words::punctuation),
    ("sentence_order", words::sentence_order),
    ("truncation", words::truncation),
];

/// The seed of all shifts.
pub const SEED: u64 = 0;

/// Applies an entry of [`SHIFTS`] to the text with this index.
pub fn one(text: &str, (name, apply): (&str, Apply), severity: usize, index: usize) -> String {
    let stream = Seed::new(SEED).named("shift").named(name).fold_in(severity as u64);
    apply(text, severity, &mut stream.fold_in(index as u64).rng())
}

/// Applies an entry of [`SHIFTS`] to all texts; text i draws from its own stream.
pub fn shifted(texts: &Texts, (name, apply): (&str, Apply), severity: usize) -> Texts {
    let shifted = |(index, example): (usize, &Example)| {
        let text = one(&example.text, (name, apply), severity, index);
        Example { text, label: example.label }
    };
    let examples = texts.examples.par_iter().enumerate().map(shifted).collect();
    Texts {
        examples,
        classes: texts.classes.clone(),
        labels: Labels::default(),
        describe: format!("{}, {name} {severity}", texts.describe),
        remark: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str =
        "This film is good. I liked it, really! Would I see it again? Certainly, with my friends from the village.";

    #[test]
    fn every_shift_is_fixed_keeps_labels_and_grows_with_its_severity() {
        let example = |i: u32| Example { text: format!("{TEXT} Number {i}."), label: i % 2 };
        let texts = Texts {
            examples: (0..60).map(example).collect(),
            classes: vec!["a".into(), "b".into()],
            labels: Labels::default(),
            describe: "t".into(),
            remark: None,
        };
        for &(name, apply) in SHIFTS {
            let mut changed = Vec::new();
            for severity in 1..=SEVERITIES {
                let one = shifted(&texts, (name, apply), severity);
                assert_eq!(one.examples, shifted(&texts, (name, apply), severity).examples, "{name}");
                assert!(one.examples.iter().zip(&texts.examples).all(|(one, two)| one.label == two.label));
                // words of the original, by place, that are no longer there
                let differing = |(one, two): (&Example, &Example)| {
                    let (one, two): (Vec<_>, Vec<_>) = (one.text.split(' ').collect(), two.text.split(' ').collect());
                    two.iter().enumerate().filter(|(i, word)| one.get(*i) != Some(word)).count()
                };
                changed.push(one.examples.iter().zip(&texts.examples).map(differing).sum::<usize>());
            }
            assert!(changed[0] > 0 && changed.windows(2).all(|two| two[0] < two[1]), "{name}: {changed:?}");
        }
    }

    #[test]
    fn no_text_is_too_short_or_too_strange() {
        for &(name, apply) in SHIFTS {
            for text in ["", " ", "a", "é", "日本語 テスト", "\0\n\t", "...", "A.B. c"] {
                for severity in 1..=SEVERITIES {
                    let seed = Seed::new(3).named(name);
                    (0..20).for_each(|i| drop(apply(text, severity, &mut seed.fold_in(i).rng())));
                }
            }
        }
    }
}
