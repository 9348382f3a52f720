//! `AutoEncoder`: the encoder and decoder of AdaIN (Huang, Belongie 2017), from the files that its PyTorch implementation published.
//!
//! The encoder is VGG-19 up to relu4_1, the decoder its mirror image; all convolutions but the first have a window of 3 and mirror the map at
//! its edges. The numbers of channels are those of the files.

use super::moments::Moments;
use anyhow::{Context, Result, ensure};
use candle_core::{DType, Device, Tensor};
use candle_nn::Init;
use sncn_core::ops::{Conv, max_pool2d, resize_nearest};
use sncn_core::{FeatureMap, Pass, Seed, Vars};
use sncn_train::files;
use sncn_weights::{NameMap, Weights};
use std::path::Path;

/// What comes before a convolution.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Before {
    Nothing,
    /// Maxima of 2 × 2 positions; at an odd edge of those that there are.
    Pool,
    /// Every position twice, in rows and in columns.
    Upsample,
}

use Before::{Nothing, Pool, Upsample};

/// The convolutions of the encoder by their published numbers; all but the first are followed by a rectifier.
const ENCODER: [(usize, Before); 10] = [
    (0, Nothing),
    (2, Nothing),
    (5, Nothing),
    (9, Pool),
    (12, Nothing),
    (16, Pool),
    (19, Nothing),
    (22, Nothing),
    (25, Nothing),
    (29, Pool),
];

/// Those of the decoder; all but the last are followed by a rectifier.
const DECODER: [(usize, Before); 9] = [
    (1, Nothing),
    (5, Upsample),
    (8, Nothing),
    (11, Nothing),
    (14, Nothing),
    (18, Upsample),
    (21, Nothing),
    (25, Upsample),
    (28, Nothing),
];

/// The fewest rows and columns that an image may have: the deepest maps are then of 2 × 2 positions, which can be mirrored.
pub(super) const SMALLEST: usize = 16;

struct Convolution {
    before: Before,
    weight: Tensor,
    bias: Tensor,
    rectified: bool,
}

impl Convolution {
    /// Of a map (1, H, W, C).
    fn apply(&self, xs: &Tensor) -> candle_core::Result<Tensor> {
        let xs = match self.before {
            Nothing => xs.clone(),
            Pool => pooled(xs)?,
            Upsample => resize_nearest(xs, (2 * xs.dim(1)?, 2 * xs.dim(2)?))?,
        };
        let xs = match self.weight.dim(2)? {
            1 => xs,
            _ => mirrored(&mirrored(&xs, 1)?, 2)?,
        };
        let map = FeatureMap::from_tensor(&xs.contiguous()?, true, &Pass::eval())?;
        let ys = map.conv_bias(&self.weight, &self.bias, &Conv { padding: 0, ..Conv::default() })?;
        if self.rectified { ys.relu()?.to_tensor() } else { ys.to_tensor() }
    }
}

/// A map with one more position before and after, the neighbours of the edges.
fn mirrored(xs: &Tensor, dim: usize) -> candle_core::Result<Tensor> {
    let length = xs.dim(dim)?;
    Tensor::cat(&[&xs.narrow(dim, 1, 1)?, xs, &xs.narrow(dim, length - 2, 1)?], dim)
}

fn pooled(xs: &Tensor) -> candle_core::Result<Tensor> {
    // the last of an odd number of positions again, which changes no maximum
    let even = |xs: &Tensor, dim: usize| match xs.dim(dim)? {
        length if length % 2 == 1 => Tensor::cat(&[xs, &xs.narrow(dim, length - 1, 1)?], dim),
        _ => Ok(xs.clone()),
    };
    max_pool2d(&even(&even(xs, 1)?, 2)?.contiguous()?, 2, 2, 0)
}

/// Encoder and decoder.
pub(super) struct AutoEncoder {
    encoder: Vec<Convolution>,
    decoder: Vec<Convolution>,
}

