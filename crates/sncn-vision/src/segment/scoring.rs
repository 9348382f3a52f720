//! `Scorer`: a label for every pixel of an image, whole or by sliding window, and the counts of a test set.
//!
//! By sliding window the class probabilities of overlapping windows are added and the largest sum wins. What is in memory at once
//! is one window's pass and height × width × classes sums of 4 bytes each: 159 MB for a 2048 × 1024 image with 19 classes, however
//! large the network's maps would be on the whole image.

use anyhow::{Result, ensure};
use candle_core::{D, Tensor};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sncn_core::loss::softmax;
use sncn_core::{Network, Pass};
use sncn_train::confusion::Confusion;
use sncn_train::data::{Dataset, VOID};
use sncn_train::evaluate::Reading;
use sncn_train::harness::settings;

/// How images are evaluated: the `evaluate` of a run.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Protocol {
    /// Height and width of the sliding window; absent: the whole image in one pass.
    #[serde(default)]
    pub window: Option<[usize; 2]>,
    /// Rows and columns between windows; absent: two thirds of the window.
    #[serde(default)]
    pub stride: Option<[usize; 2]>,
}

impl Protocol {
    /// Reads the `evaluate` of a run; absent is the whole image.
    ///
    /// # Errors
    /// Names the key that does not fit.
    pub fn read(settings: &Value) -> Result<Self> {
        let protocol: Self = settings::optional("evaluate", settings, None)?.unwrap_or_default();
        protocol.check()?;
        Ok(protocol)
    }

    /// A square window.
    ///
    /// # Errors
    /// If the side is too small.
    pub fn sliding(side: usize) -> Result<Self> {
        let protocol = Self { window: Some([side; 2]), stride: None };
        protocol.check()?;
        Ok(protocol)
    }

    fn check(&self) -> Result<()> {
        let Some(window) = self.window else {
            ensure!(self.stride.is_none(), "evaluate.stride is set, but evaluate.window is not");
            return Ok(());
        };
        let stride = self.stride.unwrap_or(window);
        for (side, step) in window.into_iter().zip(stride) {
            ensure!(side >= 16, "evaluate.window has a side of {side} pixels; at least 16 is accepted");
            ensure!((1..=side).contains(&step), "evaluate.stride has a step of {step}; 1 to the window's {side} is accepted");
        }
        Ok(())
    }
}

/// Starts of windows of `side` that cover `length` pixels, `step` apart, the last one flush with the end.
fn starts(length: usize, side: usize, step: usize) -> Vec<usize> {
    let last = length.saturating_sub(side);
    (0..last).step_by(step.max(1)).chain([last]).collect()
}

/// A network that labels pixels.
pub struct Scorer<'a> {
    /// The network.
    pub network: &'a dyn Network,
    /// The number of classes.
    pub classes: usize,
    /// Whole images or windows.
    pub protocol: Protocol,
    /// The evaluation pass.
    pub pass: Pass,
}

impl Scorer<'_> {
    /// The class of every pixel of images (N, H, W, 3), row by row. The windows at one place of all images pass through the network
    /// together.
    ///
    /// # Errors
    /// As the network.
    pub fn labels(&self, images: &Tensor) -> Result<Vec<u32>> {
        let (n, height, width, _) = images.dims4()?;
        let Some([high, wide]) = self.protocol.window.map(|[high, wide]| [high.min(height), wide.min(width)]) else {
            return Ok(self.network.forward(images, &self.pass)?.detach().argmax(D::Minus1)?.flatten_all()?.to_vec1()?);
        };
        let [down, across] = self.protocol.stride.unwrap_or([2 * high / 3, 2 * wide / 3]);
        let (pixels, mut sums) = (height * width, vec![0f32; n * height * width * self.classes]);
        for top in starts(height, high, down) {
            for left in starts(width, wide, across) {
                let windows = images.narrow(1, top, high)?.narrow(2, left, wide)?.contiguous()?;
                let logits = self.network.forward(&windows, &self.pass)?.detach();
                let probabilities = softmax(&logits)?.flatten_all()?.to_vec1::<f32>()?;
                for (row, probabilities) in probabilities.chunks_exact(wide * self.classes).enumerate() {
                    let from = (row / high * pixels + (top + row % high) * width + left) * self.classes;
                    sums[from..from + probabilities.len()].iter_mut().zip(probabilities).for_each(|(sum, p)| *sum += p);
                }
            }
        }
        Ok(sums.chunks_exact(self.classes).map(largest).collect())
    }

    /// Counts the pixels of a test set, image after image where `reading` asks for no batches; `observe` is called with the number of
    /// images after each batch.
    ///
    /// # Errors
    /// If an image cannot be read or the network does not take it, or images of one batch differ in size.
    pub fn score(&self, data: &dyn Dataset, reading: &Reading, observe: &mut dyn FnMut(usize)) -> Result<Confusion> {
        let mut confusion = Confusion::new(self.classes).ignoring(VOID);
        for indices in reading.batches(data.len(), 1) {
            let batch = data.batch(&indices, None)?;
            confusion.add(&batch.labels, &self.labels(&batch.inputs)?)?;
            observe(indices.len());
        }
        Ok(confusion)
    }
}

/// The index of the largest value; the first of equals.
fn largest(row: &[f32]) -> u32 {
    row.iter().enumerate().fold(0, |best, (i, &p)| if p > row[best] { i } else { best }) as u32
}
