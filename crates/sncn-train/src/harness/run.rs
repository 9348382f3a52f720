//! `Run`: a row of a table with all its settings read, so that what does not fit is reported before anything starts.

use crate::adapt::Adapt;
use crate::adversary::Adversary;
use crate::data::Dataset;
use crate::labelled::{self, Labelled};
use crate::learner::Companion;
use crate::objective::{MixConfig, Objective};
use crate::schedule::ScheduleConfig;
use crate::train::Recipe;
use anyhow::{Context, Result, ensure};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use sncn_core::layer::{LayerConfig, Layers, MIXING, NormConfig, Registry};
use sncn_core::optim::{Optimizer, OptimizerConfig};
use sncn_core::{Network, Seed, Vars, WeightAverage};
use sncn_record::run::without_remarks;
use std::ops::Deref;

/// Nothing: the settings of a row before its task has read them, options and commands of a task that has none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::Args)]
pub struct Empty {}

/// One row of a table with its settings read, those of its task among them (`S`). What needs no reading (names, numbers) is that
/// of the [`sncn_record::Run`] that it dereferences to.
#[derive(Clone, Debug, PartialEq)]
pub struct Run<S> {
    /// The row, every setting of the parts below written out.
    row: sncn_record::Run,
    /// Optimiser.
    pub optimizer: OptimizerConfig,
    /// Course of the learning rate.
    pub schedule: ScheduleConfig,
    /// Loss.
    pub objective: Objective,
    /// When CrossNorm acts; absent: never.
    pub mix: Option<MixConfig>,
    /// Layers on the backbone.
    pub layers: Vec<LayerConfig>,
    /// The layer in the place of the backbone's norms; absent: the usual ones.
    pub norm: Option<NormConfig>,
    /// How the network adapts to test examples, if it does.
    pub adapt: Option<Adapt>,
    /// The settings that only the task knows: `input`, `augment` and `evaluate`.
    pub settings: S,
}

impl<S> Deref for Run<S> {
    type Target = sncn_record::Run;

    fn deref(&self) -> &Self::Target {
        &self.row
    }
}

/// Reads the settings under `key`, and writes out those that were left to their defaults.
fn part<T: DeserializeOwned + Serialize>(key: &str, settings: &mut Value) -> Result<T> {
    let read = serde_path_to_error::deserialize(settings.take());
    let part: T = read.map_err(|error| match error.path().to_string().as_str() {
        "." => anyhow::anyhow!("{key}: {}", error.inner()),
        path => anyhow::anyhow!("{key}.{path}: {}", error.inner()),
    })?;
    *settings = serde_json::to_value(&part)?;
    Ok(part)
}

/// Reads the settings of a norm, which must be one.
fn norm(settings: &mut Value) -> Result<NormConfig> {
    let norm = part::<NormConfig>("norm", settings)?.resolved();
    norm.check(Registry::standard()).context("norm")?;
    *settings = serde_json::to_value(&norm)?;
    Ok(norm)
}

impl Run<Empty> {
    /// Reads the settings of a row that all tasks share.
    ///
    /// # Errors
    /// Names the key that does not fit, and what is accepted.
    pub fn new(mut row: sncn_record::Run) -> Result<Self> {
        let run = Self {
            optimizer: part("optimizer", &mut row.optimizer)?,
            schedule: part("schedule", &mut row.schedule)?,
            objective: part("objective", &mut row.objective)?,
            mix: row.mix.as_mut().map(|mix| part("mix", mix)).transpose()?,
            layers: (0..)
                .zip(&mut row.layers)
                .map(|(at, layer): (usize, _)| part(&format!("layers[{at}]"), layer))
                .collect::<Result<_>>()?,
            norm: row.norm.as_mut().map(norm).transpose()?,
            adapt: Some(&mut row.adapt).filter(|adapt| !adapt.is_null()).map(|adapt| part("adapt", adapt)).transpose()?,
            row,
            settings: Empty {},
        };
        run.check()?;
        Ok(run)
    }
}

impl<S> Run<S> {
    /// The same run with other settings of a task's own.
    pub fn with<T>(self, settings: T) -> Run<T> {
        let Self { row, optimizer, schedule, objective, mix, layers, norm, adapt, settings: _ } = self;
        Run { row, optimizer, schedule, objective, mix, layers, norm, adapt, settings }
    }

