//! `Moments`: the statistics that AdaIN exchanges, of the pixels of an image or of a map of features.

use candle_core::{DType, Result, Tensor};

/// Added to variances, as published.
const EPS: f64 = 1e-5;

/// Mean and standard deviation of every channel, √(unbiased variance + 1e-5).
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Moments {
    pub(super) mean: Vec<f64>,
    pub(super) std: Vec<f64>,
}

impl Moments {
    /// Those of RGB bytes, as fractions of 255.
    pub(super) fn of_bytes(bytes: &[u8]) -> Self {
        let (mut sums, mut squares) = ([0u64; 3], [0u64; 3]);
        for rgb in bytes.as_chunks::<3>().0 {
            for c in 0..3 {
                let value = u64::from(rgb[c]);
                sums[c] += value;
                squares[c] += value * value;
            }
        }
        let count = (bytes.len() / 3) as f64;
        let mean: Vec<f64> = sums.iter().map(|&sum| sum as f64 / count.max(1.)).collect();
        let deviation = |c: usize| {
            let variance = (squares[c] as f64 - count * mean[c] * mean[c]) / (count - 1.).max(1.);
            (variance.max(0.) / (255. * 255.) + EPS).sqrt()
        };
        Self { std: (0..3).map(deviation).collect(), mean: mean.iter().map(|mean| mean / 255.).collect() }
    }

    /// Those of a map (1, H, W, C).
    pub(super) fn of_map(map: &Tensor) -> Result<Self> {
        let (_, height, width, channels) = map.dims4()?;
        let values = map.reshape((height * width, channels))?.to_dtype(DType::F64)?;
        let mean = values.mean(0)?;
        let squares = values.broadcast_sub(&mean)?.sqr()?.sum(0)?;
        let variance = (squares / (height * width - 1).max(1) as f64)?;
        Ok(Self { mean: mean.to_vec1()?, std: (variance + EPS)?.sqrt()?.to_vec1()? })
    }

    /// Scale and bias of each channel that give it, from these statistics, part of the way to those of `style`: y = scale·x + bias.
    pub(super) fn towards(&self, style: &Self, strength: f64) -> Vec<(f64, f64)> {
        let channels = self.mean.iter().zip(&self.std).zip(style.mean.iter().zip(&style.std));
        let of = |((mean, std), (other, wanted)): ((&f64, &f64), (&f64, &f64))| {
            let scale = wanted / std;
            (1. - strength + strength * scale, strength * (other - scale * mean))
        };
        channels.map(of).collect()
    }
}
