//! `export`: a network as an ONNX file, from its trace.

mod maps;
mod rule;
mod sequences;

use crate::write::{Declared, Dim, Notes, Writer};
use candle_core::{Device, Error, Result, Tensor, bail};
use sncn_core::trace::{Operation, Step, Trace, trace};
use sncn_core::{Network, Pass};
use tract_onnx::pb::tensor_proto::DataType;

/// The name of the input of a network for images, (N, 3, H, W).
const IMAGES: &str = "images";
/// The names of the inputs of a network for texts, both (N, L) in 64-bit integers, as published encoders have them.
const TEXTS: [&str; 2] = ["input_ids", "attention_mask"];
/// The name of the output: logits (N, classes), or (N, classes, H, W).
const OUTPUT: &str = "logits";
/// Images on which a network is traced.
const TRACED: usize = 3;
/// Tokens of the texts on which a network is traced.
const LENGTHS: [usize; 3] = [3, 2, 3];

/// What a value of the graph holds.
#[derive(Clone, Debug)]
enum Kind {
    /// Maps (N, C, H, W).
    Maps,
    /// Token vectors (N, L, C), with the value that says which of them are tokens: 1 or 0, (N, L, 1). What lies at other places is
    /// arbitrary.
    Sequences { mask: String },
    /// Results of windows over such vectors, each in the place of its window's first token, with the mask of the tokens.
    Windows { mask: String },
    /// Vectors (N, C).
    Vectors,
}

/// A value of the network, as the graph names it.
#[derive(Clone, Debug)]
struct Value {
    name: String,
    /// Its shape for what was traced, with the channels last.
    shape: Vec<usize>,
    kind: Kind,
}

/// Writes a network for images as an ONNX file of operator set 17, which takes images (N, 3, H, W) in any batch; the file's bytes. One that
/// answers logits (N, classes) is written for images of `size`, height and width, and its file answers (N, classes); one that answers (N, H,
/// W, classes) for images of any size, and its file answers (N, classes, H, W).
///
/// # Errors
/// Returns an error where the network fails on such images, or has an operation without an ONNX form, which it names.
pub fn export(network: &dyn Network, (height, width): (usize, usize), notes: &Notes<'_>) -> Result<Vec<u8>> {
    let images = (0..TRACED * height * width * 3).map(|index| ((index * 37 % 101) as f32) / 101. - 0.5).collect();
    let images = Tensor::from_vec(images, (TRACED, height, width, 3), &Device::Cpu)?;
    let found = trace(network, &images, &Pass::eval())?;
    let image = Value { name: IMAGES.to_string(), shape: images.dims().to_vec(), kind: Kind::Maps };
    let (batch, [rows, columns]) = (Dim::Free("batch"), ["height", "width"].map(Dim::Free));
    let (input, output, any_size) = match *found.shape(found.output).unwrap_or(&image.shape) {
        [_, classes] => ([Dim::Fixed(height), Dim::Fixed(width)], vec![batch, Dim::Fixed(classes)], false),
        [_, h, w, classes] if (h, w) == (height, width) => {
            ([rows, columns], vec![batch, Dim::Fixed(classes), rows, columns], true)
        }
        ref answer => bail!("the network answers with shape {answer:?}; (N, classes) and (N, H, W, classes) can be written"),
    };
    let input = Declared { name: IMAGES, kind: DataType::Float, dims: vec![batch, Dim::Fixed(3), input[0], input[1]] };
    Graph::new(Writer::default(), image, any_size).write(&found, &[input], output, notes)
}

/// Writes a network for texts as an ONNX file of operator set 17; the file's bytes. It takes `input_ids` and `attention_mask`, (N, L) in
/// 64-bit integers for texts of any number and length: token ids below `words`, and 1 for every token or 0 for padding, which lies after a
/// text. It answers `logits` (N, classes).
///
/// # Errors
/// Returns an error where the network fails on texts of 3 tokens, or has an operation without an ONNX form, which it names.
pub fn export_texts(network: &dyn Network, words: usize, notes: &Notes<'_>) -> Result<Vec<u8>> {
    let tokens: usize = LENGTHS.iter().sum();
    let ids = Tensor::from_iter((0..tokens).map(|index| (index * 37 % words.max(1)) as u32), &Device::Cpu)?;
    let found = trace(network, &ids, &Pass::eval().with_lengths(LENGTHS))?;
    let (batch, length) = (Dim::Free("batch"), Dim::Free("length"));
    let output = match found.shape(found.output) {
        Some(&[rows, classes]) if rows == LENGTHS.len() => vec![batch, Dim::Fixed(classes)],
        answer => bail!("the network answers with shape {answer:?}; (N, classes) can be written"),
    };
    let inputs = TEXTS.map(|name| Declared { name, kind: DataType::Int64, dims: vec![batch, length] });
    let mut writer = Writer::default();
    let kind = Kind::Sequences { mask: writer.mask() };
    let ids = Value { name: TEXTS[0].to_string(), shape: vec![tokens], kind };
    Graph::new(writer, ids, true).write(&found, &inputs, output, notes)
}

