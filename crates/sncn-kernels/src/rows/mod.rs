//! Passes over the map of one instance, (positions, channels), with a value for every channel beside it: activations, shortcuts,
//! sums, and the backward passes of affine maps.
//!
//! Memory bandwidth limits them, so each reads and writes every map once. Sums are formed in f32 over 32 positions, relative to a
//! centre, and then in f64, so that a mean that is large relative to the standard deviation does not cancel.
//!
//! Slices `x`, `g`, `y`, `out` and `to` are maps of one length; `scale`, `bias`, `centre`, `total`, `one` and `two` have a value a
//! channel. All functions panic where lengths differ from that, or where the processor lacks the form.

mod activation;
pub mod naive;
mod passes;

pub use activation::Activation;
pub use passes::Coefficients;

use crate::columns::run;
use crate::real::Real;
use crate::simd::Form;
use passes::{Activate, Add, AffineBackward, Combine, PiecesBackward, QuickGelu, QuickGeluBackward, Second, Sums, Total};

fn check(maps: &[usize], channels: usize, others: &[usize]) {
    assert!(
        channels > 0 && maps.iter().all(|&len| len == maps[0] && len.is_multiple_of(channels)),
        "maps of {maps:?} values, {channels} channels"
    );
    assert!(others.iter().all(|&len| len == channels), "{others:?} values for {channels} channels");
}

/// Computes out = activation(scale·x + bias).
pub fn activate(form: Form, x: &[f32], scale: &[f32], bias: &[f32], activation: Activation, out: &mut [f32]) {
    check(&[x.len(), out.len()], scale.len(), &[bias.len()]);
    match (form, activation) {
        (Form::Naive, _) => naive::activate(x, scale, bias, activation, out),
        (_, Activation::QuickGelu) => run(form, &mut QuickGelu { x, scale, bias, out }, scale.len()),
        _ => {
            let pieces = activation.pieces();
            run(form, &mut Activate { x: Some(x), centre: None, scale, bias, pieces, out }, scale.len());
        }
    }
}

/// Computes y = activation(scale·y + bias) in place; bit by bit what [`activate`] gives.
pub fn activate_in_place(form: Form, y: &mut [f32], scale: &[f32], bias: &[f32], activation: Activation) {
    check(&[y.len()], scale.len(), &[bias.len()]);
    match (form, activation) {
        (Form::Naive, _) | (_, Activation::QuickGelu) => {
            let x = y.to_vec();
            activate(form, &x, scale, bias, activation, y);
        }
        _ => {
            let pieces = activation.pieces();
            run(form, &mut Activate { x: None, centre: None, scale, bias, pieces, out: y }, scale.len());
        }
    }
}

/// Computes out = scale·(x − centre) + bias.
pub(crate) fn centred_affine<T: Real>(form: Form, x: &[T], centre: &[T], scale: &[T], bias: &[T], out: &mut [T]) {
    check(&[x.len(), out.len()], scale.len(), &[bias.len(), centre.len()]);
    let inputs = (T::as_f32(x), T::as_f32(centre), T::as_f32(scale), T::as_f32(bias));
    match (form, inputs, T::as_f32_mut(out)) {
        (Form::Portable | Form::Avx2 | Form::Avx512, (Some(x), Some(centre), Some(scale), Some(bias)), Some(out)) => {
            let pieces = Activation::Identity.pieces();
            run(form, &mut Activate { x: Some(x), centre: Some(centre), scale, bias, pieces, out }, scale.len());
        }
        _ => naive::centred_affine(x, centre, scale, bias, out),
    }
}

/// Adds scale·x + bias to y.
pub fn add_affine(form: Form, y: &mut [f32], x: &[f32], scale: &[f32], bias: &[f32]) {
    check(&[y.len(), x.len()], scale.len(), &[bias.len()]);
    match form {
        Form::Naive => naive::add_affine(y, x, scale, bias),
        _ => run(form, &mut Add { y, x, scale, bias }, scale.len()),
    }
}

/// Adds Σ x to `total`.
pub fn sums(form: Form, x: &[f32], total: &mut [f64]) {
    let channels = total.len();
    check(&[x.len()], channels, &[]);
    match form {
        Form::Naive => naive::sums(x, total),
        _ => run(form, &mut Total { x, total }, channels),
    }
}

