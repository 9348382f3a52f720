//! `reviews`: generated reviews of two domains, films and kitchen articles. The words that carry the sentiment are the same in both;
//! subjects, style, length and spurious correlations differ. Every text depends only on its set, split and index.
//!
//! A review has one class. Most of its sentences agree with the class, some are neutral, a few say the opposite; one in six opinions
//! is negated ("not dull"). Film reviews are long and carefully written, and some of their words correlate with the class without
//! carrying sentiment ("sequel" with negative, "festival" with positive); kitchen reviews are short notes without that correlation.

use super::texts::{Example, Texts};
use rand::seq::IndexedRandom;
use rand::{Rng, RngExt};
use sncn_core::Seed;

/// Opinions of both classes, the most frequent first.
const OPINIONS: [&[&str]; 2] = [
    &[
        "bad",
        "poor",
        "disappointing",
        "terrible",
        "awful",
        "weak",
        "dull",
        "boring",
        "useless",
        "annoying",
        "horrible",
        "cheap",
        "flawed",
        "clumsy",
        "tiresome",
        "dreadful",
        "mediocre",
        "pointless",
        "frustrating",
        "unpleasant",
    ],
    &[
        "good",
        "great",
        "excellent",
        "wonderful",
        "lovely",
        "strong",
        "enjoyable",
        "impressive",
        "useful",
        "pleasant",
        "superb",
        "solid",
        "perfect",
        "charming",
        "delightful",
        "brilliant",
        "remarkable",
        "satisfying",
        "reliable",
        "beautiful",
    ],
];
/// Words that correlate with a class in film reviews only.
const HINTS: [&[&str]; 2] = [
    &["sequel", "remake", "two hours", "teenagers", "explosions", "trailer"],
    &["festival", "debut", "subtitles", "black and white", "novel", "theatre"],
];
const DEGREES: &[&str] = &["", "", "", "very ", "really ", "quite ", "rather ", "truly ", "so "];

/// The sentences of a domain.
struct Domain {
    name: &'static str,
    subjects: &'static [&'static str],
    /// Sentences with an opinion: `{s}` is the subject, `{d}` a degree, `{o}` the opinion.
    opinions: &'static [&'static str],
    fillers: &'static [&'static str],
    /// The smallest and the largest number of sentences.
    sentences: (usize, usize),
    hints: bool,
    casual: bool,
}

const FILMS: Domain = Domain {
    name: "films",
    subjects: &[
        "the plot",
        "the acting",
        "the script",
        "the ending",
        "the director's hand",
        "the camera work",
        "the music",
        "the leading actor",
        "the dialogue",
        "the pacing",
        "the opening scene",
        "the supporting cast",
        "the humour",
        "the romance",
    ],
    opinions: &[
        "{s} is {d}{o}.",
        "I found {s} {d}{o}.",
        "what strikes one first is that {s} seems {d}{o}.",
        "throughout the film, {s} remains {d}{o}.",
        "critics will say that {s} is {d}{o}, and they are right.",
        "for me {s} was {d}{o} from beginning to end.",
        "{s}, which matters a great deal in a story like this, is {d}{o}.",
    ],
    fillers: &[
        "the story follows two brothers who leave their village for the city.",
        "it was shown last autumn in a small cinema near the river.",
        "the running time is a little under two hours.",
        "the camera lingers on empty rooms and long corridors.",
        "my friends and I watched it on a rainy evening.",
        "the action moves from a farm to the harbour and back.",
        "a narrator explains what happened ten years before.",
        "most of the scenes take place at night.",
    ],
    sentences: (6, 14),
    hints: true,
    casual: false,
};

const KITCHEN: Domain = Domain {
    name: "kitchen",
    subjects: &[
        "this kettle",
        "the toaster",
        "the pan",
        "this knife",
        "the lid",
        "the handle",
        "the blender",
        "the coating",
        "the scale",
        "this grater",
        "the motor",
        "the timer",
        "the box it came in",
        "customer service",
    ],
    opinions: &[
        "{s} is {d}{o}",
        "{d}{o} {s}",
        "{s}: {d}{o}",
        "got it last week, {s} is {d}{o}",
        "{s} turned out {d}{o}",
        "honestly {s} is {d}{o}",
    ],
    fillers: &[
        "bought it for my mum",
        "arrived on tuesday",
        "use it every morning",
        "have had it for 3 months now",
        "comes in black or red",
        "1.7 litres",
        "fits in the cupboard",
        "my old one broke",
    ],
    sentences: (2, 5),
    hints: false,
    casual: true,
};

/// Film reviews, half of each class.
pub fn films(split: &str, count: usize) -> Texts {
    texts(&FILMS, split, count)
}

