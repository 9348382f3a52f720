//! From a graph to its body and its rest.

use crate::attributes::{float, int, ints, text};
use crate::body::{Body, Op, Step};
use crate::error::OnnxError;
use crate::file::{File, Input, Layout, told};
use candle_core::{DType, Device, Tensor};
use candle_nn::VarBuilder;
use sncn_core::layer::{BatchNorm, BuildContext};
use sncn_core::ops::Conv;
use std::collections::{HashMap, HashSet};
use tract_onnx::pb::{GraphProto, NodeProto};

/// What a value of the body is, beside its instances.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shape {
    /// A map of so many rows, columns and channels.
    Map(usize, usize, usize),
    /// A number a channel, with two axes of length 1 after it or without.
    Vector(usize, bool),
}

impl Shape {
    /// The shape in the file's layout, for a batch.
    pub(crate) fn dims(self, batch: usize) -> Vec<usize> {
        match self {
            Self::Map(h, w, c) => vec![batch, c, h, w],
            Self::Vector(c, true) => vec![batch, c, 1, 1],
            Self::Vector(c, false) => vec![batch, c],
        }
    }
}

/// A value of the body that the rest reads, or that is the answer.
#[derive(Clone, Debug)]
pub(crate) struct Crossing {
    pub(crate) name: String,
    pub(crate) value: usize,
    pub(crate) shape: Shape,
}

/// Values of the largest constant that is filled here: a few characters of a file can ask for any number.
const MOST_FILLED: usize = 1 << 28;

/// A graph in two parts.
pub(crate) struct Parts {
    /// What runs on the kernels.
    pub(crate) body: Body,
    /// What it hands over.
    pub(crate) crossings: Vec<Crossing>,
    /// The nodes that follow.
    pub(crate) rest: Vec<NodeProto>,
    /// How many nodes became a part of the body.
    pub(crate) taken: usize,
}

/// A graph as far as it is translated.
struct Translation<'a> {
    file: &'a File,
    input: &'a Input,
    steps: Vec<Step>,
    /// Values of the body by the names that the graph gives them.
    values: HashMap<String, (usize, Shape)>,
}

/// Splits the nodes that `output` needs; nothing where no part of it would run on the kernels.
///
/// # Errors
/// If constants cannot be read.
pub(crate) fn split(file: &File, input: &Input, output: &str) -> Result<Option<Parts>, OnnxError> {
    let nodes = needed(file.graph(), output);
    if nodes.iter().any(|node| node.attribute.iter().any(|attribute| attribute.g.is_some())) {
        // the graphs inside read values of this one by name
        return Ok(None);
    }
    let mut translation = Translation { file, input, steps: Vec::new(), values: HashMap::new() };
    if input.layout == Layout::Nchw {
        translation.values.insert(input.name.clone(), (0, Shape::Map(input.size.0, input.size.1, 3)));
    }
    let (mut rest, count) = (Vec::new(), nodes.len());
    for node in nodes {
        if !translation.takes(node)? {
            rest.push(node.clone());
        }
    }
    let taken = count - rest.len();
    let Translation { steps, values, .. } = translation;
    if !steps.iter().any(|step| matches!(step.op, Op::Conv { .. })) {
        return Ok(None);
    }
    let mut seen = HashSet::new();
    let read = rest.iter().flat_map(|node| &node.input).map(String::as_str).chain([output]);
    let crossings: Vec<Crossing> = read
        .filter(|name| seen.insert(name.to_string()))
        .filter_map(|name| values.get(name).map(|&(value, shape)| Crossing { name: name.to_string(), value, shape }))
        .collect();
    // an image in the layout of the file, which no value of the body is
    if rest.iter().any(|node| node.input.contains(&input.name)) && input.layout == Layout::Nhwc {
        return Ok(None);
    }
    let wanted: Vec<usize> = crossings.iter().map(|crossing| crossing.value).collect();
    Ok(Some(Parts { body: Body::new(steps, wanted), crossings, rest, taken }))
}

/// The nodes on whose results a value depends, in order.
fn needed<'g>(graph: &'g GraphProto, output: &str) -> Vec<&'g NodeProto> {
    let mut wanted: HashSet<&str> = HashSet::from([output]);
    let mut nodes: Vec<&NodeProto> = Vec::new();
    for node in graph.node.iter().rev() {
        let has_graph = node.attribute.iter().any(|attribute| attribute.g.is_some());
        if has_graph || node.output.iter().any(|name| wanted.contains(name.as_str())) {
            wanted.extend(node.input.iter().map(String::as_str));
            nodes.push(node);
        }
    }
    nodes.reverse();
    nodes
}

