//! Scaled dot-product attention (Vaswani et al. 2017) over packed sequences, and its gradients: within a sequence and a head A = softmax(Q·Kᵀ/√d), y = A·V.
//!
//! Q, K, V and y are (tokens, heads·d), with the d channels of a head together; the weights A are saved for the gradient, head by head,
//! (length, length) each. Sequences are independent, so results do not depend on threads.

use crate::real::Real;
use crate::scratch::Scratch;
use crate::simd::Form;
use crate::softmax::{softmax_backward, softmax_forward};
use crate::tile::Rows;
use rayon::prelude::*;

/// The shape of an attention: every token attends to those of its own sequence, in each head.
#[derive(Clone, Copy, Debug)]
pub struct AttentionShape<'a> {
    /// Number of tokens of each sequence.
    pub lengths: &'a [usize],
    /// Number of heads.
    pub heads: usize,
    /// Number of channels of all heads together.
    pub width: usize,
}

/// Dropout of attention weights: called with the index of a sequence and its weights (heads, length, length) after softmax, and in the
/// backward pass with their gradient, it must scale both by the same factors.
pub type DropWeights<'a> = &'a (dyn Fn(usize, &mut [f32]) + Sync);

impl AttentionShape<'_> {
    /// Returns the number of values of Q, K, V and y.
    pub fn map_len(&self) -> usize {
        self.lengths.iter().sum::<usize>() * self.width
    }

    /// Returns the number of attention weights.
    pub fn weights_len(&self) -> usize {
        self.lengths.iter().map(|len| self.heads * len * len).sum()
    }

    fn head(&self) -> usize {
        self.width / self.heads.max(1)
    }

    fn check(&self, maps: &[usize], weights: usize) {
        assert!(
            self.heads > 0 && self.width.is_multiple_of(self.heads),
            "attention: {} channels, {} heads",
            self.width,
            self.heads
        );
        assert!(maps.iter().all(|&len| len == self.map_len()), "attention: maps {maps:?}, expected {}", self.map_len());
        assert_eq!(weights, self.weights_len(), "attention: weights");
    }

    /// Splits a slice into the parts of the sequences, of `size(length)` values each.
    ///
    /// # Panics
    /// Panics where the slice is too short.
    pub fn split_mut<'b, T>(&self, mut rest: &'b mut [T], size: impl Fn(usize) -> usize) -> Vec<&'b mut [T]> {
        let take = |&len: &usize| {
            let (part, after) = std::mem::take(&mut rest).split_at_mut(size(len));
            rest = after;
            part
        };
        self.lengths.iter().map(take).collect()
    }

    fn part<'b, T>(&self, n: usize, from: &'b [T], size: impl Fn(usize) -> usize) -> &'b [T] {
        let start: usize = self.lengths[..n].iter().map(|&len| size(len)).sum();
        &from[start..start + size(self.lengths[n])]
    }
}

/// One head of a sequence: its first channel, of `width`, its channels and the tokens.
#[derive(Clone, Copy)]
struct Head {
    form: Form,
    at: usize,
    size: usize,
    width: usize,
    len: usize,
}

/// A matrix packed as the right side of a product.
struct Packed {
    values: Scratch,
    columns: usize,
    step: usize,
}

impl Head {
    /// (tokens, channels), times `scale`.
    fn pack(&self, map: &[f32], scale: f32) -> Packed {
        let step = self.size.next_multiple_of(self.form.panel());
        let mut values = Scratch::take(self.len * step);
        for (to, row) in values.chunks_exact_mut(step).zip(map.chunks_exact(self.width)) {
            let row = &row[self.at..self.at + self.size];
            to[..row.len()].iter_mut().zip(row).for_each(|(to, x)| *to = x * scale);
            to[row.len()..].fill(0.);
        }
        Packed { values, columns: self.size, step }
    }

    /// (channels, tokens), times `scale`.
    fn pack_turned(&self, map: &[f32], scale: f32) -> Packed {
        let step = self.len.next_multiple_of(self.form.panel());
        let mut values = Scratch::take(self.size * step);
        for (t, row) in map.chunks_exact(self.width).enumerate() {
            for (c, x) in row[self.at..self.at + self.size].iter().enumerate() {
                values[c * step + t] = x * scale;
            }
        }
        values.chunks_exact_mut(step).for_each(|row| row[self.len..].fill(0.));
        Packed { values, columns: self.len, step }
    }

    /// `out` (len rows, `row` apart) = the channels of `map` (tokens) times the right side.
    fn tokens_times(&self, map: &[f32], right: &Packed, out: &mut [f32], row: usize) {
        self.product((&map[self.at..], self.width, 1, self.size), right, out, row);
    }

