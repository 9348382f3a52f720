//! Relatives of SelfNorm and CrossNorm: every case of the golden layers and relatives, on the kernels and on the reference
//! implementations.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "helpers of tests may stop")]

use crate::layers::{ROUNDING, check, dtype, first, last, layer_case, order, pass_of, tensor};
use anyhow::{Context, Result, bail};
use candle_core::{Device, Var};
use sncn_core::layer::{
    AttentiveNorm, AttentiveNormConfig, DsuDraw, EfdMixDraw, Layer, ModeNorm, ModeNormConfig, PAdaInDraw, SwitchableNorm,
};
use sncn_core::reference::forced;
use sncn_core::{BuildContext, Pass, Seed, Vars};
use sncn_golden::{Index, Trial, holds};

/// The operations of both files whose cases run here.
pub(crate) const MIXING: [&str; 3] = ["efdmix", "dsu", "padain"];
/// Those of the relatives alone.
pub(crate) const NORMS: [&str; 4] = ["mode_norm", "mode_norm_steps", "attentive_norm", "switchable_norm"];

/// y and dx of a draw.
fn drawn(case: &Trial, draw: &dyn Layer) -> Result<()> {
    let xs = Var::from_tensor(&last(&tensor(case, "x")?)?)?;
    let ys = draw.forward(xs.as_tensor(), &Pass::train(Seed::new(0)))?;
    let grads = ys.mul(&last(&tensor(case, "gy")?)?)?.sum_all()?.backward()?;
    check(case, "y", &first(&ys)?)?;
    check(case, "dx", &first(grads.get(xs.as_tensor()).expect("dx"))?)
}

/// Training passes one after another, then one in evaluation.
fn steps(case: &Trial, modes: usize) -> Result<()> {
    let vars = Vars::new(Seed::new(0), dtype(case), &Device::Cpu);
    let channels = case.f32("x.test")?.shape[1];
    let layer = ModeNorm::new(ModeNormConfig { modes }, &BuildContext::new(channels, vars.builder()))?;
    vars.load(|name| tensor(case, name).ok())?;
    for step in 0..case.integer("steps")? {
        let ys = layer.forward(&last(&tensor(case, &format!("x.{step}"))?)?, &Pass::train(Seed::new(0)))?;
        check(case, &format!("y.{step}"), &first(&ys)?)?;
        for (name, var) in vars.all().into_iter().filter(|(name, _)| name.ends_with("_ra")) {
            check(case, &format!("{name}.after.{step}"), var.as_tensor())?;
        }
    }
    check(case, "y.test", &first(&layer.forward(&last(&tensor(case, "x.test")?)?, &Pass::eval())?)?)
}

fn run(case: &Trial) -> Result<()> {
    let channels = || case.f32("x").map(|x| x.shape[1]);
    let values = |name: &str| -> Result<Vec<f64>> { Ok(case.values(name, &case.f32(name)?.data)) };
    match case.op {
        "mode_norm" => {
            let config = ModeNormConfig { modes: case.integer("modes")? };
            layer_case(case, channels()?, "", &pass_of(case), |cx| ModeNorm::new(config, cx))
        }
        "mode_norm_steps" => steps(case, case.integer("modes")?),
        "attentive_norm" => {
            let config = AttentiveNormConfig { k: case.integer("k")? };
            layer_case(case, channels()?, "", &pass_of(case), |cx| AttentiveNorm::new(config, cx))
        }
        "switchable_norm" => layer_case(case, channels()?, "", &pass_of(case), SwitchableNorm::new),
        "efdmix" => drawn(case, &EfdMixDraw { partner: order(case, "perm")?, lambda: values("lam")? }),
        "dsu" => drawn(case, &DsuDraw { mean: values("eps_mu")?, std: values("eps_sigma")? }),
        "padain" => drawn(case, &PAdaInDraw { partner: order(case, "perm")? }),
        other => bail!("no test of {other:?}"),
    }
}

fn all(file: &str) -> Result<()> {
    let index = Index::load(file)?;
    for case in index.cases()?.iter().filter(|case| MIXING.contains(&case.op) || NORMS.contains(&case.op)) {
        holds(case, true, &ROUNDING, run)?;
        holds(case, true, &ROUNDING, |trial| forced(|| run(trial))).context("reference implementation")?;
    }
    Ok(())
}

pub(crate) fn golden_mixing_of_the_layers() -> Result<()> {
    all("layers")
}

pub(crate) fn golden_norms_and_mixing_of_the_relatives() -> Result<()> {
    all("relatives")
}
