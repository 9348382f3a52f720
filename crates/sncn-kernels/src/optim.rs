//! Optimiser steps in place, with PyTorch's update rules: SGD (momentum, Nesterov, decay), Adam, AdamW.
//!
//! Every element is on its own, so neither the form nor the number of threads changes the order of anything.

use crate::lanes::{self, TASK};
use crate::real::Real;
use crate::simd::{Form, Kernel, Vector};
use rayon::prelude::*;

/// Settings of stochastic gradient descent: g += decay·p; buf = momentum·buf + g; p −= lr·(g + momentum·buf) with Nesterov, else
/// p −= lr·buf.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sgd {
    /// Learning rate.
    pub lr: f64,
    /// The momentum.
    pub momentum: f64,
    /// Whether to use Nesterov momentum.
    pub nesterov: bool,
    /// Added to the gradient as decay·p.
    pub weight_decay: f64,
    /// Whether this is the first step, which sets buf = g.
    pub first: bool,
}

/// Settings of Adam (Kingma, Ba 2015, algorithm 1) with `weight_decay` added to the gradient, and of AdamW (Loshchilov, Hutter 2019) with
/// `decoupled_decay`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Adam {
    /// Learning rate.
    pub lr: f64,
    /// Decay rates β₁ and β₂ of the moments.
    pub betas: (f64, f64),
    /// Added to the denominator.
    pub eps: f64,
    /// Added to the gradient as decay·p.
    pub weight_decay: f64,
    /// p is first multiplied by 1 − lr·decay.
    pub decoupled_decay: f64,
    /// The number of this step, from 1.
    pub step: i32,
}

struct SgdStep<'a>(Sgd, &'a mut [f32], &'a [f32], &'a mut [f32]);

impl Kernel for SgdStep<'_> {
    #[inline(always)]
    unsafe fn run<V: Vector>(self) {
        let Self(s, p, g, buf) = self;
        let (len, p, g, buf) = (p.len(), p.as_mut_ptr(), g.as_ptr(), buf.as_mut_ptr());
        // SAFETY: the slices have one length; `Form::run` checked the processor.
        unsafe {
            let none = V::splat(0.);
            let (rate, momentum, decay) = (V::splat(-s.lr as f32), V::splat(s.momentum as f32), V::splat(s.weight_decay as f32));
            for i in (0..len).step_by(V::LANES) {
                let value = lanes::load(p, i, len, none);
                let g = decay.fma(value, lanes::load(g, i, len, none));
                let b = if s.first { g } else { momentum.fma(lanes::load(buf, i, len, none), g) };
                let along = if s.nesterov { momentum.fma(b, g) } else { b };
                lanes::store(b, buf, i, len);
                lanes::store(rate.fma(along, value), p, i, len);
            }
        }
    }
}

struct AdamStep<'a>(Adam, &'a mut [f32], &'a [f32], &'a mut [f32], &'a mut [f32]);

impl Adam {
    /// lr / (1 − β₁ᵗ) and 1 / √(1 − β₂ᵗ).
    fn corrections(&self) -> (f64, f64) {
        (self.lr / (1. - self.betas.0.powi(self.step)), 1. / (1. - self.betas.1.powi(self.step)).sqrt())
    }
}

