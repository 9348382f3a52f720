//! Cross-entropy of the rows of (rows, width) with one label a row, and its gradient (softmax(x) − 1_label) / kept, in one pass.

use crate::lanes;
use crate::real::Real;
use crate::simd::{Form, Kernel, Vector};
use crate::softmax::{scaled, task};
use rayon::prelude::*;

struct Rows<'a> {
    x: &'a [f32],
    width: usize,
    labels: &'a [u32],
    ignore: Option<u32>,
    /// 1 / kept.
    weight: f32,
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
                let (most, sum) = scaled(x.as_ptr(), width, dead, gradient.as_mut_ptr(), self.weight);
                *self.loss += f64::from(sum.ln()) - f64::from(x[label as usize] - most);
                gradient[label as usize] -= self.weight;
            }
        }
    }
}

/// Computes the mean of ln Σ exp(xⱼ) − x_label over the rows of x (rows, width) whose label is not `ignore`, and its gradient, which
/// is 0 in the other rows. The mean of no rows is NaN.
///
/// # Panics
/// Panics where there is not one label a row, a label is neither below `width` nor `ignore`, the gradient has another length than x,
/// or the processor lacks the form.
pub fn cross_entropy<T: Real>(form: Form, x: &[T], width: usize, labels: &[u32], ignore: Option<u32>, gradient: &mut [T]) -> f64 {
    let kept = check(x.len(), width, labels, ignore, gradient.len()) as f64;
    if let (true, Some(x), Some(gradient)) = (form != Form::Naive && width > 0, T::as_f32(x), T::as_f32_mut(gradient)) {
        let (task, weight) = (task(width), (1. / kept) as f32);
        let mut losses = vec![0f64; x.len().div_ceil(task)];
        let tasks = x.par_chunks(task).zip(gradient.par_chunks_mut(task)).zip(labels.par_chunks(task / width));
        tasks.zip(&mut losses).for_each(|(((x, gradient), labels), loss)| {
            form.run(Rows { x, width, labels, ignore, weight, gradient, loss });
        });
        return losses.iter().sum::<f64>() / kept;
    }
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

/// Checks lengths and labels, and returns the number of rows whose label is not `ignore`.
fn check(len: usize, width: usize, labels: &[u32], ignore: Option<u32>, gradient: usize) -> usize {
    assert!(len == gradient && len == width * labels.len(), "cross-entropy: {len} / {width}, {} labels", labels.len());
    let kept = labels.iter().filter(|&&label| ignore != Some(label));
    kept.inspect(|&&label| assert!((label as usize) < width, "cross-entropy: label {label} of {width} classes")).count()
}
