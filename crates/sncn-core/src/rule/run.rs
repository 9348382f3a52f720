//! `Rule`, and how one is run: its matrices checked, and its gradient taken.

use super::instances::{Affine, Instances, Region, Subject};
use super::matrix::Matrix;
use super::tape::Tape;
use crate::pass::Pass;
use crate::stats::Positions;
use candle_core::{Result, Tensor, bail};
use std::rc::Rc;

/// A layer that changes a map's statistics: from the statistics of instances, and what belongs to the pass, to a centre,
/// a scale and a bias for every instance and channel.
///
/// Whatever implements this is a [`crate::Layer`], recorded in networks and usable on plain tensors; its gradient is taken.
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
    /// The centre, scale and bias of y = scale·(x − centre) + bias; nothing where this pass leaves the map as it is.
    ///
    /// # Errors
    /// Where a statistic is not defined, or matrices do not fit together.
    fn rule(&self, map: &Instances<'_>, pass: &Pass) -> Result<Option<Affine>>;

    /// Its name in error messages; the type's name unless told otherwise.
    fn name(&self) -> &'static str {
        let name = std::any::type_name::<Self>();
        name.rsplit("::").next().unwrap_or(name)
    }
}

/// What a rule gave for one map in one pass.
pub(crate) struct Outcome {
    tape: Tape,
    pub(crate) regions: Vec<Region>,
    pub(crate) parameters: Vec<(Tensor, usize)>,
    /// Nodes of centre, scale and bias.
    matrices: [usize; 3],
    /// The positions that change.
    pub(crate) within: Positions,
    instances: usize,
    channels: usize,
}

/// What flows back from a rule.
pub(crate) struct Pulled {
    /// Of the mean and variance (N, C) of every region.
    pub(crate) regions: Vec<[Option<Vec<f64>>; 2]>,
    /// Of every parameter.
    pub(crate) parameters: Vec<Option<Vec<f64>>>,
}

/// Runs a rule on a map, with its gradient to be taken where `record`; nothing where it leaves the map as it is.
pub(crate) fn run(rule: &dyn Rule, subject: &dyn Subject, pass: &Pass, record: bool) -> Result<Option<Outcome>> {
    let map = Instances::new(subject, record);
    let sizes = map.shape();
    let Some(affine) = rule.rule(&map, pass)? else { return Ok(None) };
    let Affine { centre, scale, bias, within } = affine;
    let (instances, channels, name) = (sizes.instances, sizes.channels, rule.name());
    let within = sizes.positions(within);
    within.check(instances, sizes.height * sizes.width)?;
    for (what, matrix) in [("centre", &centre), ("scale", &scale), ("bias", &bias)] {
        check(&map, name, what, matrix, (instances, channels))?;
    }
    let matrices = [centre.node(), scale.node(), bias.node()];
    drop((centre, scale, bias));
    let (tape, regions, parameters) = (map.tape, map.regions.into_inner(), map.parameters.into_inner());
    let Ok(tape) = Rc::try_unwrap(tape) else { bail!("{name} keeps a matrix beyond the call of its rule: matrices end with it") };
    Ok(Some(Outcome { tape: tape.into_inner(), regions, parameters, matrices, within, instances, channels }))
}

/// Refuses a matrix of another map, of the wrong shape, or with a value that is not finite though the statistics are.
fn check(map: &Instances<'_>, name: &str, what: &str, matrix: &Matrix, (instances, channels): (usize, usize)) -> Result<()> {
    if !matrix.is_on(&map.tape) {
        bail!("{name}: its {what} was made in another call of a rule: make every matrix from what this call is given")
    }
    let (rows, columns) = matrix.dims();
    if ![1, instances].contains(&rows) || ![1, channels].contains(&columns) {
        bail!("{name}: its {what} has shape ({rows}, {columns}); ({instances}, {channels}) is wanted, and an axis may be 1")
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

impl Outcome {
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

    /// The gradient of the rule by those of centre, scale and bias, each (N, C).
    pub(crate) fn backward(&self, gradients: [Vec<f64>; 3]) -> Pulled {
        let seeds = self.matrices.into_iter().zip(gradients).map(|(node, g)| (node, self.gathered(node, g)));
        let mut all = self.tape.backward(seeds);
        let mut taken = |node: usize| all[node].take();
        let regions = self.regions.iter().map(|region| [taken(region.mean), taken(region.variance)]).collect();
        let parameters = self.parameters.iter().map(|(_, node)| taken(*node)).collect();
        Pulled { regions, parameters }
    }

    /// A gradient (N, C), summed to a node's shape.
    fn gathered(&self, node: usize, gradient: Vec<f64>) -> Vec<f64> {
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
