//! Every statistics, norm and mixing case of the golden layers, on the kernels and on the reference implementations.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "helpers of tests may stop")]

use anyhow::{Context, Result, bail, ensure};
use candle_core::{DType, Device, Tensor, Var};
use sncn_core::layer::{
    BatchNorm, ChannelsFirst, GroupNorm, Ibn, LayerNorm, MixStyleDraw, SelfNorm, SelfNormConfig, SqueezeExcitation, crop_box,
};
use sncn_core::reference::forced;
use sncn_core::stats::{Positions, Stats};
use sncn_core::{BoundingBox, BuildContext, CrossNormDraw, FeatureMap, Layer, Packing, Pass, Seed, TokenMap, Vars};
use sncn_golden::{Array, Index, Rounding, Trial, holds, relative_error};
use std::sync::Arc;

/// The operations whose cases run here.
pub(crate) const OPERATIONS: [&str; 17] = [
    "instance_stats",
    "token_stats",
    "selfnorm",
    "selfnorm_tokens",
    "crossnorm_2ins",
    "crossnorm_1ins",
    "crossnorm_2ins_tokens",
    "crossnorm_box",
    "mixstyle",
    "ibn",
    "instance_norm",
    "group_norm",
    "layer_norm",
    "se",
    "batch_norm2d",
    "batch_norm2d_relu",
    "batch_norm1d",
];

pub(crate) fn dtype(case: &Trial) -> DType {
    if case.is_double() { DType::F64 } else { DType::F32 }
}

pub(crate) fn tensor(case: &Trial, name: &str) -> Result<Tensor> {
    let array: Array<f32> = case.f32(name)?;
    Ok(Tensor::from_vec(case.values(name, &array.data), array.shape, &Device::Cpu)?.to_dtype(dtype(case))?)
}

/// (N, C, H, W) to (N, H, W, C); other ranks stay.
pub(crate) fn last(t: &Tensor) -> Result<Tensor> {
    Ok(if t.rank() == 4 { t.permute((0, 2, 3, 1))?.contiguous()? } else { t.clone() })
}

pub(crate) fn first(t: &Tensor) -> Result<Tensor> {
    Ok(if t.rank() == 4 { t.permute((0, 3, 1, 2))?.contiguous()? } else { t.clone() })
}

pub(crate) fn check(case: &Trial, name: &str, got: &Tensor) -> Result<()> {
    // five times what the same computation in single precision was off by, where that is known
    let known = case.params["float32_deviation"]["max"].as_f64().unwrap_or(0.);
    check_within(case, name, got, 1e-5f64.max(5. * known))
}

/// In single precision the largest error may be that share of the largest value.
fn check_within(case: &Trial, name: &str, got: &Tensor, single: f64) -> Result<()> {
    let want = case.f32(name)?;
    ensure!(got.elem_count() == want.data.len(), "{}: {name} has shape {:?}, wanted {:?}", case.id, got.shape(), want.shape);
    let error = relative_error(&got.to_dtype(DType::F32)?.flatten_all()?.to_vec1()?, &want.data);
    case.error(name, error, case.bound(1e-6, single));
    Ok(())
}

fn lengths(case: &Trial) -> Result<Arc<[usize]>> {
    Ok(case.i64("lengths")?.data.iter().map(|&l| l as usize).collect())
}

/// Runs a layer on a case: y, dx, parameter gradients and updated buffers.
fn run_layer(case: &Trial, layer: &dyn Layer, vars: &Vars, pass: &Pass, channels_first: bool) -> Result<()> {
    let xs = tensor(case, "x")?;
    let gy = tensor(case, "gy")?;
    let (xs, gy) = if channels_first { (xs, gy) } else { (last(&xs)?, last(&gy)?) };
    let xs = Var::from_tensor(&xs)?;
    let ys = layer.forward(xs.as_tensor(), pass)?;
    let grads = ys.mul(&gy)?.sum_all()?.backward()?;
    let back = |t: &Tensor| if channels_first { Ok(t.clone()) } else { first(t) };
    check(case, "y", &back(&ys)?)?;
    check(case, "dx", &back(grads.get(xs.as_tensor()).expect("dx"))?)?;
    for (name, var) in vars.all() {
        let gradient = format!("d_{name}");
        if case.has(&gradient) {
            check(case, &gradient, grads.get(var.as_tensor()).expect("gradient"))?;
        }
        let after = format!("{name}.after");
        if case.has(&after) {
            check(case, &after, var.as_tensor())?;
        }
    }
    Ok(())
}