impl Kernel for AdamStep<'_> {
    #[inline(always)]
    unsafe fn run<V: Vector>(self) {
        let Self(s, p, g, m, v) = self;
        let (len, p, g, m, v) = (p.len(), p.as_mut_ptr(), g.as_ptr(), m.as_mut_ptr(), v.as_mut_ptr());
        let (rate, root) = s.corrections();
        // SAFETY: the slices have one length; `Form::run` checked the processor.
        unsafe {
            let none = V::splat(0.);
            let (rate, root, eps) = (V::splat(-rate as f32), V::splat(root as f32), V::splat(s.eps as f32));
            let (first, second) = (V::splat((1. - s.betas.0) as f32), V::splat((1. - s.betas.1) as f32));
            let (decay, apart) = (V::splat(s.weight_decay as f32), V::splat((-s.lr * s.decoupled_decay) as f32));
            for i in (0..len).step_by(V::LANES) {
                let value = lanes::load(p, i, len, none);
                let g = decay.fma(value, lanes::load(g, i, len, none));
                // the old moment plus a share of the way to the new one: the shares add up to 1 exactly
                let (old_m, old_v) = (lanes::load(m, i, len, none), lanes::load(v, i, len, none));
                let (new_m, new_v) = (first.fma(g.sub(old_m), old_m), second.fma(g.mul(g).sub(old_v), old_v));
                lanes::store(new_m, m, i, len);
                lanes::store(new_v, v, i, len);
                let value = apart.fma(value, value);
                let step = new_m.div(new_v.sqrt().fma(root, eps));
                lanes::store(rate.fma(step, value), p, i, len);
            }
        }
    }
}

/// Updates the values `p` by one step of SGD, with gradient `g` and momentum buffer `buf`.
///
/// # Panics
/// Panics where the lengths differ, or the processor lacks the form.
pub fn sgd_step<T: Real>(form: Form, s: &Sgd, p: &mut [T], g: &[T], buf: &mut [T]) {
    assert!([g.len(), buf.len()] == [p.len(); 2], "sgd: lengths {:?}", [p.len(), g.len(), buf.len()]);
    if let (true, Some(g)) = (form != Form::Naive, T::as_f32(g)) {
        let (Some(p), Some(buf)) = (T::as_f32_mut(p), T::as_f32_mut(buf)) else { return };
        let tasks = p.par_chunks_mut(TASK).zip(g.par_chunks(TASK)).zip(buf.par_chunks_mut(TASK));
        return tasks.for_each(|((p, g), buf)| form.run(SgdStep(*s, p, g, buf)));
    }
    for ((p, g), buf) in p.iter_mut().zip(g).zip(buf) {
        let g = g.to_f64() + s.weight_decay * p.to_f64();
        let b = if s.first { g } else { s.momentum * buf.to_f64() + g };
        *buf = T::from_f64(b);
        *p = T::from_f64(p.to_f64() - s.lr * if s.nesterov { g + s.momentum * b } else { b });
    }
}

/// Updates the values `p` by one step of Adam or AdamW, with gradient `g` and moments `m` and `v` (zeros before the first step).
///
/// # Panics
/// As [`sgd_step`].
pub fn adam_step<T: Real>(form: Form, s: &Adam, p: &mut [T], g: &[T], m: &mut [T], v: &mut [T]) {
    assert!([g.len(), m.len(), v.len()] == [p.len(); 3], "adam: lengths {:?}", [p.len(), g.len(), m.len(), v.len()]);
    if let (true, Some(g)) = (form != Form::Naive, T::as_f32(g)) {
        let (Some(p), Some(m), Some(v)) = (T::as_f32_mut(p), T::as_f32_mut(m), T::as_f32_mut(v)) else { return };
        let moments = m.par_chunks_mut(TASK).zip(v.par_chunks_mut(TASK));
        let tasks = p.par_chunks_mut(TASK).zip(g.par_chunks(TASK)).zip(moments);
        return tasks.for_each(|((p, g), (m, v))| form.run(AdamStep(*s, p, g, m, v)));
    }
    let (rate, root) = s.corrections();
    for ((p, g), (m, v)) in p.iter_mut().zip(g).zip(m.iter_mut().zip(v)) {
        let g = g.to_f64() + s.weight_decay * p.to_f64();
        let (new_m, new_v) = (s.betas.0 * m.to_f64() + (1. - s.betas.0) * g, s.betas.1 * v.to_f64() + (1. - s.betas.1) * g * g);
        (*m, *v) = (T::from_f64(new_m), T::from_f64(new_v));
        let kept = p.to_f64() * (1. - s.lr * s.decoupled_decay);
        *p = T::from_f64(kept - rate * new_m / (new_v.sqrt() * root + s.eps));
    }
}
