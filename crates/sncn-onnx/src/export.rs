//! `export`: a network as an ONNX file, from its trace.

use crate::write::{Dim, Notes, Writer};
use candle_core::{Result, Tensor, bail};
use sncn_core::Network;
use sncn_core::rule::{Function, MatrixOperation, Pair, Traced};
use sncn_core::trace::{Operation, Step, trace};
use tract_onnx::pb::tensor_proto::DataType;

/// The name of a file's input: images (N, 3, H, W).
const INPUT: &str = "images";
/// The name of its output: logits (N, classes), or (N, classes, H, W).
const OUTPUT: &str = "logits";
/// Images on which a network is traced.
const TRACED: usize = 3;

/// A value of the network, as the graph names it.
#[derive(Clone, Debug)]
struct Value {
    name: String,
    /// Its shape for the images that were traced, (N, H, W, C) or (N, C).
    shape: Vec<usize>,
}

/// Writes a network as an ONNX file of operator set 17, which takes images (N, 3, H, W) in any batch; the file's bytes. One that answers
/// logits (N, classes) is written for images of `size`, height and width, and its file answers (N, classes); one that answers (N, H, W,
/// classes) for images of any size, and its file answers (N, classes, H, W).
///
/// # Errors
/// Returns an error where the network fails on such images, or has an operation without an ONNX form, which it names.
pub fn export(network: &dyn Network, (height, width): (usize, usize), notes: &Notes<'_>) -> Result<Vec<u8>> {
    let images = (0..TRACED * height * width * 3).map(|index| ((index * 37 % 101) as f32) / 101. - 0.5).collect();
    let images = Tensor::from_vec(images, (TRACED, height, width, 3), &candle_core::Device::Cpu)?;
    let found = trace(network, &images)?;
    let image = Value { name: INPUT.to_string(), shape: vec![TRACED, height, width, 3] };
    let answer = found.output.checked_sub(1).map_or(&image.shape, |last| &found.steps[last].shape);
    let (batch, [rows, columns]) = (Dim::Free("batch"), ["height", "width"].map(Dim::Free));
    let (input, output, any_size) = match answer.as_slice() {
        [_, classes] => ([Dim::Fixed(height), Dim::Fixed(width)], vec![batch, Dim::Fixed(*classes)], false),
        [_, h, w, classes] if (*h, *w) == (height, width) => {
            ([rows, columns], vec![batch, Dim::Fixed(*classes), rows, columns], true)
        }
        _ => bail!("the network answers with shape {answer:?}; (N, classes) and (N, H, W, classes) can be written"),
    };
    let mut graph = Graph { writer: Writer::default(), values: vec![image], any_size };
    for step in &found.steps {
        let name = graph.step(step)?;
        graph.values.push(Value { name, shape: step.shape.clone() });
    }
    graph.writer.named(graph.values[found.output].name.clone(), OUTPUT);
    Ok(graph.writer.bytes((INPUT, &[batch, Dim::Fixed(3), input[0], input[1]]), (OUTPUT, &output), notes))
}

/// A graph that is written.
struct Graph {
    writer: Writer,
    /// The values of the trace so far.
    values: Vec<Value>,
    /// Whether it is for images of any size, so that nothing in it may depend on the size that was traced.
    any_size: bool,
}

