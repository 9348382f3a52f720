//! `Writer`: the nodes and constants of a graph, and the file that they make.

use candle_core::{DType, Result, Tensor};
use prost::Message;
use std::collections::{HashMap, HashSet};
use tract_onnx::pb::attribute_proto::AttributeType;
use tract_onnx::pb::tensor_proto::DataType;
use tract_onnx::pb::tensor_shape_proto::{Dimension, dimension};
use tract_onnx::pb::type_proto::{self, Value as Kind};
use tract_onnx::pb::{
    AttributeProto, GraphProto, ModelProto, NodeProto, OperatorSetIdProto, StringStringEntryProto, TensorProto, TensorShapeProto,
    TypeProto, ValueInfoProto,
};

/// The operator set of files.
const OPERATORS: i64 = 17;
/// The version of the format that goes with it.
const FORMAT: i64 = 8;

/// The name under which a file notes its classes, a JSON array of names in the order of its outputs.
pub const CLASSES: &str = "sncn.classes";

/// What an ONNX file notes beside its graph: names and texts.
pub type Notes<'a> = [(&'a str, String)];

/// A dimension of an input or output.
#[derive(Clone, Copy)]
pub(crate) enum Dim {
    /// A number.
    Fixed(usize),
    /// Any number; equal names are equal numbers.
    Free(&'static str),
}

/// An input or output.
pub(crate) struct Declared {
    pub(crate) name: &'static str,
    pub(crate) kind: DataType,
    pub(crate) dims: Vec<Dim>,
}

/// A graph as far as it is written.
#[derive(Default)]
pub(crate) struct Writer {
    nodes: Vec<NodeProto>,
    constants: Vec<TensorProto>,
    /// Constants that occur often, by what they are.
    known: HashMap<String, String>,
}

/// A node whose attributes are set.
pub(crate) struct Node<'a>(&'a mut NodeProto);

