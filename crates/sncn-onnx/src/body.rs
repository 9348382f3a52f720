//! `Body`: the part of a graph that runs on the kernels of `sncn-core`.

use candle_core::{Result, Tensor, bail};
use sncn_core::layer::{BatchNorm, Layer};
use sncn_core::ops::Conv;
use sncn_core::{FeatureMap, Pass};

/// An operation on maps.
pub(crate) enum Op {
    Conv { weight: Tensor, bias: Option<Tensor>, conv: Conv },
    BatchNorm(Box<BatchNorm>),
    Relu,
    Relu6,
    LeakyRelu(f64),
    MaxPool { kernel: usize, stride: usize, padding: usize },
    AveragePool2,
    GlobalAveragePool,
    Add,
    Concat,
}

/// An operation with the values that it reads. Value 0 is the image, value i + 1 the result of step i.
pub(crate) struct Step {
    pub(crate) op: Op,
    pub(crate) inputs: Vec<usize>,
}

/// Steps in order.
pub(crate) struct Body {
    steps: Vec<Step>,
    /// The values that are handed over.
    wanted: Vec<usize>,
    /// For every value how many steps and results read it.
    readers: Vec<usize>,
}

/// A value between two steps.
#[derive(Clone)]
enum Value {
    Map(FeatureMap),
    Vector(Tensor),
}

impl Value {
    fn map(self) -> Result<FeatureMap> {
        match self {
            Self::Map(map) => Ok(map),
            Self::Vector(_) => bail!("a step of maps reads a vector"),
        }
    }
}

impl Body {
    /// Steps of which these values are handed over.
    pub(crate) fn new(steps: Vec<Step>, wanted: Vec<usize>) -> Self {
        let mut readers = vec![0; steps.len() + 1];
        steps.iter().flat_map(|step| &step.inputs).chain(&wanted).for_each(|&value| readers[value] += 1);
        Self { steps, wanted, readers }
    }

    /// Computes the values that are handed over, of images (N, H, W, 3): maps as (N, H, W, C), vectors as (N, C).
    ///
    /// # Errors
    /// If a step fails.
    pub(crate) fn run(&self, xs: &Tensor, pass: &Pass) -> Result<Vec<Tensor>> {
        let mut left = self.readers.clone();
        let mut values: Vec<Option<Value>> = vec![None; self.readers.len()];
        values[0] = Some(Value::Map(FeatureMap::from_tensor(xs, true, pass)?));
        // a map that nothing else needs is written as the step after the next reads it
        let mut take = |values: &mut Vec<Option<Value>>, value: usize| -> Result<Value> {
            left[value] -= 1;
            let found = if left[value] == 0 { values[value].take() } else { values[value].clone() };
            found.ok_or_else(|| candle_core::Error::Msg(format!("value {value} is read before it is computed")))
        };
        for (index, step) in self.steps.iter().enumerate() {
            if self.readers[index + 1] == 0 {
                continue;
            }
            let inputs = step.inputs.iter().map(|&value| take(&mut values, value)).collect::<Result<Vec<_>>>()?;
            values[index + 1] = Some(step.op.apply(inputs, pass)?);
        }
        let each = self.wanted.iter().map(|&value| match take(&mut values, value)? {
            Value::Map(map) => map.to_tensor(),
            Value::Vector(vector) => Ok(vector),
        });
        each.collect()
    }
}

impl Op {
    fn apply(&self, inputs: Vec<Value>, pass: &Pass) -> Result<Value> {
        let mut inputs = inputs.into_iter().map(Value::map);
        let Some(xs) = inputs.next().transpose()? else { bail!("a step without a value") };
        Ok(Value::Map(match self {
            Self::Conv { weight, bias: Some(bias), conv } => xs.conv_bias(weight, bias, conv)?,
            Self::Conv { weight, bias: None, conv } => xs.conv(weight, conv)?,
            Self::BatchNorm(norm) => norm.on_map(&xs, pass)?,
            Self::Relu => xs.relu()?,
            Self::Relu6 => xs.relu6()?,
            Self::LeakyRelu(slope) => xs.leaky_relu(*slope)?,
            Self::MaxPool { kernel, stride, padding } => xs.max_pool(*kernel, *stride, *padding)?,
            Self::AveragePool2 => xs.avg_pool2()?,
            Self::GlobalAveragePool => return xs.global_avg_pool().map(Value::Vector),
            Self::Add => inputs.try_fold(xs, |sum, other| sum.add(&other?))?,
            Self::Concat => inputs.try_fold(xs, |all, other| all.concat(&other?))?,
        }))
    }
}
