//! Passes over the map of one instance, (positions, channels), with a table entry for every channel: activation, residual,
//! sums, and the backward passes of norms and gates.
//!
//! Memory sets their pace, so each reads and writes every map once. Sums are formed in f32 over 32 positions, around a
//! centre, and then in f64, so that a mean that is large against the spread does not cancel.
//!
//! Each has a form by name (`…_by`), the defining loops among them ([`naive`]).

mod activation;
pub mod naive;
mod passes;

pub use activation::Activation;
pub use passes::Coefficients;

use crate::columns::run;
use crate::simd::Form;
use passes::{Activate, Add, Backward, Combine, QuickGelu, QuickGeluBackward, ReluBackward, Second, Sums, Total};

fn check(maps: &[usize], channels: usize, tables: &[usize]) {
    assert!(
        channels > 0 && maps.iter().all(|&len| len == maps[0] && len.is_multiple_of(channels)),
        "maps: {maps:?}, {channels} channels"
    );
    assert!(tables.iter().all(|&len| len == channels), "tables: {tables:?}, {channels} channels");
}

fn floor(relu: bool) -> f32 {
    if relu { 0. } else { f32::NEG_INFINITY }
}

/// out = activation(scale·x + bias).
///
/// # Panics
/// Where lengths do not fit, here and below; with a form, where the processor lacks it.
pub fn activate(x: &[f32], scale: &[f32], bias: &[f32], activation: Activation, out: &mut [f32]) {
    activate_by(Form::current(), x, scale, bias, activation, out);
}

/// [`activate`] in this form.
pub fn activate_by(form: Form, x: &[f32], scale: &[f32], bias: &[f32], activation: Activation, out: &mut [f32]) {
    check(&[x.len(), out.len()], scale.len(), &[bias.len()]);
    match (form, activation) {
        (Form::Naive, _) => naive::activate(x, scale, bias, activation, out),
        (_, Activation::QuickGelu) => run(form, &mut QuickGelu { x, scale, bias, out }, scale.len()),
        _ => {
            let floor = floor(activation == Activation::Relu);
            run(form, &mut Activate { x, centre: None, scale, bias, floor, out }, scale.len());
        }
    }
}

/// out = scale·(x − centre) + bias, rectified where `relu`.
pub fn centred_affine(x: &[f32], centre: &[f32], scale: &[f32], bias: &[f32], relu: bool, out: &mut [f32]) {
    centred_affine_by(Form::current(), x, centre, scale, bias, relu, out);
}

/// [`centred_affine`] in this form.
pub fn centred_affine_by(form: Form, x: &[f32], centre: &[f32], scale: &[f32], bias: &[f32], relu: bool, out: &mut [f32]) {
    check(&[x.len(), out.len()], scale.len(), &[bias.len(), centre.len()]);
    match form {
        Form::Naive => naive::centred_affine(x, centre, scale, bias, relu, out),
        _ => run(form, &mut Activate { x, centre: Some(centre), scale, bias, floor: floor(relu), out }, scale.len()),
    }
}

/// y += scale·r + bias.
pub fn add_affine(y: &mut [f32], r: &[f32], scale: &[f32], bias: &[f32]) {
    add_affine_by(Form::current(), y, r, scale, bias);
}

/// [`add_affine`] in this form.
pub fn add_affine_by(form: Form, y: &mut [f32], r: &[f32], scale: &[f32], bias: &[f32]) {
    check(&[y.len(), r.len()], scale.len(), &[bias.len()]);
    match form {
        Form::Naive => naive::add_affine(y, r, scale, bias),
        _ => run(form, &mut Add { y, r, scale, bias }, scale.len()),
    }
}

/// total += Σ x.
pub fn sums(x: &[f32], total: &mut [f64]) {
    sums_by(Form::current(), x, total);
}

/// [`sums`] in this form.
pub fn sums_by(form: Form, x: &[f32], total: &mut [f64]) {
    let channels = total.len();
    check(&[x.len()], channels, &[]);
    match form {
        Form::Naive => naive::sums(x, total),
        _ => run(form, &mut Total { x, total }, channels),
    }
}

/// one += Σ (x − centre), two += Σ (x − centre)².
pub fn centred_sums(x: &[f32], centre: &[f32], one: &mut [f64], two: &mut [f64]) {
    centred_sums_by(Form::current(), x, centre, one, two);
}

/// [`centred_sums`] in this form.
pub fn centred_sums_by(form: Form, x: &[f32], centre: &[f32], one: &mut [f64], two: &mut [f64]) {
    check(&[x.len()], centre.len(), &[one.len(), two.len()]);
    match form {
        Form::Naive => naive::centred_sums(x, centre, one, two),
        _ => run(form, &mut Sums { g: &[], x, centre, second: Second::Squares, one, two }, centre.len()),
    }
}

/// one += Σ g, two += Σ g·(x − centre).
pub fn product_sums(g: &[f32], x: &[f32], centre: &[f32], one: &mut [f64], two: &mut [f64]) {
    product_sums_by(Form::current(), g, x, centre, one, two);
}

