//! Values matched by rank: where a channel of an instance has its r-th smallest value, the r-th smallest of another instance is mixed
//! in.
//!
//! y = x + s·(q − x) with a share s for each instance, and q the partner's value of the same rank. Among P and P′ positions rank r has
//! the partner's rank ⌊(r + ½)·P′/P⌋: r itself where P = P′. Equal values rank in the order of their positions, and −0 equals 0. NaN
//! ranks below or above all numbers, by its sign.

use crate::attention::AttentionShape;
use crate::simd::Form;
use rayon::prelude::*;

/// Values of a channel from which on digits are counted; fewer are compared.
const COUNTED: usize = 96;

/// Instances one after another, (positions of all, C), and how each is matched.
#[derive(Clone, Copy, Debug)]
pub struct Ranked<'a> {
    /// The number of positions of each instance, none of them 0.
    pub lengths: &'a [usize],
    /// C.
    pub channels: usize,
    /// Instance n is matched with instance `partner[n]`.
    pub partner: &'a [usize],
    /// The share s of the partner's value in the result, for each instance.
    pub share: &'a [f32],
}

/// The position of every value by rank, (C, positions) for each instance: the r-th entry of a channel is where its r-th smallest is.
pub type Order = Vec<u32>;

/// Whole numbers in the order of the values.
fn key(value: f32) -> u32 {
    let bits = (value + 0.).to_bits();
    bits ^ if bits >> 31 == 1 { u32::MAX } else { 1 << 31 }
}

/// The value of a key.
fn value(key: u32) -> f32 {
    f32::from_bits(key ^ if key >> 31 == 1 { 1 << 31 } else { u32::MAX })
}

/// Sorts pairs (key, position) by counting the bytes of the keys; positions must ascend.
fn count_sort(pairs: &mut Vec<u64>, other: &mut Vec<u64>) {
    let mut counts = [[0u32; 256]; 4];
    for &pair in pairs.iter() {
        (0..4).for_each(|byte| counts[byte][(pair >> (32 + 8 * byte)) as usize & 255] += 1);
    }
    other.resize(pairs.len(), 0);
    for (byte, counts) in counts.iter_mut().enumerate() {
        if counts.iter().any(|&count| count as usize == pairs.len()) {
            continue; // all have the same
        }
        let mut start = 0;
        counts.iter_mut().for_each(|count| start += std::mem::replace(count, start));
        for &pair in pairs.iter() {
            let to = &mut counts[(pair >> (32 + 8 * byte)) as usize & 255];
            other[*to as usize] = pair;
            *to += 1;
        }
        std::mem::swap(pairs, other);
    }
}

impl Ranked<'_> {
    fn check(&self, values: &[usize]) {
        let (n, total) = (self.lengths.len(), self.lengths.iter().sum::<usize>() * self.channels);
        assert!(
            self.channels > 0 && !self.lengths.contains(&0),
            "instances of {:?} positions, {} channels",
            self.lengths,
            self.channels
        );
        assert!(self.partner.len() == n && self.share.len() == n, "a partner and a share for each of {n} instances");
        assert!(self.partner.iter().all(|&m| m < n), "partners {:?} of {n} instances", self.partner);
        assert!(values.iter().all(|&len| len == total), "slices of {values:?} values, expected {total}");
    }

    /// Cuts values into those of each instance.
    fn parts<'b, T>(&self, mut rest: &'b [T]) -> Vec<&'b [T]> {
        let take = |&len: &usize| {
            let (part, after) = rest.split_at(len * self.channels);
            rest = after;
            part
        };
        self.lengths.iter().map(take).collect()
    }

    /// Cuts mutable values into those of each instance.
    fn parts_mut<'b, T>(&self, values: &'b mut [T]) -> Vec<&'b mut [T]> {
        let shape = AttentionShape { lengths: self.lengths, heads: 1, width: self.channels };
        shape.split_mut(values, |len| len * self.channels)
    }

    /// The rank among `theirs` positions for every rank among `own`.
    fn matched(own: usize, theirs: usize) -> impl Iterator<Item = usize> {
        (0..own).map(move |rank| if own == theirs { rank } else { (2 * rank + 1) * theirs / (2 * own) })
    }
}

