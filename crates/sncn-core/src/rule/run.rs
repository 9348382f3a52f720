//! `Rule`, and running one: its result is checked, and its gradient computed.

use super::instances::{Affine, Instances, Region, RuleInput};
use super::matrix::Matrix;
use super::tape::Tape;
use crate::pass::Pass;
use crate::stats::Positions;
use candle_core::{Result, Tensor, bail};
use std::rc::Rc;

/// A layer that changes a map's statistics: it computes a centre, a scale and a bias for every (instance, channel) from the
/// instances' statistics, its parameters and the pass.
///
/// Whatever implements this is a [`crate::Layer`]: it works on tensors, recorded maps and packed sequences, and its gradient is
/// computed by automatic differentiation.
///
/// ```
/// use candle_core::Result;
/// use sncn_core::rule::{Affine, Instances, Rule};
/// use sncn_core::{Layer, Pass, Seed};
///
/// /// Instance normalisation without parameters.
/// struct Standardise;
///
/// impl Rule for Standardise {
///     fn rule(&self, map: &Instances, _: &Pass) -> Result<Option<Affine>> {
///         let statistics = map.statistics()?;
///         let zero = map.constant(1, 1, vec![0.])?;
///         Ok(Some(Affine::new(statistics.mean.clone(), statistics.std(1e-5)?.recip(), zero)))
///     }
/// }
///
/// # fn main() -> Result<()> {
/// let xs = Seed::new(1).normal((2, 8, 8, 4))?.affine(2., 3.)?; // (N, H, W, C)
/// let ys = Standardise.forward(&xs, &Pass::eval())?;
/// assert!(ys.mean_all()?.to_scalar::<f32>()?.abs() < 1e-3);
/// # Ok(())
/// # }
/// ```
pub trait Rule: Send + Sync {
    /// Computes y = scale·(x − centre) + bias for the instances; `None` where this pass leaves the map as it is.
    ///
    /// # Errors
    /// Returns an error where a statistic is not defined (a standard deviation over fewer than 2 positions) or matrices of
    /// different shapes are combined.
    fn rule(&self, map: &Instances<'_>, pass: &Pass) -> Result<Option<Affine>>;

    /// Returns the name for error messages and measurements; by default the type's name.
    fn name(&self) -> &'static str {
        let name = std::any::type_name::<Self>();
        name.rsplit("::").next().unwrap_or(name)
    }
}

/// The result of a rule for one map in one pass, with the tape of its computation.
pub(crate) struct Evaluated {
    pub(super) tape: Tape,
    pub(crate) regions: Vec<Region>,
    pub(crate) parameters: Vec<(Tensor, usize)>,
    /// Nodes of centre, scale and bias.
    pub(super) matrices: [usize; 3],
    /// The positions that change.
    pub(crate) within: Positions,
    instances: usize,
    channels: usize,
}

/// The gradients of a rule's inputs.
pub(crate) struct InputGradients {
    /// Those of the mean and variance (N, C) of every region; `None` where they are zero.
    pub(crate) regions: Vec<[Option<Vec<f64>>; 2]>,
    /// Those of the parameters.
    pub(crate) parameters: Vec<Option<Vec<f64>>>,
}

/// Runs a rule on a map; `None` where it leaves the map as it is. With `record`, its gradient can be computed afterwards.
pub(crate) fn run(rule: &dyn Rule, input: &dyn RuleInput, pass: &Pass, record: bool) -> Result<Option<Evaluated>> {
    let map = Instances::new(input, record);
    let shape = map.shape();
    let Some(affine) = rule.rule(&map, pass)? else { return Ok(None) };
    let Affine { centre, scale, bias, within } = affine;
    let (instances, channels, name) = (shape.instances, shape.channels, rule.name());
    let within = shape.positions(within);
    within.check(instances, shape.height * shape.width)?;
    for (what, matrix) in [("centre", &centre), ("scale", &scale), ("bias", &bias)] {
        check(&map, name, what, matrix, (instances, channels))?;
    }
    let matrices = [centre.node(), scale.node(), bias.node()];
    drop((centre, scale, bias));
    let (tape, regions, parameters) = (map.tape, map.regions.into_inner(), map.parameters.into_inner());
    let Ok(tape) = Rc::try_unwrap(tape) else {
        bail!("{name} keeps a matrix after its rule has returned: a matrix is valid only within that call")
    };
    Ok(Some(Evaluated { tape: tape.into_inner(), regions, parameters, matrices, within, instances, channels }))
}