impl Graph {
    /// Writes a step, and gives the name of its result.
    fn step(&mut self, step: &Step) -> Result<String> {
        let inputs: Vec<Value> = step.inputs.iter().map(|&value| self.values[value].clone()).collect();
        let names: Vec<String> = inputs.iter().map(|value| value.name.clone()).collect();
        let w = &mut self.writer;
        Ok(match &step.operation {
            Operation::Convolution { weight, bias, conv } => {
                let (kernel, shape) = (weight.dim(2)?, &inputs[0].shape);
                let ((top, bottom), (left, right)) = (conv.pads(shape[1], kernel), conv.pads(shape[2], kernel));
                let mut read = vec![names[0].clone(), w.tensor(weight)?];
                if let Some(bias) = bias {
                    read.push(w.tensor(bias)?);
                }
                w.node("Conv", &read, |node| {
                    node.ints("strides", &[conv.stride; 2])
                        .ints("dilations", &[conv.dilation; 2])
                        .ints("pads", &[top, left, bottom, right]);
                    node.int("group", conv.groups);
                })
            }
            Operation::Relu => w.node("Relu", &names, |_| {}),
            Operation::Relu6 => {
                let read = [names[0].clone(), w.number(0.), w.number(6.)];
                w.node("Clip", &read, |_| {})
            }
            Operation::LeakyRelu(slope) => w.node("LeakyRelu", &names, |node| _ = node.float("alpha", *slope as f32)),
            Operation::QuickGelu => {
                let factor = w.number(1.702);
                let scaled = w.node("Mul", &[names[0].clone(), factor], |_| {});
                let gate = w.node("Sigmoid", &[scaled], |_| {});
                w.node("Mul", &[names[0].clone(), gate], |_| {})
            }
            Operation::Add => w.node("Add", &names, |_| {}),
            Operation::Concatenate => w.node("Concat", &names, |node| _ = node.int("axis", 1)),
            Operation::MaxPool { kernel, stride, padding } => w.node("MaxPool", &names, |node| {
                node.ints("kernel_shape", &[*kernel; 2]).ints("strides", &[*stride; 2]).ints("pads", &[*padding; 4]);
            }),
            Operation::AveragePool2 => {
                w.node("AveragePool", &names, |node| _ = node.ints("kernel_shape", &[2, 2]).ints("strides", &[2, 2]))
            }
            Operation::Mean { rows, columns } => {
                let mut name = names[0].clone();
                if inputs[0].shape[1..3] != [*rows, *columns] {
                    let (from, to) = (w.integers(&[0, 0]), w.integers(&[*rows as i64, *columns as i64]));
                    let axes = w.integers(&[2, 3]);
                    name = w.node("Slice", &[name, from, to, axes], |_| {});
                }
                let mean = w.node("GlobalAveragePool", &[name], |_| {});
                w.node("Flatten", &[mean], |node| _ = node.int("axis", 1))
            }
            Operation::MeanMap => w.node("GlobalAveragePool", &names, |_| {}),
            Operation::Resize { rows, columns } => {
                // as many as the image has, or an earlier map, whatever these are of another image
                let like = self.values.iter().find(|value| value.shape.len() == 4 && value.shape[1..3] == [*rows, *columns]);
                let Some(Value { name: like, .. }) = like else {
                    bail!("a map is resized to {rows} x {columns}, which no map before it has")
                };
                let channels = inputs[0].shape[3];
                let first = w.node("Shape", &[names[0].clone()], |node| _ = node.int("start", 0).int("end", 1));
                let last = w.node("Shape", std::slice::from_ref(like), |node| _ = node.int("start", 2).int("end", 4));
                let sizes = [first, w.integers(&[channels as i64]), last];
                let sizes = w.node("Concat", &sizes, |node| _ = node.int("axis", 0));
                let none = String::new();
                w.node("Resize", &[names[0].clone(), none.clone(), none, sizes], |node| {
                    node.text("mode", "linear");
                    node.text("coordinate_transformation_mode", "half_pixel");
                })
            }
            Operation::LayerNorm { weight, bias, eps } => {
                let last = w.node("Transpose", &names, |node| _ = node.ints("perm", &[0, 2, 3, 1]));
                let read = [last, w.tensor(weight)?, w.tensor(bias)?];
                let normed = w.node("LayerNormalization", &read, |node| _ = node.float("epsilon", *eps as f32));
                w.node("Transpose", &[normed], |node| _ = node.ints("perm", &[0, 3, 1, 2]))
            }
            Operation::Blur(kernel) => {
                let channels = inputs[0].shape[3];
                let around = w.integers(&[0, 0, 1, 1, 0, 0, 1, 1]);
                let padded = w.node("Pad", &[names[0].clone(), around], |node| node.text("mode", "reflect"));
                let weight = w.floats(&[channels, 1, 3, 3], kernel.repeat(channels));
                w.node("Conv", &[padded, weight], |node| _ = node.ints("strides", &[2, 2]).int("group", channels))
            }
            Operation::Rule(rule) => self.rule(rule, &names[0], inputs[0].shape[3])?,
            Operation::Linear { weight, bias } => {
                let mut read = vec![names[0].clone(), w.tensor(weight)?];
                if let Some(bias) = bias {
                    read.push(w.tensor(bias)?);
                }
                w.node("Gemm", &read, |node| _ = node.int("transB", 1))
            }
        })
    }

