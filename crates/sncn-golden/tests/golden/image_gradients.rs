//! What has a gradient in the values of images: noise of a given size, and feature inversion.

use crate::probes::{dtype, holds};
use crate::tiny::Tiny;
use anyhow::{Context, Result, ensure};
use candle_core::{DType, Device, Tensor, Var};
use sncn_core::loss::value;
use sncn_core::{Pass, Seed, Vars, backward};
use sncn_golden::{Index, Trial, relative_error};
use sncn_train::inversion::{Descent, Inversion};
use sncn_train::noise::project;

/// The operations whose cases run here.
pub(crate) const OPERATIONS: [&str; 3] = ["ant_projection", "inversion_loss", "inversion_steps"];

/// A tensor of a case; images and features get their channels last.
fn tensor(case: &Trial, name: &str) -> Result<Tensor> {
    let array = case.f32(name)?;
    let t = Tensor::from_vec(case.values(name, &array.data), array.shape, &Device::Cpu)?.to_dtype(dtype(case))?;
    let is_map = t.rank() == 4 && !name.starts_with("conv");
    Ok(if is_map { t.permute((0, 2, 3, 1))?.contiguous()? } else { t })
}

fn check(case: &Trial, name: &str, got: &Tensor) -> Result<()> {
    let got = if got.rank() == 4 { got.permute((0, 3, 1, 2))?.contiguous()? } else { got.clone() };
    let want = case.f32(name)?.data;
    let got: Vec<f32> = got.to_dtype(DType::F32)?.flatten_all()?.to_vec1()?;
    let recorded = case.params["float32_deviation"]["max"].as_f64().unwrap_or(0.);
    let allowed = case.bound(2e-6, (5. * recorded).max(1e-5));
    match want.iter().all(|value| *value == 0.) {
        true => case.error(name, got.iter().fold(0f32, |most, value| most.max(value.abs())).into(), 1e-6),
        false => case.error(name, relative_error(&got, &want), allowed),
    }
    Ok(())
}

fn projection_case(case: &Trial) -> Result<()> {
    let (xs, delta) = (tensor(case, "x")?, Var::from_tensor(&tensor(case, "delta")?)?);
    let found = project(&xs, delta.as_tensor(), case.number("epsilon")?)?;
    let reached = case.params["reached"].as_array().context("reached")?.iter().map(|reached| reached == true);
    ensure!(reached.eq(found.reached), "{}: other images reach the size", case.id);
    check(case, "eta", &Tensor::new(found.scales, &Device::Cpu)?)?;
    check(case, "projected", &found.images)?;
    let size = (&found.images - &xs)?.sqr()?.flatten_from(1)?.sum(1)?.sqrt()?;
    check(case, "norm", &size)?;
    let gradients = (found.images * tensor(case, "gy")?)?.sum_all()?.backward()?;
    let gradient = gradients.get(delta.as_tensor()).cloned().map_or_else(|| delta.zeros_like(), Ok)?;
    check(case, "d_delta", &gradient)
}

fn settings(case: &Trial) -> Result<Inversion> {
    let json = serde_json::json!({
        "feature_weight": case.params["feature_weight"], "alpha": case.params["alpha"],
        "alpha_weight": case.params["alpha_weight"], "variation_power": case.params["tv_beta"],
        "variation_weight": case.params["tv_weight"], "neighbours": case.params["tv_axes"],
    });
    Ok(serde_json::from_value(json)?)
}

/// The network of a case with its weights, and what computes its features.
fn network(case: &Trial) -> Result<(Tiny, Pass)> {
    let vars = Vars::new(Seed::new(0), dtype(case), &Device::Cpu);
    let network = Tiny::new(case, &vars)?;
    for (name, var) in vars.all().iter().filter(|(name, _)| case.has(name)) {
        var.set(&tensor(case, name)?.to_dtype(var.dtype())?)?;
    }
    Ok((network, Pass::eval().with_backward()))
}

fn loss_case(case: &Trial) -> Result<()> {
    let (network, pass) = network(case)?;
    let (loss, feature) = (settings(case)?, case.text("feature")?);
    let input = Var::from_tensor(&tensor(case, "x")?)?;
    let features = network.features(input.as_tensor(), feature, &pass)?;
    check(case, "phi", &features)?;
    let parts = loss.loss(input.as_tensor(), &features, &tensor(case, "phi0")?)?;
    let total = parts.total()?;
    for (name, part) in [("_feature", &parts.feature), ("_alpha", &parts.alpha), ("_tv", &parts.variation), ("", &total)] {
        let want = case.number(&format!("loss{name}"))?;
        case.error(&format!("loss{name}"), (value(part)? / want - 1.).abs(), case.bound(1e-6, 1e-5));
        let gradients = backward(part)?;
        check(case, &format!("dx{name}"), gradients.get(input.as_tensor()).context("no gradient")?)?;
    }
    Ok(())
}

fn steps_case(case: &Trial) -> Result<()> {
    let (network, pass) = network(case)?;
    let (loss, feature) = (settings(case)?, case.text("feature")?);
    let number = |key: &str| case.params["sgd"][key].as_f64().with_context(|| format!("sgd.{key}"));
    let whole = Descent {
        steps: case.integer("steps")?,
        lr: number("lr")?,
        momentum: number("momentum")?,
        divide_every: case.integer("divide_every")?,
        divide_by: case.number("divide_by")?,
    };
    let (start, wanted) = (tensor(case, "x")?, tensor(case, "phi0")?);
    let features = |xs: &Tensor| network.features(xs, feature, &pass).map_err(candle_core::Error::msg);
    for steps in 1..=whole.steps {
        let mut losses = Vec::new();
        let descent = Descent { steps, ..whole };
        let found = descent.descend(&loss, &start, &wanted, &features, |_, loss| losses.push(loss))?;
        check(case, &format!("x.after.{}", steps - 1), &found.context("a loss that is not finite")?)?;
        for (at, got) in losses.iter().enumerate() {
            let want = case.params["loss"][at].as_f64().context("loss")?;
            case.error("loss", (got / want - 1.).abs(), case.bound(1e-6, 1e-5));
        }
    }
    Ok(())
}

pub(crate) fn golden_noise_of_a_given_size() -> Result<()> {
    cases("ant_projection", projection_case)
}

pub(crate) fn golden_feature_inversions() -> Result<()> {
    cases("inversion_loss", loss_case)?;
    cases("inversion_steps", steps_case)
}

fn cases(operation: &str, run: fn(&Trial) -> Result<()>) -> Result<()> {
    let index = Index::load("relatives")?;
    for case in index.cases()?.iter().filter(|case| case.op == operation) {
        holds(case, run)?;
    }
    Ok(())
}
