//! Operations of maps (N, C, H, W).

use super::{Graph, Kind, Value, Written};
use candle_core::{Result, bail};
use sncn_core::trace::Operation;

impl Graph {
    /// Writes an operation of maps, where it is one.
    pub(super) fn of_maps(&mut self, operation: &Operation, first: &Value, names: &[String]) -> Result<Option<Written>> {
        let (w, shape, to_vectors) = (&mut self.writer, &first.shape, Some(Kind::Vectors));
        let name = match operation {
            Operation::Convolution { weight, bias, conv } => {
                let kernel = weight.dim(2)?;
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
            Operation::MaxPool { kernel, stride, padding } => w.node("MaxPool", names, |node| {
                node.ints("kernel_shape", &[*kernel; 2]).ints("strides", &[*stride; 2]).ints("pads", &[*padding; 4]);
            }),
            Operation::AveragePool2 => {
                w.node("AveragePool", names, |node| _ = node.ints("kernel_shape", &[2, 2]).ints("strides", &[2, 2]))
            }
            Operation::Mean { rows, columns } => {
                let mut name = names[0].clone();
                if shape[1..3] != [*rows, *columns] {
                    let (from, to) = (w.integers(&[0, 0]), w.integers(&[*rows as i64, *columns as i64]));
                    let axes = w.integers(&[2, 3]);
                    name = w.node("Slice", &[name, from, to, axes], |_| {});
                }
                return Ok(Some((w.mean_of_map(&name), to_vectors)));
            }
            Operation::MeanMap => w.node("GlobalAveragePool", names, |_| {}),
            Operation::Resize { rows, columns } => {
                // as many as the image has, or an earlier map, whatever these are of another image
                let mut values = self.values.iter().flatten();
                let like = values.find(|value| matches!(value.kind, Kind::Maps) && value.shape[1..3] == [*rows, *columns]);
                let Some(Value { name: like, .. }) = like else {
                    bail!("a map is resized to {rows} x {columns}, which no map before it has")
                };
                let first = w.node("Shape", &[names[0].clone()], |node| _ = node.int("start", 0).int("end", 1));
                let last = w.node("Shape", std::slice::from_ref(like), |node| _ = node.int("start", 2).int("end", 4));
                let sizes = [first, w.integers(&[shape[3] as i64]), last];
                let sizes = w.node("Concat", &sizes, |node| _ = node.int("axis", 0));
                let none = String::new();
                w.node("Resize", &[names[0].clone(), none.clone(), none, sizes], |node| {
                    node.text("mode", "linear");
                    node.text("coordinate_transformation_mode", "half_pixel");
                })
            }
            Operation::LayerNorm { weight, bias, eps } => {
                let last = w.node("Transpose", names, |node| _ = node.ints("perm", &[0, 2, 3, 1]));
                let normed = w.layer_norm(last, weight, bias, *eps)?;
                w.node("Transpose", &[normed], |node| _ = node.ints("perm", &[0, 3, 1, 2]))
            }
            Operation::Blur(kernel) => {
                let channels = shape[3];
                let around = w.integers(&[0, 0, 1, 1, 0, 0, 1, 1]);
                let padded = w.node("Pad", &[names[0].clone(), around], |node| node.text("mode", "reflect"));
                let weight = w.floats(&[channels, 1, 3, 3], kernel.repeat(channels));
                w.node("Conv", &[padded, weight], |node| _ = node.ints("strides", &[2, 2]).int("group", channels))
            }
            _ => return Ok(None),
        };
        Ok(Some((name, None)))
    }
}
