//! Operations of token vectors. In the file they are padded, (N, L, C), and a mask (N, L, 1) says which of them are tokens.

use super::{Graph, Kind, TEXTS, Value, Written};
use crate::write::Writer;
use candle_core::{Result, bail};
use sncn_core::trace::{Operation, Rows};
use tract_onnx::pb::tensor_proto::DataType;

/// Subtracted from the scores of padding in attention, so that its weights are 0 in 32-bit floats.
const FAR: f32 = 1e9;

impl Graph {
    /// Writes an operation of token vectors, or of token ids, where it is one.
    pub(super) fn of_sequences(
        &mut self,
        operation: &Operation,
        first: &Value,
        mask: &str,
        names: &[String],
    ) -> Result<Option<Written>> {
        let (w, xs) = (&mut self.writer, || names[0].clone());
        let name = match operation {
            Operation::Embedding(tables) => {
                let mut sum: Option<String> = None;
                for (table, rows) in tables {
                    let rows = w.rows(xs(), table, *rows)?;
                    sum = Some(match sum {
                        None => rows,
                        Some(sum) => w.node("Add", &[sum, rows], |_| {}),
                    });
                }
                let Some(sum) = sum else { bail!("an embedding without a table") };
                sum
            }
            Operation::Linear { weight, bias } => {
                let transposed = w.tensor(&weight.t()?)?;
                let ys = w.node("MatMul", &[xs(), transposed], |_| {});
                match bias {
                    None => ys,
                    Some(bias) => {
                        let bias = w.tensor(bias)?;
                        w.node("Add", &[ys, bias], |_| {})
                    }
                }
            }
            Operation::LayerNorm { weight, bias, eps } => w.layer_norm(xs(), weight, bias, *eps)?,
            Operation::Attention { heads } => w.attention(names, mask, *heads, first.shape[1]),
            Operation::SequenceMean => {
                let mean = w.mean_of_tokens(&names[0], mask);
                return Ok(Some((mean, Some(Kind::Vectors))));
            }
            Operation::SequenceFirst => {
                let first = w.integer(0);
                let first = w.node("Gather", &[xs(), first], |node| _ = node.int("axis", 1));
                return Ok(Some((first, Some(Kind::Vectors))));
            }
            Operation::Pack => xs(),
            Operation::Pad { least } => {
                let zeroed = w.node("Mul", &[xs(), mask.to_string()], |_| {});
                if *least < 2 {
                    return Ok(Some((zeroed, None)));
                }
                let [ys, mask] = w.padded([zeroed, mask.to_string()], *least);
                return Ok(Some((ys, Some(Kind::Sequences { mask }))));
            }
            Operation::Convolution { weight, bias, conv } if weight.rank() == 3 => {
                if (conv.stride, conv.dilation, conv.pads(first.shape[1], weight.dim(2)?)) != (1, 1, (0, 0)) {
                    bail!("a convolution of token vectors with a stride, dilation or padding has no ONNX form")
                }
                let mut read = vec![w.node("Transpose", &[xs()], |node| _ = node.ints("perm", &[0, 2, 1])), w.tensor(weight)?];
                if let Some(bias) = bias {
                    read.push(w.tensor(bias)?);
                }
                let ys = w.node("Conv", &read, |node| _ = node.int("group", conv.groups));
                let ys = w.node("Transpose", &[ys], |node| _ = node.ints("perm", &[0, 2, 1]));
                return Ok(Some((ys, Some(Kind::Windows { mask: mask.to_string() }))));
            }
            _ => return Ok(None),
        };
        Ok(Some((name, None)))
    }

    /// Writes an operation of the results of windows, where it is one.
    pub(super) fn of_windows(&mut self, operation: &Operation, mask: &str, names: &[String]) -> Result<Option<Written>> {
        let Operation::WindowMax { width, inside } = operation else { return Ok(None) };
        let w = &mut self.writer;
        let mut ys = names[0].clone();
        if *inside {
            // a window lies in a text where its last token does; the first always counts
            let axis = w.integers(&[1]);
            let part = |w: &mut Writer, from: usize, to: i64| {
                let read = [mask.to_string(), w.integers(&[from as i64]), w.integers(&[to]), axis.clone()];
                w.node("Slice", &read, |_| {})
            };
            let parts = [part(w, 0, 1), part(w, *width, i64::MAX)];
            let counted = w.node("Concat", &parts, |node| _ = node.int("axis", 1));
            ys = w.node("Mul", &[ys, counted], |_| {});
        }
        let most = w.node("ReduceMax", &[ys], |node| _ = node.ints("axes", &[1]).int("keepdims", 0));
        Ok(Some((most, Some(Kind::Vectors))))
    }
}

