//! `Activation`: the function after an affine map.

/// The function after an affine map.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Activation {
    /// y.
    Identity,
    /// max(0, y); NaN stays NaN, derivative 0 at 0.
    Relu,
    /// min(max(0, y), 6) (Krizhevsky 2010); NaN stays NaN, derivative 0 at 0 and 6.
    Relu6,
    /// y above 0, slope·y elsewhere, with a slope from 0 to 1 (Maas, Hannun, Ng 2013); derivative `slope` at 0.
    LeakyRelu(f32),
    /// y·σ(1.702·y), the sigmoid approximation of GELU (Hendrycks, Gimpel 2016, section 2).
    QuickGelu,
}

impl Activation {
    /// The values between which y passes unchanged, and the slope outside.
    pub(super) fn pieces(self) -> Pieces {
        let (floor, ceiling, slope) = match self {
            Self::Relu => (0., f32::INFINITY, 0.),
            Self::Relu6 => (0., 6., 0.),
            Self::LeakyRelu(slope) => (0., f32::INFINITY, slope),
            Self::Identity | Self::QuickGelu => (f32::NEG_INFINITY, f32::INFINITY, 0.),
        };
        Pieces { floor, ceiling, slope }
    }
}

/// A function that is y between two values, and goes on with another slope outside.
#[derive(Clone, Copy)]
pub(super) struct Pieces {
    pub(super) floor: f32,
    pub(super) ceiling: f32,
    pub(super) slope: f32,
}