    /// y = scale·(x − centre) + bias.
    fn rule(&mut self, rule: &Traced, map: &str, channels: usize) -> Result<String> {
        let constant = |step: usize| match &rule.steps[step].0 {
            MatrixOperation::Constant(_, columns, values) if *columns == channels => Some(values.clone()),
            MatrixOperation::Constant(.., values) => Some(vec![values[0]; channels]),
            _ => None,
        };
        let floats = |values: Vec<f64>| values.into_iter().map(|value| value as f32).collect::<Vec<f32>>();
        if let (Some(centre), Some(scale), Some(bias)) = (constant(rule.centre), constant(rule.scale), constant(rule.bias)) {
            let mut read = vec![map.to_string()];
            for values in [scale, bias, centre, vec![1.; channels]] {
                read.push(self.writer.floats(&[channels], floats(values)));
            }
            return Ok(self.writer.node("BatchNormalization", &read, |node| _ = node.float("epsilon", 0.)));
        }
        let mut names: Vec<String> = Vec::new();
        for (operation, columns) in &rule.steps {
            let name = self.matrix(operation, *columns, &names, map, rule)?;
            names.push(name);
        }
        let is_zero = |step: usize| constant(step).is_some_and(|values| values.iter().all(|value| *value == 0.));
        let mut value = map.to_string();
        for (kind, step, idle) in
            [("Sub", rule.centre, is_zero(rule.centre)), ("Mul", rule.scale, false), ("Add", rule.bias, is_zero(rule.bias))]
        {
            if idle {
                continue;
            }
            let w = &mut self.writer;
            let axes = w.integers(&[2, 3]);
            let wide = w.node("Unsqueeze", &[names[step].clone(), axes], |_| {});
            value = w.node(kind, &[value, wide], |_| {});
        }
        Ok(value)
    }