impl Writer {
    /// The mask (N, L, 1) of the second input of texts.
    pub(super) fn mask(&mut self) -> String {
        let mask = self.node("Cast", &[TEXTS[1].to_string()], |node| _ = node.int("to", DataType::Float as usize));
        let last = self.integers(&[2]);
        self.node("Unsqueeze", &[mask, last], |_| {})
    }

    /// The rows of a table for token ids.
    fn rows(&mut self, ids: String, table: &candle_core::Tensor, rows: Rows) -> Result<String> {
        let table = match rows {
            Rows::Same(row) => return self.tensor(&table.narrow(0, row as usize, 1)?),
            Rows::Tokens | Rows::Positions { .. } => self.tensor(table)?,
        };
        let Rows::Positions { first } = rows else { return Ok(self.node("Gather", &[table, ids], |_| {})) };
        let first = self.integers(&[i64::from(first)]);
        let length = self.node("Shape", &[ids], |node| _ = node.int("start", 1).int("end", 2));
        let last = self.node("Add", &[first.clone(), length], |_| {});
        let axis = self.integers(&[0]);
        Ok(self.node("Slice", &[table, first, last, axis], |_| {}))
    }

    /// Values (N, L, ·) with zeros behind, so that L is at least so large.
    fn padded(&mut self, values: [String; 2], least: usize) -> [String; 2] {
        let length = self.node("Shape", &[values[0].clone()], |node| _ = node.int("start", 1).int("end", 2));
        let (least, none) = (self.integers(&[least as i64]), self.integers(&[0]));
        let missing = self.node("Sub", &[least, length], |_| {});
        let missing = self.node("Max", &[missing, none.clone()], |_| {});
        let before = self.integers(&[0; 4]);
        let pads = self.node("Concat", &[before, missing, none], |node| _ = node.int("axis", 0));
        values.map(|value| self.node("Pad", &[value, pads.clone()], |_| {}))
    }

    /// softmax(Q·Kᵀ/√d)·V in each head, over the tokens of the same text.
    fn attention(&mut self, maps: &[String], mask: &str, heads: usize, width: usize) -> String {
        let size = width / heads;
        let (apart, together) = (self.integers(&[0, 0, heads as i64, size as i64]), self.integers(&[0, 0, width as i64]));
        let orders = [[0, 2, 1, 3], [0, 2, 3, 1], [0, 2, 1, 3]];
        let split: Vec<String> = maps
            .iter()
            .zip(orders)
            .map(|(map, order)| {
                let split = self.node("Reshape", &[map.clone(), apart.clone()], |_| {});
                self.node("Transpose", &[split], |node| _ = node.ints("perm", &order))
            })
            .collect();
        let scores = self.node("MatMul", &split[..2], |_| {});
        let scores = self.scaled(&scores, 1. / (size as f32).sqrt());
        let far = self.distance(mask);
        let scores = self.node("Add", &[scores, far], |_| {});
        let weights = self.node("Softmax", &[scores], |node| _ = node.int("axis", 3));
        let ys = self.node("MatMul", &[weights, split[2].clone()], |_| {});
        let ys = self.node("Transpose", &[ys], |node| _ = node.ints("perm", &[0, 2, 1, 3]));
        self.node("Reshape", &[ys, together], |_| {})
    }

    /// What is added to the scores of keys, (N, 1, 1, L): 0 for tokens, and far below for padding.
    fn distance(&mut self, mask: &str) -> String {
        self.once(format!("distance by {mask}"), |w| {
            let one = w.number(1.);
            let less = w.node("Sub", &[mask.to_string(), one], |_| {});
            let far = w.scaled(&less, FAR);
            let row = w.node("Transpose", &[far], |node| _ = node.ints("perm", &[0, 2, 1]));
            let axis = w.integers(&[1]);
            w.node("Unsqueeze", &[row, axis], |_| {})
        })
    }

    /// The number of tokens of every text, (N, 1).
    pub(super) fn tokens(&mut self, mask: &str) -> String {
        self.once(format!("tokens by {mask}"), |w| w.sum(mask.to_string()))
    }

    /// The mean over the tokens of every text, (N, C).
    pub(super) fn mean_of_tokens(&mut self, map: &str, mask: &str) -> String {
        let zeroed = self.node("Mul", &[map.to_string(), mask.to_string()], |_| {});
        let (sum, tokens) = (self.sum(zeroed), self.tokens(mask));
        self.node("Div", &[sum, tokens], |_| {})
    }

    /// The sum over the second axis, which goes.
    fn sum(&mut self, value: String) -> String {
        let axis = self.integers(&[1]);
        self.node("ReduceSum", &[value, axis], |node| _ = node.int("keepdims", 0))
    }
}
