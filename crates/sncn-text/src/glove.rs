//! Word vectors trained on the training texts themselves by GloVe (Pennington et al. 2014): weighted least squares on the logarithms
//! of co-occurrence counts, with AdaGrad. Training uses one thread in a fixed order, so a seed gives the same vectors everywhere.

use crate::Vectors;
use anyhow::{Result, ensure};
use rand::RngExt;
use rand::seq::SliceRandom;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use sncn_core::Seed;
use std::collections::{BTreeMap, HashMap};

/// The settings of GloVe; the defaults are the published ones.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct GloveConfig {
    /// Words to either side that are counted as co-occurring, each with weight 1 / distance.
    pub window: usize,
    /// Passes over all pairs of co-occurring words.
    pub epochs: usize,
    /// The learning rate of AdaGrad.
    pub lr: f32,
    /// x_max of the paper: pairs that occur n times have weight min(1, (n / x_max)^0.75).
    pub enough: f32,
}

impl Default for GloveConfig {
    fn default() -> Self {
        Self { window: 10, epochs: 15, lr: 0.05, enough: 100. }
    }
}

/// Two words, the logarithm of their co-occurrence count, and its weight in the loss.
struct Pair {
    words: [u32; 2],
    logarithm: f32,
    weight: f32,
}

/// The vocabulary is counted in this many shards in parallel; all pairs of a word are in one shard, in the order of the texts.
const SHARDS: usize = 8;

fn pairs(texts: &[Vec<u32>], counts: &(dyn Fn(u32) -> bool + Sync), config: &GloveConfig) -> Vec<Pair> {
    let GloveConfig { window, enough, .. } = *config;
    let pair =
        |(words, count): ([u32; 2], f32)| Pair { words, logarithm: count.ln(), weight: (count / enough).min(1.).powf(0.75) };
    let part = |part: usize| {
        let mut near: HashMap<[u32; 2], f32> = HashMap::new();
        for text in texts {
            for (i, &word) in text.iter().enumerate().filter(|(_, word)| **word as usize % SHARDS == part && counts(**word)) {
                let range = i.saturating_sub(window)..(i + window + 1).min(text.len());
                for j in range.filter(|&j| j != i && counts(text[j])) {
                    *near.entry([word, text[j]]).or_default() += 1. / i.abs_diff(j) as f32;
                }
            }
        }
        let mut near: Vec<_> = near.into_iter().map(pair).collect();
        near.sort_unstable_by_key(|pair| pair.words);
        near
    };
    (0..SHARDS).into_par_iter().map(part).collect::<Vec<_>>().into_iter().flatten().collect()
}

/// The parameters of every word: its vector followed by its bias.
struct Embeddings {
    row: usize,
    values: Vec<f32>,
    /// Sums of squared gradients, for AdaGrad.
    squares: Vec<f32>,
}

impl Embeddings {
    fn new(words: usize, width: usize, seed: Seed) -> Self {
        let (row, mut rng) = (width + 1, seed.rng());
        let values = (0..words * row).map(|_| rng.random_range(-0.5..0.5) / width as f32).collect();
        Self { row, values, squares: vec![1.; words * row] }
    }

    #[inline(always)]
    fn of(&mut self, word: u32) -> (&mut [f32], &mut [f32]) {
        let range = word as usize * self.row..(word as usize + 1) * self.row;
        (&mut self.values[range.clone()], &mut self.squares[range])
    }
}

const LANES: usize = 16;

/// A dot product with the same order of additions on every processor.
#[inline(always)]
fn dot(one: &[f32], two: &[f32]) -> f32 {
    let (ones, twos) = (one.chunks_exact(LANES), two.chunks_exact(LANES));
    let rest: f32 = ones.remainder().iter().zip(twos.remainder()).map(|(a, b)| a * b).sum();
    let mut sums = [0f32; LANES];
    for (one, two) in ones.zip(twos) {
        for ((sum, a), b) in sums.iter_mut().zip(one).zip(two) {
            *sum += a * b;
        }
    }
    sums.iter().sum::<f32>() + rest
}

/// One step of AdaGrad for a pair; `scale` is the derivative of the loss with respect to the pair's score.
#[inline(always)]
fn step(one: (&mut [f32], &mut [f32]), two: (&mut [f32], &mut [f32]), scale: f32, lr: f32) {
    let ((one, one_squares), (two, two_squares)) = (one, two);
    let width = one.len() - 1;
    let change = |value: &mut f32, square: &mut f32, gradient: f32| {
        *value -= lr * gradient / square.sqrt();
        *square += gradient * gradient;
    };
    for (((a, sa), b), sb) in one[..width].iter_mut().zip(&mut *one_squares).zip(&mut two[..width]).zip(&mut *two_squares) {
        let (ga, gb) = (scale * *b, scale * *a);
        change(a, sa, ga);
        change(b, sb, gb);
    }
    change(&mut one[width], &mut one_squares[width], scale);
    change(&mut two[width], &mut two_squares[width], scale);
}

