//! Figures of single layers, forward and with the backward pass.

use super::trainer::{partners, random};
use anyhow::Result;
use candle_core::{DType, Device, Tensor, Var};
use serde_json::json;
use sncn_core::layer::{BatchNorm, CrossNorm, CrossNormConfig, Layer, SelfNorm, SelfNormConfig};
use sncn_core::ops::{self, Conv};
use sncn_core::{BuildContext, FeatureMap, Pass, Seed, Vars};
use sncn_train::harness::bench::Meter;

/// Prints the figures of every layer.
pub(super) fn layers(meter: &Meter) -> Result<()> {
    Bench(meter).layers()
}

/// Prints the figures of linear layers.
pub(super) fn linear(meter: &Meter) -> Result<()> {
    Bench(meter).linear()
}

struct Bench<'a>(&'a Meter);

impl Bench<'_> {
    /// Prints milliseconds, with the bytes that have to move and the operations that the plain algorithm does.
    fn milliseconds<T>(&self, case: &str, what: &str, work: Work, step: impl FnMut() -> Result<T>) -> Result<()> {
        let value = 1e3 * self.0.seconds(step)?;
        let line = json!({"case": case, "what": what, "value": (value * 1e3).round() / 1e3, "unit": "ms", "bytes": work.bytes, "operations": work.operations});
        out!("{line}");
        Ok(())
    }

    fn layers(&self) -> Result<()> {
        let vars = Vars::new(Seed::new(0), DType::F32, &Device::Cpu);
        let cx = BuildContext::new(32, vars.builder());
        let train = Pass::train(Seed::new(1));
        let mixing = Pass::with_draws([(0, partners(128))], Seed::new(1));
        let selfnorm = SelfNorm::new(SelfNormConfig::default(), &cx.at(32, cx.vb.pp("sn")))?;
        let crossnorm = CrossNorm::new(CrossNormConfig::default(), &cx)?;
        let norm = BatchNorm::new(&cx.at(32, cx.vb.pp("bn")))?;
        let shape = [128, 32, 32, 32];
        // forward the map is read for its statistics, read again and written; backward gradient and map are read for sums, then
        // read again and the gradient of the map is written
        let maps = |count: f64| Work { bytes: count * 4. * (128 * 32 * 32 * 32) as f64, operations: 0. };
        let work = (maps(3.), maps(8.));
        self.recorded("SelfNorm", &shape, work, &train, |xs| selfnorm.on_map(xs, &train))?;
        self.recorded("CrossNorm", &shape, work, &mixing, |xs| crossnorm.on_map(xs, &mixing))?;
        self.recorded("BatchNorm+ReLU", &shape, work, &train, |xs| norm.norm_relu(xs, &train))?;
        self.both("SelfNorm on candle's tape", &shape, work, |xs| selfnorm.forward(xs, &train))?;
        self.both("CrossNorm on candle's tape", &shape, work, |xs| crossnorm.forward(xs, &mixing))?;
        self.both("BatchNorm+ReLU on candle's tape", &shape, work, |xs| {
            norm.norm_relu(&FeatureMap::from_tensor(xs, true, &train)?, &train)?.to_tensor()
        })?;
        let shapes = [(3, 16, 32, 1, 1), (16, 32, 32, 1, 1), (32, 32, 32, 1, 1), (32, 64, 32, 2, 1), (64, 64, 16, 1, 1)];
        for (from, to, size, stride, groups) in
            shapes.into_iter().chain([(128, 128, 8, 1, 1), (96, 96, 32, 1, 1), (128, 128, 32, 1, 4)])
        {
            let weight = Var::from_tensor(&random(&[to, from / groups, 3, 3], "weight")?)?;
            let conv = Conv { stride, padding: 1, groups, ..Conv::default() };
            let name = format!("conv3x3 {from}->{to} stride {stride} groups {groups}");
            let output = size / stride;
            let map = |c: usize, side: usize| 4. * (128 * side * side * c) as f64;
            let once = Work {
                bytes: map(from, size) + map(to, output),
                operations: 2. * (128 * output * output * to * 9 * from / groups) as f64,
            };
            let shape = [128, size, size, from];
            self.recorded(&name, &shape, (once, once.times(3.)), &train, |xs| xs.conv(weight.as_tensor(), &conv))?;
        }
        Ok(())
    }

    fn linear(&self) -> Result<()> {
        for (rows, from, to) in [(4096, 256, 1024), (4096, 1024, 256), (4096, 256, 256)] {
            let weight = Var::from_tensor(&random(&[to, from], "weight")?)?;
            let bias = Var::from_tensor(&random(&[to], "bias")?)?;
            let once =
                Work { bytes: 4. * (rows * from + rows * to + from * to) as f64, operations: 2. * (rows * from * to) as f64 };
            self.both(&format!("linear {from}->{to}"), &[rows, from], (once, once.times(3.)), |xs| {
                ops::linear(xs, weight.as_tensor(), Some(bias.as_tensor()))
            })?;
        }
        Ok(())
    }

    /// Forward alone, and forward with backward from a given gradient, of a layer as a network's body runs it: recorded,
    /// from a map to a written map, with the gradients of the map and of the parameters.
    fn recorded(
        &self,
        case: &str,
        shape: &[usize; 4],
        work: (Work, Work),
        pass: &Pass,
        f: impl Fn(&FeatureMap) -> candle_core::Result<FeatureMap>,
    ) -> Result<()> {
        let xs = Var::from_tensor(&random(shape, "xs")?)?;
        let layer = || f(&FeatureMap::from_tensor(xs.as_tensor(), true, pass)?)?.materialize();
        let (n, h, w, c) = layer()?.dims()?;
        let gradient = random(&[n, h, w, c], "gradient")?;
        let [n, h, w, c] = shape;
        let named = format!("({n}, {c}, {h}, {w})");
        self.milliseconds(case, &format!("forward {named}"), work.0, || Ok(layer()?))?;
        self.milliseconds(case, &format!("forward+backward {named}"), work.1, || Ok(layer()?.backward(&gradient)?))
    }

    /// Forward alone, and forward with backward, of an operation on a map (N, H, W, C); named by PyTorch's order of axes.
    fn both(
        &self,
        case: &str,
        shape: &[usize],
        work: (Work, Work),
        f: impl Fn(&Tensor) -> candle_core::Result<Tensor>,
    ) -> Result<()> {
        let xs = Var::from_tensor(&random(shape, "xs")?)?;
        let named = match *shape {
            [n, h, w, c] => format!("({n}, {c}, {h}, {w})"),
            _ => format!("{shape:?}").replace('[', "(").replace(']', ")"),
        };
        self.milliseconds(case, &format!("forward {named}"), work.0, || Ok(f(xs.as_tensor())?))?;
        self.milliseconds(case, &format!("forward+backward {named}"), work.1, || Ok(f(xs.as_tensor())?.backward()?))
    }
}

/// What a figure has to do at least.
#[derive(Clone, Copy)]
struct Work {
    /// Read and written.
    bytes: f64,
    /// Additions and multiplications of the plain algorithm.
    operations: f64,
}

impl Work {
    /// The work of so many passes.
    fn times(self, passes: f64) -> Self {
        Self { bytes: passes * self.bytes, operations: passes * self.operations }
    }
}
