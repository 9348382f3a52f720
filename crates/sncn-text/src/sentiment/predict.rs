//! `sncn-sentiment predict`: lines of text in, JSON lines out, as they come.

use super::lines::Lines;
use super::model::Sentiment;
use anyhow::Result;
use serde_json::{Map, json};
use sncn_core::Pass;
use sncn_train::harness::Trained;
use sncn_train::predict::{argmax, probabilities};

/// Labels a text a line; prints a JSON object a line.
pub(super) fn run(trained: &Trained<Sentiment>, lines: &Lines) -> Result<()> {
    lines.each(|text| {
        let (ids, _) = trained.model.encode(text)?;
        let row = probabilities(trained.network(), &ids, &Pass::eval())?.concat();
        let classes = &trained.header.classes;
        let probabilities: Map<_, _> =
            classes.iter().zip(&row).map(|(class, p)| (class.clone(), json!((p * 1e4).round() / 1e4))).collect();
        out!("{}", json!({"text": text, "label": classes.get(argmax(&row)), "probabilities": probabilities}));
        Ok(())
    })
}