impl Vectors {
    /// Trains vectors of `width` values for the words of encoded `texts`; the vocabulary has `words` tokens, and those for which
    /// `special` is true get no vector.
    ///
    /// # Errors
    /// If a setting is out of range, or no two words co-occur.
    pub fn learn(
        texts: &[Vec<u32>],
        words: usize,
        special: impl Fn(u32) -> bool + Sync,
        width: usize,
        config: &GloveConfig,
        seed: Seed,
    ) -> Result<Self> {
        let GloveConfig { window, epochs, lr, enough } = *config;
        ensure!(window > 0 && epochs > 0, "vectors: window is {window} and epochs {epochs}; at least 1 is accepted");
        ensure!(lr > 0. && lr.is_finite(), "vectors: lr is {lr}; a positive number is accepted");
        ensure!(enough > 0. && enough.is_finite(), "vectors: enough is {enough}; a positive number is accepted");
        let mut pairs = pairs(texts, &|id| !special(id), config);
        ensure!(!pairs.is_empty(), "vectors: no two words of the training texts co-occur");
        let (mut centre, mut context) =
            (Embeddings::new(words, width, seed.named("centre")), Embeddings::new(words, width, seed.named("context")));
        for epoch in 0..epochs {
            pairs.shuffle(&mut seed.named("pairs").fold_in(epoch as u64).rng());
            pulp::Arch::new().dispatch(|| {
                for Pair { words: [word, near], logarithm, weight } in &pairs {
                    let (one, two) = (centre.of(*word), context.of(*near));
                    let error = dot(&one.0[..width], &two.0[..width]) + one.0[width] + two.0[width] - logarithm;
                    step(one, two, weight * error, lr);
                }
            });
        }
        let mut of = BTreeMap::new();
        for pair in &pairs {
            let id = pair.words[0];
            of.entry(id).or_insert_with(|| {
                let (one, two) = (centre.of(id).0, context.of(id).0);
                one[..width].iter().zip(&two[..width]).map(|(a, b)| a + b).collect::<Vec<f32>>()
            });
        }
        Ok(Self { missing: words - of.len(), by_id: of, width })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Words 4 and 5 stand among 6, 7, 8; words 9 and 10 among 11, 12, 13.
    fn texts() -> Vec<Vec<u32>> {
        let mut rng = Seed::new(1).rng();
        let text = |rng: &mut _, [word, other]: [u32; 2], near: std::ops::Range<u32>| {
            let mut pick = |range: std::ops::Range<u32>| rand::RngExt::random_range(rng, range);
            let word = if pick(0..2) == 0 { word } else { other };
            vec![2, pick(near.clone()), word, pick(near.clone()), pick(near), 3]
        };
        (0..400).map(|i| if i % 2 == 0 { text(&mut rng, [4, 5], 6..9) } else { text(&mut rng, [9, 10], 11..14) }).collect()
    }

    fn cosine(one: &[f32], two: &[f32]) -> f32 {
        let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f32>();
        dot(one, two) / (dot(one, one) * dot(two, two)).sqrt()
    }

    #[test]
    fn words_that_are_used_alike_get_like_vectors_and_a_seed_gives_the_same() -> Result<()> {
        let learn = |seed| {
            let config = GloveConfig { epochs: 50, ..GloveConfig::default() };
            Vectors::learn(&texts(), 15, |id| id < 4, 8, &config, Seed::new(seed))
        };
        let vectors = learn(3)?;
        assert_eq!(
            (vectors.by_id.len(), vectors.missing, vectors.width),
            (10, 5, 8),
            "four special ones and one that never occurs"
        );
        let near = |one: u32, two: u32| cosine(&vectors.by_id[&one], &vectors.by_id[&two]);
        assert!(near(4, 5) > near(4, 9) + 0.3 && near(9, 10) > near(5, 10) + 0.3, "{} {}", near(4, 5), near(4, 9));
        assert_eq!(learn(3)?, vectors);
        assert_ne!(learn(4)?, vectors);
        Ok(())
    }

    #[test]
    fn the_gradient_is_that_of_the_loss() {
        let (width, scale) = (3, 0.7f32);
        let (a, b) = ([0.1f32, -0.2, 0.3, 0.05], [0.4f32, 0.1, -0.3, -0.1]);
        let (mut one, mut two, mut ones, mut twos) = (a, b, [1f32; 4], [1f32; 4]);
        step((&mut one, &mut ones), (&mut two, &mut twos), scale, 0.1);
        for i in 0..width {
            assert!((one[i] - (a[i] - 0.1 * scale * b[i])).abs() < 1e-6 && (two[i] - (b[i] - 0.1 * scale * a[i])).abs() < 1e-6);
            assert!((ones[i] - (1. + (scale * b[i]).powi(2))).abs() < 1e-6);
        }
        assert!((one[3] - (0.05 - 0.1 * scale)).abs() < 1e-6 && (two[3] - (-0.1 - 0.1 * scale)).abs() < 1e-6);
    }

    #[test]
    fn settings_out_of_range_are_named() {
        let error = |config: GloveConfig, texts: &[Vec<u32>]| {
            format!("{:#}", Vectors::learn(texts, 9, |id| id < 4, 4, &config, Seed::new(0)).unwrap_err())
        };
        let usual = GloveConfig::default();
        assert!(error(GloveConfig { window: 0, ..usual.clone() }, &texts()).contains("window is 0"));
        assert!(error(GloveConfig { lr: 0., ..usual.clone() }, &texts()).contains("lr is 0"));
        assert!(error(GloveConfig { enough: f32::NAN, ..usual.clone() }, &texts()).contains("enough is NaN"));
        assert!(error(usual, &[vec![2, 5, 3], vec![]]).contains("co-occur"));
    }
}
