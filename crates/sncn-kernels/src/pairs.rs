//! `Round`: whole rows of f32 rounded to rows of bf16 pairs.

use crate::bf16::pair;
use crate::simd::{Kernel, Vector};

/// Rounds rows of `channels` values into rows of ⌈channels / 2⌉ pairs, the last of an odd row with a zero.
pub(crate) struct Round<'a> {
    pub(crate) from: &'a [f32],
    pub(crate) channels: usize,
    pub(crate) pairs: &'a mut [f32],
}

impl Kernel for Round<'_> {
    #[inline(always)]
    unsafe fn run<V: Vector>(self) {
        let Self { from, channels, pairs } = self;
        if channels.is_multiple_of(2) {
            assert_eq!(from.len(), 2 * pairs.len(), "pairs: length");
            // SAFETY: the lengths agree; the caller vouches for the processor.
            return unsafe { flat::<V>(from, pairs) };
        }
        // a few rows at a time get their zero first, then the vectors run over them
        const PART: usize = 512;
        let (row, mut part) = (channels + 1, [0.0; PART]);
        let rows = PART / row;
        if rows == 0 {
            for (from, pairs) in from.chunks_exact(channels).zip(pairs.chunks_exact_mut(row / 2)) {
                // SAFETY: the even part of a row and its pairs; the caller vouches for the processor.
                unsafe { flat::<V>(&from[..channels - 1], &mut pairs[..row / 2 - 1]) }
                pairs[row / 2 - 1] = pair(from[channels - 1], 0.0);
            }
            return;
        }
        for (from, pairs) in from.chunks(rows * channels).zip(pairs.chunks_mut(rows * row / 2)) {
            if channels == 3 {
                // colour: known lengths copy several times faster
                let ((to, _), (from, _)) = (part.as_chunks_mut::<4>(), from.as_chunks::<3>());
                to.iter_mut().zip(from).for_each(|(to, &[r, g, b])| *to = [r, g, b, 0.0]);
            } else {
                for (to, from) in part.chunks_exact_mut(row).zip(from.chunks_exact(channels)) {
                    to.iter_mut().zip(from).for_each(|(to, &from)| *to = from);
                }
            }
            // SAFETY: `pairs` is at most half of the part; the caller vouches for the processor.
            unsafe { flat::<V>(&part[..2 * pairs.len()], pairs) }
        }
    }
}

/// # Safety
/// `from` must be twice as long as `pairs`; the processor must have the instructions of `V`.
#[inline(always)]
unsafe fn flat<V: Vector>(from: &[f32], pairs: &mut [f32]) {
    let whole = pairs.len() / V::LANES * V::LANES;
    for at in (0..whole).step_by(V::LANES) {
        // SAFETY: LANES pairs from `at` exist, and twice as many values.
        unsafe { V::pairs(from.as_ptr().add(2 * at)).store(pairs.as_mut_ptr().add(at)) }
    }
    for (pair_, two) in pairs[whole..].iter_mut().zip(from[2 * whole..].chunks_exact(2)) {
        *pair_ = pair(two[0], two[1]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simd::Form;

    #[test]
    fn two_multiply_adds_are_the_instruction() {
        use crate::tile::{Pairs, Rows};
        let values: Vec<f32> = (0..4000u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 16) as f32 / 32768.0 - 1.0).collect();
        for form in Form::available() {
            let (depth, rows, width) = (37, 11, form.panel());
            let (mut a, mut b) = (vec![0.0; rows * depth], vec![0.0; depth * width]);
            form.run_pairs(Round { from: &values[..2 * a.len()], channels: 2, pairs: &mut a });
            let mut other = a.clone();
            form.run(Round { from: &values[..2 * a.len()], channels: 2, pairs: &mut other });
            assert!(a.iter().zip(&other).all(|(a, b)| a.to_bits() == b.to_bits()), "{form:?}");
            form.run_pairs(Round { from: &values[100..100 + 2 * b.len()], channels: 2, pairs: &mut b });
            let mut c = [vec![0.0; rows * width], vec![0.0; rows * width]];
            for (emulated, c) in c.iter_mut().enumerate() {
                let product = Pairs(Rows {
                    a: &a,
                    a_row: depth,
                    a_step: 1,
                    offsets: &[0],
                    len: depth,
                    b: &b,
                    b_step: width,
                    next: (0, 0),
                    c,
                    c_row: width,
                    rows,
                    columns: width,
                    add: false,
                });
                if emulated == 1 { form.run(product) } else { form.run_pairs(product) }
            }
            assert!(c[0].iter().any(|v| *v != 0.0));
            assert!(c[0].iter().zip(&c[1]).all(|(a, b)| (a - b).abs() < 1e-5), "{form:?}");
        }
    }

    #[test]
    fn every_form_rounds_alike() {
        // every exponent, and what rounds up, down and to even in it
        let mut values: Vec<f32> = (0..1u32 << 16).map(|i| f32::from_bits((i >> 3) << 19 | (i & 7) << 14 | (i & 1))).collect();
        values.retain(|v| !v.is_nan());
        for form in Form::available() {
            for channels in [1, 2, 3, 6, 7, 34, 511, 513] {
                let rows = values.len() / channels;
                let from = &values[..rows * channels];
                let width = channels.div_ceil(2);
                let mut pairs = vec![f32::NAN; rows * width];
                form.run_pairs(Round { from, channels, pairs: &mut pairs });
                for (from, pairs) in from.chunks(channels).zip(pairs.chunks(width)) {
                    for (two, got) in from.chunks(2).zip(pairs) {
                        let want = pair(two[0], two.get(1).copied().unwrap_or(0.0));
                        assert_eq!(want.to_bits(), got.to_bits(), "{form:?}: {two:?}");
                    }
                }
            }
            let mut pairs = vec![0.0; 40];
            form.run_pairs(Round { from: &[f32::NAN; 80], channels: 2, pairs: &mut pairs });
            let nan = |bits: u32| f32::from_bits(bits << 16).is_nan();
            assert!(pairs.iter().all(|p| nan(p.to_bits()) && nan(p.to_bits() >> 16)), "{form:?}");
        }
    }
}