/// Reviews of kitchen articles, half of each class.
pub(crate) fn kitchen(split: &str, count: usize) -> Texts {
    texts(&KITCHEN, split, count)
}

fn texts(domain: &Domain, split: &str, count: usize) -> Texts {
    let example = |index: usize| {
        let label = index % 2;
        Example { text: review(domain, label, &mut stream(domain.name, split, index)), label: label as u32 }
    };
    Texts::sentiment((0..count).map(example).collect(), format!("{count} generated reviews of {} ({split})", domain.name))
}

fn pick<'a>(from: &[&'a str], rng: &mut impl Rng) -> &'a str {
    from.choose(rng).copied().unwrap_or_default()
}

/// Draws an opinion of a class; the first of the list are the most frequent.
fn opinion(class: usize, rng: &mut impl Rng) -> &'static str {
    let words = OPINIONS[class];
    let uniform: f64 = rng.random();
    words[((uniform * uniform) * words.len() as f64) as usize]
}

fn review(domain: &Domain, label: usize, rng: &mut impl Rng) -> String {
    let count = rng.random_range(domain.sentences.0..=domain.sentences.1);
    let mut sentences = Vec::with_capacity(count);
    for i in 0..count {
        // the first sentence has an opinion, so every review has one
        let kind: f64 = if i == 0 { 0. } else { rng.random() };
        if kind > 0.62 {
            sentences.push(filler(domain, label, rng));
            continue;
        }
        let class = if kind > 0.5 { 1 - label } else { label };
        let subject = pick(domain.subjects, rng);
        let (degree, word) =
            if rng.random_bool(1. / 6.) { ("not ", opinion(1 - class, rng)) } else { (pick(DEGREES, rng), opinion(class, rng)) };
        sentences.push(pick(domain.opinions, rng).replace("{s}", subject).replace("{d}", degree).replace("{o}", word));
    }
    if domain.casual { casual(&sentences, rng) } else { composed(&sentences) }
}

/// A neutral sentence, in film reviews often with a word that correlates with the class.
fn filler(domain: &Domain, label: usize, rng: &mut impl Rng) -> String {
    if domain.hints && rng.random_bool(0.5) {
        // with probability 0.8 a word of the review's class
        let class = if rng.random_bool(0.8) { label } else { 1 - label };
        return format!("one thinks of the {}.", pick(HINTS[class], rng));
    }
    pick(domain.fillers, rng).to_string()
}

/// Joins sentences, each with a capital at its beginning.
fn composed(sentences: &[String]) -> String {
    let capital = |sentence: &String| {
        let mut letters = sentence.chars();
        letters.next().map(|first| first.to_uppercase().chain(letters).collect::<String>()).unwrap_or_default()
    };
    sentences.iter().map(capital).collect::<Vec<_>>().join(" ")
}

/// Joins notes without capitals, with random punctuation.
fn casual(notes: &[String], rng: &mut impl Rng) -> String {
    let mut text = String::new();
    for note in notes {
        text += note;
        text += pick(&[", ", "... ", "! ", " ", "!! ", " - "], rng);
    }
    let text = text.trim_end();
    if rng.random_bool(0.1) { text.to_uppercase() } else { text.to_string() }
}

/// The stream of a generated set.
fn stream(set: &str, split: &str, index: usize) -> impl Rng {
    Seed::new(0).named("reviews").named(set).named(split).fold_in(index as u64).rng()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reviews_are_fixed_and_their_words_carry_the_class() {
        let (films, again, kitchen) = (films("train", 400), texts(&FILMS, "train", 400), kitchen("test", 400));
        assert_eq!(films.examples, again.examples);
        assert_ne!(films.examples[..10], super::films("test", 10).examples);
        for set in [&films, &kitchen] {
            let score = |text: &str, class: usize| {
                let text = text.to_lowercase();
                OPINIONS[class]
                    .iter()
                    .map(|word| text.matches(word).count() as i64 - 2 * text.matches(&format!("not {word}")).count() as i64)
                    .sum::<i64>()
            };
            let agree = set.examples.iter().filter(|e| {
                let sum = score(&e.text, 1) - score(&e.text, 0);
                sum != 0 && (sum > 0) == (e.label == 1)
            });
            let share = agree.count() as f64 / set.examples.len() as f64;
            assert!((0.75..0.97).contains(&share), "{}: {share}", set.describe);
        }
        let mean = |texts: &Texts| texts.examples.iter().map(|e| e.text.len()).sum::<usize>() / texts.examples.len();
        assert!(mean(&films) > 4 * mean(&kitchen), "{} {}", mean(&films), mean(&kitchen));
    }
}
