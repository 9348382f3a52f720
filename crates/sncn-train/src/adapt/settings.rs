//! `Adapt`: the key `adapt` of a run.

use serde::{Deserialize, Serialize};
use sncn_core::Seed;
use sncn_core::optim::{Optimizer, OptimizerConfig};
use sncn_core::test_time::{NormForm, NormPlace, TestTime};

/// In which order the examples of a test set make batches.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Order {
    /// That of the set.
    #[default]
    Own,
    /// One that is shuffled, the same for all sets of as many examples: for sets that are sorted by class.
    Shuffled,
}

/// How a network adapts to test examples; as JSON `{"kind": …}`. Every test set is begun anew.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Adapt {
    /// Each batch is normalised by its own mean and biased variance.
    Batch(Statistics),
    /// By its own mean and unbiased variance.
    BatchUnbiased(Statistics),
    /// By the running statistics, as if of n examples more, and its own.
    Prior(Prior),
    /// By the mean statistics of the batches so far, its own among them.
    Cumulative(Statistics),
    /// By the statistics of the whole test set, which is read once more for that: each batch normalises itself while they are gathered
    /// (AdaBN).
    WholeSet(Statistics),
    /// TENT: after each batch has been answered, a step down the entropy of the answers.
    Tent(Tent),
}

/// Settings of statistics.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Statistics {
    /// The BatchNorm layers that adapt.
    #[serde(rename = "where")]
    pub place: NormPlace,
    /// Examples of a batch; absent: as many as is usual for the task.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub batch_size: Option<usize>,
    /// Which examples make a batch.
    pub order: Order,
}

/// Settings of statistics with a prior.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Prior {
    /// How many examples the running statistics count for.
    pub n: usize,
    /// As in [`Statistics`].
    #[serde(default, rename = "where")]
    pub place: NormPlace,
    /// As in [`Statistics`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub batch_size: Option<usize>,
    /// As in [`Statistics`].
    #[serde(default)]
    pub order: Order,
}

/// Settings of TENT (Wang et al. 2021, arXiv 2006.10726).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Tent {
    /// What is trained: weight and bias of the body's BatchNorm layers, all parameters of SelfNorm's gates, or both.
    #[serde(rename = "where")]
    pub place: NormPlace,
    /// The BatchNorm layers that use the statistics of the batch; absent: those of `where`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub statistics: Option<NormPlace>,
    /// The learning rate.
    pub lr: f64,
    /// The optimiser.
    pub optimizer: OptimizerConfig,
    /// Whether every batch begins with the network as it was trained.
    pub episodic: bool,
    /// Examples of a batch; absent: as many as is usual for the task.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub batch_size: Option<usize>,
    /// Which examples make a batch.
    pub order: Order,
}

impl Default for Tent {
    fn default() -> Self {
        let optimizer = OptimizerConfig::Adam { betas: (0.9, 0.999), eps: 1e-8, weight_decay: 0. };
        Self {
            place: NormPlace::Body,
            statistics: None,
            lr: 1e-3,
            optimizer,
            episodic: false,
            batch_size: None,
            order: Order::Own,
        }
    }
}

/// Why settings were refused.
#[derive(Debug, thiserror::Error)]
pub enum AdaptError {
    /// The batch is empty.
    #[error("adapt.batch_size is 0; at least 1 is accepted")]
    BatchSize,
    /// The learning rate.
    #[error("adapt.lr is {0}; a positive number is accepted")]
    Lr(f64),
    /// The optimiser.
    #[error("adapt.optimizer: {0}")]
    Optimizer(candle_core::Error),
    /// Both at once.
    #[error("adapt: TENT computes in f32, and --precision asks for another: take one of the two away")]
    Precision,
}

impl Adapt {
    /// The settings under `--adapt`: the name of a kind, or JSON.
    ///
    /// # Errors
    /// If the kind is unknown (the known ones are listed) or a setting does not fit.
    pub fn parse(text: &str) -> serde_json::Result<Self> {
        match text.trim_start().starts_with('{') {
            true => serde_json::from_str(text),
            false => serde_json::from_value(serde_json::json!({"kind": text.trim()})),
        }
    }

    fn batch_size_mut(&mut self) -> &mut Option<usize> {
        match self {
            Self::Batch(s) | Self::BatchUnbiased(s) | Self::Cumulative(s) | Self::WholeSet(s) => &mut s.batch_size,
            Self::Prior(s) => &mut s.batch_size,
            Self::Tent(s) => &mut s.batch_size,
        }
    }

    /// The same with every setting written out; `usual` is the batch size where none is given.
    ///
    /// # Errors
    /// If a setting is out of range.
    pub fn resolved(mut self, usual: usize) -> Result<Self, AdaptError> {
        let batch_size = self.batch_size_mut();
        if *batch_size.get_or_insert(usual) == 0 {
            return Err(AdaptError::BatchSize);
        }
        if let Self::Tent(tent) = &mut self {
            tent.statistics.get_or_insert(tent.place);
            if !(tent.lr.is_finite() && tent.lr > 0.) {
                return Err(AdaptError::Lr(tent.lr));
            }
            Optimizer::new(tent.optimizer.clone(), Vec::new()).map_err(AdaptError::Optimizer)?;
        }
        Ok(self)
    }

