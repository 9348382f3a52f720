//! `reviews`: generated reviews in two domains, films and kitchen things. The words that carry the sentiment are the same; subjects,
//! style, length and what else goes with them differ. Every text is a pure function of its set, part and index.
//!
//! A review has one class. Most of its sentences agree with it, some say nothing, a few say the opposite; one in six opinions is
//! negated ("not dull"). Films are long, composed reviews, in which some words go with a class without carrying it (a sequel
//! disappoints, a festival pleases); kitchen reviews are short notes, in which those words mean nothing.

use super::texts::{Example, Texts};
use rand::seq::IndexedRandom;
use rand::{Rng, RngExt};
use sncn_core::Seed;

/// Opinions of both classes, by how often they occur: the first are common.
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
/// What goes with a class in films alone.
const HINTS: [&[&str]; 2] = [
    &["sequel", "remake", "two hours", "teenagers", "explosions", "trailer"],
    &["festival", "debut", "subtitles", "black and white", "novel", "theatre"],
];
const DEGREES: &[&str] = &["", "", "", "very ", "really ", "quite ", "rather ", "truly ", "so "];

/// How a domain speaks.
struct Domain {
    name: &'static str,
    subjects: &'static [&'static str],
    /// `{s}` is the subject, `{d}` a degree, `{o}` an opinion.
    opinions: &'static [&'static str],
    fillers: &'static [&'static str],
    /// Sentences, fewest and most.
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
pub fn films(part: &str, count: usize) -> Texts {
    texts(&FILMS, part, count)
}

/// Reviews of kitchen things, half of each class.
pub fn kitchen(part: &str, count: usize) -> Texts {
    texts(&KITCHEN, part, count)
}

fn texts(domain: &Domain, part: &str, count: usize) -> Texts {
    let example = |index: usize| {
        let label = index % 2;
        Example { text: review(domain, label, &mut stream(domain.name, part, index)), label: label as u32 }
    };
    Texts::sentiment((0..count).map(example).collect(), format!("{count} generated reviews of {} ({part})", domain.name))
}

fn pick<'a>(from: &[&'a str], rng: &mut impl Rng) -> &'a str {
    from.choose(rng).copied().unwrap_or_default()
}

/// An opinion of a class: the first of the list are the most frequent.
fn opinion(class: usize, rng: &mut impl Rng) -> &'static str {
    let words = OPINIONS[class];
    let share: f64 = rng.random();
    words[((share * share) * words.len() as f64) as usize]
}

fn review(domain: &Domain, label: usize, rng: &mut impl Rng) -> String {
    let count = rng.random_range(domain.sentences.0..=domain.sentences.1);
    let mut sentences = Vec::with_capacity(count);
    for i in 0..count {
        // the first sentence takes a side, so that no review is without one
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

/// A sentence that says nothing, in films often with a word that goes with the class.
fn filler(domain: &Domain, label: usize, rng: &mut impl Rng) -> String {
    if domain.hints && rng.random_bool(0.5) {
        // four times in five the class's own
        let class = if rng.random_bool(0.8) { label } else { 1 - label };
        return format!("one thinks of the {}.", pick(HINTS[class], rng));
    }
    pick(domain.fillers, rng).to_string()
}

/// Sentences that begin with a capital.
fn composed(sentences: &[String]) -> String {
    let capital = |sentence: &String| {
        let mut letters = sentence.chars();
        letters.next().map(|first| first.to_uppercase().chain(letters).collect::<String>()).unwrap_or_default()
    };
    sentences.iter().map(capital).collect::<Vec<_>>().join(" ")
}

/// Notes: no capitals, signs by chance.
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
fn stream(set: &str, part: &str, index: usize) -> impl Rng {
    Seed::new(0).named("reviews").named(set).named(part).fold_in(index as u64).rng()
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