/// Builds a layer, gives it the case's parameters, and runs it with channels last and first.
pub(crate) fn layer_case<L: Layer>(
    case: &Trial,
    channels: usize,
    prefix: &str,
    pass: &Pass,
    build: impl Fn(&BuildContext) -> candle_core::Result<L>,
) -> Result<()> {
    for first in [false, true] {
        if first && case.f32("x")?.shape.len() != 4 {
            continue;
        }
        let vars = Vars::new(Seed::new(0), dtype(case), &Device::Cpu);
        let cx = BuildContext::new(channels, if prefix.is_empty() { vars.builder() } else { vars.builder().pp(prefix) });
        let layer = build(&cx)?;
        let zero = Tensor::zeros((), DType::I64, &Device::Cpu)?;
        vars.load(|name| if name.ends_with("tracked") { Some(zero.clone()) } else { tensor(case, name).ok() })?;
        match first {
            true => run_layer(case, &ChannelsFirst(layer), &vars, pass, true)?,
            false => run_layer(case, &layer, &vars, pass, false)?,
        }
    }
    Ok(())
}

pub(crate) fn pass_of(case: &Trial) -> Pass {
    if case.params["train"].as_bool().unwrap_or(true) { Pass::train(Seed::new(0)) } else { Pass::eval() }
}

fn bbox(case: &Trial, name: &str) -> Option<BoundingBox> {
    let at: Vec<usize> = case.params[name].as_array()?.iter().map(|v| v.as_u64().unwrap() as usize).collect();
    Some(BoundingBox { top: at[0], left: at[1], bottom: at[2], right: at[3] })
}

pub(crate) fn order(case: &Trial, name: &str) -> Result<Vec<usize>> {
    Ok(case.i64(name)?.data.iter().map(|&i| i as usize).collect())
}

/// The unbiased standard deviation (N, C) over `positions`, of which each instance of x (N, P, C) has the same number or its length.
fn std(stats: &Stats, positions: &Positions, p: usize, eps: f64) -> candle_core::Result<Tensor> {
    let factor = |count: usize| count as f64 / (count as f64 - 1.);
    let factors: Vec<f64> = match positions {
        Positions::Prefix(lengths) => lengths.iter().map(|&count| factor(count)).collect(),
        _ => vec![factor(p); stats.mean.dim(0)?],
    };
    let factors = Tensor::new(factors, &Device::Cpu)?.to_dtype(stats.mean.dtype())?.unsqueeze(1)?;
    (stats.variance.broadcast_mul(&factors)? + eps)?.sqrt()
}

fn stats_case(case: &Trial, positions: &Positions) -> Result<()> {
    let xs = tensor(case, "x")?;
    let xs = Var::from_tensor(&last(&xs)?)?;
    let (n, c) = (xs.dim(0)?, xs.dim(xs.rank() - 1)?);
    let xs_flat = xs.as_tensor().reshape((n, (), c))?;
    let stats = Stats::of(&xs_flat, positions)?;
    let std = std(&stats, positions, xs_flat.dim(1)?, case.number("eps")?)?;
    check(case, "mean", &stats.mean)?;
    check(case, "std", &std)?;
    let loss = (stats.mean.mul(&tensor(case, "g_mean")?)?.sum_all()? + std.mul(&tensor(case, "g_std")?)?.sum_all()?)?;
    let grads = loss.backward()?;
    check(case, "dx", &first(grads.get(xs.as_tensor()).expect("dx"))?)
}

fn mix_case(case: &Trial, positions: &Positions) -> Result<()> {
    let draw = CrossNormDraw {
        partner: if case.has("perm") { order(case, "perm")? } else { Vec::new() },
        channels: if case.has("chan_perm") { Some(order(case, "chan_perm")?) } else { None },
        style: bbox(case, "style_box"),
        content: bbox(case, "content_box"),
        blend: case.params["lam"].as_f64(),
    };
    let xs = Var::from_tensor(&last(&tensor(case, "x")?)?)?;
    let gy = last(&tensor(case, "gy")?)?;
    let pass = match positions {
        Positions::Prefix(lengths) => Pass::train(Seed::new(0)).with_lengths(lengths.clone()),
        _ => Pass::train(Seed::new(0)),
    };
    let ys = draw.forward(xs.as_tensor(), &pass)?;
    let grads = ys.mul(&gy)?.sum_all()?.backward()?;
    let single = 1e-5f64.max(cancelled(case, positions)? * f64::from(f32::EPSILON));
    check(case, "y", &first(&ys)?)?;
    check_within(case, "dx", &first(grads.get(xs.as_tensor()).expect("dx"))?, single)
}

/// What cancels in dx, σ'/σ·gy, over what is left, times |x|/σ, by which x − μ is less exact than x. Over two tokens dx of the
/// content is 0, so moved inputs do not show it.
fn cancelled(case: &Trial, positions: &Positions) -> Result<f64> {
    let x = case.f32("x")?;
    let xs = last(&Tensor::from_vec(x.data, x.shape, &Device::Cpu)?.to_dtype(DType::F64)?)?;
    let (n, c) = (xs.dim(0)?, xs.dim(xs.rank() - 1)?);
    let xs = xs.reshape((n, (), c))?;
    let std = std(&Stats::of(&xs, positions)?, positions, xs.dim(1)?, 1e-5)?.flatten_all()?;
    let (low, high) = (std.min(0)?.to_scalar::<f64>()?, std.max(0)?.to_scalar::<f64>()?);
    let largest = |name: &str| case.f32(name).map(|array| array.data.iter().fold(0f32, |most, v| most.max(v.abs())));
    Ok(high / low * f64::from(largest("x")?) / low * f64::from(largest("gy")? / largest("dx")?))
}

