//! A rule on a recorded map: its tables become the map's view, which the next reader applies; where only a box changes, the
//! map is written.

use super::feature_map::FeatureMap;
use super::gather::Gather;
use super::map::Map;
use super::observe::done;
use super::recording::Recording;
use super::statistics::{Back, Seen, composed};
use crate::pass::Pass;
use crate::rule::{self, MapShape, Rule};
use crate::stats::Positions;
use candle_core::{Result, Tensor};
use std::cell::RefCell;

impl FeatureMap {
    /// Changes the map's statistics by a rule; recorded maps and tensors alike.
    ///
    /// # Errors
    /// As the rule, or where it gives tables that do not fit the map.
    pub fn apply_rule(&self, rule: &dyn Rule, pass: &Pass) -> Result<Self> {
        self.either(|xs| on_tensor(rule, xs, pass), |recording, map| apply(recording, map, rule, pass))
    }
}

fn sizes((instances, height, width, channels): (usize, usize, usize, usize)) -> MapShape {
    MapShape { instances, height, width, channels, lengths: None }
}

/// On a tensor (N, H, W, C).
fn on_tensor(rule: &dyn Rule, xs: &Tensor, pass: &Pass) -> Result<Tensor> {
    let (n, h, w, c) = xs.dims4()?;
    let ys = rule::on_tensor(rule, &xs.reshape((n, h * w, c))?, &sizes((n, h, w, c)), pass)?;
    ys.map_or_else(|| Ok(xs.clone()), |ys| ys.reshape((n, h, w, c)))
}

fn apply(recording: &Recording, map: &Map, rule: &dyn Rule, pass: &Pass) -> Result<Map> {
    let (n, _, _, c) = map.dims;
    let moments =
        |positions: &Positions| if *positions == Positions::All { map.raw().clone() } else { map.body.moments(positions) };
    let seen = Seen { sizes: sizes(map.dims), map: Some(map), moments: &moments, centres: RefCell::default() };
    let Some(outcome) = rule::run(rule, &seen, pass, recording.mode().record)? else { return Ok(map.clone()) };
    let centres = seen.centres.into_inner();
    let (scale, bias) = composed(&outcome, Some(map));
    let changed = match outcome.within {
        Positions::All => map.viewed(recording.slot(), scale, bias),
        ref within => {
            let gather = Gather::default();
            let read = |n: usize, out: &mut [f32]| map.read(n, 0, out);
            let data = map.body.rescaled(within, (&scale, &bias), read, |n, out| gather.add(n, 0, out, c));
            Map::new(recording, map.dims, data).with_moments(gather.moments(n, c))
        }
    };
    let (slots, whole) = ((map.slot, changed.slot), Positions::All);
    Back { name: rule.name(), outcome, body: map.body.clone(), map: Some(map.clone()), centres, whole, slots }.record(recording);
    done(rule.name());
    Ok(changed)
}
