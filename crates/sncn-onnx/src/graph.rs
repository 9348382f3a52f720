//! `Graph`: a file in its two parts, ready to answer images of one size.

use crate::body::Body;
use crate::error::OnnxError;
use crate::file::{File, Input, Layout, told};
use crate::rest::Rest;
use crate::translate::{Crossing, Shape, split};
use candle_core::{Device, Result, Tensor, bail};
use rayon::prelude::*;
use sncn_core::Pass;

/// A file in two parts.
pub(crate) struct Graph {
    at: String,
    pub(crate) input: Input,
    body: Option<Body>,
    rest: Option<Rest>,
    /// What the body hands over, or the image alone.
    crossings: Vec<Crossing>,
    /// How many nodes run on the kernels, and in all.
    counts: [usize; 2],
}

/// What a graph answers to images: values with their shape, in the layout of the file.
pub(crate) type Answer = (Vec<usize>, Vec<f32>);

impl Graph {
    /// Prepares a file for images of a size, height and width.
    ///
    /// # Errors
    /// If its input is none of such images, there is no output of that name, or tract does not take what is left to it.
    pub(crate) fn new(
        file: &File,
        size: (usize, usize),
        layout: Option<Layout>,
        output: &str,
    ) -> std::result::Result<Self, OnnxError> {
        let input = file.input(size, layout)?;
        let batch = input.batch.unwrap_or(1);
        let (body, rest, crossings, counts) = match split(file, &input, output)? {
            Some(parts) => {
                let counts = [parts.taken, parts.taken + parts.rest.len()];
                let read = parts.crossings.iter().map(|crossing| (crossing.name.clone(), crossing.shape.dims(batch))).collect();
                let is_whole = parts.rest.is_empty();
                let rest = if is_whole { None } else { Some(Rest::new(file, parts.rest, read, output)?) };
                (Some(parts.body), rest, parts.crossings, counts)
            }
            None => {
                let (height, width) = input.size;
                let dims = match input.layout {
                    Layout::Nchw => vec![batch, 3, height, width],
                    Layout::Nhwc => vec![batch, height, width, 3],
                };
                let rest = Rest::new(file, file.graph().node.clone(), vec![(input.name.clone(), dims)], output)?;
                let image = Crossing { name: input.name.clone(), value: 0, shape: Shape::Map(height, width, 3) };
                (None, Some(rest), vec![image], [0, file.graph().node.len()])
            }
        };
        Ok(Self { at: file.at.clone(), input, body, rest, crossings, counts })
    }

    /// Its input and its parts, in words.
    pub(crate) fn describe(&self) -> String {
        let (height, width) = self.input.size;
        let batch = self.input.batch.map_or("any batch".to_string(), |batch| format!("batches of {batch}"));
        let layout = if self.input.layout == Layout::Nchw { "channels first" } else { "channels last" };
        format!("images of {height} x {width} pixels, {layout}, {batch}")
    }

    /// Where its nodes run, in words.
    pub(crate) fn runs(&self) -> String {
        let [in_body, nodes] = self.counts;
        format!("{in_body} of {nodes} nodes run on this program's kernels, the others on tract")
    }

    /// The answer to two images of noise.
    ///
    /// # Errors
    /// If a part of it fails.
    pub(crate) fn probe(&self) -> std::result::Result<Answer, OnnxError> {
        let (height, width) = self.input.size;
        let noise = |index: usize| ((index as u32).wrapping_mul(2_654_435_761) >> 16) as f32 / 65_536. - 0.5;
        let images = Tensor::from_vec((0..2 * height * width * 3).map(noise).collect(), (2, height, width, 3), &Device::Cpu);
        let answer = images.and_then(|images| self.answers(&images, &Pass::eval()));
        answer.map_err(|error| OnnxError::Run { file: self.at.clone(), what: cause(&error) })
    }

    /// Refuses images of another size, and training.
    ///
    /// # Errors
    /// Says which.
    pub(crate) fn check(&self, xs: &Tensor, pass: &Pass) -> Result<()> {
        let (_, height, width, channels) = xs.dims4()?;
        if (height, width, channels) != (self.input.size.0, self.input.size.1, 3) {
            bail!("{}: images {height} x {width} x {channels}; it takes {:?} x 3", self.at, self.input.size)
        }
        if pass.train {
            bail!("{}: an ONNX model is measured here and not trained", self.at)
        }
        Ok(())
    }

    /// What it answers to images (N, H, W, 3), one image after another, with the shape that it has for a batch.
    ///
    /// # Errors
    /// If a part of it fails.
    pub(crate) fn answers(&self, xs: &Tensor, pass: &Pass) -> Result<Answer> {
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

/// An error of candle without the places in the code that it passed.
fn cause(error: &candle_core::Error) -> String {
    match error {
        candle_core::Error::WithBacktrace { inner, .. } => cause(inner),
        other => told(other),
    }
}
