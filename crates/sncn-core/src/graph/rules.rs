//! Rules on maps: the resulting affine map stays pending; where it changes only a box, the map is written.

use super::feature_map::FeatureMap;
use super::gather::Gather;
use super::map::Map;
use super::observe::done;
use super::recording::Recording;
use super::statistics::{BodyInput, RuleBackward, composed};
use crate::pass::Pass;
use crate::rule::{self, MapShape, Rule};
use crate::stats::Positions;
use crate::trace;
use candle_core::{Result, Tensor};
use std::cell::RefCell;

impl FeatureMap {
    /// Applies a rule to the map.
    ///
    /// # Errors
    /// Returns the error of the rule, and an error where its result has another shape than the map's, or is not finite though
    /// statistics and parameters are.
    pub fn apply_rule(&self, rule: &dyn Rule, pass: &Pass) -> Result<Self> {
        self.pending(|xs| on_tensor(rule, xs, pass), |recording, map| apply(recording, map, rule, pass))
    }
}

fn shape((instances, height, width, channels): (usize, usize, usize, usize)) -> MapShape {
    MapShape { instances, height, width, channels, lengths: None }
}

/// Applies a rule to a tensor (N, H, W, C).
fn on_tensor(rule: &dyn Rule, xs: &Tensor, pass: &Pass) -> Result<Tensor> {
    let (n, h, w, c) = xs.dims4()?;
    let ys = rule::on_tensor(rule, &xs.reshape((n, h * w, c))?, &shape((n, h, w, c)), pass)?;
    let Some(ys) = ys else { return Ok(xs.clone()) };
    let ys = ys.reshape((n, h, w, c))?;
    trace::note_rule(rule.name(), xs, &ys);
    Ok(ys)
}

fn apply(recording: &Recording, map: &Map, rule: &dyn Rule, pass: &Pass) -> Result<Map> {
    let (n, _, _, c) = map.dims;
    let moments =
        |positions: &Positions| if *positions == Positions::All { map.raw().clone() } else { map.body.moments(positions) };
    let input = BodyInput { shape: shape(map.dims), map: Some(map), moments: &moments, centres: RefCell::default() };
    let Some(evaluated) = rule::run(rule, &input, pass, recording.mode().record)? else { return Ok(map.clone()) };
    let centres = input.centres.into_inner();
    let (scale, bias) = composed(&evaluated, Some(map));
    let changed = match evaluated.within {
        Positions::All => map.with_pending(recording.slot(), scale, bias),
        ref within => {
            let gather = Gather::default();
            let read = |n: usize, out: &mut [f32]| map.read(n, 0, out);
            let data = map.body.rescaled(within, (&scale, &bias), read, |n, out| gather.add(n, 0, out, c));
            Map::new(recording, map.dims, data).with_moments(gather.moments(n, c))
        }
    };
    let (slots, whole) = ((map.slot, changed.slot), Positions::All);
    RuleBackward { name: rule.name(), evaluated, body: map.body.clone(), map: Some(map.clone()), centres, whole, slots }
        .record(recording);
    done(rule.name());
    Ok(changed)
}
