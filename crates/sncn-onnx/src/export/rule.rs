//! Rules: y = scale·(x − centre) + bias, where the three are computed from the statistics of each instance.

use super::{Graph, Kind, Value};
use crate::write::Writer;
use candle_core::{Result, Tensor, bail};
use sncn_core::rule::{Function, MatrixOperation, Pair, Traced, unbiased};
use tract_onnx::pb::tensor_proto::DataType;

impl Graph {
    /// y = scale·(x − centre) + bias.
    pub(super) fn rule(&mut self, rule: &Traced, map: &Value) -> Result<String> {
        if matches!(map.kind, Kind::Windows { .. } | Kind::Vectors) {
            bail!("a rule on values of shape {:?} has no ONNX form", map.shape)
        }
        let channels = map.shape[map.shape.len() - 1];
        let constant = |step: usize| match &rule.steps[step].0 {
            MatrixOperation::Constant(_, columns, values) if *columns == channels => Some(values.clone()),
            MatrixOperation::Constant(.., values) => Some(vec![values[0]; channels]),
            _ => None,
        };
        let floats = |values: Vec<f64>| values.into_iter().map(|value| value as f32).collect::<Vec<f32>>();
        if let (Kind::Maps, Some(centre), Some(scale), Some(bias)) =
            (&map.kind, constant(rule.centre), constant(rule.scale), constant(rule.bias))
        {
            let mut read = vec![map.name.clone()];
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
        let mut value = map.name.clone();
        for (kind, step, idle) in
            [("Sub", rule.centre, is_zero(rule.centre)), ("Mul", rule.scale, false), ("Add", rule.bias, is_zero(rule.bias))]
        {
            if idle {
                continue;
            }
            let wide = self.writer.wide(names[step].clone(), &map.kind);
            value = self.writer.node(kind, &[value, wide], |_| {});
        }
        Ok(value)
    }

    /// Writes an operation of matrices; `names` are those before it.
    fn matrix(
        &mut self,
        operation: &MatrixOperation,
        columns: usize,
        names: &[String],
        map: &Value,
        rule: &Traced,
    ) -> Result<String> {
        let any_size = self.any_size;
        let w = &mut self.writer;
        let of = |step: &usize| names[*step].clone();
        Ok(match operation {
            MatrixOperation::Constant(rows, columns, values) => {
                w.floats(&[*rows, *columns], values.iter().map(|value| *value as f32).collect())
            }
            MatrixOperation::Mean => w.mean(&map.name, &map.kind),
            MatrixOperation::Variance => {
                let mean = w.mean(&map.name, &map.kind);
                let mean = w.wide(mean, &map.kind);
                let centred = w.node("Sub", &[map.name.clone(), mean], |_| {});
                let square = w.node("Mul", &[centred.clone(), centred], |_| {});
                w.mean(&square, &map.kind)
            }
            MatrixOperation::Unbiased(a, eps) => {
                let factor = match any_size {
                    true => w.unbiased(map),
                    false => w.number(unbiased(map.shape[1..map.shape.len() - 1].iter().product()) as f32),
                };
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
                            let zeros = w.scaled(&one, 0.);
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
    /// The mean over the positions of each instance's channels, (N, C).
    fn mean(&mut self, map: &str, kind: &Kind) -> String {
        match kind {
            Kind::Sequences { mask } => self.mean_of_tokens(map, mask),
            _ => self.mean_of_map(map),
        }
    }

    /// The mean over the rows and columns of a map, (N, C).
    pub(super) fn mean_of_map(&mut self, map: &str) -> String {
        let mean = self.node("GlobalAveragePool", &[map.to_string()], |_| {});
        self.node("Flatten", &[mean], |node| _ = node.int("axis", 1))
    }

    /// A matrix (N, C) with axes for the positions, over which it is broadcast.
    fn wide(&mut self, matrix: String, kind: &Kind) -> String {
        let axes: &[i64] = if matches!(kind, Kind::Maps) { &[2, 3] } else { &[1] };
        let axes = self.integers(axes);
        self.node("Unsqueeze", &[matrix, axes], |_| {})
    }

    /// p/(p − 1) of the p positions that a map, or each text, turns out to have.
    fn unbiased(&mut self, map: &Value) -> String {
        let positions = match &map.kind {
            Kind::Sequences { mask } => self.tokens(mask),
            _ => {
                let sides = self.node("Shape", std::slice::from_ref(&map.name), |node| _ = node.int("start", 2).int("end", 4));
                let sides = self.node("Cast", &[sides], |node| _ = node.int("to", DataType::Float as usize));
                self.node("ReduceProd", &[sides], |_| {})
            }
        };
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

    /// factor·x.
    pub(super) fn scaled(&mut self, x: &str, factor: f32) -> String {
        let factor = self.number(factor);
        self.node("Mul", &[x.to_string(), factor], |_| {})
    }

    /// Normalisation over the last axis.
    pub(super) fn layer_norm(&mut self, x: String, weight: &Tensor, bias: &Tensor, eps: f64) -> Result<String> {
        let read = [x, self.tensor(weight)?, self.tensor(bias)?];
        Ok(self.node("LayerNormalization", &read, |node| _ = node.float("epsilon", eps as f32)))
    }

    /// A function of every value.
    fn function(&mut self, function: Function, x: String) -> String {
        let kind = match function {
            Function::Affine(mul, add) => {
                let mul = self.number(mul as f32);
                return self.affine(x, mul, add);
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
