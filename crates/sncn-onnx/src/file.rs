//! `File`: an ONNX file as it was read, with what it takes and gives.

use crate::attributes::ints;
use crate::error::OnnxError;
use crate::guard::guarded;
use std::collections::{HashMap, HashSet};
use std::path::{Component, Path};
use tract_onnx::data_resolver::FopenDataResolver;
use tract_onnx::pb::tensor_shape_proto::dimension::Value as Dim;
use tract_onnx::pb::type_proto::Value as Kind;
use tract_onnx::pb::{GraphProto, ModelProto, TensorProto, ValueInfoProto, tensor_proto::DataType};
use tract_onnx::prelude::{Framework, Tensor};
use tract_onnx::tensor::load_tensor;

/// Where the channels of a model's input are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    /// (N, 3, H, W), as PyTorch exports.
    Nchw,
    /// (N, H, W, 3), as TensorFlow exports.
    Nhwc,
}

/// The one input of a model.
#[derive(Clone, Debug)]
pub(crate) struct Input {
    pub(crate) name: String,
    pub(crate) layout: Layout,
    /// Images of a batch, where only that number is taken.
    pub(crate) batch: Option<usize>,
    /// Height and width.
    pub(crate) size: (usize, usize),
}

/// An ONNX file.
pub struct File {
    /// Its path, for messages.
    pub(crate) at: String,
    /// The folder in which weights that lie outside the file are.
    pub(crate) folder: Option<String>,
    /// All but its graph.
    pub(crate) model: ModelProto,
    graph: GraphProto,
    /// The places of constants in the graph.
    constants: HashMap<String, usize>,
}

impl File {
    /// Reads a file.
    ///
    /// # Errors
    /// If it cannot be read, is no ONNX model or cut short, lacks weights that lie beside it, or has operators that are not implemented.
    pub fn read(path: &Path) -> Result<Self, OnnxError> {
        let at = path.display().to_string();
        let bytes = std::fs::read(path).map_err(|source| OnnxError::Read { file: at.clone(), source })?;
        let damaged = |what: String| OnnxError::Damaged { file: at.clone(), what };
        let model = guarded(|| tract_onnx::onnx().proto_model_for_read(&mut bytes.as_slice())).map_err(damaged)?;
        let mut model = model.map_err(|error| damaged(told(&error)))?;
        drop(bytes);
        let graph = model.graph.take().filter(|graph| !graph.node.is_empty());
        let graph = graph.ok_or_else(|| damaged("it has no graph (is it another kind of file?)".to_string()))?;
        let constants = graph.initializer.iter().enumerate().map(|(index, tensor)| (tensor.name.clone(), index)).collect();
        let folder = path.parent().map(|folder| folder.to_string_lossy().into_owned());
        let file = Self { at, folder, model, graph, constants };
        file.check_operators()?;
        file.check_orders()?;
        // weights that lie beside the file are missed now, and not in the middle
        for tensor in file.graph.initializer.iter().filter(|tensor| tensor.data_location.unwrap_or_default() == 1) {
            let location = tensor.external_data.iter().find(|entry| entry.key == "location").map_or("", |entry| &entry.value);
            if !Path::new(location).components().all(|part| matches!(part, Component::Normal(_))) {
                let what =
                    format!("the constant {:?} is said to be in {location:?}; a file beside the model is accepted", tensor.name);
                return Err(OnnxError::Damaged { file: file.at, what });
            }
            file.tensor(tensor)?;
        }
        Ok(file)
    }

    /// What it notes beside its graph under a name, such as what [`crate::export`] was given.
    pub fn note(&self, name: &str) -> Option<&str> {
        self.model.metadata_props.iter().find(|entry| entry.key == name).map(|entry| entry.value.as_str())
    }

    /// The graph.
    pub(crate) fn graph(&self) -> &GraphProto {
        &self.graph
    }

    /// An error of what the model takes or gives.
    pub(crate) fn unfit(&self, what: impl Into<String>) -> OnnxError {
        OnnxError::Unfit { file: self.at.clone(), what: what.into() }
    }

    fn check_operators(&self) -> Result<(), OnnxError> {
        let known = tract_onnx::onnx().op_register.0;
        let mut seen = HashSet::new();
        let missing = self.graph.node.iter().filter(|node| !known.contains_key(&node.op_type) && seen.insert(&node.op_type));
        let operators: Vec<String> = missing.map(|node| format!("{} (node {:?})", node.op_type, node.name)).collect();
        match operators.is_empty() {
            true => Ok(()),
            false => Err(OnnxError::Operators { file: self.at.clone(), operators: operators.join(", ") }),
        }
    }

    /// Refuses orders of axes that name one twice or none, with which tract does not end.
    fn check_orders(&self) -> Result<(), OnnxError> {
        for node in self.graph.node.iter().filter(|node| node.op_type == "Transpose") {
            let Some(order) = ints(node, "perm") else { continue };
            let mut sorted = order.to_vec();
            sorted.sort_unstable();
            if !sorted.iter().copied().eq(0..order.len() as i64) {
                return Err(
                    self.unfit(format!("node {:?}: perm is {order:?}, which is no order of axes: is it damaged?", node.name))
                );
            }
        }
        Ok(())
    }

