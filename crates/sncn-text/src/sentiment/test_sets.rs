//! Named test sets of texts.

use super::model::Sentiment;
use crate::dataset;
use crate::examples::Examples;
use crate::shift::{self, SHIFTS};
use anyhow::{Result, ensure};
use sncn_train::DataDir;
use sncn_train::harness::cli::Severities;
use sncn_train::harness::{self, Parts, Trained};

/// Opens test sets for a model: a set as it is, or with `-c` under every shift and severity.
pub(super) struct TestSets<'a> {
    pub(super) trained: &'a Trained<Sentiment>,
    pub(super) data_dir: &'a DataDir,
    /// Severities of shifted sets.
    pub(super) severities: Vec<usize>,
}

impl harness::TestSets<Sentiment> for TestSets<'_> {
    /// A path is called by the name of its file.
    fn label(&self, name: &str) -> String {
        name.rsplit(['/', '\\']).next().unwrap_or(name).to_string()
    }

    fn parts(&self, name: &str) -> Result<Parts<'_, Examples>> {
        let Trained { header, run, model, .. } = self.trained;
        let (base, is_shifted) = name.strip_suffix("-c").map_or((name, false), |base| (base, true));
        ensure!(
            !model.is_multi_label,
            "{name}: the network gives every class a probability of its own (problem_type of config.json), and a test set has one class \
             a text: use predict"
        );
        let texts = dataset::open(base, self.data_dir)?.first(run.test_limit);
        texts.remark.iter().for_each(|remark| eprintln!("{name}: {remark}"));
        let texts = texts.in_classes(&header.classes)?;
        let name = self.label(name);
        if !is_shifted {
            // encoded when its turn comes, so that one set at a time is in memory as token ids
            let set = move || Ok((name, Examples::new(&texts, &model.vocabulary, model.longest)?));
            return Ok(Box::new(std::iter::once_with(set)));
        }
        let cells = SHIFTS.iter().flat_map(|&shift| self.severities.iter().map(move |&severity| (shift, severity)));
        Ok(Box::new(cells.map(move |(shift, severity)| {
            let set = Examples::new(&shift::shifted(&texts, shift, severity), &model.vocabulary, model.longest)?;
            Ok((format!("{name}/{}/{severity}", shift.0), set))
        })))
    }

    /// Of a set that is trained on and has no test part of its own, such as a table by its path, most texts are known to the network.
    fn notes(&self, names: &[String]) -> Vec<String> {
        let train = &self.trained.run.train;
        let bare = |name: &String| name.strip_suffix("-c").unwrap_or(name) == train;
        let known = names.iter().any(bare) && dataset::is_whole(train);
        let shifted = names.iter().any(|name| name.ends_with("-c"));
        let notes = [
            known.then(|| format!("{}: the network was trained on nine tenths of these texts", self.label(train))),
            Severities::note(&self.severities).filter(|_| shifted),
        ];
        notes.into_iter().flatten().collect()
    }
}
