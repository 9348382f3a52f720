//! `Trace`: what a network computes in evaluation, as a list of steps, so that it can be written in another form, such as ONNX.
//!
//! A network is run once as tensor operations; every operation of maps notes what it read and what it gave. An operation that notes
//! nothing gives a tensor of unknown origin, and whatever reads that is an error: a trace that is returned is whole.

use crate::network::Network;
use crate::ops::Conv;
use crate::pass::Pass;
use crate::reference;
use crate::rule::Traced;
use candle_core::{Result, Tensor, TensorId, bail};
use std::cell::RefCell;
use std::collections::HashMap;

/// An operation of maps (N, H, W, C), or of what a mean makes of them, (N, C).
#[derive(Clone, Debug)]
pub enum Operation {
    /// A convolution with weight (O, C / groups, kh, kw) and an optional bias (O).
    Convolution {
        /// The weight.
        weight: Tensor,
        /// The bias.
        bias: Option<Tensor>,
        /// Stride, padding, dilation and groups.
        conv: Conv,
    },
    /// max(0, x).
    Relu,
    /// min(max(0, x), 6).
    Relu6,
    /// x above 0 and slope·x elsewhere.
    LeakyRelu(f64),
    /// x·σ(1.702·x).
    QuickGelu,
    /// The sum of two maps.
    Add,
    /// The channels of two maps, one after the other.
    Concatenate,
    /// The maxima of square windows.
    MaxPool {
        /// Side of a window.
        kernel: usize,
        /// How far it moves.
        stride: usize,
        /// Positions on every side that count as −∞.
        padding: usize,
    },
    /// The means of 2 × 2 positions.
    AveragePool2,
    /// The mean over the first rows and columns, (N, C).
    Mean {
        /// The number of rows.
        rows: usize,
        /// The number of columns.
        columns: usize,
    },
    /// The mean over all positions as a map, (N, 1, 1, C).
    MeanMap,
    /// The map with another number of rows and columns, bilinearly, as PyTorch's `interpolate` with `align_corners=False`.
    Resize {
        /// The number of rows.
        rows: usize,
        /// The number of columns.
        columns: usize,
    },
    /// Normalisation over the channels of every position, with weight and bias (C).
    LayerNorm {
        /// The weight.
        weight: Tensor,
        /// The bias.
        bias: Tensor,
        /// Added to the variance.
        eps: f64,
    },
    /// Every channel by this 3 × 3 kernel, given row by row, at a stride of 2; the map is mirrored beyond its edges.
    Blur([f32; 9]),
    /// A rule: y = scale·(x − centre) + bias of every channel.
    Rule(Traced),
    /// x·Wᵀ + b of (N, C).
    Linear {
        /// The weight (O, C).
        weight: Tensor,
        /// The bias (O).
        bias: Option<Tensor>,
    },
}

/// An operation with the values that it reads. Value 0 is the input, value i + 1 the result of step i.
#[derive(Clone, Debug)]
pub struct Step {
    /// The operation.
    pub operation: Operation,
    /// What it reads.
    pub inputs: Vec<usize>,
    /// The shape of its result.
    pub shape: Vec<usize>,
}

/// The steps of a network.
#[derive(Clone, Debug)]
pub struct Trace {
    /// The steps in order.
    pub steps: Vec<Step>,
    /// The value that is the answer.
    pub output: usize,
}

#[derive(Default)]
struct Tracer {
    values: HashMap<TensorId, usize>,
    steps: Vec<Step>,
    /// The steps of the rule that ran last.
    rule: Option<Result<Traced>>,
    /// Why the network has no trace.
    refused: Option<String>,
}

thread_local! {
    static TRACER: RefCell<Option<Tracer>> = const { RefCell::new(None) };
}

