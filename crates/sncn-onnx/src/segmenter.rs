//! `Segmenter`: an ONNX file as a network that labels pixels.

use crate::classifier::Reading;
use crate::error::OnnxError;
use crate::file::File;
use crate::graph::{Answer, Graph};
use candle_core::{Result, Tensor, bail};
use sncn_core::ops::resize_bilinear;
use sncn_core::{Network, Pass};
use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

/// An ONNX network that labels pixels: images (N, H, W, 3) to logits (N, H, W, classes). Images may differ in size where the file takes any;
/// each size is prepared once. Scores of fewer rows and columns than the image has are enlarged bilinearly.
pub struct Segmenter {
    file: File,
    reading: Reading,
    output: String,
    classes: usize,
    /// Whether the classes are the last axis of its answer.
    is_last: bool,
    /// By height and width.
    graphs: Mutex<HashMap<(usize, usize), Arc<Graph>>>,
}

impl Segmenter {
    /// Makes a network of a file and lets it answer two images of noise of a size (height and width), which tells the number of classes.
    ///
    /// # Errors
    /// If the file takes anything but one batch of images in 32-bit floats, or does not answer with finite scores of at least two classes
    /// for every pixel, or for every few.
    pub fn new(file: File, reading: Reading, size: (usize, usize)) -> std::result::Result<Self, OnnxError> {
        let output = file.output(reading.output.as_deref())?;
        let graph = Graph::new(&file, size, reading.layout, &output)?;
        let (shape, scores) = graph.probe()?;
        let found = classes(&shape, size);
        let (classes, is_last) = found.ok_or_else(|| {
            let shape: Vec<String> = shape.iter().map(ToString::to_string).collect();
            file.unfit(format!(
                "the output {output:?} has shape {} for two images of {} x {}; scores (N, classes, H, W) or (N, H, W, classes) are accepted: name \
                 another output",
                shape.join(" x "),
                size.0,
                size.1
            ))
        })?;
        file.finite(&scores)?;
        let graphs = Mutex::new(HashMap::from([(size, Arc::new(graph))]));
        Ok(Self { file, reading, output, classes, is_last, graphs })
    }

    /// Opens the file at a path.
    ///
    /// # Errors
    /// As [`File::read`] and [`Segmenter::new`].
    pub fn open(path: &Path, reading: Reading, size: (usize, usize)) -> std::result::Result<Self, OnnxError> {
        Self::new(File::read(path)?, reading, size)
    }

    /// The number of classes.
    pub fn classes(&self) -> usize {
        self.classes
    }

    /// What is known of it, in words.
    pub fn describe(&self) -> String {
        let graphs = self.graphs.lock().unwrap_or_else(PoisonError::into_inner);
        let runs = graphs.values().next().map_or(String::new(), |graph| format!("; {}", graph.runs()));
        format!("{} classes a pixel{runs}", self.classes)
    }

    fn graph(&self, size: (usize, usize)) -> Result<Arc<Graph>> {
        let mut graphs = self.graphs.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(graph) = graphs.get(&size) {
            return Ok(graph.clone());
        }
        let made = Graph::new(&self.file, size, self.reading.layout, &self.output).map_err(candle_core::Error::wrap)?;
        Ok(graphs.entry(size).or_insert(Arc::new(made)).clone())
    }
}

impl Network for Segmenter {
    fn forward(&self, xs: &Tensor, pass: &Pass) -> Result<Tensor> {
        let (n, height, width, _) = xs.dims4()?;
        let graph = self.graph((height, width))?;
        graph.check(xs, pass)?;
        let (shape, scores): Answer = graph.answers(xs, pass)?;
        let &[_, one, two, three] = shape.as_slice() else { bail!("an answer of {} axes", shape.len()) };
        let scores = Tensor::from_vec(scores, (n, one, two, three), xs.device())?;
        let scores = if self.is_last { scores } else { scores.permute((0, 2, 3, 1))?.contiguous()? };
        match scores.dims4()? {
            (_, rows, columns, _) if (rows, columns) == (height, width) => Ok(scores),
            _ => resize_bilinear(&scores, (height, width)),
        }
    }

    fn sites(&self) -> usize {
        0
    }
}

/// The most rows of pixels for which there is one of scores.
const STRIDE: usize = 64;

/// The number of classes of scores of that shape for two images, and whether they are its last axis. Rows and columns are those of the image,
/// or an equal part of both.
fn classes(shape: &[usize], (height, width): (usize, usize)) -> Option<(usize, bool)> {
    let &[2, one, two, three] = shape else { return None };
    // sides that a stride does not divide are rounded up or down
    let of = |side: usize, stride: usize, found: usize| found == side / stride || found == side.div_ceil(stride);
    let are_pixels = |rows: usize, columns: usize| {
        (1..=STRIDE).any(|stride| of(height, stride, rows) && of(width, stride, columns)) && rows * columns > 0
    };
    match are_pixels(two, three) && one > 1 {
        true => Some((one, false)),
        false => (are_pixels(one, two) && three > 1).then_some((three, true)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_axis_of_the_classes_is_found() {
        assert_eq!(classes(&[2, 21, 360, 480], (360, 480)), Some((21, false)));
        assert_eq!(classes(&[2, 360, 480, 21], (360, 480)), Some((21, true)));
        assert_eq!(classes(&[2, 150, 128, 128], (512, 512)), Some((150, false)));
        assert_eq!(classes(&[2, 19, 45, 60], (360, 480)), Some((19, false)));
        // 361 pixels by a stride of 8
        assert_eq!(classes(&[2, 19, 46, 60], (361, 480)), Some((19, false)));
        assert_eq!(classes(&[2, 1, 360, 480], (360, 480)), None);
        assert_eq!(classes(&[2, 1000], (360, 480)), None);
    }
}