/// Adds Σ (x − centre) to `one` and Σ (x − centre)² to `two`.
pub fn centred_sums(form: Form, x: &[f32], centre: &[f32], one: &mut [f64], two: &mut [f64]) {
    check(&[x.len()], centre.len(), &[one.len(), two.len()]);
    match form {
        Form::Naive => naive::centred_sums(x, centre, one, two),
        _ => run(form, &mut Sums { g: &[], x, centre, second: Second::Squares, one, two }, centre.len()),
    }
}

/// Adds Σ g to `one` and Σ g·(x − centre) to `two`.
pub fn product_sums(form: Form, g: &[f32], x: &[f32], centre: &[f32], one: &mut [f64], two: &mut [f64]) {
    check(&[x.len(), g.len()], centre.len(), &[one.len(), two.len()]);
    match form {
        Form::Naive => naive::product_sums(g, x, centre, one, two),
        _ => run(form, &mut Sums { g, x, centre, second: Second::Products, one, two }, centre.len()),
    }
}

/// The backward pass of [`centred_affine`] in one reading: dx = scale·g; adds Σ g to `one` and Σ g·(x − centre) to `two`.
#[allow(clippy::too_many_arguments, reason = "a form, three inputs, and a gradient for each")]
pub(crate) fn affine_backward<T: Real>(
    form: Form,
    x: &[T],
    centre: &[T],
    scale: &[T],
    g: &[T],
    dx: &mut [T],
    one: &mut [f64],
    two: &mut [f64],
) {
    check(&[x.len(), g.len(), dx.len()], centre.len(), &[scale.len(), one.len(), two.len()]);
    let inputs = (T::as_f32(x), T::as_f32(centre), T::as_f32(scale), T::as_f32(g));
    match (form, inputs, T::as_f32_mut(dx)) {
        (Form::Portable | Form::Avx2 | Form::Avx512, (Some(x), Some(centre), Some(scale), Some(g)), Some(dx)) => {
            run(form, &mut AffineBackward { x, centre, scale, g, dx, one, two }, centre.len());
        }
        _ => naive::affine_backward(x, centre, scale, g, dx, one, two),
    }
}

/// Multiplies g by activation′(scale·x + bias): the backward pass of [`activate`] but for the factor `scale`. ReLU, ReLU6 and leaky ReLU let the
/// gradient pass where scale·x + bias is NaN, as it does the value.
pub fn activate_backward(form: Form, g: &mut [f32], x: &[f32], scale: &[f32], bias: &[f32], activation: Activation) {
    check(&[g.len(), x.len()], scale.len(), &[bias.len()]);
    match (form, activation) {
        (_, Activation::Identity) => {}
        (Form::Naive, _) => naive::activate_backward(g, x, scale, bias, activation),
        (_, Activation::QuickGelu) => run(form, &mut QuickGeluBackward { g, x, scale, bias }, scale.len()),
        _ => run(form, &mut PiecesBackward { g, x, scale, bias, pieces: activation.pieces() }, scale.len()),
    }
}

/// Computes g = p·g + q + r·(x − m) in place.
pub fn combine(form: Form, g: &mut [f32], x: &[f32], t: Coefficients<'_>) {
    check(&[g.len(), x.len()], t.m.len(), &[t.p.len(), t.q.len(), t.r.len()]);
    let to = g.as_mut_ptr();
    match form {
        Form::Naive => naive::combine(g, x, [t.p, t.q, t.r, t.m]),
        _ => run(form, &mut Combine { to, add: false, g: to, x, t }, t.m.len()),
    }
}

/// Adds p·g + q + r·(x − m) to `to`.
pub fn accumulate(form: Form, to: &mut [f32], g: &[f32], x: &[f32], t: Coefficients<'_>) {
    check(&[to.len(), g.len(), x.len()], t.m.len(), &[t.p.len(), t.q.len(), t.r.len()]);
    match form {
        Form::Naive => naive::accumulate(to, g, x, [t.p, t.q, t.r, t.m]),
        _ => run(form, &mut Combine { to: to.as_mut_ptr(), add: true, g: g.as_ptr(), x, t }, t.m.len()),
    }
}

/// Computes to = p·g + q + r·(x − m).
pub fn combine_to(form: Form, to: &mut [f32], g: &[f32], x: &[f32], t: Coefficients<'_>) {
    check(&[to.len(), g.len(), x.len()], t.m.len(), &[t.p.len(), t.q.len(), t.r.len()]);
    match form {
        Form::Naive => {
            to.copy_from_slice(g);
            naive::combine(to, x, [t.p, t.q, t.r, t.m]);
        }
        _ => run(form, &mut Combine { to: to.as_mut_ptr(), add: false, g: g.as_ptr(), x, t }, t.m.len()),
    }
}
