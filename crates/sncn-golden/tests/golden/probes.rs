//! What the golden tests of networks share: filled networks, inputs, probes of gradients and running statistics.
#![allow(dead_code, clippy::unwrap_used, missing_docs, reason = "no test file uses all of it; helpers of tests may stop")]

use anyhow::{Context, Result, ensure};
use candle_core::backprop::GradStore;
use candle_core::{DType, Device, Tensor};
use sncn_core::loss::value;
use sncn_core::{BoundingBox, CrossNormDraw, Network, Pass, Seed, Vars};
use sncn_golden::{Case, Rounding, Trial, fill, images};

/// The type in which a trial runs.
pub(crate) fn dtype(trial: &Trial) -> DType {
    if trial.is_double() { DType::F64 } else { DType::F32 }
}

/// Sums of hundreds of terms lose some units in the last place. A rectifier within rounding of 0, or a maximum of a tie, may then
/// switch, in other kernels at other places, which gradients and the steps after them carry on.
const ROUNDING: Rounding = Rounding { units: 8., trials: 8, times: 2. };

/// Holds a case to its golden values. Tensor operations in double precision are the same whatever form of the kernels is forced,
/// so they run where none is.
pub(crate) fn holds(case: &Case, run: impl Fn(&Trial) -> Result<()>) -> Result<()> {
    sncn_golden::holds(case, std::env::var_os("SNCN_KERNELS").is_none(), &ROUNDING, run)
}

/// The tensor of that name in this trial.
fn tensor(trial: &Trial, name: &str, values: &[f32], shape: &[usize]) -> Result<Tensor> {
    Ok(Tensor::from_vec(trial.values(name, values), shape, &Device::Cpu)?.to_dtype(dtype(trial))?)
}

pub(crate) struct Model {
    pub(crate) network: Box<dyn Network>,
    pub(crate) vars: Vars,
    pub(crate) salt: String,
}

impl Model {
    /// The network with the case's values; `absent` counts the parameters that the published one has and this one has not.
    pub(crate) fn filled(case: &Trial, network: Box<dyn Network>, vars: Vars, absent: usize) -> Result<Self> {
        let (salt, gain) = (case.text("salt")?.to_string(), case.number("weight_gain")?);
        for (name, var) in vars.all() {
            var.set(&tensor(case, &name, &fill(&salt, &name, var.dims(), gain), var.dims())?.to_dtype(var.dtype())?)?;
        }
        let count = vars.parameter_count() + absent;
        ensure!(count == case.integer("param_count")?, "{}: {count} parameters", case.id);
        Ok(Self { network, vars, salt })
    }
}

pub(crate) fn input(case: &Trial, salt: &str, tag: &str) -> Result<Tensor> {
    let shape: Vec<usize> =
        case.params["input_shape"].as_array().context("shape")?.iter().map(|v| v.as_u64().unwrap() as usize).collect();
    let [n, c, h, w] = shape[..] else { anyhow::bail!("input shape") };
    Ok(tensor(case, tag, &images(salt, tag, [n, c, h, w]), &shape)?.permute((0, 2, 3, 1))?.contiguous()?)
}

pub(crate) fn norm_and_probe(salt: &str, name: &str, t: &Tensor) -> Result<(f64, f64)> {
    Ok(sncn_golden::norm_and_probe(salt, name, &t.to_dtype(DType::F64)?.flatten_all()?.to_vec1::<f64>()?))
}

pub(crate) fn deviation(case: &Case, key: &str) -> f64 {
    case.params["float32_deviation"][key].as_f64().unwrap_or(0.)
}

