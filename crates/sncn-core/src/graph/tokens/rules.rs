//! Rules and operations on token vectors. An instance is a sequence; the result of a rule is written, not pending.

use super::token_map::{Rows, TokenMap};
use crate::graph::body::Body;
use crate::graph::observe::done;
use crate::graph::operation::{self, Operation};
use crate::graph::pooled::Values;
use crate::graph::recording::Recording;
use crate::graph::statistics::{BodyInput, RuleBackward, composed};
use crate::packing::Packing;
use crate::pass::Pass;
use crate::rule::{self, MapShape, Rule};
use crate::stats::Positions;
use crate::trace;
use candle_core::{Result, Tensor, bail};
use std::cell::RefCell;
use std::sync::Arc;

impl TokenMap {
    /// Applies a rule to the sequences.
    ///
    /// # Errors
    /// As [`crate::FeatureMap::apply_rule`], and where `packing` is that of another number of tokens.
    pub fn apply_rule(&self, packing: &Packing, rule: &dyn Rule, pass: &Pass) -> Result<Self> {
        self.either(|xs| on_tensor(rule, xs, packing, pass), |recording, rows| apply(recording, rows, packing, rule, pass))
    }

    /// Applies an operation, whose input is a map (1, 1, tokens, C) of all tokens; it must keep the shape.
    ///
    /// # Errors
    /// Returns the error of the operation, and an error where it changes the shape.
    pub fn apply_operation<O: Operation>(&self, operation: O) -> Result<Self> {
        let operation = Arc::new(operation);
        self.either(
            |xs| {
                let (rows, width) = xs.dims2()?;
                let ys = operation.reference(&xs.reshape((1, 1, rows, width))?)?.reshape((rows, width))?;
                operation::note(&*operation, xs, &ys);
                Ok(ys)
            },
            |recording, xs| {
                let dims = (1, 1, xs.rows(), xs.width);
                if operation.output(dims)? != dims {
                    bail!("{}: an operation on token vectors must keep the shape {dims:?}", operation.name())
                }
                let (data, slot) = operation::run(recording, operation.clone(), (&xs.data, xs.slot, dims), dims)?;
                Ok(Rows { slot, data: Arc::new(Values::Own(data)), width: xs.width })
            },
        )
    }
}

fn shape(packing: &Packing, channels: usize) -> MapShape {
    let (lengths, width) = (packing.lengths().clone(), packing.longest());
    MapShape { instances: lengths.len(), height: 1, width, channels, lengths: Some(lengths) }
}

/// Applies a rule to a tensor (tokens, C).
fn on_tensor(rule: &dyn Rule, xs: &Tensor, packing: &Packing, pass: &Pass) -> Result<Tensor> {
    let padded = packing.pad(xs)?;
    let Some(ys) = rule::on_tensor(rule, &padded, &shape(packing, xs.dim(1)?), pass)? else { return Ok(xs.clone()) };
    trace::note_rule(rule.name(), &padded, &ys);
    packing.pack(&ys)
}

fn apply(recording: &Recording, xs: &Rows, packing: &Packing, rule: &dyn Rule, pass: &Pass) -> Result<Rows> {
    packing.check_tokens(xs.rows())?;
    let shape = shape(packing, xs.width);
    let whole = shape.positions(None);
    let body = Body::new(xs.data.clone(), packing.lengths().iter().copied(), xs.width);
    let moments = |positions: &Positions| body.moments(positions);
    let input = BodyInput { shape, map: None, moments: &moments, centres: RefCell::default() };
    let Some(evaluated) = rule::run(rule, &input, pass, recording.mode().record)? else { return Ok(xs.clone()) };
    let centres = input.centres.into_inner();
    let (scale, bias) = composed(&evaluated, None);
    let copy = |n: usize, out: &mut [f32]| body.copy(n, out);
    let data = body.rescaled(&evaluated.within, (&scale, &bias), copy, |_, _| {});
    let ys = Rows::new(recording, data, xs.width);
    RuleBackward { name: rule.name(), evaluated, body: body.clone(), map: None, centres, whole, slots: (xs.slot, ys.slot) }
        .record(recording);
    done(rule.name());
    Ok(ys)
}