/// How a window moves over a map: its side, its stride and what surrounds the map; the same along both axes.
struct Window {
    kernel: usize,
    stride: usize,
    dilation: usize,
    /// Zeros on every side.
    padding: usize,
    /// Whether the zeros are as many as TensorFlow's "SAME" has instead.
    same: bool,
    /// Rows and columns of the result.
    size: (usize, usize),
}

impl Translation<'_> {
    /// Takes a node into the body, where it is one that the body can have.
    fn takes(&mut self, node: &NodeProto) -> Result<bool, OnnxError> {
        if !(node.domain.is_empty() || node.domain == "ai.onnx") {
            return Ok(false);
        }
        let Some((op, inputs, shape)) = self.step(node)? else { return Ok(false) };
        let Some(output) = node.output.first() else { return Ok(false) };
        let value = match op {
            Some(op) => {
                self.steps.push(Step { op, inputs });
                self.steps.len()
            }
            None => inputs[0],
        };
        self.values.insert(output.clone(), (value, shape));
        Ok(true)
    }

    /// The operation of a node, none where it changes nothing; with the values that it reads and the shape of its result.
    #[expect(clippy::type_complexity, reason = "told once, in the sentence above")]
    fn step(&self, node: &NodeProto) -> Result<Option<(Option<Op>, Vec<usize>, Shape)>, OnnxError> {
        if node.op_type == "Transpose" {
            let turns = self.input.layout == Layout::Nhwc
                && node.input.first() == Some(&self.input.name)
                && ints(node, "perm") == Some(&[0, 3, 1, 2]);
            let (height, width) = self.input.size;
            return Ok(turns.then_some((None, vec![0], Shape::Map(height, width, 3))));
        }
        let Some((from, shape)) = node.input.first().and_then(|name| self.values.get(name)).copied() else { return Ok(None) };
        let Shape::Map(h, w, c) = shape else { return Ok(None) };
        let alone = |op: Op, shape: Shape| Ok(Some((Some(op), vec![from], shape)));
        match node.op_type.as_str() {
            "Identity" | "Dropout" => Ok(Some((None, vec![from], shape))),
            "Relu" => alone(Op::Relu, shape),
            "LeakyRelu" => {
                let slope = f64::from(float(node, "alpha", 0.01));
                if (0. ..=1.).contains(&slope) { alone(Op::LeakyRelu(slope), shape) } else { Ok(None) }
            }
            "Clip" => match self.bounds(node)? {
                Some((0., 6.)) => alone(Op::Relu6, shape),
                _ => Ok(None),
            },
            "Conv" => self.conv(node, from, (h, w, c)),
            "BatchNormalization" => match self.batch_norm(node, c)? {
                Some(norm) => alone(Op::BatchNorm(Box::new(norm)), shape),
                None => Ok(None),
            },
            "MaxPool" => match window(node, (h, w), None) {
                Some(window) if window.dilation == 1 && !window.same && node.output.len() == 1 => {
                    let op = Op::MaxPool { kernel: window.kernel, stride: window.stride, padding: window.padding };
                    alone(op, Shape::Map(window.size.0, window.size.1, c))
                }
                _ => Ok(None),
            },
            "AveragePool" => match window(node, (h, w), None) {
                Some(window) if window.padding > 0 || window.same || window.dilation > 1 => Ok(None),
                Some(window) if window.size == (1, 1) && window.kernel == h && h == w => {
                    alone(Op::GlobalAveragePool, Shape::Vector(c, true))
                }
                Some(window) if window.kernel == 2 && window.stride == 2 && h % 2 == 0 && w % 2 == 0 => {
                    alone(Op::AveragePool2, Shape::Map(h / 2, w / 2, c))
                }
                _ => Ok(None),
            },
            "GlobalAveragePool" => alone(Op::GlobalAveragePool, Shape::Vector(c, true)),
            "ReduceMean" => {
                let axes = match ints(node, "axes") {
                    Some(axes) => axes.to_vec(),
                    None => self.integers(node.input.get(1))?.unwrap_or_default(),
                };
                let mut axes: Vec<i64> = axes.iter().map(|axis| if *axis < 0 { axis + 4 } else { *axis }).collect();
                axes.sort_unstable();
                let keeps = int(node, "keepdims", 1) != 0;
                if axes == [2, 3] { alone(Op::GlobalAveragePool, Shape::Vector(c, keeps)) } else { Ok(None) }
            }
            "Add" | "Sum" => {
                let all: Option<Vec<_>> = node.input.iter().map(|name| self.values.get(name).copied()).collect();
                let Some(all) = all.filter(|all| all.iter().all(|(_, other)| *other == shape)) else { return Ok(None) };
                Ok(Some((Some(Op::Add), all.into_iter().map(|(value, _)| value).collect(), shape)))
            }
            "Concat" if matches!(int(node, "axis", 1), 1 | -3) => {
                let all: Option<Vec<_>> = node.input.iter().map(|name| self.values.get(name).copied()).collect();
                let Some(all) = all else { return Ok(None) };
                let mut channels = 0;
                for (_, other) in &all {
                    match other {
                        Shape::Map(height, width, count) if (*height, *width) == (h, w) => channels += count,
                        _ => return Ok(None),
                    }
                }
                Ok(Some((Some(Op::Concat), all.into_iter().map(|(value, _)| value).collect(), Shape::Map(h, w, channels))))
            }
            _ => Ok(None),
        }
    }

    #[expect(clippy::type_complexity, reason = "as `step`")]
    fn conv(
        &self,
        node: &NodeProto,
        from: usize,
        (h, w, c): (usize, usize, usize),
    ) -> Result<Option<(Option<Op>, Vec<usize>, Shape)>, OnnxError> {
        let Some(weight) = self.values_of(node.input.get(1))? else { return Ok(None) };
        let &[o, per_group, kernel, other] = weight.dims() else { return Ok(None) };
        let groups = usize::try_from(int(node, "group", 1)).unwrap_or(0);
        if kernel != other || groups == 0 || per_group * groups != c || o % groups != 0 {
            return Ok(None);
        }
        let Some(window) = window(node, (h, w), Some(kernel)) else { return Ok(None) };
        let bias = match node.input.get(2).filter(|name| !name.is_empty()) {
            Some(name) => match self.values_of(Some(name))? {
                Some(bias) if bias.dims() == [o] => Some(bias),
                _ => return Ok(None),
            },
            None => None,
        };
        let Window { stride, dilation, padding, same, size, .. } = window;
        let op = Op::Conv { weight, bias, conv: Conv { stride, padding, same, dilation, groups } };
        Ok(Some((Some(op), vec![from], Shape::Map(size.0, size.1, o))))
    }

    fn batch_norm(&self, node: &NodeProto, channels: usize) -> Result<Option<BatchNorm>, OnnxError> {
        if int(node, "training_mode", 0) != 0 || int(node, "spatial", 1) == 0 || node.input.len() != 5 {
            return Ok(None);
        }
        let mut tensors = HashMap::new();
        for (name, input) in ["weight", "bias", "running_mean", "running_var"].into_iter().zip(&node.input[1..]) {
            match self.values_of(Some(input))? {
                Some(values) if values.dims() == [channels] => tensors.insert(name.to_string(), values),
                _ => return Ok(None),
            };
        }
        let eps = f64::from(float(node, "epsilon", 1e-5));
        let build = |mut tensors: HashMap<String, Tensor>| -> candle_core::Result<BatchNorm> {
            tensors.insert("num_batches_tracked".to_string(), Tensor::zeros((), DType::I64, &Device::Cpu)?);
            BatchNorm::with(&BuildContext::new(channels, VarBuilder::from_tensors(tensors, DType::F32, &Device::Cpu)), eps, 0.1)
        };
        build(tensors).map(Some).map_err(|error| self.file.unfit(format!("node {:?}: {error}", node.name)))
    }

    /// The bounds of Clip, which older files have as attributes.
    fn bounds(&self, node: &NodeProto) -> Result<Option<(f32, f32)>, OnnxError> {
        if node.input.len() < 3 {
            return Ok(Some((float(node, "min", f32::MIN), float(node, "max", f32::MAX))));
        }
        let one = |name: &String| -> Result<Option<f32>, OnnxError> {
            let Some(values) = self.values_of(Some(name))? else { return Ok(None) };
            let values = values.flatten_all().and_then(|values| values.to_vec1::<f32>()).unwrap_or_default();
            Ok(if let &[value] = values.as_slice() { Some(value) } else { None })
        };
        Ok(one(&node.input[1])?.zip(one(&node.input[2])?))
    }

    /// A constant by its name: of the graph, or of a node.
    fn constant(&self, name: Option<&String>) -> Result<Option<tract_onnx::prelude::Tensor>, OnnxError> {
        let Some(name) = name else { return Ok(None) };
        if let Some(found) = self.file.constant(name) {
            return found.map(Some);
        }
        let node = self.file.graph().node.iter().find(|node| node.output.first() == Some(name));
        match node {
            Some(node) if node.op_type == "Identity" => self.constant(node.input.first()),
            Some(node) if node.op_type == "Constant" => {
                let tensor = node.attribute.iter().find_map(|attribute| attribute.t.as_ref());
                tensor.map(|tensor| self.file.tensor(tensor)).transpose()
            }
            Some(node) if node.op_type == "ConstantOfShape" => self.filled(node),
            _ => Ok(None),
        }
    }

    /// A constant that is one 32-bit float at every place, of a shape that is known and not without measure.
    fn filled(&self, node: &NodeProto) -> Result<Option<tract_onnx::prelude::Tensor>, OnnxError> {
        let value = node.attribute.iter().find_map(|attribute| attribute.t.as_ref());
        let value = value.map(|tensor| self.file.tensor(tensor)).transpose()?;
        let value = value.map_or(Some(0.), |value| Some(*value.to_plain_array_view::<f32>().ok()?.first()?));
        let sides = self.integers(node.input.first())?.unwrap_or_default();
        let sides: Option<Vec<usize>> = sides.iter().map(|&side| usize::try_from(side).ok()).collect();
        let count = |sides: &[usize]| sides.iter().try_fold(1usize, |count, &side| count.checked_mul(side));
        let Some((value, sides)) = value.zip(sides) else { return Ok(None) };
        let Some(count) = count(&sides).filter(|count| *count <= MOST_FILLED) else { return Ok(None) };
        let tensor = tract_onnx::prelude::Tensor::from_shape(&sides, &vec![value; count]);
        tensor.map(Some).map_err(|error| self.file.unfit(error.to_string()))
    }

    /// A constant of 32-bit floats as a tensor.
    fn values_of(&self, name: Option<&String>) -> Result<Option<Tensor>, OnnxError> {
        let Some(found) = self.constant(name)? else { return Ok(None) };
        let Ok(view) = found.to_plain_array_view::<f32>() else { return Ok(None) };
        let values: Vec<f32> = view.iter().copied().collect();
        let tensor = Tensor::from_vec(values, found.shape(), &Device::Cpu);
        tensor.map(Some).map_err(|error| self.file.unfit(told(&error)))
    }

    fn integers(&self, name: Option<&String>) -> Result<Option<Vec<i64>>, OnnxError> {
        let found = self.constant(name)?;
        Ok(found.and_then(|found| Some(found.to_plain_array_view::<i64>().ok()?.iter().copied().collect())))
    }
}

