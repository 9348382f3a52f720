//! `Function`: what a rule computes value by value, with its derivative.

/// An elementwise function.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Function {
    /// multiplier·x + addend.
    Affine(f64, f64),
    /// x².
    Square,
    /// √x.
    Sqrt,
    /// 1/x.
    Recip,
    /// eˣ.
    Exp,
    /// ln x.
    Log,
    /// 1/(1 + e⁻ˣ).
    Sigmoid,
    /// The hyperbolic tangent.
    Tanh,
    /// max(0, x).
    Relu,
    /// min(max(low, x), high).
    Clamp(f64, f64),
}

/// p/(p − 1), the unbiased variance over p positions relative to the biased one.
pub fn unbiased(positions: usize) -> f64 {
    positions as f64 / (positions as f64 - 1.)
}

impl Function {
    pub(super) fn value(self, x: f64) -> f64 {
        match self {
            Self::Affine(mul, add) => mul * x + add,
            Self::Square => x * x,
            Self::Sqrt => x.sqrt(),
            Self::Recip => 1. / x,
            Self::Exp => x.exp(),
            Self::Log => x.ln(),
            Self::Sigmoid => 1. / (1. + (-x).exp()),
            Self::Tanh => x.tanh(),
            Self::Relu => x.max(0.),
            Self::Clamp(low, high) => x.clamp(low, high),
        }
    }

    /// The derivative at x, where y is the value at x.
    pub(super) fn slope(self, x: f64, y: f64) -> f64 {
        match self {
            Self::Affine(mul, _) => mul,
            Self::Square => 2. * x,
            Self::Sqrt => 0.5 / y,
            Self::Recip => -y * y,
            Self::Exp => y,
            Self::Log => 1. / x,
            Self::Sigmoid => y * (1. - y),
            Self::Tanh => 1. - y * y,
            Self::Relu => f64::from(u8::from(x > 0.)),
            Self::Clamp(low, high) => f64::from(u8::from((low..=high).contains(&x))),
        }
    }
}