/// Ranks the values of one instance (positions, C): writes where they are and what they are, (C, positions).
fn rank(form: Form, xs: &[f32], channels: usize, order: &mut [u32], sorted: &mut [f32]) {
    let len = xs.len() / channels;
    let (mut pairs, mut other) = (Vec::with_capacity(len), Vec::new());
    for (c, (order, sorted)) in order.chunks_exact_mut(len).zip(sorted.chunks_exact_mut(len)).enumerate() {
        pairs.clear();
        pairs.extend(xs[c..].iter().step_by(channels).zip(0u64..).map(|(&x, at)| u64::from(key(x)) << 32 | at));
        match form {
            Form::Naive => pairs.sort_by_key(|pair| pair >> 32),
            _ if len < COUNTED => pairs.sort_unstable(),
            _ => count_sort(&mut pairs, &mut other),
        }
        for ((order, sorted), &pair) in order.iter_mut().zip(sorted).zip(&pairs) {
            (*order, *sorted) = (pair as u32, value((pair >> 32) as u32));
        }
    }
}

/// Computes y of x, both (positions of all, C), and returns where the values are by rank.
///
/// # Panics
/// Panics where slices, partners and shares do not fit the instances.
pub fn ranked_forward(form: Form, of: Ranked<'_>, xs: &[f32], ys: &mut [f32]) -> Order {
    of.check(&[xs.len(), ys.len()]);
    let (channels, mut order, mut sorted) = (of.channels, vec![0; xs.len()], vec![0.; xs.len()]);
    let jobs = of.parts(xs).into_par_iter().zip(of.parts_mut(&mut order)).zip(of.parts_mut(&mut sorted));
    jobs.for_each(|((xs, order), sorted)| rank(form, xs, channels, order, sorted));
    let (orders, values) = (of.parts(&order), of.parts(&sorted));
    of.parts_mut(ys).into_par_iter().enumerate().for_each(|(n, ys)| {
        let (own, m, share) = (of.lengths[n], of.partner[n], of.share[n]);
        let rows = orders[n].chunks_exact(own).zip(values[n].chunks_exact(own)).zip(values[m].chunks_exact(of.lengths[m]));
        for (c, ((order, mine), theirs)) in rows.enumerate() {
            let each = order.iter().zip(mine).zip(Ranked::matched(own, theirs.len()));
            each.for_each(|((&at, x), rank)| ys[at as usize * channels + c] = x + share * (theirs[rank] - x));
        }
    });
    order
}

/// Computes the gradient of x from that of y: dy for x itself, whose own part s·x is not differentiated, and s·dy where the partner's
/// value came from (as in the published code of EFDMix).
///
/// # Panics
/// As [`ranked_forward`], and where `order` is that of other instances.
pub fn ranked_backward(of: Ranked<'_>, order: &Order, gy: &[f32], gx: &mut [f32]) {
    of.check(&[order.len(), gy.len(), gx.len()]);
    let (channels, orders, gradients) = (of.channels, of.parts(order), of.parts(gy));
    of.parts_mut(gx).into_par_iter().enumerate().for_each(|(m, gx)| {
        gx.copy_from_slice(gradients[m]);
        for n in (0..of.lengths.len()).filter(|&n| of.partner[n] == m) {
            let (own, share) = (of.lengths[n], of.share[n]);
            let rows = orders[n].chunks_exact(own).zip(orders[m].chunks_exact(of.lengths[m])).enumerate();
            for (c, (mine, theirs)) in rows {
                let each = mine.iter().zip(Ranked::matched(own, theirs.len()));
                each.for_each(|(&at, rank)| {
                    gx[theirs[rank] as usize * channels + c] += share * gradients[n][at as usize * channels + c];
                });
            }
        }
    });
}