    /// `out` = a (len, len), or its transpose, times the right side.
    fn weights_times(&self, weights: &[f32], turned: bool, right: &Packed, out: &mut [f32], row: usize) {
        let (a_row, a_step) = if turned { (1, self.len) } else { (self.len, 1) };
        self.product((weights, a_row, a_step, self.len), right, out, row);
    }

    fn product(&self, (a, a_row, a_step, depth): (&[f32], usize, usize, usize), right: &Packed, out: &mut [f32], row: usize) {
        let width = self.form.panel();
        for first in (0..right.columns).step_by(width) {
            self.form.run(Rows {
                a,
                a_row,
                a_step,
                offsets: &[0],
                len: depth,
                b: &right.values[first..],
                b_step: right.step,
                next: (0, 0),
                c: &mut out[first..],
                c_row: row,
                rows: self.len,
                columns: width.min(right.columns - first),
                add: false,
            });
        }
    }
}

fn heads(s: &AttentionShape<'_>, form: Form, len: usize) -> impl Iterator<Item = Head> {
    let (size, width) = (s.head(), s.width);
    (0..s.heads).map(move |h| Head { form, at: h * size, size, width, len })
}

/// Computes y from Q, K and V, and saves the attention weights before dropout.
///
/// # Panics
/// Panics where the channels do not divide into the heads, a slice has another length than [`AttentionShape`] says, or the processor
/// lacks the form.
#[allow(clippy::too_many_arguments, reason = "a form, the sequences, three maps, dropout, and two results")]
pub fn attention_forward(
    form: Form,
    s: &AttentionShape<'_>,
    q: &[f32],
    k: &[f32],
    v: &[f32],
    drop: Option<DropWeights<'_>>,
    weights: &mut [f32],
    y: &mut [f32],
) {
    s.check(&[q.len(), k.len(), v.len(), y.len()], weights.len());
    let (map, square) = (|len: usize| len * s.width, |len: usize| s.heads * len * len);
    let jobs: Vec<_> = s
        .split_mut(weights, square)
        .into_iter()
        .zip(s.split_mut(y, map))
        .enumerate()
        .filter(|(_, job)| !job.1.is_empty())
        .collect();
    jobs.into_par_iter().for_each(|(n, (weights, y))| {
        let ([q, k, v], len) = ([q, k, v].map(|x| s.part(n, x, map)), s.lengths[n]);
        let scale = 1. / (s.head() as f64).sqrt();
        if form == Form::Naive {
            scores_naive(s, len, [q, k], weights);
        } else {
            let mut scores = Scratch::take(len * len);
            for (head, weights) in heads(s, form, len).zip(weights.chunks_exact_mut(len * len)) {
                head.tokens_times(q, &head.pack_turned(k, scale as f32), &mut scores, len);
                softmax_forward(form, &scores, len, weights);
            }
        }
        let mut dropped = Scratch::take(if drop.is_some() { weights.len() } else { 0 });
        let weights = match drop {
            None => &*weights,
            Some(drop) => {
                dropped.copy_from_slice(weights);
                drop(n, &mut dropped);
                &dropped
            }
        };
        if form == Form::Naive {
            return values_naive(s, len, weights, v, y);
        }
        for (head, weights) in heads(s, form, len).zip(weights.chunks_exact(len * len)) {
            head.weights_times(weights, false, &head.pack(v, 1.), &mut y[head.at..], s.width);
        }
    });
}

/// Computes the gradients of Q, K and V from the inputs, the saved weights and the gradient of y.
///
/// # Panics
/// As [`attention_forward`].
#[allow(clippy::too_many_arguments, reason = "a form, the sequences, what was read and kept, and three gradients")]
pub fn attention_backward(
    form: Form,
    s: &AttentionShape<'_>,
    [q, k, v]: [&[f32]; 3],
    weights: &[f32],
    drop: Option<DropWeights<'_>>,
    gy: &[f32],
    [dq, dk, dv]: [&mut [f32]; 3],
) {
    s.check(&[q.len(), k.len(), v.len(), gy.len(), dq.len(), dk.len(), dv.len()], weights.len());
    let (map, square) = (|len: usize| len * s.width, |len: usize| s.heads * len * len);
    let jobs: Vec<_> = s.split_mut(dq, map).into_iter().zip(s.split_mut(dk, map)).zip(s.split_mut(dv, map)).enumerate().collect();
    let jobs: Vec<_> = jobs.into_iter().filter(|(n, _)| s.lengths[*n] > 0).collect();
    jobs.into_par_iter().for_each(|(n, ((dq, dk), dv))| {
        let ([q, k, v, gy], len) = ([q, k, v, gy].map(|x| s.part(n, x, map)), s.lengths[n]);
        let weights = s.part(n, weights, square);
        if form == Form::Naive {
            let change = |values: &mut [f32]| drop.iter().for_each(|drop| drop(n, values));
            return attention_backward_naive(s, len, [q, k, v, gy], weights, &change, [dq, dk, dv]);
        }
        let scale = (1. / (s.head() as f64).sqrt()) as f32;
        let mut used = Scratch::take(weights.len());
        used.copy_from_slice(weights);
        let mut back = Scratch::take(weights.len());
        for (head, back) in heads(s, form, len).zip(back.chunks_exact_mut(len * len)) {
            head.tokens_times(gy, &head.pack_turned(v, 1.), back, len);
        }
        if let Some(drop) = drop {
            drop(n, &mut used);
            drop(n, &mut back);
        }
        let mut scores = Scratch::take(len * len);
        let each = used.chunks_exact(len * len).zip(weights.chunks_exact(len * len)).zip(back.chunks_exact(len * len));
        for (head, ((used, weights), back)) in heads(s, form, len).zip(each) {
            head.weights_times(used, true, &head.pack(gy, 1.), &mut dv[head.at..], s.width);
            softmax_backward(form, weights, back, len, &mut scores);
            head.weights_times(&scores, false, &head.pack(k, scale), &mut dq[head.at..], s.width);
            head.weights_times(&scores, true, &head.pack(q, scale), &mut dk[head.at..], s.width);
        }
    });
}

