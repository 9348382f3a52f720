//! The small network of several golden cases.

use anyhow::{Context, Result};
use candle_core::Tensor;
use sncn_core::block::{ConvLayer, Head};
use sncn_core::layer::{BatchNorm, CrossNorm, CrossNormConfig};
use sncn_core::{BuildContext, FeatureMap, Layer, Network, Pass, Vars};
use sncn_golden::Case;

/// Convolutions, each with BatchNorm, an activation and a site of CrossNorm; mean over positions, classifier.
pub(crate) struct Tiny {
    units: Vec<(ConvLayer, BatchNorm, CrossNorm)>,
    slope: f64,
    head: Head,
}

impl Tiny {
    pub(crate) fn new(case: &Case, vars: &Vars) -> Result<Self> {
        let net = &case.params["net"];
        let list = |key: &str| -> Result<Vec<usize>> {
            let values = net[key].as_array().with_context(|| key.to_string())?.iter();
            values.map(|value| value.as_u64().map(|value| value as usize)).collect::<Option<_>>().with_context(|| key.to_string())
        };
        let number = |key: &str| net[key].as_f64().with_context(|| key.to_string());
        let (widths, strides, eps) = (list("widths")?, list("strides")?, number("bn_eps")?);
        let momentum = net["bn_momentum"].as_f64().unwrap_or(0.1);
        let cx = BuildContext::new(0, vars.builder());
        let unit = |at: usize| -> Result<(ConvLayer, BatchNorm, CrossNorm)> {
            let (from, to) = (widths[at - 1], widths[at]);
            let conv = ConvLayer::same(cx.vb.pp(format!("conv{at}")), from, to, 3, strides[at - 1])?;
            let cx = cx.at(to, cx.vb.pp(format!("bn{at}")));
            Ok((conv, BatchNorm::with(&cx, eps, momentum)?, CrossNorm::new(CrossNormConfig::default(), &cx)?))
        };
        let units = (1..widths.len()).map(unit).collect::<Result<_>>()?;
        let (last, classes) = (widths[widths.len() - 1], number("num_classes")? as usize);
        Ok(Self { units, slope: number("slope")?, head: Head::new(cx.vb.pp("fc"), last, classes)? })
    }
}

impl Tiny {
    /// The map after the first `count` units.
    fn map(&self, xs: &Tensor, count: usize, pass: &Pass) -> candle_core::Result<FeatureMap> {
        let mut map = FeatureMap::from_tensor(xs, true, pass)?;
        for (conv, norm, mix) in &self.units[..count] {
            map = norm.on_map(&conv.on_map(&map)?, pass)?;
            map = if self.slope == 0. { map.relu()? } else { map.leaky_relu(self.slope)? };
            map = mix.on_map(&map, pass)?;
        }
        Ok(map)
    }

    /// The features that a case names `act<unit>`, in a pass that records but uses running statistics.
    pub(crate) fn features(&self, xs: &Tensor, name: &str, pass: &Pass) -> Result<Tensor> {
        let count = name.strip_prefix("act").and_then(|unit| unit.parse().ok()).with_context(|| name.to_string())?;
        Ok(self.map(xs, count, pass)?.to_tensor()?)
    }
}

impl Network for Tiny {
    fn forward(&self, xs: &Tensor, pass: &Pass) -> candle_core::Result<Tensor> {
        self.head.forward(&self.map(xs, self.units.len(), pass)?.global_avg_pool()?)
    }

    fn sites(&self) -> usize {
        self.units.len()
    }
}