    /// Writes an operation of matrices; `names` are those before it.
    fn matrix(
        &mut self,
        operation: &MatrixOperation,
        columns: usize,
        names: &[String],
        map: &str,
        rule: &Traced,
    ) -> Result<String> {
        let w = &mut self.writer;
        let of = |step: &usize| names[*step].clone();
        Ok(match operation {
            MatrixOperation::Constant(rows, columns, values) => {
                w.floats(&[*rows, *columns], values.iter().map(|value| *value as f32).collect())
            }
            MatrixOperation::Mean => {
                let mean = w.node("GlobalAveragePool", &[map.to_string()], |_| {});
                w.node("Flatten", &[mean], |node| _ = node.int("axis", 1))
            }
            MatrixOperation::Variance => {
                let mean = w.node("GlobalAveragePool", &[map.to_string()], |_| {});
                let centred = w.node("Sub", &[map.to_string(), mean], |_| {});
                let square = w.node("Mul", &[centred.clone(), centred], |_| {});
                let mean = w.node("GlobalAveragePool", &[square], |_| {});
                w.node("Flatten", &[mean], |node| _ = node.int("axis", 1))
            }
            MatrixOperation::Each(Function::Unbiased { eps, .. }, a) if self.any_size => {
                let factor = w.unbiased(map);
                w.affine(of(a), factor, *eps)
            }
            MatrixOperation::Each(function, a) => w.function(*function, of(a)),
            MatrixOperation::Two(pair, a, b) => {
                let kind = match pair {
                    Pair::Add => "Add",
                    Pair::Sub => "Sub",
                    Pair::Mul => "Mul",
                    Pair::Div => "Div",
                };
                w.node(kind, &[of(a), of(b)], |_| {})
            }
            MatrixOperation::MeanColumns(a) => w.node("ReduceMean", &[of(a)], |node| _ = node.ints("axes", &[1])),
            MatrixOperation::MeanGroups(a, groups) => {
                let length = columns / groups;
                let (apart, together) = (w.integers(&[0, *groups as i64, length as i64]), w.integers(&[0, columns as i64]));
                let grouped = w.node("Reshape", &[of(a), apart], |_| {});
                let mean = w.node("ReduceMean", &[grouped], |node| _ = node.ints("axes", &[2]));
                let zeros = w.floats(&[1, *groups, length], vec![0.; columns]);
                let repeated = w.node("Add", &[mean, zeros], |_| {});
                w.node("Reshape", &[repeated, together], |_| {})
            }
            MatrixOperation::Columns(a, order) => {
                let order = w.integers(&order.iter().map(|&column| column as i64).collect::<Vec<_>>());
                w.node("Gather", &[of(a), order], |node| _ = node.int("axis", 1))
            }
            MatrixOperation::Join(parts) => {
                // a row that is every instance's is repeated for each, as many as another part has
                let is_constant = |part: &usize| matches!(rule.steps[*part].0, MatrixOperation::Constant(..));
                let Some(like) = parts.iter().find(|part| !is_constant(part)) else {
                    bail!("a concatenation of constants alone")
                };
                let mut read = Vec::new();
                for part in parts {
                    read.push(match is_constant(part) {
                        false => of(part),
                        true => {
                            let first = w.integers(&[0]);
                            let one = w.node("Gather", &[of(like), first], |node| _ = node.int("axis", 1));
                            let zero = w.number(0.);
                            let zeros = w.node("Mul", &[one, zero], |_| {});
                            w.node("Add", &[of(part), zeros], |_| {})
                        }
                    });
                }
                w.node("Concat", &read, |node| _ = node.int("axis", 1))
            }
            MatrixOperation::Softmax(a) => w.node("Softmax", &[of(a)], |node| _ = node.int("axis", 1)),
            MatrixOperation::Product(a, b) => w.node("Gemm", &[of(a), of(b)], |node| _ = node.int("transB", 1)),
        })
    }
}

impl Writer {
    /// p/(p − 1) of the p positions that a map turns out to have.
    fn unbiased(&mut self, map: &str) -> String {
        let sides = self.node("Shape", &[map.to_string()], |node| _ = node.int("start", 2).int("end", 4));
        let sides = self.node("Cast", &[sides], |node| _ = node.int("to", DataType::Float as usize));
        let positions = self.node("ReduceProd", &[sides], |_| {});
        let one = self.number(1.);
        let less = self.node("Sub", &[positions.clone(), one], |_| {});
        self.node("Div", &[positions, less], |_| {})
    }

    /// factor·x + addend.
    fn affine(&mut self, x: String, factor: String, addend: f64) -> String {
        let addend = self.number(addend as f32);
        let scaled = self.node("Mul", &[x, factor], |_| {});
        self.node("Add", &[scaled, addend], |_| {})
    }

    /// A function of every value.
    fn function(&mut self, function: Function, x: String) -> String {
        let kind = match function {
            Function::Affine(mul, add) => {
                let mul = self.number(mul as f32);
                return self.affine(x, mul, add);
            }
            Function::Unbiased { positions, eps } => {
                let factor = self.number((positions as f64 / (positions as f64 - 1.)) as f32);
                return self.affine(x, factor, eps);
            }
            Function::Clamp(low, high) => {
                let read = [x, self.number(low as f32), self.number(high as f32)];
                return self.node("Clip", &read, |_| {});
            }
            Function::Square => return self.node("Mul", &[x.clone(), x], |_| {}),
            Function::Sqrt => "Sqrt",
            Function::Recip => "Reciprocal",
            Function::Exp => "Exp",
            Function::Log => "Log",
            Function::Sigmoid => "Sigmoid",
            Function::Tanh => "Tanh",
            Function::Relu => "Relu",
        };
        self.node(kind, &[x], |_| {})
    }
}
