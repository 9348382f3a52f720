//! AllConvNet (Springenberg et al. 2015; Salimans, Kingma 2016), as in the AugMix and CrossNorm experiments: `allconv`.
//!
//! Nine units of convolution, BatchNorm and GELU (x·sigmoid(1.702·x)), widths 96 and 192, max pooling and dropout after
//! the third and sixth; the 1×1 convolutions pad by 1. Positions: `conv`, `norm`, `activation` (after each of the three).
//! Names count every entry of one sequence, hung layers and pools too: `features.4.weight`.

use super::{Blueprint, ConvLayer, Head};
use candle_core::{Result, Tensor, bail};
use rand::RngExt;
use sncn_core::layer::{BatchNorm, Hooks, Layer, Place};
use sncn_core::ops::{self, Conv};
use sncn_core::{Network, Pass};

const POSITIONS: [&str; 3] = ["conv", "norm", "activation"];
const DROPOUT: f64 = 0.5;

enum Step {
    Conv(ConvLayer),
    Norm(BatchNorm),
    Gelu,
    Hook(&'static str, Hooks),
    MaxPool,
    Dropout(u64),
}

/// The network.
pub struct AllConvNet {
    steps: Vec<Step>,
    head: Head,
    sites: usize,
}

impl AllConvNet {
    /// `allconv`; `None` for other names.
    pub fn named(name: &str, blueprint: &Blueprint) -> Option<Result<Box<dyn Network>>> {
        (name == "allconv").then(|| Self::new(blueprint).map(|network| Box::new(network) as _))
    }

    /// The published widths.
    ///
    /// # Errors
    /// Where a layer does not fit.
    pub fn new(blueprint: &Blueprint) -> Result<Self> {
        Hooks::check(blueprint.layers, POSITIONS.iter().copied())?;
        let place = Place::new(96, blueprint.vars.builder());
        let features = place.vb.pp("features");
        let (mut steps, mut from) = (Vec::new(), 3);
        for (to, kernel, padding) in
            [(96, 3, 1), (96, 3, 1), (96, 3, 1), (192, 3, 1), (192, 3, 1), (192, 3, 1), (192, 3, 0), (192, 1, 1), (192, 1, 1)]
        {
            // the widening convolution and the one 3×3 without padding stand behind a pool
            if (from, to) == (96, 192) || (kernel, padding) == (3, 0) {
                steps.push(Step::MaxPool);
                steps.push(Step::Dropout(steps.len() as u64));
            }
            let vb = features.pp(steps.len());
            steps.push(Step::Conv(ConvLayer::new(vb, from, to, kernel, true, Conv { padding, ..Conv::default() })?));
            Self::hang("conv", to, &mut steps, blueprint, &place)?;
            steps.push(Step::Norm(BatchNorm::new(&place.at(to, features.pp(steps.len())))?));
            Self::hang("norm", to, &mut steps, blueprint, &place)?;
            steps.push(Step::Gelu);
            Self::hang("activation", to, &mut steps, blueprint, &place)?;
            from = to;
        }
        let head = Head::new(place.vb.pp("classifier"), from, blueprint.classes)?;
        Ok(Self { steps, head, sites: place.sites() })
    }

    fn hang(at: &'static str, channels: usize, steps: &mut Vec<Step>, blueprint: &Blueprint, place: &Place) -> Result<()> {
        let here: Vec<_> = blueprint.layers.iter().filter(|layer| layer.at == at).cloned().collect();
        if !here.is_empty() {
            let place = place.at(channels, place.vb.pp("features").pp(steps.len()));
            steps.push(Step::Hook(at, Hooks::new(&here, &[(at, channels)], &place)?));
        }
        Ok(())
    }
}

/// Inverted dropout from the pass's own stream.
fn dropout(xs: &Tensor, number: u64, pass: &Pass) -> Result<Tensor> {
    if !pass.train || pass.without_dropout() {
        return Ok(xs.clone());
    }
    let mut rng = pass.seed().named("dropout").fold_in(number).rng();
    let scale = 1. / (1. - DROPOUT);
    let mask: Vec<f64> = (0..xs.elem_count()).map(|_| if rng.random_bool(DROPOUT) { 0. } else { scale }).collect();
    xs * Tensor::from_vec(mask, xs.shape(), xs.device())?.to_dtype(xs.dtype())?
}

impl Network for AllConvNet {
    fn forward(&self, xs: &Tensor, pass: &Pass) -> Result<Tensor> {
        let mut xs = xs.clone();
        for step in &self.steps {
            xs = match step {
                Step::Conv(conv) => conv.forward(&xs, pass)?,
                Step::Norm(norm) => norm.forward(&xs, pass)?,
                Step::Gelu => ops::gelu_sigmoid(&xs)?,
                Step::Hook(at, hooks) => hooks.at(at, &xs, pass)?,
                Step::MaxPool => ops::max_pool2d(&xs, 2, 2, 0)?,
                Step::Dropout(number) => dropout(&xs, *number, pass)?,
            };
        }
        let (_, height, width, _) = xs.dims4()?;
        if height < 8 || width < 8 {
            bail!("backbone allconv: images of at least 26 × 26 are wanted (the last map is {height} × {width}, pooled 8 × 8)")
        }
        // the published net pools the top-left 8 × 8 of a 10 × 10 map
        let pooled = ops::avg_pool2d(&xs, 8, 8)?.narrow(1, 0, 1)?.narrow(2, 0, 1)?.flatten_from(1)?;
        self.head.forward(&pooled)
    }

    fn sites(&self) -> usize {
        self.sites
    }
}
