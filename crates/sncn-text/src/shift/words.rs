//! Shifts of whole words and sentences.

use super::severity::at;
use rand::RngExt;
use rand::seq::{IndexedRandom, SliceRandom};
use rand_chacha::ChaCha8Rng;

/// A fraction of the words is put in capitals.
pub(super) fn case(text: &str, severity: usize, rng: &mut ChaCha8Rng) -> String {
    let share = at([0.1, 0.25, 0.5, 0.75, 1.], severity);
    each(text, |word| if rng.random_bool(share) { word.to_uppercase() } else { word.to_string() })
}

/// A fraction of the words is left out.
pub(super) fn dropped(text: &str, severity: usize, rng: &mut ChaCha8Rng) -> String {
    let share = at([0.05, 0.1, 0.2, 0.35, 0.5], severity);
    let words = text.split(' ').filter(|_| !rng.random_bool(share));
    words.collect::<Vec<_>>().join(" ")
}

/// Punctuation is added after a fraction of the words.
pub(super) fn punctuation(text: &str, severity: usize, rng: &mut ChaCha8Rng) -> String {
    let share = at([0.05, 0.1, 0.2, 0.35, 0.5], severity);
    each(text, |word| match rng.random_bool(share) {
        true => format!("{word}{}", ["!", "!!", ",", "...", "?", ";", " -"].choose(rng).copied().unwrap_or_default()),
        false => word.to_string(),
    })
}

/// A fraction of the sentences, which end in `.`, `!` or `?`, is exchanged.
pub(super) fn sentence_order(text: &str, severity: usize, rng: &mut ChaCha8Rng) -> String {
    let share = at([0.2, 0.4, 0.6, 0.8, 1.], severity);
    let mut sentences: Vec<String> = Vec::new();
    let mut ended = true;
    for word in text.split(' ') {
        match sentences.last_mut() {
            Some(sentence) if !ended => {
                sentence.push(' ');
                *sentence += word;
            }
            _ => sentences.push(word.to_string()),
        }
        ended = word.ends_with(['.', '!', '?']);
    }
    let places: Vec<usize> = (0..sentences.len()).filter(|_| rng.random_bool(share)).collect();
    let mut order = places.clone();
    order.shuffle(rng);
    let moved: Vec<String> = order.iter().map(|&from| sentences[from].clone()).collect();
    places.into_iter().zip(moved).for_each(|(to, sentence)| sentences[to] = sentence);
    sentences.join(" ")
}

/// Only a fraction of the words is kept, from the beginning; at least one.
pub(super) fn truncation(text: &str, severity: usize, _: &mut ChaCha8Rng) -> String {
    let words: Vec<&str> = text.split(' ').collect();
    let kept = (at([0.8, 0.6, 0.4, 0.25, 0.15], severity) * words.len() as f64).ceil() as usize;
    words[..kept.clamp(1, words.len())].join(" ")
}

fn each(text: &str, change: impl FnMut(&str) -> String) -> String {
    text.split(' ').map(change).collect::<Vec<_>>().join(" ")
}
