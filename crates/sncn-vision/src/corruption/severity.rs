//! The published parameters of every corruption at severities 1 to 5, of CIFAR-10-C and of ImageNet-C.
//!
//! Source: the CIFAR-10-C and ImageNet-C generation tables of Hendrycks and Dietterich (2019), as printed in the golden
//! data's description. Units are fractions of the range 0..1 or pixels, see each corruption.

use super::dims::Dims;
use anyhow::{Result, ensure};

/// The severity table, and the image sizes it is meant for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Variant {
    /// The table of CIFAR-10-C, meant for 32 × 32 images.
    Cifar,
    /// The table of ImageNet-C, meant for 224 × 224 images.
    Imagenet,
}

impl Variant {
    /// The most pixels on the shorter side of images for which the table of CIFAR-10-C is meant.
    pub const SMALL: usize = 64;

    /// The table for images of a size: that of CIFAR-10-C up to [`SMALL`](Self::SMALL) pixels on the shorter side, that of ImageNet-C above.
    pub fn of(dims: Dims) -> Self {
        if dims.height.min(dims.width) <= Self::SMALL { Self::Cifar } else { Self::Imagenet }
    }

    /// Its name on the command line and in results.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Cifar => "cifar",
            Self::Imagenet => "imagenet",
        }
    }

    /// The benchmark whose table it is.
    pub const fn benchmark(self) -> &'static str {
        match self {
            Self::Cifar => "CIFAR-10-C",
            Self::Imagenet => "ImageNet-C",
        }
    }
}

type Table<const N: usize> = [[[f64; N]; 5]; 2];

/// The parameters of a variant and a severity from 1 to 5; other severities are an error.
pub(crate) fn row<const N: usize>(table: &Table<N>, variant: Variant, severity: usize) -> Result<[f64; N]> {
    ensure!((1..=5).contains(&severity), "severity {severity} does not exist; use 1, 2, 3, 4 or 5");
    let part = match variant {
        Variant::Cifar => 0,
        Variant::Imagenet => 1,
    };
    Ok(table[part][severity - 1])
}

/// gaussian_noise: c: standard deviation of the noise.
pub(crate) const GAUSSIAN_NOISE: Table<1> = [[[0.04], [0.06], [0.08], [0.09], [0.1]], [[0.08], [0.12], [0.18], [0.26], [0.38]]];

/// shot_noise: c: photons at full intensity.
pub(crate) const SHOT_NOISE: Table<1> = [[[500.0], [250.0], [100.0], [75.0], [50.0]], [[60.0], [25.0], [12.0], [5.0], [3.0]]];

/// impulse_noise: p: fraction of replaced values.
pub(crate) const IMPULSE_NOISE: Table<1> = [[[0.01], [0.02], [0.03], [0.05], [0.07]], [[0.03], [0.06], [0.09], [0.17], [0.27]]];

/// defocus_blur: (disc radius, σ of its anti-aliasing).
pub(crate) const DEFOCUS_BLUR: Table<2> =
    [[[0.3, 0.4], [0.4, 0.5], [0.5, 0.6], [1.0, 0.2], [1.5, 0.1]], [[3.0, 0.1], [4.0, 0.5], [6.0, 0.5], [8.0, 0.5], [10.0, 0.5]]];

/// glass_blur: (σ, largest displacement, passes).
pub(crate) const GLASS_BLUR: Table<3> = [
    [[0.05, 1.0, 1.0], [0.25, 1.0, 1.0], [0.4, 1.0, 1.0], [0.25, 1.0, 2.0], [0.4, 1.0, 2.0]],
    [[0.7, 1.0, 2.0], [0.9, 2.0, 1.0], [1.0, 2.0, 3.0], [1.1, 3.0, 2.0], [1.5, 4.0, 2.0]],
];

/// motion_blur: (radius, σ) in pixels.
pub(crate) const MOTION_BLUR: Table<2> = [
    [[6.0, 1.0], [6.0, 1.5], [6.0, 2.0], [8.0, 2.0], [9.0, 2.5]],
    [[10.0, 3.0], [15.0, 5.0], [15.0, 8.0], [15.0, 12.0], [20.0, 15.0]],
];

/// zoom_blur: (start, stop, step) of the zoom factors.
pub(crate) const ZOOM_BLUR: Table<3> = [
    [[1.0, 1.06, 0.01], [1.0, 1.11, 0.01], [1.0, 1.16, 0.01], [1.0, 1.21, 0.01], [1.0, 1.26, 0.01]],
    [[1.0, 1.11, 0.01], [1.0, 1.16, 0.01], [1.0, 1.21, 0.02], [1.0, 1.26, 0.02], [1.0, 1.31, 0.03]],
];

