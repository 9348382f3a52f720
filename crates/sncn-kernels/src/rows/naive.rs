//! The passes as plain loops, for any element type: the reference implementation, which tests run in double precision.

use super::activation::Activation;
use crate::gelu::{Gelu, gate_naive};
use crate::real::Real;

/// max(v, 0); NaN where v is NaN.
fn rectify<T: Real>(v: T) -> T {
    if v <= T::ZERO { T::ZERO } else { v }
}

/// out = scale·(x − centre) + bias.
pub(super) fn centred_affine<T: Real>(x: &[T], centre: &[T], scale: &[T], bias: &[T], out: &mut [T]) {
    for (out, x) in out.chunks_mut(centre.len()).zip(x.chunks(centre.len())) {
        for ((((out, &x), &centre), &scale), &bias) in out.iter_mut().zip(x).zip(centre).zip(scale).zip(bias) {
            *out = scale * (x - centre) + bias;
        }
    }
}

/// out = activation(scale·x + bias).
pub fn activate<T: Real>(x: &[T], scale: &[T], bias: &[T], activation: Activation, out: &mut [T]) {
    for (i, (out, &x)) in out.iter_mut().zip(x).enumerate() {
        let y = scale[i % scale.len()] * x + bias[i % scale.len()];
        *out = match activation {
            Activation::Identity => y,
            Activation::Relu => rectify(y),
            Activation::Relu6 if y >= T::from_f64(6.) => T::from_f64(6.),
            Activation::Relu6 => rectify(y),
            Activation::LeakyRelu(slope) if y <= T::ZERO => y * T::from_f64(f64::from(slope)),
            Activation::LeakyRelu(_) => y,
            Activation::QuickGelu => T::from_f64(y.to_f64() * gate_naive(Gelu::Quick, y.to_f64()).0),
        };
    }
}

/// y += scale·x + bias.
pub fn add_affine<T: Real>(y: &mut [T], x: &[T], scale: &[T], bias: &[T]) {
    for (i, (y, &x)) in y.iter_mut().zip(x).enumerate() {
        *y += scale[i % scale.len()] * x + bias[i % scale.len()];
    }
}

/// total += Σ x.
pub fn sums<T: Real>(x: &[T], total: &mut [f64]) {
    let channels = total.len();
    x.iter().enumerate().for_each(|(i, x)| total[i % channels] += x.to_f64());
}

/// one += Σ (x − centre), two += Σ (x − centre)².
pub fn centred_sums<T: Real>(x: &[T], centre: &[T], one: &mut [f64], two: &mut [f64]) {
    for (i, x) in x.iter().enumerate() {
        let c = i % centre.len();
        let d = x.to_f64() - centre[c].to_f64();
        one[c] += d;
        two[c] += d * d;
    }
}

/// one += Σ g, two += Σ g·(x − centre).
pub fn product_sums<T: Real>(g: &[T], x: &[T], centre: &[T], one: &mut [f64], two: &mut [f64]) {
    for (i, (g, x)) in g.iter().zip(x).enumerate() {
        let c = i % centre.len();
        one[c] += g.to_f64();
        two[c] += g.to_f64() * (x.to_f64() - centre[c].to_f64());
    }
}

/// dx = scale·g, one += Σ g, two += Σ g·(x − centre).
pub(super) fn affine_backward<T: Real>(
    x: &[T],
    centre: &[T],
    scale: &[T],
    g: &[T],
    dx: &mut [T],
    one: &mut [f64],
    two: &mut [f64],
) {
    let channels = centre.len();
    for (dx, (x, g)) in dx.chunks_mut(channels).zip(x.chunks(channels).zip(g.chunks(channels))) {
        for (c, (dx, (x, &g))) in dx.iter_mut().zip(x.iter().zip(g)).enumerate() {
            *dx = scale[c] * g;
            one[c] += g.to_f64();
            two[c] += g.to_f64() * (x.to_f64() - centre[c].to_f64());
        }
    }
}

/// g = g·activation′(scale·x + bias).
pub fn activate_backward<T: Real>(g: &mut [T], x: &[T], scale: &[T], bias: &[T], activation: Activation) {
    for (i, (g, &x)) in g.iter_mut().zip(x).enumerate() {
        let y = scale[i % scale.len()] * x + bias[i % scale.len()];
        match activation {
            Activation::Relu | Activation::Relu6 if y <= T::ZERO => *g = T::ZERO,
            Activation::Relu6 if y >= T::from_f64(6.) => *g = T::ZERO,
            Activation::LeakyRelu(slope) if y <= T::ZERO => *g = *g * T::from_f64(f64::from(slope)),
            Activation::Identity | Activation::Relu | Activation::Relu6 | Activation::LeakyRelu(_) => {}
            Activation::QuickGelu => {
                let (value, slope) = gate_naive(Gelu::Quick, y.to_f64());
                *g = T::from_f64(g.to_f64() * (value + y.to_f64() * slope));
            }
        }
    }
}

/// g = p·g + q + r·(x − m), in place.
pub fn combine<T: Real>(g: &mut [T], x: &[T], [p, q, r, m]: [&[T]; 4]) {
    for (i, (g, &x)) in g.iter_mut().zip(x).enumerate() {
        let c = i % m.len();
        *g = p[c] * *g + q[c] + r[c] * (x - m[c]);
    }
}

/// to += p·g + q + r·(x − m).
pub fn accumulate<T: Real>(to: &mut [T], g: &[T], x: &[T], coefficients: [&[T]; 4]) {
    let mut sum = g.to_vec();
    combine(&mut sum, x, coefficients);
    to.iter_mut().zip(sum).for_each(|(to, sum)| *to += sum);
}
