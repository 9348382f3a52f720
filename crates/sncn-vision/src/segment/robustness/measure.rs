//! A network measured on images that are corrupted as they are read.

use super::super::examples::PairExamples;
use super::super::scoring::Scorer;
use super::protocol::{Data, Options, Protocol, Shown, TABLE, same_classes};
use super::subject::Subject;
use crate::classify::corrupted::SEED;
use crate::corruption::{self, Frost, frost};
use crate::dataset::pairs::{Pair, PairSubset, Pairs};
use anyhow::Result;
use candle_core::{Device, Tensor};
use serde_json::json;
use sncn_core::Pass;
use sncn_record::Task;
use sncn_record::task::SEGMENT;
use sncn_train::evaluate::Reading;
use sncn_train::harness::Observe;
use sncn_train::harness::robustness::{About, Found, Measured, Shifts};
use std::sync::Arc;

/// Images that are tried with every corruption before anything is measured.
const FEW: usize = 2;

/// A network with what it is measured on.
pub(super) struct Measurement {
    subject: Subject,
    data: Data,
    protocol: Protocol,
    frost: Frost,
    pass: Pass,
}

impl Measurement {
    /// Of a network on images with labels.
    ///
    /// # Errors
    /// If a corruption is unknown, or the classes are not the network's.
    pub(super) fn new(data: Data, subject: Subject, options: &Options) -> Result<Self> {
        let (protocol, frost) = options.protocol(&data)?;
        same_classes(&subject.name, subject.count, subject.names.as_deref(), &*data.pairs)?;
        Ok(Self { subject, data, protocol, frost, pass: Pass::eval().keeping_weights() })
    }

    fn scorer(&self) -> Scorer<'_> {
        let Subject { network, count, windows, .. } = &self.subject;
        Scorer { network: &**network, classes: *count, protocol: windows.clone(), pass: self.pass.clone() }
    }

    fn examples(&self, pairs: &Arc<dyn Pairs>, (corruption, severity): (&str, usize)) -> Result<PairExamples> {
        let examples = PairExamples::new(pairs.clone()).normalised(self.subject.normalisation);
        if severity == 0 {
            return Ok(examples);
        }
        Ok(examples.corrupted(corruption::build(corruption, severity, TABLE, &self.frost)?, SEED))
    }
}

impl Measured for Measurement {
    fn task(&self) -> &'static Task {
        &SEGMENT
    }

    fn shifts(&self) -> Shifts<'_> {
        self.protocol.shifts()
    }

    fn measure(&self, part: (&str, usize), into: Found<'_>, observe: Observe<'_>) -> Result<Vec<u32>> {
        let examples = self.examples(&self.data.pairs, part)?;
        let found = self.scorer().score(&examples, &Reading::default(), observe)?;
        into.recorder.add_segmentation(into.split, &found, &self.data.pairs.legend().classes, part.1 == 0);
        // labels of all pixels are too many to be kept
        Ok(Vec::new())
    }

    fn try_few(&self, part: (&str, usize), observe: Observe<'_>) -> Result<()> {
        let few = PairSubset::first(&self.data.pairs, Some(FEW));
        self.scorer().score(&self.examples(&few, part)?, &Reading::default(), observe).map(|_| ())
    }
}

impl Shown for Measurement {
    fn about(&self) -> Result<About> {
        let Subject { name, sha256, describe, .. } = &self.subject;
        let generated = self.frost.is_generated() && self.protocol.corruptions.iter().any(|name| name == "frost");
        let mut notes = self.protocol.notes(name);
        notes.push(describe.clone());
        notes.extend(self.data.notes());
        notes.extend(generated.then(|| frost::GENERATED.to_string()));
        Ok(About {
            task: &SEGMENT,
            name: name.clone(),
            model: json!({"file": name, "sha256": sha256}),
            protocol: serde_json::to_value(&self.protocol)?,
            seed: self.protocol.seed,
            classes: self.data.pairs.legend().classes.clone(),
            notes,
        })
    }

    fn pairs(&self) -> &dyn Pairs {
        &*self.data.pairs
    }

    fn labelled(&self, index: usize, part: (&str, usize)) -> Result<(Pair, Vec<u32>)> {
        let pair = self.examples(&self.data.pairs, part)?.pair(index)?;
        let values = self.subject.normalisation.values(&pair.image);
        let image = Tensor::from_vec(values, (1, pair.height, pair.width, 3), &Device::Cpu)?;
        let labels = self.scorer().labels(&image)?;
        Ok((pair, labels))
    }
}
