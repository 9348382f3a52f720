//! `Classifier`: an ONNX file as a network.

use crate::error::OnnxError;
use crate::file::{File, Layout};
use crate::graph::Graph;
use candle_core::{Result, Tensor};
use sncn_core::block::in_chunks;
use sncn_core::{Network, Pass};
use std::path::Path;

/// How a file is read where it leaves something open.
#[derive(Clone, Debug, Default)]
pub struct Reading {
    /// The side of its images in pixels.
    pub size: usize,
    /// Where its channels are; `None`: as its input's shape tells.
    pub layout: Option<Layout>,
    /// The name of the output with the scores; `None`: the first.
    pub output: Option<String>,
}

/// An ONNX image classifier: images (N, H, W, 3) to logits (N, classes).
pub struct Classifier {
    graph: Graph,
    classes: usize,
    /// Whether it answers with probabilities.
    is_softmax: bool,
}

/// The smallest probability whose logarithm is taken.
const LEAST: f32 = 1e-30;

impl Classifier {
    /// Opens the file at a path.
    ///
    /// # Errors
    /// As [`File::read`] and [`Classifier::new`].
    pub fn open(path: &Path, reading: &Reading) -> std::result::Result<Self, OnnxError> {
        Self::new(&File::read(path)?, reading)
    }

    /// Makes a network of a file and lets it answer two images of noise, which tells the number of classes and whether it ends in a softmax.
    ///
    /// # Errors
    /// If the file takes anything but one batch of images in 32-bit floats, or does not answer with a finite score for each of at least two
    /// classes.
    pub fn new(file: &File, reading: &Reading) -> std::result::Result<Self, OnnxError> {
        let output = file.output(reading.output.as_deref())?;
        let graph = Graph::new(file, (reading.size, reading.size), reading.layout, &output)?;
        let (shape, scores) = graph.probe()?;
        let classes = classes(&shape).ok_or_else(|| {
            let shape: Vec<String> = shape.iter().map(ToString::to_string).collect();
            file.unfit(format!(
                "the output {output:?} has shape {}; scores of at least two classes (N, classes) are accepted: name another output",
                shape.join(" x ")
            ))
        })?;
        file.finite(&scores)?;
        let is_softmax = scores.chunks(classes).all(are_probabilities);
        Ok(Self { graph, classes, is_softmax })
    }

    /// The number of classes.
    pub fn classes(&self) -> usize {
        self.classes
    }

    /// What is known of it, in words.
    pub fn describe(&self) -> String {
        let ends = if self.is_softmax { "probabilities" } else { "logits" };
        format!("{}; {} classes, answered by {ends}; {}", self.graph.describe(), self.classes, self.graph.runs())
    }
}

impl Network for Classifier {
    fn forward(&self, xs: &Tensor, pass: &Pass) -> Result<Tensor> {
        self.graph.check(xs, pass)?;
        in_chunks(xs, pass, |xs| {
            let (n, (_, mut scores)) = (xs.dim(0)?, self.graph.answers(xs, pass)?);
            if self.is_softmax {
                scores.iter_mut().for_each(|value| *value = value.max(LEAST).ln());
            }
            Tensor::from_vec(scores, (n, self.classes), xs.device())
        })
    }

    fn sites(&self) -> usize {
        0
    }
}

/// The number of classes of scores of that shape for two images.
fn classes(shape: &[usize]) -> Option<usize> {
    let (&images, others) = shape.split_first()?;
    let count: usize = others.iter().product();
    (images == 2 && count > 1 && others.iter().filter(|dim| **dim > 1).count() == 1).then_some(count)
}

/// Whether scores are probabilities: none below 0, and 1 in all.
fn are_probabilities(scores: &[f32]) -> bool {
    scores.iter().all(|value| *value >= 0.) && (scores.iter().sum::<f32>() - 1.).abs() < 1e-3
}
