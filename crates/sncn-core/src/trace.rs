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

/// An operation of maps (N, H, W, C), of token vectors (tokens, C) or padded (N, L, C), or of vectors (N, C) for a whole image or text.
#[derive(Clone, Debug)]
pub enum Operation {
    /// A convolution with weight (O, C / groups, kh, kw), or of padded token vectors (O, C / groups, k), and an optional bias (O).
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
    /// ½·x·(1 + erf(x/√2)).
    GeluErf,
    /// 1/(1 + e⁻ˣ).
    Sigmoid,
    /// The hyperbolic tangent.
    Tanh,
    /// The sum of two maps.
    Add,
    /// The channels of several maps, one after the other.
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
    /// x·Wᵀ + b of (…, C).
    Linear {
        /// The weight (O, C).
        weight: Tensor,
        /// The bias (O).
        bias: Option<Tensor>,
    },
    /// The sum of rows of tables (rows, C), one of each for every token id of the input: token vectors.
    Embedding(Vec<(Tensor, Rows)>),
    /// softmax(Q·Kᵀ/√d)·V of queries, keys and values, in each head and among the tokens of each text.
    Attention {
        /// The number of heads.
        heads: usize,
    },
    /// Token vectors with zeros after each text, up to the longest text, and to at least so many tokens: (N, L, C).
    Pad {
        /// The least number of tokens.
        least: usize,
    },
    /// Padded token vectors without the padding.
    Pack,
    /// The vectors of the first tokens, (N, C).
    SequenceFirst,
    /// The means over the tokens of each text, (N, C).
    SequenceMean,
    /// The maxima over windows, whose results are 0 or more, (N, C).
    WindowMax {
        /// The number of tokens of a window.
        width: usize,
        /// Whether only the first window of a text counts and those that lie inside it.
        inside: bool,
    },
}

/// Which row of a table is that of a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rows {
    /// That of its id.
    Tokens,
    /// That of its place in its text.
    Positions {
        /// The row of the first token.
        first: u32,
    },
    /// This one, for all tokens.
    Same(u32),
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

impl Trace {
    /// The shape of a value; `None` for the input.
    pub fn shape(&self, value: usize) -> Option<&[usize]> {
        value.checked_sub(1).map(|step| self.steps[step].shape.as_slice())
    }

    /// Whether the answer depends on each step.
    pub fn needed(&self) -> Vec<bool> {
        let mut needed = vec![false; self.steps.len() + 1];
        needed[self.output] = true;
        for (index, step) in self.steps.iter().enumerate().rev().map(|(index, step)| (index + 1, step)) {
            if needed[index] {
                step.inputs.iter().for_each(|&input| needed[input] = true);
            }
        }
        needed.split_off(1)
    }
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

/// Traces a network in an evaluation pass over a batch of at most 32 images (N, H, W, 3), or packed token ids (tokens) with the lengths in
/// the pass; the steps hold for any number of them.
///
/// # Errors
/// Returns the network's error, and an error that names an operation which has no trace: one that mixes instances, works on a part of a map,
/// or is not made of operations of maps.
pub fn trace(network: &dyn Network, xs: &Tensor, pass: &Pass) -> Result<Trace> {
    if pass.train {
        bail!("a network is traced in evaluation: give a pass from Pass::eval")
    }
    let values = HashMap::from([(xs.id(), 0)]);
    TRACER.set(Some(Tracer { values, ..Tracer::default() }));
    let answer = reference::forced(|| network.forward(xs, pass));
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

/// Notes an operation that reads the network's input, where a network is traced.
pub(crate) fn note_first(operation: impl FnOnce() -> Operation, output: &Tensor) {
    TRACER.with_borrow_mut(|tracer| {
        if let Some(tracer) = tracer {
            tracer.push(operation(), vec![0], output);
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
            Self::Relu | Self::Relu6 | Self::LeakyRelu(_) | Self::QuickGelu | Self::GeluErf | Self::Sigmoid | Self::Tanh => {
                "activation"
            }
            Self::Add => "addition",
            Self::Concatenate => "concatenation",
            Self::MaxPool { .. }
            | Self::AveragePool2
            | Self::Mean { .. }
            | Self::MeanMap
            | Self::SequenceFirst
            | Self::SequenceMean
            | Self::WindowMax { .. } => "pooling",
            Self::Resize { .. } => "resizing",
            Self::LayerNorm { .. } => "LayerNorm",
            Self::Blur(_) => "blur pooling",
            Self::Rule(_) => "rule",
            Self::Linear { .. } => "linear layer",
            Self::Embedding(_) => "embedding",
            Self::Attention { .. } => "attention",
            Self::Pad { .. } | Self::Pack => "padding",
        }
    }
}
