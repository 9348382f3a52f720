//! Training of a vocabulary: the most frequent words, or word pieces by repeatedly merging the most frequent pair (Sennrich et al.
//! 2016, in WordPiece's notation: a piece that continues a word begins with `##`).
//!
//! Ties are broken alphabetically, so a vocabulary depends only on its texts. The trainer of `tokenizers` breaks them in the order of a
//! hash table, which differs from run to run.

use std::collections::{BTreeMap, BTreeSet, BinaryHeap, HashMap};

/// The words that occur at least twice, the most frequent first, at most `size`.
pub(crate) fn words(counts: &BTreeMap<String, u64>, size: usize) -> Vec<String> {
    let mut words: Vec<_> = counts.iter().filter(|(_, count)| **count > 1).collect();
    words.sort_by(|one, two| two.1.cmp(one.1).then(one.0.cmp(two.0)));
    words.into_iter().take(size).map(|(word, _)| word.clone()).collect()
}

/// A pair to merge, ordered by frequency and then alphabetically.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Candidate {
    count: u64,
    names: std::cmp::Reverse<(String, String)>,
    pair: (usize, usize),
}

struct Merging {
    /// The name of every piece.
    pieces: Vec<String>,
    /// The pieces of every word and the count of the word.
    words: Vec<(Vec<usize>, u64)>,
    counts: HashMap<(usize, usize), u64>,
    /// The words that contain a pair, or did before a merge.
    places: HashMap<(usize, usize), BTreeSet<usize>>,
    queue: BinaryHeap<Candidate>,
}

impl Merging {
    fn new(counts: &BTreeMap<String, u64>) -> Self {
        let letters = |word: &str| -> Vec<String> {
            word.chars().enumerate().map(|(i, letter)| if i == 0 { letter.to_string() } else { format!("##{letter}") }).collect()
        };
        // every letter in both forms, so a word of known letters is never unknown
        let seen: BTreeSet<char> = counts.keys().flat_map(|word| word.chars()).collect();
        let alphabet: BTreeSet<String> = seen.iter().flat_map(|letter| [letter.to_string(), format!("##{letter}")]).collect();
        let pieces: Vec<String> = alphabet.into_iter().collect();
        let ids: HashMap<&str, usize> = pieces.iter().enumerate().map(|(id, piece)| (piece.as_str(), id)).collect();
        let words =
            counts.iter().map(|(word, count)| (letters(word).iter().map(|letter| ids[letter.as_str()]).collect(), *count));
        let words: Vec<(Vec<usize>, u64)> = words.collect();
        let mut merging = Self { pieces, words, counts: HashMap::new(), places: HashMap::new(), queue: BinaryHeap::new() };
        let all: Vec<_> = (0..merging.words.len()).collect();
        for &word in &all {
            merging.count(word, true);
        }
        let pairs: Vec<_> = merging.counts.keys().copied().collect();
        pairs.into_iter().for_each(|pair| merging.offer(pair));
        merging
    }

    /// Adds the pairs of a word to the counts, or subtracts them.
    fn count(&mut self, word: usize, add: bool) {
        let (pieces, count) = (self.words[word].0.clone(), self.words[word].1);
        for pair in pieces.windows(2).map(|two| (two[0], two[1])) {
            let sum = self.counts.entry(pair).or_default();
            if add {
                *sum += count;
                self.places.entry(pair).or_default().insert(word);
            } else {
                *sum -= count;
            }
        }
    }

    fn offer(&mut self, pair: (usize, usize)) {
        let count = self.counts.get(&pair).copied().unwrap_or(0);
        if count > 1 {
            let names = std::cmp::Reverse((self.pieces[pair.0].clone(), self.pieces[pair.1].clone()));
            self.queue.push(Candidate { count, names, pair });
        }
    }

    /// Merges the most frequent pair; returns whether there was one.
    fn merge(&mut self) -> bool {
        let pair = loop {
            let Some(candidate) = self.queue.pop() else { return false };
            // an outdated candidate is offered again with its current count
            match self.counts.get(&candidate.pair) {
                Some(&count) if count == candidate.count => break candidate.pair,
                _ => self.offer(candidate.pair),
            }
        };
        let tail = self.pieces[pair.1].trim_start_matches("##").to_string();
        let merged = self.pieces.len();
        self.pieces.push(format!("{}{tail}", self.pieces[pair.0]));
        let mut changed = BTreeSet::new();
        for word in self.places.remove(&pair).unwrap_or_default() {
            self.count(word, false);
            let mut pieces: Vec<usize> = Vec::with_capacity(self.words[word].0.len());
            for &piece in &self.words[word].0 {
                match pieces.last() {
                    Some(&last) if (last, piece) == pair => {
                        pieces.pop();
                        pieces.push(merged);
                    }
                    _ => pieces.push(piece),
                }
            }
            changed.extend(pieces.windows(2).filter(|two| two.contains(&merged)).map(|two| (two[0], two[1])));
            self.words[word].0 = pieces;
            self.count(word, true);
        }
        changed.into_iter().for_each(|pair| self.offer(pair));
        true
    }
}

/// The pieces: all letters, then the merged pieces, at most `size` in total unless there are more letters.
pub(crate) fn pieces(counts: &BTreeMap<String, u64>, size: usize) -> Vec<String> {
    let mut merging = Merging::new(counts);
    while merging.pieces.len() < size && merging.merge() {}
    merging.pieces
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(words: &[(&str, u64)]) -> BTreeMap<String, u64> {
        words.iter().map(|(word, count)| (word.to_string(), *count)).collect()
    }

    #[test]
    fn the_most_frequent_pair_is_merged_first_and_ties_go_by_the_alphabet() {
        let counts = counts(&[("low", 5), ("lower", 2), ("new", 6), ("aaaa", 3)]);
        let all = pieces(&counts, 100);
        let letters: BTreeSet<char> = counts.keys().flat_map(|word| word.chars()).collect();
        let merged = &all[2 * letters.len()..];
        // l ##o and ##o ##w 7 times each, ##a ##a 6 times, as ##e ##w and n ##e
        assert_eq!(merged[..4], ["##ow", "low", "##aa", "##ew"]);
        assert!(merged.contains(&"new".to_string()), "{merged:?}");
        assert_eq!(all, pieces(&counts, 100));
        assert_eq!(pieces(&counts, all.len() - 2).len(), all.len() - 2);
    }

    #[test]
    fn merging_again_and_again_counts_as_from_the_beginning() {
        let texts = ["banana", "bandana", "ananas", "nab", "cabana", "aaa", "baaab"];
        let counts: BTreeMap<String, u64> = texts.iter().enumerate().map(|(i, word)| (word.to_string(), i as u64 + 2)).collect();
        let mut merging = Merging::new(&counts);
        while merging.merge() {
            let mut fresh: HashMap<(usize, usize), u64> = HashMap::new();
            for (pieces, count) in &merging.words {
                pieces.windows(2).for_each(|two| *fresh.entry((two[0], two[1])).or_default() += count);
            }
            assert!(merging.counts.iter().all(|(pair, count)| fresh.get(pair).copied().unwrap_or(0) == *count));
        }
        assert!(merging.words.iter().all(|(pieces, _)| pieces.len() == 1), "{:?}", merging.pieces);
    }

    #[test]
    fn words_come_by_their_number() {
        assert_eq!(words(&counts(&[("b", 2), ("a", 2), ("c", 5), ("d", 1)]), 3), ["c", "a", "b"]);
    }
}
