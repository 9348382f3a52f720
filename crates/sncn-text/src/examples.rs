//! `Examples`: encoded texts as a [`Dataset`]; a batch is the token ids of its texts, one text after another, and their lengths.

use crate::Vocabulary;
use crate::dataset::Texts;
use crate::shift::SHIFTS;
use candle_core::{Device, Tensor};
use rand::RngExt;
use rand::seq::SliceRandom;
use sncn_core::Seed;
use sncn_train::data::{Batch, DataError, Dataset, epoch_batches};

/// The number of batches whose texts are sorted by length together; their order stays random otherwise.
const POOL: usize = 32;

/// Texts that training changes before it encodes them: the second view of every text.
struct Shifted {
    texts: Vec<String>,
    vocabulary: Vocabulary,
    longest: usize,
    severity: usize,
}

/// Shifts of a text's second view, drawn with replacement.
const DRAWN: usize = 2;

impl Shifted {
    /// The ids of these texts, each after shifts from its own stream.
    fn ids(&self, indices: &[usize], seed: Seed) -> anyhow::Result<Vec<Vec<u32>>> {
        let changed = |&index: &usize| {
            let mut rng = seed.fold_in(index as u64).named("strong").rng();
            (0..DRAWN).fold(self.texts[index].clone(), |text, _| {
                let (_, apply) = SHIFTS[rng.random_range(0..SHIFTS.len())];
                apply(&text, self.severity, &mut rng)
            })
        };
        let texts: Vec<String> = indices.iter().map(changed).collect();
        self.vocabulary.encode(&texts.iter().map(String::as_str).collect::<Vec<_>>(), self.longest)
    }
}

/// Encoded texts.
pub struct Examples {
    ids: Vec<Vec<u32>>,
    labels: Vec<u32>,
    /// The fraction of the tokens that training replaces with the unknown token, and its id.
    dropped: Option<(f64, u32)>,
    /// Where training takes a second view of every text from.
    shifted: Option<Shifted>,
}

impl Examples {
    /// Encodes texts, at most `longest` tokens of each.
    ///
    /// # Errors
    /// As [`Vocabulary::encode`].
    pub fn new(texts: &Texts, vocabulary: &Vocabulary, longest: usize) -> anyhow::Result<Self> {
        let all: Vec<&str> = texts.examples.iter().map(|example| example.text.as_str()).collect();
        let labels = texts.examples.iter().map(|example| example.label).collect();
        Ok(Self { ids: vocabulary.encode(&all, longest)?, labels, dropped: None, shifted: None })
    }

    /// Adds word dropout (Iyyer et al. 2015): training replaces each token by `unknown` with probability `rate`, except the first and
    /// the last of a text.
    pub fn with_word_dropout(self, rate: f64, unknown: u32) -> Self {
        Self { dropped: Some((rate, unknown)), ..self }
    }

    /// Adds a second view of every text in training, for FixMatch: the text after two of [`SHIFTS`] at a severity from 1 to 5, drawn with
    /// replacement. `texts`, `vocabulary` and `longest` are those that the examples were made of.
    pub fn with_shifted_views(self, texts: &Texts, vocabulary: &Vocabulary, longest: usize, severity: usize) -> Self {
        let texts = texts.examples.iter().map(|example| example.text.clone()).collect();
        Self { shifted: Some(Shifted { texts, vocabulary: vocabulary.clone(), longest, severity }), ..self }
    }

    /// The token ids of every text.
    pub(crate) fn ids(&self) -> &[Vec<u32>] {
        &self.ids
    }

    /// The number of tokens of all texts.
    pub(crate) fn tokens(&self) -> usize {
        self.ids.iter().map(Vec::len).sum()
    }
}

impl Dataset for Examples {
    fn len(&self) -> usize {
        self.ids.len()
    }

    fn batch(&self, indices: &[usize], augment: Option<Seed>) -> Result<Batch, DataError> {
        let mut lengths: Vec<usize> = indices.iter().map(|&index| self.ids[index].len()).collect();
        let mut ids = Vec::with_capacity(lengths.iter().sum());
        for &index in indices {
            let start = ids.len();
            ids.extend_from_slice(&self.ids[index]);
            if let (Some(seed), Some((rate, unknown))) = (augment, self.dropped) {
                let mut rng = seed.fold_in(index as u64).rng();
                let row = &mut ids[start..];
                let inner = 1..row.len().saturating_sub(1).max(1);
                row[inner].iter_mut().for_each(|id| *id = if rng.random_bool(rate) { unknown } else { *id });
            }
        }
        let mut views = 1;
        if let (Some(seed), Some(shifted)) = (augment, &self.shifted) {
            for text in shifted.ids(indices, seed).map_err(|error| DataError::other(error.into_boxed_dyn_error()))? {
                lengths.push(text.len());
                ids.extend(text);
            }
            views = 2;
        }
        let tokens = ids.len();
        let inputs = Tensor::from_vec(ids, tokens, &Device::Cpu)?;
        let labels = indices.iter().map(|&index| self.labels[index]).collect();
        Ok(Batch { lengths: Some(lengths.into()), views, ..Batch::new(inputs, labels) })
    }

