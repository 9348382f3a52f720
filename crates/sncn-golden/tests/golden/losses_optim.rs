//! The golden losses and optimisers; the optimisers on the kernels and on the reference implementations.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "helpers of tests may stop")]

use anyhow::{Context, Result, bail, ensure};
use candle_core::{DType, Device, Tensor, Var};
use sncn_core::loss::{cross_entropy, cross_entropy_per_item, jensen_shannon, value};
use sncn_core::optim::{Optimizer, OptimizerConfig, clip_coefficient};
use sncn_core::reference::forced;
use sncn_core::{Seed, Vars, WeightAverage};
use sncn_golden::{Case, Index, relative_error};

/// The losses whose cases run here.
pub(crate) const LOSSES: [&str; 5] = ["cross_entropy", "seg_loss", "jsd", "ce_plus_jsd", "ce_plus_two_jsd"];
/// The optimisers whose cases run here.
pub(crate) const OPTIMISERS: [&str; 3] = ["sgd", "adam", "adamw"];
/// The average of weights.
pub(crate) const AVERAGE: &str = "ema";
/// The clipping of gradients.
pub(crate) const CLIPPING: &str = "clip_grad_norm";

fn logits(case: &Case, name: &str) -> Result<Var> {
    let array = case.f32(name)?;
    let t = Tensor::from_vec(array.data, array.shape, &Device::Cpu)?.to_dtype(DType::F64)?;
    Ok(Var::from_tensor(&if t.rank() == 4 { t.permute((0, 2, 3, 1))?.contiguous()? } else { t })?)
}

fn labels(case: &Case) -> Result<Vec<u32>> {
    Ok(case.i64("labels")?.data.iter().map(|&l| l as u32).collect())
}

fn close(case: &Case, what: &str, got: f64, want: f64) -> Result<()> {
    ensure!((got - want).abs() <= 1e-9 + 1e-6 * want.abs(), "{}: {what} is {got}, wanted {want}", case.id);
    Ok(())
}

fn same(case: &Case, name: &str, got: &Tensor) -> Result<()> {
    let got = if got.rank() == 4 { got.permute((0, 3, 1, 2))?.contiguous()? } else { got.clone() };
    let error = relative_error(&got.to_dtype(DType::F32)?.flatten_all()?.to_vec1()?, &case.f32(name)?.data);
    ensure!(error <= 1e-5, "{}: {name} is off by {error:.2e}", case.id);
    Ok(())
}

/// Checks a loss and the gradient of every logits tensor.
fn finish(case: &Case, loss: &Tensor, inputs: &[(&str, &Var)]) -> Result<()> {
    close(case, "loss", value(loss)?, case.number("loss")?)?;
    let grads = loss.backward()?;
    for (name, var) in inputs {
        let name = format!("d_{name}");
        if case.has(&name) {
            same(case, &name, grads.get(var.as_tensor()).context("no gradient")?)?;
        }
    }
    Ok(())
}

pub(crate) fn golden_losses() -> Result<()> {
    let index = Index::load("losses_optim")?;
    for case in index.cases()?.iter().filter(|case| LOSSES.contains(&case.op)) {
        let ignore = case.params["ignore_index"].as_u64().map(|i| i as u32);
        let three = |names: [&str; 3]| -> Result<[Var; 3]> {
            Ok([logits(case, names[0])?, logits(case, names[1])?, logits(case, names[2])?])
        };
        match case.op {
            "cross_entropy" => {
                let x = logits(case, "logits")?;
                same(case, "per_item", &cross_entropy_per_item(x.as_tensor(), &labels(case)?, ignore)?)?;
                finish(case, &cross_entropy(x.as_tensor(), &labels(case)?, ignore)?, &[("logits", &x)])?;
            }
            "seg_loss" => {
                let (main, aux) = (logits(case, "logits")?, logits(case, "aux_logits")?);
                let aux_loss = (cross_entropy(aux.as_tensor(), &labels(case)?, ignore)? * case.number("aux_weight")?)?;
                let loss = (cross_entropy(main.as_tensor(), &labels(case)?, ignore)? + aux_loss)?;
                finish(case, &loss, &[("logits", &main), ("aux_logits", &aux)])?;
            }
            "jsd" | "ce_plus_jsd" => {
                let names = ["logits_clean", "logits_aug1", "logits_aug2"];
                let [a, b, c] = &three(names)?;
                let mut loss = jensen_shannon([a.as_tensor(), b.as_tensor(), c.as_tensor()])?;
                close(case, "jsd", value(&loss)?, case.number("jsd")?)?;
                if case.op == "ce_plus_jsd" {
                    loss = (cross_entropy(a.as_tensor(), &labels(case)?, None)? + (loss * case.number("coef")?)?)?;
                }
                finish(case, &loss, &[(names[0], a), (names[1], b), (names[2], c)])?;
            }
            "ce_plus_two_jsd" => {
                let names = ["logits_clean", "logits_aug1", "logits_aug2"];
                let [a, b, c] = &three(names)?;
                let (d, e) = (logits(case, "logits_cn1")?, logits(case, "logits_cn2")?);
                let one = (jensen_shannon([a.as_tensor(), b.as_tensor(), c.as_tensor()])? * case.number("coef_augmix")?)?;
                let two = (jensen_shannon([a.as_tensor(), d.as_tensor(), e.as_tensor()])? * case.number("coef_cn")?)?;
                let loss = ((cross_entropy(a.as_tensor(), &labels(case)?, None)? + one)? + two)?;
                finish(case, &loss, &[(names[0], a), (names[1], b), (names[2], c), ("logits_cn1", &d), ("logits_cn2", &e)])?;
            }
            other => bail!("no test of {other:?}"),
        }
    }
    Ok(())
}