/// A graph that is written.
struct Graph {
    writer: Writer,
    /// The values of the trace so far; `None` where the answer does not need it.
    values: Vec<Option<Value>>,
    /// Whether nothing in it may depend on the size that was traced.
    any_size: bool,
}

/// What a step gave: the name of the value, and its kind where it is another than that of the first input.
type Written = (String, Option<Kind>);

impl Graph {
    /// A graph that begins with a value.
    fn new(writer: Writer, input: Value, any_size: bool) -> Self {
        Self { writer, values: vec![Some(input)], any_size }
    }

    /// Writes the steps of a trace that its answer needs; the file's bytes.
    fn write(mut self, found: &Trace, inputs: &[Declared], dims: Vec<Dim>, notes: &Notes<'_>) -> Result<Vec<u8>> {
        for (step, needed) in found.steps.iter().zip(found.needed()) {
            let value = if needed { Some(self.step(step)?) } else { None };
            self.values.push(value);
        }
        let answer = self.value(found.output)?.name;
        self.writer.named(answer, OUTPUT);
        Ok(self.writer.bytes(inputs, &Declared { name: OUTPUT, kind: DataType::Float, dims }, notes))
    }

    fn value(&self, index: usize) -> Result<Value> {
        self.values[index].clone().ok_or_else(|| Error::msg("a step reads a value that no step needs"))
    }

    /// Writes a step, and gives its result.
    fn step(&mut self, step: &Step) -> Result<Value> {
        let inputs = step.inputs.iter().map(|&value| self.value(value)).collect::<Result<Vec<_>>>()?;
        let names: Vec<String> = inputs.iter().map(|value| value.name.clone()).collect();
        let first = &inputs[0];
        let written = match (self.of_any(&step.operation, first, &names)?, &first.kind) {
            (Some(name), _) => Some((name, None)),
            (None, Kind::Maps) => self.of_maps(&step.operation, first, &names)?,
            (None, Kind::Sequences { mask }) => self.of_sequences(&step.operation, first, mask, &names)?,
            (None, Kind::Windows { mask }) => self.of_windows(&step.operation, mask, &names)?,
            (None, Kind::Vectors) => None,
        };
        let Some((name, kind)) = written else { bail!("{} of {:?} has no ONNX form", step.operation.name(), first.shape) };
        Ok(Value { name, shape: step.shape.clone(), kind: kind.unwrap_or_else(|| first.kind.clone()) })
    }

    /// Writes an operation that is the same for every kind of value, where it is one.
    fn of_any(&mut self, operation: &Operation, first: &Value, names: &[String]) -> Result<Option<String>> {
        let w = &mut self.writer;
        Ok(Some(match operation {
            Operation::Relu => w.node("Relu", names, |_| {}),
            Operation::Relu6 => {
                let read = [names[0].clone(), w.number(0.), w.number(6.)];
                w.node("Clip", &read, |_| {})
            }
            Operation::LeakyRelu(slope) => w.node("LeakyRelu", names, |node| _ = node.float("alpha", *slope as f32)),
            Operation::QuickGelu => {
                let factor = w.number(1.702);
                let scaled = w.node("Mul", &[names[0].clone(), factor], |_| {});
                let gate = w.node("Sigmoid", &[scaled], |_| {});
                w.node("Mul", &[names[0].clone(), gate], |_| {})
            }
            Operation::GeluErf => {
                let scaled = w.scaled(&names[0], std::f32::consts::FRAC_1_SQRT_2);
                let erf = w.node("Erf", &[scaled], |_| {});
                let one = w.number(1.);
                let twice = w.node("Add", &[erf, one], |_| {});
                let twice = w.node("Mul", &[names[0].clone(), twice], |_| {});
                w.scaled(&twice, 0.5)
            }
            Operation::Sigmoid => w.node("Sigmoid", names, |_| {}),
            Operation::Tanh => w.node("Tanh", names, |_| {}),
            Operation::Add => w.node("Add", names, |_| {}),
            Operation::Concatenate => {
                let axis = if matches!(first.kind, Kind::Maps | Kind::Vectors) { 1 } else { 2 };
                w.node("Concat", names, |node| _ = node.int("axis", axis))
            }
            Operation::Rule(rule) => self.rule(rule, first)?,
            Operation::Linear { weight, bias } if matches!(first.kind, Kind::Vectors) => {
                let mut read = vec![names[0].clone(), w.tensor(weight)?];
                if let Some(bias) = bias {
                    read.push(w.tensor(bias)?);
                }
                w.node("Gemm", &read, |node| _ = node.int("transB", 1))
            }
            _ => return Ok(None),
        }))
    }
}