/// snow: (mean, std, zoom, threshold, radius, σ, weight of the image).
pub(crate) const SNOW: Table<7> = [
    [
        [0.1, 0.2, 1.0, 0.6, 8.0, 3.0, 0.95],
        [0.1, 0.2, 1.0, 0.5, 10.0, 4.0, 0.9],
        [0.15, 0.3, 1.75, 0.55, 10.0, 4.0, 0.9],
        [0.25, 0.3, 2.25, 0.6, 12.0, 6.0, 0.85],
        [0.3, 0.3, 1.25, 0.65, 14.0, 12.0, 0.8],
    ],
    [
        [0.1, 0.3, 3.0, 0.5, 10.0, 4.0, 0.8],
        [0.2, 0.3, 2.0, 0.5, 12.0, 4.0, 0.7],
        [0.55, 0.3, 4.0, 0.9, 12.0, 8.0, 0.7],
        [0.55, 0.3, 4.5, 0.85, 12.0, 8.0, 0.65],
        [0.55, 0.3, 2.5, 0.85, 12.0, 12.0, 0.55],
    ],
];

/// frost: (weight of the image, weight of the texture).
pub(crate) const FROST: Table<2> = [
    [[1.0, 0.2], [1.0, 0.3], [0.9, 0.4], [0.85, 0.4], [0.75, 0.45]],
    [[1.0, 0.4], [0.8, 0.6], [0.7, 0.7], [0.65, 0.7], [0.6, 0.75]],
];

/// fog: (strength, decay of the height map).
pub(crate) const FOG: Table<2> = [
    [[0.2, 3.0], [0.5, 3.0], [0.75, 2.5], [1.0, 2.0], [1.5, 1.75]],
    [[1.5, 2.0], [2.0, 2.0], [2.5, 1.7], [2.5, 1.5], [3.0, 1.4]],
];

/// brightness: c: added to V of HSV.
pub(crate) const BRIGHTNESS: Table<1> = [[[0.05], [0.1], [0.15], [0.2], [0.3]], [[0.1], [0.2], [0.3], [0.4], [0.5]]];

/// contrast: c: factor on the distance to the mean.
pub(crate) const CONTRAST: Table<1> = [[[0.75], [0.5], [0.4], [0.3], [0.15]], [[0.4], [0.3], [0.2], [0.1], [0.05]]];

/// elastic_transform: (α, σ, affine displacement) in pixels.
pub(crate) const ELASTIC_TRANSFORM: Table<3> = [
    [[0.0, 0.0, 2.56], [1.6, 6.4, 2.24], [2.56, 1.92, 1.92], [3.2, 1.28, 1.6], [3.2, 0.96, 0.96]],
    [[488.0, 170.8, 24.4], [488.0, 19.52, 48.8], [12.2, 2.44, 4.88], [17.08, 2.44, 4.88], [29.28, 2.44, 4.88]],
];

/// pixelate: side of the small image as a fraction.
pub(crate) const PIXELATE: Table<1> = [[[0.95], [0.9], [0.85], [0.75], [0.65]], [[0.6], [0.5], [0.4], [0.3], [0.25]]];

/// jpeg_compression: quality.
pub(crate) const JPEG_COMPRESSION: Table<1> = [[[80.0], [65.0], [58.0], [50.0], [40.0]], [[25.0], [18.0], [15.0], [10.0], [7.0]]];

/// speckle_noise: c: standard deviation of the relative noise.
pub(crate) const SPECKLE_NOISE: Table<1> = [[[0.06], [0.1], [0.12], [0.16], [0.2]], [[0.15], [0.2], [0.35], [0.45], [0.6]]];

/// gaussian_blur: σ in pixels.
pub(crate) const GAUSSIAN_BLUR: Table<1> = [[[0.4], [0.6], [0.7], [0.8], [1.0]], [[1.0], [2.0], [3.0], [4.0], [6.0]]];

/// spatter: (mean, std, σ, threshold, strength or mud σ, 1 = mud / 0 = water).
pub(crate) const SPATTER: Table<6> = [
    [
        [0.62, 0.1, 0.7, 0.7, 0.5, 0.0],
        [0.65, 0.1, 0.8, 0.7, 0.5, 0.0],
        [0.65, 0.3, 1.0, 0.69, 0.5, 0.0],
        [0.65, 0.1, 0.7, 0.69, 0.6, 1.0],
        [0.65, 0.1, 0.5, 0.68, 0.6, 1.0],
    ],
    [
        [0.65, 0.3, 4.0, 0.69, 0.6, 0.0],
        [0.65, 0.3, 3.0, 0.68, 0.6, 0.0],
        [0.65, 0.3, 2.0, 0.68, 0.5, 0.0],
        [0.65, 0.3, 1.0, 0.65, 1.5, 1.0],
        [0.67, 0.4, 1.0, 0.65, 1.5, 1.0],
    ],
];

/// saturate: (factor, offset) of S of HSV.
pub(crate) const SATURATE: Table<2> =
    [[[0.3, 0.0], [0.1, 0.0], [1.5, 0.0], [2.0, 0.1], [2.5, 0.2]], [[0.3, 0.0], [0.1, 0.0], [2.0, 0.0], [5.0, 0.1], [20.0, 0.2]]];
