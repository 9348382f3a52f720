//! `Activation`: the function after an affine map.

/// The function after an affine map.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Activation {
    /// y.
    Identity,
    /// max(0, y); NaN stays NaN, derivative 0 at 0.
    Relu,
    /// min(max(0, y), 6) (Krizhevsky 2010); NaN stays NaN, derivative 0 at 0 and 6.
    Relu6,
    /// y·σ(1.702·y), the sigmoid approximation of GELU (Hendrycks, Gimpel 2016, section 2).
    QuickGelu,
}

impl Activation {
    /// The values between which y passes unchanged, for the activations that cut it off outside.
    pub(super) fn bounds(self) -> (f32, f32) {
        match self {
            Self::Relu => (0., f32::INFINITY),
            Self::Relu6 => (0., 6.),
            Self::Identity | Self::QuickGelu => (f32::NEG_INFINITY, f32::INFINITY),
        }
    }
}
