//! Rules and operations on token vectors: an instance is a sequence, whose vectors are written where a rule changes them.

use super::token_map::{Rows, TokenMap};
use crate::graph::body::Body;
use crate::graph::buffer::Values;
use crate::graph::observe::done;
use crate::graph::operation::{self, Operation};
use crate::graph::recording::Recording;
use crate::graph::statistics::{Back, Seen, composed};
use crate::packing::Packing;
use crate::pass::Pass;
use crate::rule::{self, MapShape, Rule};
use crate::stats::Positions;
use candle_core::{Result, Tensor, bail};
use std::cell::RefCell;
use std::sync::Arc;

impl TokenMap {
    /// Changes the statistics of every sequence by a rule; recorded vectors and tensors alike.
    ///
    /// # Errors
    /// As the rule, or where the sequences are not of these tokens.
    pub fn apply_rule(&self, packing: &Packing, rule: &dyn Rule, pass: &Pass) -> Result<Self> {
        self.either(|xs| on_tensor(rule, xs, packing, pass), |recording, rows| apply(recording, rows, packing, rule, pass))
    }

    /// Applies an operation of one's own, which sees all tokens as one map (1, 1, tokens, C), and keeps its shape.
    ///
    /// # Errors
    /// As the operation, or where it changes the shape.
    pub fn apply_operation<O: Operation>(&self, operation: O) -> Result<Self> {
        let operation = Arc::new(operation);
        self.either(
            |xs| {
                let (rows, width) = xs.dims2()?;
                operation.reference(&xs.reshape((1, 1, rows, width))?)?.reshape((rows, width))
            },
            |recording, xs| {
                let dims = (1, 1, xs.rows(), xs.width);
                if operation.output(dims)? != dims {
                    bail!("{}: token vectors keep their shape, {dims:?}", operation.name())
                }
                let (data, slot) = operation::run(recording, operation.clone(), (&xs.data, xs.slot, dims), dims)?;
                Ok(Rows { slot, data: Arc::new(Values::Own(data)), width: xs.width })
            },
        )
    }
}

fn sizes(packing: &Packing, channels: usize) -> MapShape {
    let (lengths, width) = (packing.lengths().clone(), packing.longest());
    MapShape { instances: lengths.len(), height: 1, width, channels, lengths: Some(lengths) }
}

/// On a tensor (tokens, C).
fn on_tensor(rule: &dyn Rule, xs: &Tensor, packing: &Packing, pass: &Pass) -> Result<Tensor> {
    let ys = rule::on_tensor(rule, &packing.pad(xs)?, &sizes(packing, xs.dim(1)?), pass)?;
    ys.map_or_else(|| Ok(xs.clone()), |ys| packing.pack(&ys))
}

fn apply(recording: &Recording, xs: &Rows, packing: &Packing, rule: &dyn Rule, pass: &Pass) -> Result<Rows> {
    packing.check_tokens(xs.rows())?;
    let sizes = sizes(packing, xs.width);
    let whole = sizes.positions(None);
    let body = Body::new(xs.data.clone(), packing.lengths().iter().copied(), xs.width);
    let moments = |positions: &Positions| body.moments(positions);
    let seen = Seen { sizes, map: None, moments: &moments, centres: RefCell::default() };
    let Some(outcome) = rule::run(rule, &seen, pass, recording.mode().record)? else { return Ok(xs.clone()) };
    let centres = seen.centres.into_inner();
    let (scale, bias) = composed(&outcome, None);
    let copy = |n: usize, out: &mut [f32]| body.copy(n, out);
    let data = body.rescaled(&outcome.within, (&scale, &bias), copy, |_, _| {});
    let ys = Rows::new(recording, data, xs.width);
    Back { name: rule.name(), outcome, body: body.clone(), map: None, centres, whole, slots: (xs.slot, ys.slot) }
        .record(recording);
    done(rule.name());
    Ok(ys)
}
