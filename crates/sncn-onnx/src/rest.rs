//! `Rest`: the part of a graph that runs on tract.

use crate::error::OnnxError;
use crate::file::{File, told};
use crate::guard::guarded;
use std::collections::HashSet;
use std::sync::Arc;
use tract_onnx::data_resolver::FopenDataResolver;
use tract_onnx::pb::tensor_shape_proto::{Dimension, dimension};
use tract_onnx::pb::type_proto::{self, Value as Kind};
use tract_onnx::pb::{GraphProto, NodeProto, TensorShapeProto, TypeProto, ValueInfoProto, tensor_proto::DataType};
use tract_onnx::prelude::{IntoRunnable, IntoTValue, TVec, Tensor, TypedRunnableModel};
use tract_onnx::tract_hir::infer::InferenceModelExt;

/// A value that it reads: its name, and its shape for the images of a batch.
pub(crate) type Read = (String, Vec<usize>);

/// Nodes of a graph, for a fixed number of images.
pub(crate) struct Rest {
    at: String,
    plan: Arc<TypedRunnableModel>,
    /// The shapes of what it reads.
    shapes: Vec<Vec<usize>>,
}

impl Rest {
    /// The nodes of a file that give `output` from what is read.
    ///
    /// # Errors
    /// If tract does not take them.
    pub(crate) fn new(file: &File, nodes: Vec<NodeProto>, read: Vec<Read>, output: &str) -> Result<Self, OnnxError> {
        let mut model = file.model.clone();
        let used: HashSet<&str> = nodes.iter().flat_map(names).collect();
        let graph = file.graph();
        let constants = graph.initializer.iter().filter(|tensor| used.contains(tensor.name.as_str()) || tensor.name == output);
        model.graph = Some(GraphProto {
            name: graph.name.clone(),
            initializer: constants.cloned().collect(),
            input: read.iter().map(|(name, dims)| floats(name, dims)).collect(),
            output: graph.output.iter().filter(|known| known.name == output).cloned().collect(),
            node: nodes.clone(),
            ..GraphProto::default()
        });
        let fails = |error: &dyn std::fmt::Display| OnnxError::Run { file: file.at.clone(), what: told(error) };
        let framework = tract_onnx::Onnx { provider: Arc::new(FopenDataResolver), ..tract_onnx::onnx() };
        let prepared = guarded(|| {
            let parsed = framework.parse(&model, file.folder.as_deref()).map_err(|error| fails(&error))?;
            if let Some(name) = parsed.unresolved_inputs.first() {
                return Err(file.unfit(format!("nothing in the graph gives {name:?}, which a node reads")));
            }
            parsed.model.into_optimized().and_then(|model| model.into_runnable()).map_err(|error| fails(&error))
        });
        let plan = prepared.map_err(|said| fails(&said))??;
        Ok(Self { at: file.at.clone(), plan, shapes: read.into_iter().map(|(_, shape)| shape).collect() })
    }

    /// The answer to the values of one batch, in the order in which they are read; with its shape.
    ///
    /// # Errors
    /// If tract fails, or the answer is no tensor of numbers.
    pub(crate) fn run(&self, values: &[&[f32]]) -> Result<(Vec<usize>, Vec<f32>), OnnxError> {
        let fails = |error: &dyn std::fmt::Display| OnnxError::Run { file: self.at.clone(), what: told(error) };
        let inputs = self.shapes.iter().zip(values).map(|(shape, values)| Ok(Tensor::from_shape(shape, values)?.into_tvalue()));
        let inputs: TVec<_> = inputs.collect::<tract_onnx::prelude::TractResult<_>>().map_err(|error| fails(&error))?;
        let answers = guarded(|| self.plan.run(inputs)).map_err(|said| fails(&said))?.map_err(|error| fails(&error))?;
        let first = answers.first().ok_or_else(|| fails(&"it answers nothing"))?;
        let answer = first.cast_to::<f32>().map_err(|error| fails(&error))?;
        let values = answer.to_plain_array_view::<f32>().map_err(|error| fails(&error))?.iter().copied().collect();
        Ok((answer.shape().to_vec(), values))
    }
}

/// The names that a node reads, those of the graphs inside it included.
fn names(node: &NodeProto) -> Vec<&str> {
    let inside = node.attribute.iter().filter_map(|attribute| attribute.g.as_ref()).flat_map(|graph| &graph.node).flat_map(names);
    node.input.iter().map(String::as_str).chain(inside).collect()
}

/// The declaration of a value of 32-bit floats.
fn floats(name: &str, dims: &[usize]) -> ValueInfoProto {
    let dim = |dim: &usize| Dimension { value: Some(dimension::Value::DimValue(*dim as i64)), ..Dimension::default() };
    let shape = TensorShapeProto { dim: dims.iter().map(dim).collect() };
    let tensor = type_proto::Tensor { elem_type: DataType::Float as i32, shape: Some(shape) };
    let kind = TypeProto { value: Some(Kind::TensorType(tensor)), ..TypeProto::default() };
    ValueInfoProto { name: name.to_string(), r#type: Some(kind), ..ValueInfoProto::default() }
}
