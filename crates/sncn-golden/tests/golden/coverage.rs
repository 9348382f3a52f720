//! Every operation of the golden files has a test, and every tested operation is in the files.

use crate::{adapt, fixmatch, image_gradients, layers, losses_optim, metrics, nets, ops, relative_layers, segment, text};
use anyhow::{Context, Result, ensure};
use serde_json::Value;
use std::collections::BTreeSet;

/// What `name` calls the operation of a case is tested (`known`), and each of these is in the file.
fn is_covered(file: &str, name: impl Fn(&Value) -> Option<&str>, known: &[&str]) -> Result<()> {
    let json = sncn_golden::json(&format!("{file}.json"))?;
    let cases = json["cases"].as_array().context("no \"cases\"")?;
    let found: BTreeSet<&str> = cases.iter().map(&name).collect::<Option<_>>().context("a case without an operation")?;
    let known: BTreeSet<&str> = known.iter().copied().collect();
    let untested: Vec<_> = found.difference(&known).collect();
    ensure!(untested.is_empty(), "{file}: no test knows {untested:?}");
    let gone: Vec<_> = known.difference(&found).collect();
    ensure!(gone.is_empty(), "{file}: no case is of {gone:?}");
    Ok(())
}

fn op(case: &Value) -> Option<&str> {
    case["op"].as_str()
}

pub(crate) fn golden_layers_all_have_a_test() -> Result<()> {
    is_covered("layers", op, &[ops::OPERATIONS.as_slice(), &layers::OPERATIONS, &relative_layers::MIXING].concat())
}

pub(crate) fn golden_losses_and_optimisers_all_have_a_test() -> Result<()> {
    let steps = [losses_optim::CLIPPING, losses_optim::AVERAGE, fixmatch::LOSS];
    let known = [losses_optim::LOSSES.as_slice(), &losses_optim::OPTIMISERS, &steps];
    is_covered("losses_optim", op, &known.concat())
}

pub(crate) fn golden_metrics_all_have_a_test() -> Result<()> {
    is_covered("metrics", op, &metrics::METRICS)
}

pub(crate) fn golden_networks_all_have_a_test() -> Result<()> {
    let known = [nets::NETWORKS.as_slice(), &[segment::NETWORK]];
    is_covered("nets", |case| case["params"]["arch"].as_str(), &known.concat())
}

pub(crate) fn golden_texts_all_have_a_test() -> Result<()> {
    is_covered("text", op, &text::OPERATIONS)
}

pub(crate) fn golden_relatives_all_have_a_test() -> Result<()> {
    let known: [&[&str]; 6] = [
        &adapt::OPERATIONS,
        &fixmatch::OPERATIONS,
        &image_gradients::OPERATIONS,
        &metrics::RELATIVES,
        &relative_layers::MIXING,
        &relative_layers::NORMS,
    ];
    is_covered("relatives", op, &known.concat())
}
