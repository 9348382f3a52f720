//! Cross-entropy of the rows of (rows, width) with one label a row: the mean of ln Σ exp(xⱼ) − x_label over the rows that
//! are kept, and its gradient, (softmax(x) − 1_label) / kept, in one pass.

use crate::lanes;
use crate::real::Real;
use crate::simd::{Form, Kernel, Vector};
use crate::softmax::{shares, task};
use rayon::prelude::*;

struct Rows<'a> {
    x: &'a [f32],
    width: usize,
    labels: &'a [u32],
    ignore: Option<u32>,
    share: f32,
    gradient: &'a mut [f32],
    loss: &'a mut f64,
}

impl Kernel for Rows<'_> {
    #[inline(always)]
    unsafe fn run<V: Vector>(self) {
        let width = self.width;
        // SAFETY: rows are whole, labels below `width` (checked by the caller); `Form::run` checked the processor.
        unsafe {
            let dead = lanes::tail::<V>(width, f32::NEG_INFINITY);
            let rows = self.x.chunks_exact(width).zip(self.gradient.chunks_exact_mut(width));
            for ((x, gradient), &label) in rows.zip(self.labels) {
                if self.ignore == Some(label) {
                    gradient.fill(0.);
                    continue;
                }
                let (most, sum) = shares(x.as_ptr(), width, dead, gradient.as_mut_ptr(), self.share);
                *self.loss += f64::from(sum.ln()) - f64::from(x[label as usize] - most);
                gradient[label as usize] -= self.share;
            }
        }
    }
}

/// The mean loss over the kept rows (NaN where there is none) and its gradient (zeros in the other rows).
///
/// # Panics
/// Where lengths do not fit, a kept label is not below `width`, or the processor lacks the form.
pub fn cross_entropy(form: Form, x: &[f32], width: usize, labels: &[u32], ignore: Option<u32>, gradient: &mut [f32]) -> f64 {
    let kept = check(x.len(), width, labels, ignore, gradient.len());
    if form == Form::Naive || width == 0 {
        return cross_entropy_naive(x, width, labels, ignore, gradient);
    }
    let (task, share) = (task(width), (1. / kept as f64) as f32);
    let mut losses = vec![0f64; x.len().div_ceil(task)];
    let tasks = x.par_chunks(task).zip(gradient.par_chunks_mut(task)).zip(labels.par_chunks(task / width));
    tasks.zip(&mut losses).for_each(|(((x, gradient), labels), loss)| {
        form.run(Rows { x, width, labels, ignore, share, gradient, loss });
    });
    losses.iter().sum::<f64>() / kept as f64
}

/// The rows that are kept.
fn check(len: usize, width: usize, labels: &[u32], ignore: Option<u32>, gradient: usize) -> usize {
    assert!(len == gradient && len == width * labels.len(), "cross-entropy: {len} / {width}, {} labels", labels.len());
    let kept = labels.iter().filter(|&&label| ignore != Some(label));
    kept.inspect(|&&label| assert!((label as usize) < width, "cross-entropy: label {label} of {width} classes")).count()
}

/// [`cross_entropy`] as plain loops, for any element.
///
/// # Panics
/// As [`cross_entropy`].
pub fn cross_entropy_naive<T: Real>(x: &[T], width: usize, labels: &[u32], ignore: Option<u32>, gradient: &mut [T]) -> f64 {
    let kept = check(x.len(), width, labels, ignore, gradient.len()) as f64;
    let mut loss = 0.;
    for (r, &label) in labels.iter().enumerate() {
        let (x, gradient) = (&x[r * width..(r + 1) * width], &mut gradient[r * width..(r + 1) * width]);
        if ignore == Some(label) {
            gradient.fill(T::ZERO);
            continue;
        }
        let most = x.iter().fold(f64::NEG_INFINITY, |m, v| m.max(v.to_f64()));
        let sum: f64 = x.iter().map(|v| (v.to_f64() - most).exp()).sum();
        loss += sum.ln() + most - x[label as usize].to_f64();
        for (c, (g, x)) in gradient.iter_mut().zip(x).enumerate() {
            let hot = f64::from(u8::from(c == label as usize));
            *g = T::from_f64(((x.to_f64() - most).exp() / sum - hot) / kept);
        }
    }
    loss / kept
}