/// The window of a convolution, whose kernel has this side, or of a pooling; nothing where it is not the same along both axes.
fn window(node: &NodeProto, (h, w): (usize, usize), kernel: Option<usize>) -> Option<Window> {
    let square = |name: &str, usual: usize| -> Option<usize> {
        match ints(node, name) {
            None => Some(usual),
            Some(&[one, two]) if one == two => usize::try_from(one).ok().filter(|value| *value > 0),
            Some(_) => None,
        }
    };
    let kernel = kernel.or_else(|| square("kernel_shape", 0).filter(|kernel| *kernel > 0))?;
    let (stride, dilation) = (square("strides", 1)?, square("dilations", 1)?);
    let extent = dilation * (kernel - 1) + 1;
    let same_pads = |length: usize| Conv { stride, dilation, same: true, ..Conv::default() }.pads(length, kernel);
    let pads: [(usize, usize); 2] = match text(node, "auto_pad", "NOTSET").as_str() {
        "VALID" => [(0, 0); 2],
        "SAME_UPPER" => [same_pads(h), same_pads(w)],
        "NOTSET" => match ints(node, "pads") {
            None => [(0, 0); 2],
            Some(&[top, left, bottom, right]) => {
                let one = |value: i64| usize::try_from(value).ok();
                [(one(top)?, one(bottom)?), (one(left)?, one(right)?)]
            }
            Some(_) => return None,
        },
        _ => return None,
    };
    let length = |length: usize, (before, after): (usize, usize)| {
        let room = (length + before + after).checked_sub(extent)?;
        let exact = room % stride == 0;
        // with ceil_mode a window may begin where it does not fit
        (int(node, "ceil_mode", 0) == 0 || exact).then_some(room / stride + 1)
    };
    let size = (length(h, pads[0])?, length(w, pads[1])?);
    let padding = pads[0].0;
    if pads.iter().all(|pads| *pads == (padding, padding)) {
        return Some(Window { kernel, stride, dilation, padding, same: false, size });
    }
    let same = pads == [same_pads(h), same_pads(w)];
    same.then_some(Window { kernel, stride, dilation, padding: 0, same, size })
}
