//! Statistics of BatchNorm at test time: those of the test batches take the place of the running ones.
//!
//! With B and V the mean and biased variance of a channel over the n instances and all positions of a batch, V' the unbiased variance,
//! and m, v the running statistics of training, a layer normalises by
//!
//! | form | mean, variance |
//! |---|---|
//! | batch | B, V (as TENT's `norm`, Wang et al. 2021) |
//! | batch, unbiased | B, V' (Schneider et al. 2020, arXiv 2006.16971) |
//! | prior | p·m + (1 − p)·B, p·v + (1 − p)·V' with p = N/(N + n) (the same paper, equation 2) |
//! | cumulative | the plain means of B and of V' over the batches so far, this one included |
//! | whole set | mean and biased variance of all batches together (AdaBN, Li et al. 2017, arXiv 1603.04779) |
//!
//! Running statistics never change. What the last two forms gather is kept here, by layer, and not in the network.

use candle_core::{Tensor, TensorId};
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Which BatchNorm layers of a network are meant: those on its maps, those inside SelfNorm's gates, or all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NormPlace {
    /// Those that normalise maps.
    #[default]
    Body,
    /// Those that normalise the N values of a SelfNorm gate.
    Gates,
    /// All.
    Both,
}

impl NormPlace {
    /// Returns whether a layer inside a gate, or one that is not, is meant.
    pub fn has(self, is_gate: bool) -> bool {
        match self {
            Self::Body => !is_gate,
            Self::Gates => is_gate,
            Self::Both => true,
        }
    }
}

/// Which statistics BatchNorm uses in place of the running ones; the head of this file has the formulas.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum NormForm {
    /// Mean and biased variance of the batch.
    Batch,
    /// Mean and unbiased variance of the batch.
    BatchUnbiased,
    /// The running statistics, as if of `instances` more instances, together with those of a batch of `batch` instances. A last batch that
    /// is smaller counts as much, as in the reference.
    Prior {
        /// N.
        instances: f64,
        /// n.
        batch: usize,
    },
    /// The mean over all batches since the beginning.
    Cumulative,
    /// Those of all batches together. A pass gathers, and normalises by its own batch meanwhile; [`TestTime::gathered`] gives what uses the
    /// result.
    WholeSet,
}

/// What the batches of a layer came to.
#[derive(Clone, Debug, Default)]
pub(crate) struct Gathered {
    /// Batches, or values a channel.
    count: f64,
    /// Means of C channels.
    pub(crate) mean: Vec<f64>,
    /// Their variances.
    pub(crate) variance: Vec<f64>,
}

impl Gathered {
    /// Adds a batch that weighs `weight`; with `spread`, the variance is that of the union.
    fn add(&mut self, weight: f64, mean: &[f64], variance: &[f64], spread: bool) {
        self.mean.resize(mean.len(), 0.);
        self.variance.resize(mean.len(), 0.);
        self.count += weight;
        let share = weight / self.count;
        for ((m, v), (mean, variance)) in self.mean.iter_mut().zip(&mut self.variance).zip(mean.iter().zip(variance)) {
            let difference = mean - *m;
            *m += share * difference;
            *v += share * (variance - *v);
            if spread {
                *v += share * (1. - share) * difference * difference;
            }
        }
    }
}

/// What is known of a layer that a pass came by.
#[derive(Debug)]
struct Met {
    is_gate: bool,
    /// Weight and bias.
    parameters: Option<[TensorId; 2]>,
    gathered: Gathered,
}

#[derive(Debug)]
struct Shared {
    form: NormForm,
    place: NormPlace,
    /// Whether what was gathered is used as it is.
    is_fixed: bool,
    layers: Mutex<HashMap<TensorId, Met>>,
}

/// The statistics that the BatchNorm layers of a network use in evaluation passes, and what they have gathered for that.
/// [`Pass::with_test_time`](crate::Pass::with_test_time) takes it; clones share what is gathered.
///
/// ```
/// use candle_core::{DType, Device};
/// use sncn_core::layer::BatchNorm;
/// use sncn_core::test_time::{NormForm, NormPlace, TestTime};
/// use sncn_core::{BuildContext, Layer, Pass, Seed, Vars};
///
/// # fn main() -> candle_core::Result<()> {
/// let vars = Vars::new(Seed::new(0), DType::F32, &Device::Cpu);
/// let norm = BatchNorm::new(&BuildContext::new(3, vars.builder()))?;
/// let xs = Seed::new(1).normal((8, 4, 4, 3))?.affine(2., 5.)?;
/// let batch = TestTime::new(NormForm::Batch, NormPlace::Body);
/// let ys = norm.forward(&xs, &Pass::eval().with_test_time(&batch))?;
/// assert!(ys.mean_all()?.to_scalar::<f32>()?.abs() < 1e-5);
/// assert!(norm.forward(&xs, &Pass::eval())?.mean_all()?.to_scalar::<f32>()? > 4.);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct TestTime(Arc<Shared>);