/// Calls `visit(head, i, j)` for the pairs of tokens of every head.
fn pairs(heads: usize, len: usize, mut visit: impl FnMut(usize, usize, usize)) {
    for (h, i) in (0..heads).flat_map(|h| (0..len).map(move |i| (h, i))) {
        (0..len).for_each(|j| visit(h, i, j));
    }
}

fn scores_naive<T: Real>(s: &AttentionShape<'_>, len: usize, [q, k]: [&[T]; 2], weights: &mut [T]) {
    let (size, mut scores) = (s.head(), vec![T::ZERO; weights.len()]);
    pairs(s.heads, len, |h, i, j| {
        let at = |t: usize| t * s.width + h * size..t * s.width + (h + 1) * size;
        let sum: f64 = q[at(i)].iter().zip(&k[at(j)]).map(|(q, k)| q.to_f64() * k.to_f64()).sum();
        scores[(h * len + i) * len + j] = T::from_f64(sum / (size as f64).sqrt());
    });
    softmax_forward(Form::Naive, &scores, len.max(1), weights);
}

fn values_naive<T: Real>(s: &AttentionShape<'_>, len: usize, weights: &[T], v: &[T], y: &mut [T]) {
    y.fill(T::ZERO);
    let size = s.head();
    pairs(s.heads, len, |h, i, j| {
        let weight = weights[(h * len + i) * len + j];
        for c in h * size..(h + 1) * size {
            y[i * s.width + c] += weight * v[j * s.width + c];
        }
    });
}

/// [`attention_forward`] of one sequence as plain loops, for any element type, without dropout.
pub fn attention_forward_naive<T: Real>(
    s: &AttentionShape<'_>,
    len: usize,
    [q, k, v]: [&[T]; 3],
    weights: &mut [T],
    y: &mut [T],
) {
    scores_naive(s, len, [q, k], weights);
    values_naive(s, len, weights, v, y);
}

/// [`attention_backward`] of one sequence as plain loops, for any element type; `drop` is dropout.
pub fn attention_backward_naive<T: Real>(
    s: &AttentionShape<'_>,
    len: usize,
    [q, k, v, gy]: [&[T]; 4],
    weights: &[T],
    drop: &dyn Fn(&mut [T]),
    [dq, dk, dv]: [&mut [T]; 3],
) {
    let (size, scale) = (s.head(), 1. / (s.head() as f64).sqrt());
    let (mut used, mut back, mut scores) = (weights.to_vec(), vec![T::ZERO; weights.len()], vec![T::ZERO; weights.len()]);
    pairs(s.heads, len, |h, i, j| {
        let at = |t: usize| t * s.width + h * size..t * s.width + (h + 1) * size;
        let sum: f64 = gy[at(i)].iter().zip(&v[at(j)]).map(|(g, v)| g.to_f64() * v.to_f64()).sum();
        back[(h * len + i) * len + j] = T::from_f64(sum);
    });
    drop(&mut used);
    drop(&mut back);
    softmax_backward(Form::Naive, weights, &back, len.max(1), &mut scores);
    [&mut *dq, &mut *dk, &mut *dv].into_iter().for_each(|d| d.fill(T::ZERO));
    pairs(s.heads, len, |h, i, j| {
        let (pair, scale) = ((h * len + i) * len + j, T::from_f64(scale));
        for c in h * size..(h + 1) * size {
            let (i, j) = (i * s.width + c, j * s.width + c);
            dv[j] += used[pair] * gy[i];
            dq[i] += scores[pair] * k[j] * scale;
            dk[j] += scores[pair] * q[i] * scale;
        }
    });
}