/// Gradients and running statistics, by shares of a gradient's norm, of all gradients' and of a statistic's.
pub(crate) fn check_state(case: &Trial, model: &Model, grads: &GradStore) -> Result<()> {
    let state = case.params["state"].as_array().context("state")?;
    // in the published state dict, but no part of the network
    let state: Vec<_> = state.iter().filter(|want| !is_unused(want["name"].as_str().unwrap_or_default())).collect();
    let all = model.vars.all();
    ensure!(all.len() == state.len(), "{}: {} entries, wanted {}", case.id, all.len(), state.len());
    let recorded = deviation(case, "max_rel_dev_of_params_with_norm_above_1e-4_of_total");
    let share = case.bound(1e-4, (5. * recorded).max(1e-2));
    let of_others = case.bound(1e-5, 1e-4);
    let total = deviation(case, "grad_total_norm");
    for ((name, var), want) in all.iter().zip(state) {
        ensure!(want["name"] == name.as_str(), "{}: {name} stands where {} should", case.id, want["name"]);
        let shape: Vec<usize> = want["shape"].as_array().context("shape")?.iter().map(|v| v.as_u64().unwrap() as usize).collect();
        ensure!(shape == var.dims(), "{}: {name} has shape {:?}", case.id, var.dims());
        if want.get("grad").is_some_and(serde_json::Value::is_null) {
            let declared = model.network.unused_parameters().iter().any(|prefix| name.starts_with(prefix));
            ensure!(declared && grads.get(var.as_tensor()).is_none(), "{}: {name} has a gradient", case.id);
        }
        if let (Some(norm), Some(probe)) = (want["grad_norm"].as_f64(), want["grad_probe"].as_f64()) {
            let grad = grads.get(var.as_tensor()).with_context(|| format!("{name} has no gradient"))?;
            let got = norm_and_probe(&model.salt, name, grad)?;
            let allowed = share * norm + of_others * total;
            case.error(&format!("norm of the gradient of {name}"), (got.0 - norm).abs(), allowed);
            case.error(&format!("probe of the gradient of {name}"), (got.1 - probe).abs(), allowed);
        }
        if let (Some(norm), Some(probe)) = (want["after_train_norm"].as_f64(), want["after_train_probe"].as_f64()) {
            let got = norm_and_probe(&model.salt, name, var.as_tensor())?;
            let allowed = of_others * norm + 1e-6;
            case.error(name, (got.0 - norm).abs().max((got.1 - probe).abs()), allowed);
        }
    }
    Ok(())
}

pub(crate) fn loss_matches(case: &Trial, name: &str, got: &Tensor, want: f64, allowed: f64) -> Result<()> {
    case.error(name, (value(got)? - want).abs() / want.abs(), case.bound(1e-9, allowed));
    Ok(())
}

pub(crate) fn passes(case: &Case) -> Result<Vec<Pass>> {
    let window = |v: &serde_json::Value| {
        let at: Vec<usize> = v.as_array()?.iter().map(|v| v.as_u64().unwrap() as usize).collect();
        Some(BoundingBox { top: at[0], left: at[1], bottom: at[2], right: at[3] })
    };
    let site = |v: &serde_json::Value| -> Result<(usize, CrossNormDraw)> {
        let partner = v["perm"].as_array().context("perm")?.iter().map(|v| v.as_u64().unwrap() as usize).collect();
        let (style, content) = (window(&v["style_box"]), window(&v["content_box"]));
        Ok((v["site"].as_u64().context("site")? as usize, CrossNormDraw { partner, channels: None, style, content, blend: None }))
    };
    let forwards = case.params["active"].as_array().context("active")?;
    let pass = |sites: &serde_json::Value| -> Result<Pass> {
        let sites = sites.as_array().context("sites")?.iter().map(site).collect::<Result<Vec<_>>>()?;
        Ok(Pass::with_draws(sites, Seed::new(0)).without_dropout())
    };
    forwards.iter().map(pass).collect()
}

/// Whether a name of the published state dict is of a layer that nothing calls: the classifier of a segmentation backbone.
pub(crate) fn is_unused(name: &str) -> bool {
    name.starts_with("backbone.fc.")
}
