//! `Classifier`: an ONNX file as a network.

use crate::body::Body;
use crate::error::OnnxError;
use crate::file::{File, Input, Layout, told};
use crate::rest::Rest;
use crate::translate::{Crossing, Shape, split};
use candle_core::{Device, Result, Tensor, bail};
use rayon::prelude::*;
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
    at: String,
    input: Input,
    body: Option<Body>,
    rest: Option<Rest>,
    /// What the body hands over, or the image alone.
    crossings: Vec<Crossing>,
    classes: usize,
    /// Whether it answers with probabilities.
    is_softmax: bool,
    nodes: usize,
    in_body: usize,
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
        let (input, output) = (file.input(reading.size, reading.layout)?, file.output(reading.output.as_deref())?);
        let batch = input.batch.unwrap_or(1);
        let parts = split(file, &input, &output)?;
        let (body, rest, crossings, [in_body, nodes]) = match parts {
            Some(parts) => {
                let counts = [parts.taken, parts.taken + parts.rest.len()];
                let read = parts.crossings.iter().map(|crossing| (crossing.name.clone(), crossing.shape.dims(batch))).collect();
                let is_whole = parts.rest.is_empty();
                let rest = if is_whole { None } else { Some(Rest::new(file, parts.rest, read, &output)?) };
                (Some(parts.body), rest, parts.crossings, counts)
            }
            None => {
                let (height, width) = input.size;
                let dims = match input.layout {
                    Layout::Nchw => vec![batch, 3, height, width],
                    Layout::Nhwc => vec![batch, height, width, 3],
                };
                let rest = Rest::new(file, file.graph().node.clone(), vec![(input.name.clone(), dims)], &output)?;
                let image = Crossing { name: input.name.clone(), value: 0, shape: Shape::Map(height, width, 3) };
                (None, Some(rest), vec![image], [0, file.graph().node.len()])
            }
        };
        let mut model = Self { at: file.at.clone(), input, body, rest, crossings, classes: 0, is_softmax: false, nodes, in_body };
        let (shape, scores) = model.probe()?;
        model.classes = classes(&shape).ok_or_else(|| {
            let shape: Vec<String> = shape.iter().map(ToString::to_string).collect();
            file.unfit(format!(
                "the output {output:?} has shape {}; scores of at least two classes (N, classes) are accepted: name another output",
                shape.join(" x ")
            ))
        })?;
        if let Some(value) = scores.iter().find(|value| !value.is_finite()) {
            return Err(file.unfit(format!(
                "it answers {value} to an image of noise: its weights are damaged, or its input is not scaled so"
            )));
        }
        model.is_softmax = scores.chunks(model.classes).all(are_probabilities);
        Ok(model)
    }

    /// The number of classes.
    pub fn classes(&self) -> usize {
        self.classes
    }

    /// What is known of it, in words.
    pub fn describe(&self) -> String {
        let (height, width) = self.input.size;
        let ends = if self.is_softmax { "probabilities" } else { "logits" };
        let batch = self.input.batch.map_or("any batch".to_string(), |batch| format!("batches of {batch}"));
        let layout = if self.input.layout == Layout::Nchw { "channels first" } else { "channels last" };
        format!(
            "images of {height} x {width} pixels, {layout}, {batch}; {} classes, answered by {ends}; {} of {} nodes run on this program's kernels, the others on tract",
            self.classes, self.in_body, self.nodes
        )
    }

    /// The answer to two images of noise.
    fn probe(&self) -> std::result::Result<(Vec<usize>, Vec<f32>), OnnxError> {
        let (height, width) = self.input.size;
        let noise = |index: usize| ((index as u32).wrapping_mul(2_654_435_761) >> 16) as f32 / 65_536. - 0.5;
        let images = Tensor::from_vec((0..2 * height * width * 3).map(noise).collect(), (2, height, width, 3), &Device::Cpu);
        let answer = images.and_then(|images| self.answers(&images, &Pass::eval()));
        answer.map_err(|error| OnnxError::Run { file: self.at.clone(), what: cause(&error) })
    }

    /// What the model answers, one image after another, with the shape that it has for a batch.
    fn answers(&self, xs: &Tensor, pass: &Pass) -> Result<(Vec<usize>, Vec<f32>)> {
        let n = xs.dim(0)?;
        let handed: Vec<Tensor> = match &self.body {
            Some(body) => body.run(xs, pass)?,
            None => vec![xs.clone()],
        };
        let values = handed.into_iter().map(|value| match value.rank() {
            4 if self.body.is_some() || self.input.layout == Layout::Nchw => {
                value.permute((0, 3, 1, 2))?.flatten_all()?.to_vec1()
            }
            _ => value.flatten_all()?.to_vec1(),
        });
        let mut values: Vec<Vec<f32>> = values.collect::<Result<_>>()?;
        let Some(rest) = &self.rest else {
            let shape = self.crossings[0].shape.dims(n);
            return Ok((shape, values.swap_remove(0)));
        };
        let (batch, lengths) = (self.input.batch.unwrap_or(1), values.iter().map(|values| values.len() / n).collect::<Vec<_>>());
        let begins: Vec<usize> = (0..n).step_by(batch).collect();
        let each = begins.into_par_iter().map(|first| {
            let count = batch.min(n - first);
            // a batch that is not full is filled with its last image
            let filled = |(values, &length): (&Vec<f32>, &usize)| {
                let mut part = values[first * length..(first + count) * length].to_vec();
                (count..batch).for_each(|_| part.extend_from_within((count - 1) * length..count * length));
                part
            };
            let parts: Vec<Vec<f32>> = values.iter().zip(&lengths).map(filled).collect();
            let (shape, mut answer) = rest.run(&parts.iter().map(Vec::as_slice).collect::<Vec<_>>())?;
            answer.truncate(answer.len() / batch * count);
            Ok((shape, answer))
        });
        let each = each.collect::<std::result::Result<Vec<_>, OnnxError>>().map_err(candle_core::Error::wrap)?;
        let mut shape = each.first().map_or(Vec::new(), |(shape, _)| shape.clone());
        if let Some(first) = shape.first_mut().filter(|first| **first == batch) {
            *first = n;
        }
        Ok((shape, each.into_iter().flat_map(|(_, answer)| answer).collect()))
    }
}

impl Network for Classifier {
    fn forward(&self, xs: &Tensor, pass: &Pass) -> Result<Tensor> {
        let (_, height, width, channels) = xs.dims4()?;
        if (height, width, channels) != (self.input.size.0, self.input.size.1, 3) {
            bail!("{}: images {height} x {width} x {channels}; it takes {:?} x 3", self.at, self.input.size)
        }
        if pass.train {
            bail!("{}: an ONNX model is measured here and not trained", self.at)
        }
        in_chunks(xs, pass, |xs| {
            let (n, (_, mut scores)) = (xs.dim(0)?, self.answers(xs, pass)?);
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

/// An error of candle without the places in the code that it passed.
fn cause(error: &candle_core::Error) -> String {
    match error {
        candle_core::Error::WithBacktrace { inner, .. } => cause(inner),
        other => told(other),
    }
}

/// Whether scores are probabilities: none below 0, and 1 in all.
fn are_probabilities(scores: &[f32]) -> bool {
    scores.iter().all(|value| *value >= 0.) && (scores.iter().sum::<f32>() - 1.).abs() < 1e-3
}
