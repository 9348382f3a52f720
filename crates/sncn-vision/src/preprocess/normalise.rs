//! The conversion from bytes to network inputs.

use serde::{Deserialize, Serialize};

/// (v/255 − mean)/std for the three channels of interleaved RGB values.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Normalisation {
    /// The mean of each channel, as a fraction of the full range.
    pub mean: [f32; 3],
    /// The standard deviation of each channel, as a fraction of the full range.
    pub std: [f32; 3],
}

/// Pixels whose constants lie beside each other, so that plain loops become vector instructions.
const PIXELS: usize = 16;

impl Normalisation {
    /// That of the CIFAR experiments: to [−1, 1].
    pub const CIFAR: Self = Self { mean: [0.5; 3], std: [0.5; 3] };

    /// The normalised values of black and of white.
    pub fn range(&self) -> [[f32; 3]; 2] {
        [0., 1.].map(|end: f32| std::array::from_fn(|c| (end - self.mean[c]) / self.std[c]))
    }

    /// Replaces values in 0..255 by normalised ones.
    pub fn apply(&self, values: &mut [f32]) {
        let (mean, std) = (repeated(self.mean), repeated(self.std));
        let (whole, rest) = values.as_chunks_mut::<{ 3 * PIXELS }>();
        for values in whole {
            (0..3 * PIXELS).for_each(|i| values[i] = (values[i] / 255.0 - mean[i]) / std[i]);
        }
        rest.iter_mut().enumerate().for_each(|(i, value)| *value = (*value / 255.0 - mean[i]) / std[i]);
    }

    /// The normalised values of bytes.
    pub fn values(&self, bytes: &[u8]) -> Vec<f32> {
        let mut values = vec![0.; bytes.len()];
        self.of_bytes(bytes, &mut values);
        values
    }

    /// Writes the normalised values of the bytes of whole pixels.
    pub fn of_bytes(&self, bytes: &[u8], out: &mut [f32]) {
        let table: [[f32; 256]; 3] =
            std::array::from_fn(|c| std::array::from_fn(|byte| (byte as f32 / 255.0 - self.mean[c]) / self.std[c]));
        for (out, rgb) in out.as_chunks_mut::<3>().0.iter_mut().zip(bytes.as_chunks::<3>().0) {
            *out = std::array::from_fn(|c| table[c][usize::from(rgb[c])]);
        }
    }
}

fn repeated(values: [f32; 3]) -> [f32; 3 * PIXELS] {
    std::array::from_fn(|i| values[i % 3])
}