impl Node<'_> {
    fn attribute(&mut self, name: &str, kind: AttributeType) -> &mut AttributeProto {
        self.0.attribute.push(AttributeProto { name: name.to_string(), r#type: kind as i32, ..AttributeProto::default() });
        let last = self.0.attribute.len() - 1;
        &mut self.0.attribute[last]
    }

    pub(crate) fn int(&mut self, name: &str, value: usize) -> &mut Self {
        self.attribute(name, AttributeType::Int).i = value as i64;
        self
    }

    pub(crate) fn ints(&mut self, name: &str, values: &[usize]) -> &mut Self {
        self.attribute(name, AttributeType::Ints).ints = values.iter().map(|&value| value as i64).collect();
        self
    }

    pub(crate) fn float(&mut self, name: &str, value: f32) -> &mut Self {
        self.attribute(name, AttributeType::Float).f = value;
        self
    }

    pub(crate) fn text(&mut self, name: &str, value: &str) {
        self.attribute(name, AttributeType::String).s = value.as_bytes().to_vec();
    }
}

impl Writer {
    /// Adds a node, and gives the name of its result; `set` sets its attributes.
    pub(crate) fn node(&mut self, kind: &str, inputs: &[String], set: impl FnOnce(&mut Node<'_>)) -> String {
        let name = format!("{}_{}", kind.to_lowercase(), self.nodes.len());
        let mut node = NodeProto {
            name: name.clone(),
            op_type: kind.to_string(),
            input: inputs.to_vec(),
            output: vec![name.clone()],
            ..NodeProto::default()
        };
        set(&mut Node(&mut node));
        self.nodes.push(node);
        name
    }

    /// Gives a value a name of its own.
    pub(crate) fn named(&mut self, value: String, name: &str) {
        self.node("Identity", &[value], |node| node.0.output = vec![name.to_string()]);
    }

    fn constant(&mut self, dims: &[usize], kind: DataType, raw_data: Vec<u8>) -> String {
        let name = format!("constant_{}", self.constants.len());
        let dims = dims.iter().map(|&dim| dim as i64).collect();
        self.constants.push(TensorProto { name: name.clone(), dims, data_type: kind as i32, raw_data, ..TensorProto::default() });
        name
    }

    /// A constant of 32-bit floats.
    pub(crate) fn floats(&mut self, dims: &[usize], values: Vec<f32>) -> String {
        self.constant(dims, DataType::Float, values.into_iter().flat_map(f32::to_le_bytes).collect())
    }

    /// A number.
    pub(crate) fn number(&mut self, value: f32) -> String {
        self.once(format!("{value:?}"), |writer| writer.floats(&[], vec![value]))
    }

    /// A list of integers.
    pub(crate) fn integers(&mut self, values: &[i64]) -> String {
        let bytes = || values.iter().flat_map(|value| value.to_le_bytes()).collect();
        self.once(format!("{values:?}"), |writer| writer.constant(&[values.len()], DataType::Int64, bytes()))
    }

    /// An integer.
    pub(crate) fn integer(&mut self, value: i64) -> String {
        self.once(format!("integer {value}"), |writer| writer.constant(&[], DataType::Int64, value.to_le_bytes().to_vec()))
    }

    /// A value that is made when it is first wanted.
    pub(crate) fn once(&mut self, what: String, make: impl FnOnce(&mut Self) -> String) -> String {
        if let Some(name) = self.known.get(&what) {
            return name.clone();
        }
        let name = make(self);
        self.known.insert(what, name.clone());
        name
    }

    /// A tensor as a constant of 32-bit floats.
    ///
    /// # Errors
    /// Returns candle's error where its values cannot be read.
    pub(crate) fn tensor(&mut self, tensor: &Tensor) -> Result<String> {
        let values = tensor.to_dtype(DType::F32)?.flatten_all()?.to_vec1()?;
        Ok(self.floats(tensor.dims(), values))
    }

    /// The file, with its inputs and its output.
    pub(crate) fn bytes(self, inputs: &[Declared], output: &Declared, notes: &Notes<'_>) -> Vec<u8> {
        let declared = |Declared { name, kind, dims }: &Declared| {
            let value = |dim: &Dim| match dim {
                Dim::Fixed(dim) => dimension::Value::DimValue(*dim as i64),
                Dim::Free(name) => dimension::Value::DimParam(name.to_string()),
            };
            let dim = |dim: &Dim| Dimension { value: Some(value(dim)), ..Dimension::default() };
            let shape = TensorShapeProto { dim: dims.iter().map(dim).collect() };
            let tensor = type_proto::Tensor { elem_type: *kind as i32, shape: Some(shape) };
            let kind = TypeProto { value: Some(Kind::TensorType(tensor)), ..TypeProto::default() };
            ValueInfoProto { name: name.to_string(), r#type: Some(kind), ..ValueInfoProto::default() }
        };
        // a centre or bias of zeros is not applied, and its constant read by no node
        let read: HashSet<&String> = self.nodes.iter().flat_map(|node| &node.input).collect();
        let constants = self.constants.into_iter().filter(|constant| read.contains(&constant.name)).collect();
        let graph = GraphProto {
            name: "network".to_string(),
            initializer: constants,
            node: self.nodes,
            input: inputs.iter().map(declared).collect(),
            output: vec![declared(output)],
            ..GraphProto::default()
        };
        let note = |(key, value): &(&str, String)| StringStringEntryProto { key: key.to_string(), value: value.clone() };
        let model = ModelProto {
            ir_version: FORMAT,
            opset_import: vec![OperatorSetIdProto { domain: String::new(), version: OPERATORS }],
            producer_name: "sncn".to_string(),
            producer_version: env!("CARGO_PKG_VERSION").to_string(),
            graph: Some(graph),
            metadata_props: notes.iter().map(note).collect(),
            ..ModelProto::default()
        };
        model.encode_to_vec()
    }
}
