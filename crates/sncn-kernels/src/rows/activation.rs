//! `Activation`: what follows an affine map.

/// What follows an affine map.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Activation {
    /// Nothing.
    Identity,
    /// max(0, y); NaN stays NaN, derivative 0 at 0.
    Relu,
    /// y·σ(1.702·y), the logistic approximation of GELU.
    QuickGelu,
}