impl AutoEncoder {
    /// Reads both files.
    ///
    /// # Errors
    /// If one is missing, damaged, or not of such a network; the error names the file and the tensor.
    pub(super) fn open(encoder: &Path, decoder: &Path) -> Result<Self> {
        let (first, second) = (read(encoder, "encoder", &ENCODER, 0)?, read(decoder, "decoder", &DECODER, DECODER.len() - 1)?);
        let (inner, into) = (first.last().map(|last| last.weight.dim(0)), second.first().map(|first| first.weight.dim(1)));
        let (inner, into) = (inner.transpose()?.unwrap_or_default(), into.transpose()?.unwrap_or_default());
        ensure!(
            inner == into,
            "{}: the encoder gives {inner} channels, and the decoder {} takes {into}: they are not of one network",
            encoder.display(),
            decoder.display()
        );
        Ok(Self { encoder: first, decoder: second })
    }

    /// Bytes that maps take for every pixel of an image, the widest three of them at a time.
    pub(super) fn memory(&self) -> usize {
        // deeper maps have as many channels more as they have positions fewer, or less
        3 * size_of::<f32>() * self.encoder.iter().take(3).map(|one| one.bias.elem_count()).max().unwrap_or(0)
    }

    /// The statistics of the features of an image (1, H, W, 3) of fractions.
    pub(super) fn moments(&self, image: &Tensor) -> candle_core::Result<Moments> {
        Moments::of_map(&self.encoded(image)?)
    }

    fn encoded(&self, image: &Tensor) -> candle_core::Result<Tensor> {
        self.encoder.iter().try_fold(image.clone(), |xs, convolution| convolution.apply(&xs))
    }

    /// An image (1, H, W, 3) of fractions with features that have these statistics, as far as `strength` says.
    pub(super) fn restyled(&self, image: &Tensor, style: &Moments, strength: f64) -> candle_core::Result<Tensor> {
        let (_, height, width, _) = image.dims4()?;
        let features = self.encoded(image)?;
        let (scale, bias): (Vec<f64>, Vec<f64>) = Moments::of_map(&features)?.towards(style, strength).into_iter().unzip();
        let of = |values: Vec<f64>| Tensor::new(values, image.device())?.to_dtype(features.dtype());
        let features = features.broadcast_mul(&of(scale)?)?.broadcast_add(&of(bias)?)?;
        let found = self.decoder.iter().try_fold(features, |xs, convolution| convolution.apply(&xs))?;
        // an odd edge has become even on the way
        found.narrow(1, 0, height)?.narrow(2, 0, width)
    }
}

/// The convolutions of a file; the one in place `plain` has no rectifier.
fn read(path: &Path, what: &str, numbers: &[(usize, Before)], plain: usize) -> Result<Vec<Convolution>> {
    let weights = Weights::open(path, files::look)?;
    let at = || weights.path().display().to_string();
    let names: Vec<String> = numbers.iter().flat_map(|(at, _)| ["weight", "bias"].map(|part| format!("{at}.{part}"))).collect();
    let found = weights.find(&names, &NameMap::STRICT, None).with_context(at)?;
    let (vars, mut last) = (Vars::new(Seed::new(0), DType::F32, &Device::Cpu), 3);
    let mut convolutions = Vec::new();
    for (place, &(number, before)) in numbers.iter().enumerate() {
        let (weight, bias) = (format!("{number}.weight"), format!("{number}.bias"));
        let shape = found.shape(&weight).with_context(|| {
            format!("{}: no {weight}, which the {what} of AdaIN has (VGG-19 up to relu4_1, and its mirror image)", at())
        })?;
        let sides = if place == 0 && what == "encoder" { 1 } else { 3 };
        let &[to, from, rows, columns] = shape else {
            anyhow::bail!("{}: {weight} has shape {shape:?}; four dimensions are wanted", at())
        };
        let fits = (rows, columns) == (sides, sides) && (from == last || (place == 0 && what == "decoder"));
        ensure!(
            fits,
            "{}: an {what} of other shapes: {weight} is {shape:?}, and [any, {last}, {sides}, {sides}] is wanted",
            at()
        );
        let zero = Init::Const(0.);
        convolutions.push(Convolution {
            before,
            weight: vars.builder().get_with_hints((to, from, rows, columns), &weight, zero)?,
            bias: vars.builder().get_with_hints(to, &bias, zero)?,
            rectified: place != plain,
        });
        last = to;
    }
    ensure!(what == "encoder" || last == 3, "{}: the decoder gives {last} channels; 3 are wanted", at());
    found.load(&vars, |_, _, _| ()).with_context(at)?;
    convolutions.iter_mut().for_each(|one| (one.weight, one.bias) = (one.weight.detach(), one.bias.detach()));
    Ok(convolutions)
}