    /// What its network is built with: attached layers, and what stands in the place of its norms.
    pub fn attached(&self) -> Layers<'_> {
        Layers::from(&self.layers).with_norm(self.norm.as_ref())
    }

    /// The same run, adapted to test examples in another way, or not at all. Batches whose size is not set have `usual` examples.
    ///
    /// # Errors
    /// If a setting is out of range.
    pub fn with_adapt(mut self, adapt: Option<Adapt>, usual: usize) -> Result<Self> {
        self.adapt = adapt.map(|adapt| adapt.resolved(usual)).transpose()?;
        self.row.adapt = self.adapt.as_ref().map_or(Ok(Value::Null), serde_json::to_value)?;
        Ok(self)
    }

    /// The same run, with a temperature fitted for its test sets.
    pub fn with_temperature(mut self) -> Self {
        self.row.temperature = true;
        self
    }

    /// The same run with another key `input`, if one is given.
    pub(super) fn with_input(mut self, input: Option<Value>) -> Self {
        self.row.input = input.unwrap_or(self.row.input);
        self
    }

    /// The run as checkpoints and results hold it: without the keys that change no number.
    ///
    /// # Errors
    /// If it cannot be written as JSON.
    pub fn resolved(&self) -> Result<Value> {
        Ok(without_remarks(serde_json::to_value(&self.row)?))
    }

    /// The recipe of this run with that seed.
    pub fn recipe(&self, seed: u64) -> Recipe {
        Recipe {
            batch_size: self.batch_size,
            epochs: self.epochs,
            lr: self.lr,
            schedule: self.schedule.clone(),
            objective: self.objective.smoothed(self.label_smoothing),
            accumulate: self.accumulate,
            mix: self.mix,
            seed: Seed::new(seed),
            augment: !matches!(self.augment, Value::Null | Value::Bool(false)),
        }
    }

    /// The optimiser of this run over these variables.
    ///
    /// # Errors
    /// If a setting is out of range, or a factor of the learning rate is of no variable.
    pub fn optimizer(&self, vars: &Vars) -> Result<Optimizer> {
        let trainable = vars.trainable();
        for prefix in self.lr_factors.keys() {
            ensure!(
                trainable.iter().any(|(name, _)| name.starts_with(prefix)),
                "run {:?}: lr_factors: no variable of {} begins with {prefix:?}; the first is {:?}",
                self.name,
                self.backbone,
                trainable.first().map(|(name, _)| name.as_str()).unwrap_or_default()
            );
        }
        let factor = |name: &str| self.lr_factors.iter().find(|(prefix, _)| name.starts_with(*prefix)).map_or(1., |(_, f)| *f);
        let names: Vec<String> = trainable.iter().map(|(name, _)| name.clone()).collect();
        for part in &self.no_decay {
            ensure!(
                names.iter().any(|name| name.contains(part.as_str())),
                "run {:?}: no_decay: no variable of {} has {part:?} in its name; the first is {:?}",
                self.name,
                self.backbone,
                names.first().map(String::as_str).unwrap_or_default()
            );
        }
        let decays = |name: &str| !self.no_decay.iter().any(|part| name.contains(part.as_str()));
        let optimizer = Optimizer::new(self.optimizer.clone(), trainable)?;
        Ok(optimizer.with_lr_factors(factor).with_decay_of(decays).with_clip_norm(self.clip))
    }

    /// What is trained on of a training set, with what it is in words: examples keep as many labels as the run says.
    ///
    /// # Errors
    /// If there are not as many labels as the run asks for, or none are left without.
    pub(super) fn labelled(
        &self,
        data: Box<dyn Dataset>,
        describe: String,
        classes: &[String],
        seed: u64,
    ) -> Result<(Box<dyn Dataset>, String)> {
        let (all, steps, batch_size) = (data.len(), self.steps_per_epoch, self.batch_size);
        if self.labels.is_none() && steps.is_none() {
            return Ok((data, describe));
        }
        let labelled = match self.labels {
            None => (0..all).collect(),
            Some(count) => {
                labelled::choose(&data.labels()?, classes, count, Seed::new(seed).named("labels")).map_err(anyhow::Error::msg)?
            }
        };
        let describe = format!("{describe}, {} of {all} with labels", labelled.len());
        Ok(match self.objective {
            Objective::Fixmatch(fixmatch) => {
                ensure!(labelled.len() < all, "labels is {all}, and no example of {} is left without one", self.train);
                (Box::new(Labelled::semi_supervised(data, labelled, (batch_size, fixmatch.ratio), steps)), describe)
            }
            _ => (Box::new(Labelled::supervised(data, labelled, batch_size, steps)), describe),
        })
    }

    /// What is trained beside the network on this data, if anything.
    ///
    /// # Errors
    /// If the data does not have what the objective needs.
    pub(super) fn companion(&self, data: &dyn Dataset) -> Result<Option<Box<dyn Companion>>> {
        let Objective::AdversarialNoise(settings) = self.objective else { return Ok(None) };
        let range = data.value_range().with_context(|| {
            format!("the objective \"adversarial_noise\" needs inputs with a range of values, as images have, and those of {} have none", self.train)
        })?;
        Ok(Some(Box::new(Adversary::new(settings, range)?)))
    }

    /// The average of these variables' weights, beginning with what they are now, if the run keeps one.
    ///
    /// # Errors
    /// If a variable cannot be copied.
    pub fn average(&self, vars: &Vars) -> Result<Option<WeightAverage>> {
        Ok(self.ema.map(|ema| WeightAverage::new(ema.decay, vars)).transpose()?)
    }

    /// Refuses mixing where the network has no layer that mixes.
    ///
    /// # Errors
    /// Says what to add or take away.
    pub fn check_mixing(&self, network: &dyn Network) -> Result<()> {
        ensure!(
            self.mix.is_none() || network.sites() > 0,
            "run {:?}: mix is set, but none of its layers mixes ({} do): add one, or take mix away",
            self.name,
            MIXING.join(", ")
        );
        Ok(())
    }

    fn check(&self) -> Result<()> {
        if let ScheduleConfig::WarmupLinear { warmup } = self.schedule {
            ensure!((0. ..=1.).contains(&warmup), "schedule.warmup is {warmup}; 0 to 1 is accepted");
        }
        if let Some(mix) = self.mix {
            ensure!((0. ..=1.).contains(&mix.probability), "mix.probability is {}; 0 to 1 is accepted", mix.probability);
        }
        ensure!(
            self.mix.is_some()
                || !matches!(self.objective, Objective::Consistency { .. } | Objective::Augmix { consistency: Some(_), .. }),
            "the objective asks for consistency of mixed passes, but mix is not set"
        );
        ensure!(
            self.labels.is_some() || !matches!(self.objective, Objective::Fixmatch(_)),
            "the objective \"fixmatch\" needs the key labels: how many training examples keep theirs"
        );
        ensure!(
            self.labels.is_none() || !matches!(self.objective, Objective::Segment { .. }),
            "labels is set; the labels of pixels are all trained on: take labels away"
        );
        ensure!(
            self.label_smoothing == 0. || !matches!(self.objective, Objective::Segment { .. }),
            "label_smoothing is {}; labels of pixels are not smoothed: take label_smoothing away",
            self.label_smoothing
        );
        Ok(self.objective.check()?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use anyhow::bail;
    use serde_json::json;

    fn table(runs: &str) -> Result<Vec<Run<Empty>>> {
        let text = format!(
            r#"{{"title":"t","task":"classify","seeds":[0],"select":"last","defaults":{{"train":"shapes","test":["shapes"],
            "backbone":"wrn10_1","epochs":1,"batch_size":8,"lr":0.1,"optimizer":{{"kind":"sgd","momentum":0.9,"nesterov":true,
            "weight_decay":0.0005}},"schedule":{{"kind":"constant"}},"objective":{{"kind":"plain"}}}},"runs":[{runs}]}}"#
        );
        let read = |row: sncn_record::Run| {
            let name = row.name.clone();
            Run::new(row).with_context(|| format!("run {name:?}"))
        };
        sncn_record::Table::parse(&text)?.resolve()?.into_iter().map(read).collect()
    }

    #[test]
    fn settings_that_do_not_fit_are_named_with_their_row() {
        let error = |runs: &str| format!("{:#}", table(runs).unwrap_err());
        assert!(error(r#"{"name":"a","epoch":3}"#).contains("run \"a\": epoch: unknown field"));
        assert!(error(r#"{"name":"a","mix":{"probability":0.5,"active":1}}"#).contains("no layers"));
        let mix = |mix: &str| error(&format!(r#"{{"name":"a","layers":[{{"kind":"crossnorm","at":"post"}}],"mix":{mix}}}"#));
        assert!(mix(r#"{"probability":2,"active":1}"#).contains("run \"a\": mix.probability is 2"));
        assert!(mix(r#"{"probability":"2","active":1}"#).contains("run \"a\": mix.probability: invalid type"));
        assert!(error(r#"{"name":"a","layers":[{"kind":"crossnorm"}]}"#).contains("run \"a\": layers[0]: missing field `at`"));
        assert!(error(r#"{"name":"a","objective":{"kind":"none"}}"#).contains("run \"a\": objective.kind: unknown variant"));
        assert!(error(r#"{"name":"a","objective":{"kind":"consistency","weight":10}}"#).contains("mix is not set"));
        assert!(error(r#"{"name":"a","objective":{"kind":"mixup","alpha":0}}"#).contains("objective.alpha is 0"));
        for (keys, told) in [
            (r#""label_smoothing":1.5"#, "label_smoothing is 1.5; 0 to 1 is accepted"),
            (r#""label_smoothing":-0.1"#, "label_smoothing is -0.1; 0 to 1 is accepted"),
            (r#""label_smoothing":"a""#, "label_smoothing: invalid type"),
            (
                r#""label_smoothing":0.1,"objective":{"kind":"segment"}"#,
                "label_smoothing is 0.1; labels of pixels are not smoothed",
            ),
            (r#""accumulate":0"#, "accumulate is 0; at least 1 is accepted"),
            (r#""accumulate":1.5"#, "accumulate: invalid type"),
            (r#""ema":{"decay":1}"#, "ema.decay is 1; more than 0 and less than 1 is accepted"),
            (r#""ema":{"decay":0}"#, "ema.decay is 0;"),
            (r#""ema":{"rate":0.9}"#, "ema.rate: unknown field"),
            (r#""ema":0.9"#, "ema: invalid type"),
            (r#""norm":{"kind":"crossnorm"}"#, "norm: the layer \"crossnorm\" is no norm"),
            (r#""norm":{"kind":"batchnorm"}"#, "norm: unknown norm \"batchnorm\"; known: batch_norm"),
            (r#""norm":{"kind":"ibn_a","where":"all"}"#, "norm: \"ibn_a\": unknown key \"where\""),
            (r#""norm":{"kind":"ibn","where":"last"}"#, "norm.where: unknown variant `last`"),
            (r#""norm":"ibn_a""#, "norm: invalid type"),
        ] {
            let found = error(&format!(r#"{{"name":"a",{keys}}}"#));
            assert!(found.contains("run \"a\": ") && found.contains(told), "{keys}: {found}");
        }
    }

    #[test]
    fn a_resolved_run_has_every_setting_written_out_and_no_remarks() -> Result<()> {
        let run = table(r#"{"name":"a","objective":{"kind":"augmix","weight":12},"note":"n","published":{"shapes.error":1}}"#)?
            [0]
        .clone();
        let resolved = run.resolved()?;
        assert_eq!(
            resolved.to_string(),
            r#"{"name":"a","train":"shapes","test":["shapes"],"backbone":"wrn10_1","epochs":1,"batch_size":8,"lr":0.1,"optimizer":{"kind":"sgd","momentum":0.9,"nesterov":true,"weight_decay":0.0005},"schedule":{"kind":"constant"},"objective":{"kind":"augmix","weight":12.0,"consistency":null},"mix":null,"layers":[],"augment":false,"train_limit":null,"test_limit":null}"#
        );
        let options = r#"{"name":"b","label_smoothing":0.1,"accumulate":4,"ema":{"decay":0.999}}"#;
        let more = table(options)?[0].clone().resolved()?;
        assert!(more.to_string().contains(r#""label_smoothing":0.1,"accumulate":4,"ema":{"decay":0.999}"#), "{more}");
        let norms = table(r#"{"name":"c","norm":{"kind":"group_norm","groups":4}},{"name":"d","norm":{"kind":"ibn_a"}}"#)?;
        let [groups, ibn] = [0, 1].map(|row: usize| norms[row].clone().resolved());
        let (groups, ibn) = (groups?, ibn?);
        assert_eq!(groups["norm"], json!({"kind": "group_norm", "where": "all", "groups": 4}));
        assert_eq!(ibn["norm"], json!({"kind": "ibn_a"}));
        for resolved in [resolved, more, groups, ibn] {
            let Value::Object(keys) = resolved.clone() else { bail!("no object") };
            assert_eq!(Run::new(sncn_record::Run::read(keys)?)?.resolved()?, resolved);
        }
        Ok(())
    }
}