fn mixstyle_case(case: &Trial) -> Result<()> {
    let lambda = case.f32("lam")?.data.iter().map(|&lambda| f64::from(lambda)).collect();
    let draw = MixStyleDraw { partner: order(case, "perm")?, lambda };
    let xs = Var::from_tensor(&last(&tensor(case, "x")?)?)?;
    let ys = draw.forward(xs.as_tensor(), &Pass::train(Seed::new(0)))?;
    let grads = ys.mul(&last(&tensor(case, "gy")?)?)?.sum_all()?.backward()?;
    check(case, "y", &first(&ys)?)?;
    check(case, "dx", &first(grads.get(xs.as_tensor()).expect("dx"))?)
}

/// Runs one case.
fn run(case: &Trial) -> Result<()> {
    let channels = || case.f32("x").map(|x| x.shape[1]);
    let gates = |case: &Trial| case.flag("is_two").map(|two| SelfNormConfig { gates: 1 + usize::from(two) });
    let pass = pass_of(case);
    match case.op {
        "instance_stats" => stats_case(case, &Positions::All)?,
        "token_stats" => stats_case(case, &Positions::Prefix(lengths(case)?))?,
        "selfnorm" => layer_case(case, channels()?, "", &pass, |cx| SelfNorm::new(gates(case).unwrap(), cx))?,
        "selfnorm_tokens" => {
            let pass = pass.with_lengths(lengths(case)?);
            layer_case(case, case.f32("x")?.shape[2], "", &pass, |cx| SelfNorm::new(gates(case).unwrap(), cx))?;
        }
        "crossnorm_2ins" | "crossnorm_1ins" => mix_case(case, &Positions::All)?,
        "crossnorm_2ins_tokens" => mix_case(case, &Positions::Prefix(lengths(case)?))?,
        "mixstyle" => mixstyle_case(case)?,
        "ibn" => layer_case(case, channels()?, "", &pass, Ibn::new)?,
        "instance_norm" => layer_case(case, channels()?, "", &pass, GroupNorm::instance)?,
        "group_norm" => {
            let groups = case.integer("groups")?;
            layer_case(case, channels()?, "", &pass, |cx| GroupNorm::new(groups, cx))?;
        }
        "layer_norm" => {
            let (c, eps) = (case.f32("x")?.shape[2], case.number("eps")?);
            layer_case(case, c, "", &pass, |cx| LayerNorm::new(cx, eps))?;
        }
        "se" => {
            let reduction = case.integer("reduction")?;
            layer_case(case, channels()?, "", &pass, |cx| SqueezeExcitation::new(reduction, cx))?;
        }
        "batch_norm2d" | "batch_norm1d" => layer_case(case, channels()?, "", &pass, BatchNorm::new)?,
        "batch_norm2d_relu" => {
            struct Rectified(BatchNorm);
            impl Layer for Rectified {
                fn on_map(&self, xs: &FeatureMap, pass: &Pass) -> candle_core::Result<FeatureMap> {
                    self.0.norm_relu(xs, pass)
                }

                fn on_sequences(&self, xs: &TokenMap, packing: &Packing, pass: &Pass) -> candle_core::Result<TokenMap> {
                    self.0.on_sequences(xs, packing, pass)
                }
            }
            layer_case(case, channels()?, "0", &pass, |cx| BatchNorm::new(cx).map(Rectified))?;
        }
        "crossnorm_box" => {
            for row in case.params["rows"].as_array().expect("rows") {
                let number = |i: usize| row[i].as_f64().expect("number");
                let at = |i: usize| number(i) as usize;
                let (bbox, share) = crop_box(at(0), at(1), number(2), at(3), at(4));
                let want = BoundingBox { top: at(5), left: at(6), bottom: at(7), right: at(8) };
                ensure!(bbox == want, "{row}: got {bbox:?}");
                ensure!((share > case.number("thres")?) == row[9].as_bool().expect("accepted"), "{row}: share {share}");
            }
        }
        other => bail!("no test of {other:?}"),
    }
    Ok(())
}

/// Moved inputs say how good results in single precision can be.
pub(crate) const ROUNDING: Rounding = Rounding { units: 1., trials: 4, times: 5. };

pub(crate) fn golden_statistics_norms_and_mixing() -> Result<()> {
    let index = Index::load("layers")?;
    for case in index.cases()?.iter().filter(|case| OPERATIONS.contains(&case.op)) {
        holds(case, true, &ROUNDING, run)?;
        holds(case, true, &ROUNDING, |trial| forced(|| run(trial))).context("reference implementation")?;
    }
    Ok(())
}