    fn labels(&self) -> Result<Vec<u32>, DataError> {
        Ok(self.labels.clone())
    }

    /// Batches of texts of similar length: the texts of every 32 batches of the epoch's random order are sorted by length, and all
    /// batches are shuffled again.
    fn batches(&self, batch_size: usize, epoch: usize, seed: Seed) -> Vec<Vec<usize>> {
        let order = epoch_batches(self.len(), batch_size, epoch, seed).concat();
        let mut batches: Vec<Vec<usize>> = Vec::new();
        for pool in order.chunks(POOL * batch_size) {
            let mut pool = pool.to_vec();
            // a stable sort: texts of the same length keep the epoch's order
            pool.sort_by_key(|&index| self.ids[index].len());
            batches.extend(pool.chunks(batch_size).map(<[usize]>::to_vec));
        }
        batches.shuffle(&mut seed.named("batches").fold_in(epoch as u64).rng());
        batches
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::VocabularyConfig;
    use crate::dataset::reviews;

    fn examples() -> Examples {
        let texts = reviews::films("train", 300);
        let all = texts.examples.iter().map(|example| example.text.as_str());
        let vocabulary = Vocabulary::new(&VocabularyConfig::Words { size: 200 }, all).unwrap();
        Examples::new(&texts, &vocabulary, 400).unwrap()
    }

    #[test]
    fn an_epoch_meets_every_text_once_and_pads_little() {
        let examples = examples();
        let batches = examples.batches(8, 3, Seed::new(1));
        let mut seen = batches.concat();
        seen.sort_unstable();
        seen.dedup();
        assert_eq!((batches.len(), seen.len()), (37, 296), "whole batches");
        let padded = |batches: &[Vec<usize>]| -> usize {
            let longest = |batch: &Vec<usize>| batch.iter().map(|&i| examples.ids[i].len()).max().unwrap();
            batches.iter().map(|batch| batch.len() * longest(batch)).sum()
        };
        let plain = epoch_batches(examples.len(), 8, 3, Seed::new(1));
        let tokens: usize = seen.iter().map(|&i| examples.ids[i].len()).sum();
        assert!(padded(&batches) < tokens * 11 / 10 && padded(&plain) > tokens * 12 / 10);
        assert_ne!(batches, examples.batches(8, 4, Seed::new(1)));
    }

    #[test]
    fn second_views_are_shifted_texts_from_their_own_streams() {
        let texts = reviews::films("train", 40);
        let all = texts.examples.iter().map(|example| example.text.as_str());
        let vocabulary = Vocabulary::new(&VocabularyConfig::Words { size: 200 }, all).unwrap();
        let examples = Examples::new(&texts, &vocabulary, 60).unwrap().with_shifted_views(&texts, &vocabulary, 60, 3);
        assert_eq!(examples.batch(&[3, 5], None).unwrap().views, 1);
        let views = |indices: &[usize]| {
            let batch = examples.batch(indices, Some(Seed::new(2))).unwrap();
            assert_eq!((batch.views, batch.labels.len()), (2, indices.len()));
            let (ids, lengths) = (batch.inputs.to_vec1::<u32>().unwrap(), batch.lengths.unwrap());
            assert_eq!((lengths.len(), lengths.iter().sum::<usize>()), (2 * indices.len(), ids.len()));
            let starts = lengths.iter().scan(0, |at, len| Some(std::mem::replace(at, *at + len)));
            starts.zip(lengths.iter()).map(|(start, len)| ids[start..start + len].to_vec()).collect::<Vec<_>>()
        };
        let (alone, among) = (views(&[7]), views(&[5, 7, 9]));
        assert_eq!((&alone[0], &alone[1]), (&among[1], &among[4]));
        assert_eq!(alone[0], examples.ids[7]);
        let all = views(&(0..40).collect::<Vec<_>>());
        let same = (0..40).filter(|&i| all[i] == all[40 + i]).count();
        assert!(same < 10, "{same} of 40 texts stayed as they were");
        assert_eq!(examples.labels().unwrap(), examples.labels);
    }

    #[test]
    fn dropped_words_come_from_the_texts_own_stream() {
        let examples = examples().with_word_dropout(0.5, 1);
        let ids = |indices: &[usize], augment| {
            let batch = examples.batch(indices, augment).unwrap();
            let (ids, lengths) = (batch.inputs.to_vec1::<u32>().unwrap(), batch.lengths.unwrap());
            let starts = lengths.iter().scan(0, |at, len| Some(std::mem::replace(at, *at + len)));
            starts.zip(lengths.iter()).map(|(start, len)| ids[start..start + len].to_vec()).collect::<Vec<_>>()
        };
        let plain = ids(&[3], None);
        assert_eq!(plain[0], examples.ids[3]);
        let (alone, among) = (ids(&[3], Some(Seed::new(2))), ids(&[5, 3], Some(Seed::new(2))));
        let len = plain[0].len();
        assert_eq!(alone[0], among[1]);
        let dropped = alone[0].iter().zip(&plain[0]).filter(|(one, two)| one != two).count();
        assert!(
            dropped > len / 4 && dropped < 3 * len / 4 && alone[0][0] == plain[0][0] && alone[0][len - 1] == plain[0][len - 1]
        );
    }
}
