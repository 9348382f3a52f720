//! Shifts of single letters; the fraction of letters that is changed grows with the severity.

use super::severity::at;
use rand::RngExt;
use rand::seq::IndexedRandom;
use rand_chacha::ChaCha8Rng;

/// The fraction of changed letters at severities 1 to 5.
const FRACTIONS: [f64; 5] = [0.01, 0.025, 0.05, 0.09, 0.15];

/// The rows of a keyboard.
const ROWS: [&str; 3] = ["qwertyuiop", "asdfghjkl", "zxcvbnm"];

/// A random neighbouring key of a letter, in the same case; `None` for characters that are not on the keyboard.
fn beside(letter: char, rng: &mut ChaCha8Rng) -> Option<char> {
    let lower = letter.to_ascii_lowercase();
    let row = ROWS.iter().find(|row| row.contains(lower))?;
    let keys: Vec<char> = row.chars().collect();
    let place = keys.iter().position(|&key| key == lower)?;
    let near: Vec<char> =
        [place.checked_sub(1), Some(place + 1)].into_iter().flatten().filter_map(|i| keys.get(i).copied()).collect();
    let key = *near.choose(rng)?;
    Some(if letter.is_ascii_uppercase() { key.to_ascii_uppercase() } else { key })
}

/// Copies the text and calls `hit` for the letters that are changed.
fn each(text: &str, severity: usize, rng: &mut ChaCha8Rng, mut hit: impl FnMut(char, &mut String, &mut ChaCha8Rng)) -> String {
    let (share, mut out) = (at(FRACTIONS, severity), String::with_capacity(text.len() + 16));
    for letter in text.chars() {
        if letter.is_alphabetic() && rng.random_bool(share) { hit(letter, &mut out, rng) } else { out.push(letter) }
    }
    out
}

/// A letter is replaced by a neighbouring key or swapped with the previous letter.
pub(super) fn typing_errors(text: &str, severity: usize, rng: &mut ChaCha8Rng) -> String {
    each(text, severity, rng, |letter, out, rng| match (beside(letter, rng), out.pop()) {
        (Some(key), before) if before.is_none_or(|before| !before.is_alphabetic()) || rng.random_bool(0.5) => {
            out.extend(before);
            out.push(key);
        }
        (_, before) => {
            out.push(letter);
            out.extend(before);
        }
    })
}

/// Letters are left out.
pub(super) fn dropped(text: &str, severity: usize, rng: &mut ChaCha8Rng) -> String {
    each(text, severity, rng, |_, _, _| {})
}

/// Letters are doubled.
pub(super) fn doubled(text: &str, severity: usize, rng: &mut ChaCha8Rng) -> String {
    each(text, severity, rng, |letter, out, _| out.extend([letter, letter]))
}
