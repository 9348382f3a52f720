//! Attributes of a node, with the defaults that ONNX gives them.

use tract_onnx::pb::{AttributeProto, NodeProto};

fn of<'n>(node: &'n NodeProto, name: &str) -> Option<&'n AttributeProto> {
    node.attribute.iter().find(|attribute| attribute.name == name)
}

/// An integer.
pub(crate) fn int(node: &NodeProto, name: &str, usual: i64) -> i64 {
    of(node, name).map_or(usual, |attribute| attribute.i)
}

/// A number.
pub(crate) fn float(node: &NodeProto, name: &str, usual: f32) -> f32 {
    of(node, name).map_or(usual, |attribute| attribute.f)
}

/// A list of integers; nothing where there is none.
pub(crate) fn ints<'n>(node: &'n NodeProto, name: &str) -> Option<&'n [i64]> {
    of(node, name).map(|attribute| attribute.ints.as_slice())
}

/// A text.
pub(crate) fn text(node: &NodeProto, name: &str, usual: &str) -> String {
    of(node, name).map_or(usual.to_string(), |attribute| String::from_utf8_lossy(&attribute.s).into_owned())
}
