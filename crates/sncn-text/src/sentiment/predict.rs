//! `sncn-sentiment predict`: lines of text in, JSON lines out, as they come.

use super::lines::Lines;
use super::model::Sentiment;
use anyhow::Result;
use serde_json::{Map, json};
use sncn_core::Pass;
use sncn_train::harness::Trained;
use sncn_train::predict::argmax;

/// Labels a text a line; prints a JSON object a line. Of a network that gives every class a probability of its own, `labels` are the
/// classes with at least 0.5.
pub(super) fn run(trained: &Trained<Sentiment>, lines: &Lines) -> Result<()> {
    let (model, classes) = (&trained.model, &trained.header.classes);
    lines.each(|text| {
        let (ids, _) = model.encode(text)?;
        let row = model.probabilities(&trained.network().forward(&ids, &Pass::eval())?)?;
        let probabilities: Map<_, _> =
            classes.iter().zip(&row).map(|(class, p)| (class.clone(), json!((p * 1e4).round() / 1e4))).collect();
        if model.is_multi_label {
            let labels: Vec<_> = classes.iter().zip(&row).filter(|(_, p)| **p >= 0.5).map(|(class, _)| class).collect();
            out!("{}", json!({"text": text, "labels": labels, "probabilities": probabilities}));
        } else {
            out!("{}", json!({"text": text, "label": classes.get(argmax(&row)), "probabilities": probabilities}));
        }
        Ok(())
    })
}