/// [`product_sums`] in this form.
pub fn product_sums_by(form: Form, g: &[f32], x: &[f32], centre: &[f32], one: &mut [f64], two: &mut [f64]) {
    check(&[x.len(), g.len()], centre.len(), &[one.len(), two.len()]);
    match form {
        Form::Naive => naive::product_sums(g, x, centre, one, two),
        _ => run(form, &mut Sums { g, x, centre, second: Second::Products, one, two }, centre.len()),
    }
}

/// The backward pass of [`centred_affine`], in one reading: dx = scale·g, one += Σ g, two += Σ g·(x − centre). Given the
/// rectified output y, g counts only where y > 0 (or is NaN).
#[allow(clippy::too_many_arguments, reason = "three maps, two tables, and a gradient for each")]
pub fn affine_backward(
    x: &[f32],
    centre: &[f32],
    scale: &[f32],
    y: Option<&[f32]>,
    g: &[f32],
    dx: &mut [f32],
    one: &mut [f64],
    two: &mut [f64],
) {
    affine_backward_by(Form::current(), x, centre, scale, y, g, dx, one, two);
}

/// [`affine_backward`] in this form.
#[allow(clippy::too_many_arguments, reason = "three maps, two tables, and a gradient for each")]
pub fn affine_backward_by(
    form: Form,
    x: &[f32],
    centre: &[f32],
    scale: &[f32],
    y: Option<&[f32]>,
    g: &[f32],
    dx: &mut [f32],
    one: &mut [f64],
    two: &mut [f64],
) {
    check(&[x.len(), g.len(), dx.len(), y.map_or(x.len(), <[f32]>::len)], centre.len(), &[scale.len(), one.len(), two.len()]);
    match form {
        Form::Naive => naive::affine_backward(x, centre, scale, y, g, dx, one, two),
        _ => run(form, &mut Backward { x, centre, scale, y, g, dx, one, two }, centre.len()),
    }
}

/// g = g·activation′(scale·x + bias), the backward pass of [`activate`] up to its scale; the rectifier lets a NaN's gradient pass.
pub fn activate_backward(g: &mut [f32], x: &[f32], scale: &[f32], bias: &[f32], activation: Activation) {
    activate_backward_by(Form::current(), g, x, scale, bias, activation);
}

/// [`activate_backward`] in this form.
pub fn activate_backward_by(form: Form, g: &mut [f32], x: &[f32], scale: &[f32], bias: &[f32], activation: Activation) {
    check(&[g.len(), x.len()], scale.len(), &[bias.len()]);
    match (form, activation) {
        (_, Activation::Identity) => {}
        (Form::Naive, _) => naive::activate_backward(g, x, scale, bias, activation),
        (_, Activation::Relu) => run(form, &mut ReluBackward { g, x, scale, bias }, scale.len()),
        (_, Activation::QuickGelu) => run(form, &mut QuickGeluBackward { g, x, scale, bias }, scale.len()),
    }
}

/// g = p·g + q + r·(x − m), in place.
pub fn combine(g: &mut [f32], x: &[f32], t: Coefficients<'_>) {
    combine_by(Form::current(), g, x, t);
}

/// [`combine`] in this form.
pub fn combine_by(form: Form, g: &mut [f32], x: &[f32], t: Coefficients<'_>) {
    check(&[g.len(), x.len()], t.m.len(), &[t.p.len(), t.q.len(), t.r.len()]);
    let to = g.as_mut_ptr();
    match form {
        Form::Naive => naive::combine(g, x, [t.p, t.q, t.r, t.m]),
        _ => run(form, &mut Combine { to, add: false, g: to, x, t }, t.m.len()),
    }
}

/// to += p·g + q + r·(x − m).
pub fn accumulate(to: &mut [f32], g: &[f32], x: &[f32], t: Coefficients<'_>) {
    accumulate_by(Form::current(), to, g, x, t);
}

/// [`accumulate`] in this form.
pub fn accumulate_by(form: Form, to: &mut [f32], g: &[f32], x: &[f32], t: Coefficients<'_>) {
    check(&[to.len(), g.len(), x.len()], t.m.len(), &[t.p.len(), t.q.len(), t.r.len()]);
    match form {
        Form::Naive => naive::accumulate(to, g, x, [t.p, t.q, t.r, t.m]),
        _ => run(form, &mut Combine { to: to.as_mut_ptr(), add: true, g: g.as_ptr(), x, t }, t.m.len()),
    }
}

/// to = p·g + q + r·(x − m).
pub fn combine_to(to: &mut [f32], g: &[f32], x: &[f32], t: Coefficients<'_>) {
    combine_to_by(Form::current(), to, g, x, t);
}

/// [`combine_to`] in this form.
pub fn combine_to_by(form: Form, to: &mut [f32], g: &[f32], x: &[f32], t: Coefficients<'_>) {
    check(&[to.len(), g.len(), x.len()], t.m.len(), &[t.p.len(), t.q.len(), t.r.len()]);
    match form {
        Form::Naive => {
            to.copy_from_slice(g);
            naive::combine(to, x, [t.p, t.q, t.r, t.m]);
        }
        _ => run(form, &mut Combine { to: to.as_mut_ptr(), add: false, g: g.as_ptr(), x, t }, t.m.len()),
    }
}