/// Traces a network in evaluation on a batch of at most 32 instances; the steps hold for any number of them.
///
/// # Errors
/// Returns the network's error, and an error that names an operation which has no trace: one that mixes instances, works on a part of a map,
/// or is not made of operations of maps.
pub fn trace(network: &dyn Network, xs: &Tensor) -> Result<Trace> {
    let values = HashMap::from([(xs.id(), 0)]);
    TRACER.set(Some(Tracer { values, ..Tracer::default() }));
    let answer = reference::forced(|| network.forward(xs, &Pass::eval()));
    let Some(tracer) = TRACER.take() else { bail!("a trace was begun inside a trace") };
    let answer = answer?;
    if let Some(refused) = tracer.refused {
        bail!("{refused}")
    }
    match tracer.values.get(&answer.id()) {
        Some(&output) => Ok(Trace { steps: tracer.steps, output }),
        None => bail!("the network's answer is not made of operations of maps"),
    }
}

/// Whether a network is traced.
pub(crate) fn is_on() -> bool {
    TRACER.with_borrow(Option::is_some)
}

/// Notes an operation, where a network is traced.
pub(crate) fn note(operation: impl FnOnce() -> Operation, inputs: &[&Tensor], output: &Tensor) {
    TRACER.with_borrow_mut(|tracer| {
        let Some(tracer) = tracer else { return };
        let operation = operation();
        let known = inputs.iter().map(|input| tracer.values.get(&input.id()).copied()).collect::<Option<Vec<usize>>>();
        match known {
            Some(inputs) => tracer.push(operation, inputs, output),
            None => tracer.refuse(|| format!("{}: it reads what is not made of operations of maps", operation.name())),
        }
    });
}

/// Notes that a tensor is another one, reshaped to the shape that it has, where a network is traced.
pub(crate) fn note_same(input: &Tensor, output: &Tensor) {
    TRACER.with_borrow_mut(|tracer| {
        let Some(tracer) = tracer.as_mut().filter(|_| input.dims() == output.dims()) else { return };
        if let Some(&value) = tracer.values.get(&input.id()) {
            tracer.values.insert(output.id(), value);
        }
    });
}

/// Keeps the steps of a rule until it is noted by [`note_rule`].
pub(crate) fn keep_rule(rule: Result<Traced>) {
    TRACER.with_borrow_mut(|tracer| {
        if let Some(tracer) = tracer {
            tracer.rule = Some(rule);
        }
    });
}

/// Notes the rule that ran last, where a network is traced.
pub(crate) fn note_rule(name: &str, input: &Tensor, output: &Tensor) {
    let kept = TRACER.with_borrow_mut(|tracer| tracer.as_mut().and_then(|tracer| tracer.rule.take()));
    match kept {
        Some(Ok(rule)) => note(|| Operation::Rule(rule), &[input], output),
        Some(Err(error)) => refuse(&format!("{name}: {error}")),
        None => {}
    }
}

/// Notes that an operation has no trace.
pub(crate) fn refuse(why: &str) {
    TRACER.with_borrow_mut(|tracer| {
        if let Some(tracer) = tracer {
            tracer.refuse(|| why.to_string());
        }
    });
}

impl Tracer {
    fn push(&mut self, operation: Operation, inputs: Vec<usize>, output: &Tensor) {
        self.steps.push(Step { operation, inputs, shape: output.dims().to_vec() });
        self.values.insert(output.id(), self.steps.len());
    }

    /// The first reason is the one that counts.
    fn refuse(&mut self, why: impl FnOnce() -> String) {
        self.refused.get_or_insert_with(why);
    }
}

impl Operation {
    /// Its name in messages.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Convolution { .. } => "convolution",
            Self::Relu | Self::Relu6 | Self::LeakyRelu(_) | Self::QuickGelu => "activation",
            Self::Add => "addition",
            Self::Concatenate => "concatenation",
            Self::MaxPool { .. } | Self::AveragePool2 | Self::Mean { .. } | Self::MeanMap => "pooling",
            Self::Resize { .. } => "resizing",
            Self::LayerNorm { .. } => "LayerNorm",
            Self::Blur(_) => "blur pooling",
            Self::Rule(_) => "rule",
            Self::Linear { .. } => "linear layer",
        }
    }
}