    /// The values of a constant of the graph.
    pub(crate) fn constant(&self, name: &str) -> Option<Result<Tensor, OnnxError>> {
        self.constants.get(name).map(|&index| self.tensor(&self.graph.initializer[index]))
    }

    pub(crate) fn tensor(&self, tensor: &TensorProto) -> Result<Tensor, OnnxError> {
        let damaged = |why: String| OnnxError::Damaged {
            file: self.at.clone(),
            what: format!("the constant {:?} cannot be read (weights outside the file lie beside it): {why}", tensor.name),
        };
        let loaded = guarded(|| load_tensor(&FopenDataResolver, tensor, self.folder.as_deref())).map_err(damaged)?;
        loaded.map_err(|error| damaged(told(&error)))
    }

    /// Refuses answers to noise that are not finite.
    ///
    /// # Errors
    /// Says what was answered.
    pub(crate) fn finite(&self, answers: &[f32]) -> Result<(), OnnxError> {
        match answers.iter().find(|value| !value.is_finite()) {
            Some(value) => Err(self.unfit(format!(
                "it answers {value} to an image of noise: its weights are damaged, or its input is not scaled so"
            ))),
            None => Ok(()),
        }
    }

    /// The input, for images of this size (height and width) where the model takes any.
    pub(crate) fn input(&self, size: (usize, usize), layout: Option<Layout>) -> Result<Input, OnnxError> {
        let inputs: Vec<&ValueInfoProto> =
            self.graph.input.iter().filter(|input| !self.constants.contains_key(&input.name)).collect();
        let &[input] = inputs.as_slice() else {
            let names: Vec<String> = inputs.iter().map(|input| format!("{:?}", input.name)).collect();
            return Err(self.unfit(format!("{} inputs ({}); one is accepted, a batch of images", names.len(), names.join(", "))));
        };
        let Some(Kind::TensorType(tensor)) = input.r#type.as_ref().and_then(|kind| kind.value.as_ref()) else {
            return Err(self.unfit(format!("the input {:?} is no tensor; a batch of images is accepted", input.name)));
        };
        if tensor.elem_type != DataType::Float as i32 {
            let kind = DataType::try_from(tensor.elem_type).map_or("of an unknown type", |kind| kind.as_str_name());
            return Err(self
                .unfit(format!("the input {:?} is {kind}; FLOAT is accepted: export the model for 32-bit floats", input.name)));
        }
        let dims: Vec<Option<usize>> =
            tensor.shape.iter().flat_map(|shape| &shape.dim).map(|dim| fixed(dim.value.as_ref())).collect();
        let shape = || dims.iter().map(|dim| dim.map_or("?".to_string(), |dim| dim.to_string())).collect::<Vec<_>>().join(" x ");
        let &[batch, one, two, three] = dims.as_slice() else {
            let wanted = "N x 3 x H x W or N x H x W x 3";
            return Err(self.unfit(format!("the input {:?} has shape {}; accepted: {wanted}", input.name, shape())));
        };
        let layout = match (layout, one, three) {
            (Some(given), ..) => given,
            (None, Some(3), other) if other != Some(3) => Layout::Nchw,
            (None, other, Some(3)) if other != Some(3) => Layout::Nhwc,
            _ => {
                let what =
                    format!("the input {:?} has shape {}, which does not tell where its 3 channels are", input.name, shape());
                return Err(self.unfit(format!("{what}; give the layout, nchw or nhwc")));
            }
        };
        let (channels, height, width) = match layout {
            Layout::Nchw => (one, two, three),
            Layout::Nhwc => (three, one, two),
        };
        if channels.is_some_and(|channels| channels != 3) {
            return Err(self.unfit(format!("the input {:?} has shape {}; images have 3 channels", input.name, shape())));
        }
        let (height, width) = (height.unwrap_or(size.0), width.unwrap_or(size.1));
        if (height, width) != size {
            let what = format!("it takes images of {height} x {width} pixels, and inputs have {} x {}", size.0, size.1);
            return Err(self.unfit(format!("{what}: set the size of the input to {height}")));
        }
        Ok(Input { name: input.name.clone(), layout, batch, size: (height, width) })
    }

    /// The name of the output with that name, or the first.
    pub(crate) fn output(&self, wanted: Option<&str>) -> Result<String, OnnxError> {
        let names: Vec<&str> = self.graph.output.iter().map(|output| output.name.as_str()).collect();
        let found = match wanted {
            Some(wanted) => names.iter().find(|name| **name == wanted),
            None => names.first(),
        };
        let found = found
            .ok_or_else(|| self.unfit(format!("no output {:?}; known: {}", wanted.unwrap_or_default(), names.join(", "))))?;
        if !self.graph.node.iter().any(|node| node.output.iter().any(|given| given == found)) {
            return Err(self.unfit(format!("nothing in the graph gives the output {found:?}: is it damaged?")));
        }
        Ok(found.to_string())
    }
}

/// A dimension that is a number; one of 0 or less, or with a name, is free.
fn fixed(dim: Option<&Dim>) -> Option<usize> {
    match dim {
        Some(Dim::DimValue(value)) => usize::try_from(*value).ok().filter(|value| *value > 0),
        _ => None,
    }
}

/// An error of tract with its causes, in one line.
pub(crate) fn told(error: &dyn std::fmt::Display) -> String {
    format!("{error:#}").split_whitespace().collect::<Vec<_>>().join(" ")
}
