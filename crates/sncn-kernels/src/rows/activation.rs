//! `Activation`: the function after an affine map.

/// The function after an affine map.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Activation {
    /// y.
    Identity,
    /// max(0, y); NaN stays NaN, derivative 0 at 0.
    Relu,
    /// y·σ(1.702·y), the sigmoid approximation of GELU (Hendrycks, Gimpel 2016, section 2).
    QuickGelu,
}