pub(crate) fn golden_optimisers() -> Result<()> {
    optimisers()?;
    forced(optimisers).context("reference implementation")
}

fn optimisers() -> Result<()> {
    let index = Index::load("losses_optim")?;
    for case in index.cases()?.iter().filter(|case| OPTIMISERS.contains(&case.op)) {
        let decay = || case.number("weight_decay");
        let betas = || -> Result<(f64, f64)> {
            let betas = &case.params["betas"];
            Ok((betas[0].as_f64().context("betas")?, betas[1].as_f64().context("betas")?))
        };
        let (config, states) = match case.op {
            "sgd" => {
                let config = OptimizerConfig::Sgd {
                    momentum: case.number("momentum")?,
                    nesterov: case.flag("nesterov")?,
                    weight_decay: decay()?,
                };
                (config, vec![("momentum", "first")])
            }
            "adam" => {
                let config = OptimizerConfig::Adam { betas: betas()?, eps: case.number("eps")?, weight_decay: decay()? };
                (config, vec![("m", "first"), ("v", "second")])
            }
            "adamw" => {
                let config = OptimizerConfig::AdamW { betas: betas()?, eps: case.number("eps")?, weight_decay: decay()? };
                (config, vec![("m", "first"), ("v", "second")])
            }
            other => bail!("no test of {other:?}"),
        };
        let load = |name: &str| -> Result<Tensor> {
            let array = case.f32(name)?;
            Ok(Tensor::from_vec(array.data, array.shape, &Device::Cpu)?)
        };
        let vars: Vec<(String, Var)> = ["p0", "p1"]
            .iter()
            .map(|p| Ok((p.to_string(), Var::from_tensor(&load(&format!("{p}.init"))?)?)))
            .collect::<Result<_>>()?;
        let factor = case.params["group_factor"][1].as_f64().unwrap_or(1.);
        let mut optimizer = Optimizer::new(config, vars.clone())?.with_lr_factors(|name| if name == "p1" { factor } else { 1. });
        for step in 0..case.integer("steps")? {
            let mut loss = Tensor::zeros((), DType::F32, &Device::Cpu)?;
            for (name, var) in &vars {
                loss = (loss + var.as_tensor().mul(&load(&format!("{name}.grad.{step}"))?)?.sum_all()?)?;
            }
            let lr = case.params["lr_per_step"][step].as_f64().context("lr_per_step")?;
            optimizer.step(&loss.backward()?, lr)?;
            let state = optimizer.state()?;
            for (name, var) in &vars {
                same(case, &format!("{name}.after.{step}"), var.as_tensor())?;
                for (golden, ours) in &states {
                    let found = state.iter().find(|(key, _)| *key == format!("{ours}/{name}")).context("state")?;
                    same(case, &format!("{name}.{golden}.{step}"), &found.1)?;
                }
            }
        }
    }
    Ok(())
}

pub(crate) fn golden_clipped_gradients() -> Result<()> {
    let index = Index::load("losses_optim")?;
    for case in index.cases()?.iter().filter(|case| case.op == CLIPPING) {
        let names: Vec<_> = (0..).map(|i| format!("g{i}")).take_while(|name| case.has(name)).collect();
        let read = |name: &String| -> Result<Tensor> {
            let array = case.f32(name)?;
            Ok(Tensor::from_vec(array.data, array.shape, &Device::Cpu)?)
        };
        let grads = names.iter().map(read).collect::<Result<Vec<_>>>()?;
        let (most, norm) = (case.number("max_norm")?, case.number("total_norm")?);
        let scale = clip_coefficient(&grads.iter().collect::<Vec<_>>(), most)?;
        close(case, "the scale", scale, (most / (norm + 1e-6)).min(1.))?;
        for (name, grad) in names.iter().zip(&grads) {
            same(case, &format!("{name}.after"), &(grad * scale)?)?;
        }
    }
    Ok(())
}

pub(crate) fn golden_averaged_weights() -> Result<()> {
    let index = Index::load("losses_optim")?;
    for case in index.cases()?.iter().filter(|case| case.op == AVERAGE) {
        let read = |name: &str| -> Result<Tensor> {
            let array = case.f32(name)?;
            Ok(Tensor::from_vec(array.data, array.shape, &Device::Cpu)?)
        };
        let (vars, start) = (Vars::new(Seed::new(0), DType::F32, &Device::Cpu), read("shadow.init")?);
        vars.builder().get(start.shape(), "w")?;
        let (_, weight) = vars.all().remove(0);
        weight.set(&start)?;
        let mut average = WeightAverage::new(case.number("decay")?, &vars)?;
        for step in (0..).take_while(|step| case.has(&format!("w.{step}"))) {
            weight.set(&read(&format!("w.{step}"))?)?;
            average.update()?;
            let (_, averaged) = average.values().next().context("no average")?;
            same(case, &format!("shadow.{step}"), averaged)?;
        }
    }
    Ok(())
}