impl TestTime {
    /// Statistics of that form for the layers at that place; the others use their running statistics.
    pub fn new(form: NormForm, place: NormPlace) -> Self {
        Self(Arc::new(Shared { form, place, is_fixed: false, layers: Mutex::default() }))
    }

    fn layers(&self) -> MutexGuard<'_, HashMap<TensorId, Met>> {
        self.0.layers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns what uses the statistics of all batches gathered so far, and gathers no more. For [`NormForm::WholeSet`].
    pub fn gathered(&self) -> Self {
        let Shared { form, place, .. } = *self.0;
        let copy = |(id, met): (&TensorId, &Met)| {
            let Met { is_gate, parameters, ref gathered } = *met;
            (*id, Met { is_gate, parameters, gathered: gathered.clone() })
        };
        let layers = Mutex::new(self.layers().iter().map(copy).collect());
        Self(Arc::new(Shared { form, place, is_fixed: true, layers }))
    }

    /// Returns the number of BatchNorm layers that passes came by since the beginning and that are adapted.
    pub fn adapted(&self) -> usize {
        self.layers().values().filter(|met| self.takes(met.is_gate)).count()
    }

    /// Returns whether a tensor is weight or bias of a BatchNorm layer of the body that a pass came by.
    pub fn is_of_body(&self, parameter: &Tensor) -> bool {
        self.layers().values().any(|met| !met.is_gate && met.parameters.is_some_and(|own| own.contains(&parameter.id())))
    }

    /// Whether such a layer is adapted.
    pub(crate) fn takes(&self, is_gate: bool) -> bool {
        self.0.place.has(is_gate)
    }

    /// Whether layers read the statistics of the whole batch, which must then not be split.
    pub(crate) fn reads_batch(&self) -> bool {
        !self.0.is_fixed
    }

    /// Notes a layer, known by its running mean, with its weight and bias where it has them.
    pub(crate) fn meet(&self, layer: TensorId, is_gate: bool, parameters: Option<[TensorId; 2]>) {
        self.layers().entry(layer).or_insert_with(|| Met { is_gate, parameters, gathered: Gathered::default() });
    }

    /// The form.
    pub(crate) fn form(&self) -> NormForm {
        self.0.form
    }

    /// What a layer has gathered of batches of the whole set, where that is to be used as it is; `None` where a layer is to read the batch.
    /// The inner one is absent where nothing was gathered for this layer.
    pub(crate) fn fixed(&self, layer: TensorId) -> Option<Option<Gathered>> {
        let found = || self.layers().get(&layer).map(|met| met.gathered.clone()).filter(|gathered| gathered.count > 0.);
        self.0.is_fixed.then(found)
    }

    /// Adds a batch of this weight, its means and variances, to what a layer gathered, and returns that; with `spread` the variance is
    /// that of the union, else the plain mean.
    pub(crate) fn gather(&self, layer: TensorId, weight: f64, mean: &[f64], variance: &[f64], spread: bool) -> Gathered {
        let mut layers = self.layers();
        let Some(met) = layers.get_mut(&layer) else { return Gathered::default() };
        met.gathered.add(weight, mean, variance, spread);
        met.gathered.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn batches_of_different_sizes_become_one_set() {
        let batches = [vec![1., 2., 6.], vec![-3., 4.], vec![0.5, 0.25, 9., -7.]];
        let moments = |values: &[f64]| {
            let mean = values.iter().sum::<f64>() / values.len() as f64;
            (mean, values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / values.len() as f64)
        };
        let (mut union, mut plain) = (Gathered::default(), Gathered::default());
        for batch in &batches {
            let (mean, variance) = moments(batch);
            union.add(batch.len() as f64, &[mean], &[variance], true);
            plain.add(1., &[mean], &[variance], false);
        }
        let (mean, variance) = moments(&batches.concat());
        assert!((union.mean[0] - mean).abs() < 1e-14 && (union.variance[0] - variance).abs() < 1e-13);
        let of = |index: usize| batches.iter().map(|batch| [moments(batch).0, moments(batch).1][index]).sum::<f64>() / 3.;
        assert!((plain.mean[0] - of(0)).abs() < 1e-14 && (plain.variance[0] - of(1)).abs() < 1e-13);
    }

    #[test]
    fn places_and_what_they_have() {
        for (place, body, gates) in
            [(NormPlace::Body, true, false), (NormPlace::Gates, false, true), (NormPlace::Both, true, true)]
        {
            assert_eq!((place.has(false), place.has(true)), (body, gates));
        }
    }
}