/// Checks that a matrix was made in this call, has the right shape, and is finite where statistics and parameters are.
fn check(map: &Instances<'_>, name: &str, what: &str, matrix: &Matrix, (instances, channels): (usize, usize)) -> Result<()> {
    if !matrix.is_on(&map.tape) {
        bail!("{name}: its {what} was made in another call of a rule: compute it from the arguments of this call")
    }
    let (rows, columns) = matrix.dims();
    if ![1, instances].contains(&rows) || ![1, channels].contains(&columns) {
        bail!("{name}: its {what} has shape ({rows}, {columns}); expected ({instances}, {channels}), where an axis may be 1")
    }
    let tape = map.tape.borrow();
    let finite = |node: usize| tape.nodes[node].values.iter().all(|value| value.is_finite());
    if let Some(at) = tape.nodes[matrix.node()].values.iter().position(|value| !value.is_finite())
        && map.regions.borrow().iter().all(|region| finite(region.mean) && finite(region.variance))
        && map.parameters.borrow().iter().all(|(_, node)| finite(*node))
    {
        let (row, column, value) = (at / columns, at % columns, tape.nodes[matrix.node()].values[at]);
        bail!("{name}: its {what} is {value} for instance {row}, channel {column}, though statistics and parameters are finite")
    }
    Ok(())
}

impl Evaluated {
    /// Centre, scale and bias, each (N, C).
    pub(crate) fn matrices(&self) -> [Vec<f64>; 3] {
        self.matrices.map(|node| {
            let node = &self.tape.nodes[node];
            let mut matrix = Vec::with_capacity(self.instances * self.channels);
            for n in 0..self.instances {
                let row = &node.values[if node.rows == 1 { 0 } else { n * node.columns }..][..node.columns];
                match node.columns == self.channels {
                    true => matrix.extend_from_slice(row),
                    false => matrix.resize(matrix.len() + self.channels, row[0]),
                }
            }
            matrix
        })
    }

    /// Channels (C).
    pub(crate) fn channels(&self) -> usize {
        self.channels
    }

    /// Values of a matrix (N, C).
    pub(crate) fn entries(&self) -> usize {
        self.instances * self.channels
    }

    /// The backward pass of the rule, from the gradients of centre, scale and bias, each (N, C).
    pub(crate) fn backward(&self, gradients: [Vec<f64>; 3]) -> InputGradients {
        let seeds = self.matrices.into_iter().zip(gradients).map(|(node, g)| (node, self.summed_to(node, g)));
        let mut all = self.tape.backward(seeds);
        let mut taken = |node: usize| all[node].take();
        let regions = self.regions.iter().map(|region| [taken(region.mean), taken(region.variance)]).collect();
        let parameters = self.parameters.iter().map(|(_, node)| taken(*node)).collect();
        InputGradients { regions, parameters }
    }

    /// A gradient (N, C), summed over the axes along which the node was broadcast.
    fn summed_to(&self, node: usize, gradient: Vec<f64>) -> Vec<f64> {
        let node = &self.tape.nodes[node];
        if node.values.len() == gradient.len() {
            return gradient;
        }
        let mut sums = vec![0.; node.values.len()];
        for (n, g) in gradient.chunks_exact(self.channels).enumerate() {
            let to = &mut sums[if node.rows == 1 { 0 } else { n * node.columns }..][..node.columns];
            match to {
                [one] => *one += g.iter().sum::<f64>(),
                all => all.iter_mut().zip(g).for_each(|(to, g)| *to += g),
            }
        }
        sums
    }
}