    /// Examples of a batch.
    pub fn batch_size(&self) -> usize {
        let size = match self {
            Self::Batch(s) | Self::BatchUnbiased(s) | Self::Cumulative(s) | Self::WholeSet(s) => s.batch_size,
            Self::Prior(s) => s.batch_size,
            Self::Tent(s) => s.batch_size,
        };
        size.unwrap_or(1)
    }

    /// The stream that shuffles the examples of a test set, if they are.
    pub fn order(&self) -> Option<Seed> {
        let order = match self {
            Self::Batch(s) | Self::BatchUnbiased(s) | Self::Cumulative(s) | Self::WholeSet(s) => s.order,
            Self::Prior(s) => s.order,
            Self::Tent(s) => s.order,
        };
        (order == Order::Shuffled).then(|| Seed::new(0).named("adapt"))
    }

    /// What adapts: statistics, and with TENT parameters.
    pub fn place(&self) -> NormPlace {
        match self {
            Self::Batch(s) | Self::BatchUnbiased(s) | Self::Cumulative(s) | Self::WholeSet(s) => s.place,
            Self::Prior(s) => s.place,
            Self::Tent(s) => s.place,
        }
    }

    /// The statistics that BatchNorm layers use.
    pub(super) fn test_time(&self) -> TestTime {
        let form = match self {
            Self::Batch(_) | Self::Tent(_) => NormForm::Batch,
            Self::BatchUnbiased(_) => NormForm::BatchUnbiased,
            Self::Prior(prior) => NormForm::Prior { instances: prior.n as f64, batch: self.batch_size() },
            Self::Cumulative(_) => NormForm::Cumulative,
            Self::WholeSet(_) => NormForm::WholeSet,
        };
        let place = match self {
            Self::Tent(tent) => tent.statistics.unwrap_or(tent.place),
            _ => self.place(),
        };
        TestTime::new(form, place)
    }

    /// What a reader of results should know.
    pub fn describe(&self) -> String {
        let place = |place| match place {
            NormPlace::Body => "the body",
            NormPlace::Gates => "the gates",
            NormPlace::Both => "body and gates",
        };
        let (at, size) = (place(self.place()), self.batch_size());
        let statistics = |what: &str| format!("adapted to test examples: BatchNorm of {at} uses {what} (batches of {size})");
        match self {
            Self::Batch(_) => statistics("the statistics of each batch"),
            Self::BatchUnbiased(_) => statistics("the statistics of each batch, variance unbiased"),
            Self::Prior(Prior { n, .. }) => {
                statistics(&format!("the statistics of each batch with a prior of {n} from training"))
            }
            Self::Cumulative(_) => statistics("the mean statistics of the batches so far"),
            Self::WholeSet(_) => statistics("the statistics of the whole test set"),
            Self::Tent(tent) => format!(
                "adapted to test examples: TENT{} on {at}, statistics of each batch in {}, learning rate {} (batches of {size})",
                if tent.episodic { ", every batch from the beginning," } else { "" },
                place(tent.statistics.unwrap_or(tent.place)),
                tent.lr
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> String {
        match Adapt::parse(text)
            .map_err(|error| error.to_string())
            .and_then(|adapt| adapt.resolved(200).map_err(|error| error.to_string()))
        {
            Ok(adapt) => serde_json::to_string(&adapt).unwrap(),
            Err(error) => error,
        }
    }

    #[test]
    fn settings_are_written_out_and_read_back() {
        assert_eq!(read("batch"), r#"{"kind":"batch","where":"body","batch_size":200,"order":"own"}"#);
        let prior = r#"{"kind":"prior","n":16,"where":"gates","batch_size":8,"order":"shuffled"}"#;
        assert_eq!(read(prior), prior);
        let tent = concat!(
            r#"{"kind":"tent","where":"both","statistics":"both","lr":0.001,"optimizer":{"kind":"adam","betas":[0.9,0.999],"#,
            r#""eps":1e-8,"weight_decay":0.0},"episodic":false,"batch_size":200,"order":"own"}"#
        );
        assert_eq!(read(r#"{"kind":"tent","where":"both"}"#), tent);
        assert_eq!(read(tent), tent);
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        for (text, told) in [
            (
                "norm",
                "unknown variant `norm`, expected one of `batch`, `batch_unbiased`, `prior`, `cumulative`, `whole_set`, `tent`",
            ),
            ("prior", "missing field `n`"),
            (r#"{"kind":"batch","n":3}"#, "unknown field `n`, expected one of `where`, `batch_size`, `order`"),
            (r#"{"kind":"batch","where":"head"}"#, "unknown variant `head`"),
            (r#"{"kind":"batch","batch_size":0}"#, "adapt.batch_size is 0; at least 1 is accepted"),
            (r#"{"kind":"tent","lr":-1}"#, "adapt.lr is -1; a positive number is accepted"),
            (r#"{"kind":"tent","optimizer":{"kind":"sgd","momentum":0,"nesterov":true,"weight_decay":0}}"#, "adapt.optimizer: "),
        ] {
            assert!(read(text).contains(told), "{text}: {}", read(text));
        }
    }
}
