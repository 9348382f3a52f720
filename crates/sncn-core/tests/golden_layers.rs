//! Every statistics, norm and mixing case of the golden layers, on the kernels and on their plain twins.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "helpers of tests may stop")]

use anyhow::{Result, ensure};
use candle_core::{DType, Device, Tensor, Var};
use sncn_core::layer::{
    BatchNorm, GroupNorm, Ibn, LayerNorm, MemoryLayout, SelfNorm, SelfNormConfig, SqueezeExcitation, Styles, crop_window, mix,
};
use sncn_core::stats::{Extent, Stats};
use sncn_core::{Layer, Mixture, Pass, Place, Seed, Vars, Window};
use sncn_golden::{Array, Case, Index, relative_error, u};
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::sync::Arc;

/// A case in one precision, and how far its results are from the golden ones.
struct Trial<'a> {
    case: &'a Case<'a>,
    dtype: DType,
    /// Where given, inputs are moved by up to a unit in the last place of f32, at random.
    shaken: Option<u64>,
    errors: RefCell<Errors>,
    /// What cancels in dx, σ'/σ·gy, over what is left, times |x|/σ, by which x − μ is less exact than x. Over two tokens dx of the
    /// content is 0, so moved inputs do not show it.
    terms: Cell<f64>,
}

/// The largest error of each result, over its largest value.
type Errors = BTreeMap<String, f64>;

impl<'a> std::ops::Deref for Trial<'a> {
    type Target = Case<'a>;

    fn deref(&self) -> &Case<'a> {
        self.case
    }
}

impl Trial<'_> {
    fn tensor(&self, name: &str) -> Result<Tensor> {
        let array: Array<f32> = self.f32(name)?;
        let exact = Tensor::from_vec(array.data, array.shape, &Device::Cpu)?.to_dtype(self.dtype)?;
        let Some(stream) = self.shaken else { return Ok(exact) };
        let stream = format!("{stream}/{name}");
        let factor = |i: usize| 1. + u(&stream, i as u64) * f64::from(f32::EPSILON);
        let factors: Vec<f64> = (0..exact.elem_count()).map(factor).collect();
        Ok(exact.mul(&Tensor::from_vec(factors, exact.shape(), &Device::Cpu)?)?)
    }
}

/// (N, C, H, W) to (N, H, W, C); other ranks stay.
fn last(t: &Tensor) -> Result<Tensor> {
    Ok(if t.rank() == 4 { t.permute((0, 2, 3, 1))?.contiguous()? } else { t.clone() })
}

fn first(t: &Tensor) -> Result<Tensor> {
    Ok(if t.rank() == 4 { t.permute((0, 3, 1, 2))?.contiguous()? } else { t.clone() })
}

fn check(case: &Trial, name: &str, got: &Tensor) -> Result<()> {
    let want = case.f32(name)?;
    ensure!(got.elem_count() == want.data.len(), "{}: {name} has shape {:?}, wanted {:?}", case.id, got.shape(), want.shape);
    let error = relative_error(&got.to_dtype(DType::F32)?.flatten_all()?.to_vec1()?, &want.data);
    let mut errors = case.errors.borrow_mut();
    let worst = errors.entry(name.to_string()).or_default();
    *worst = worst.max(error);
    Ok(())
}

fn lengths(case: &Trial) -> Result<Arc<[usize]>> {
    Ok(case.i64("lengths")?.data.iter().map(|&l| l as usize).collect())
}

/// Runs a layer on a case: y, dx, parameter gradients and updated buffers.
fn run_layer(case: &Trial, layer: &dyn Layer, vars: &Vars, pass: &Pass, channels_first: bool) -> Result<()> {
    let xs = case.tensor("x")?;
    let gy = case.tensor("gy")?;
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
fn layer_case<L: Layer>(
    case: &Trial,
    channels: usize,
    prefix: &str,
    pass: &Pass,
    build: impl Fn(&Place) -> candle_core::Result<L>,
) -> Result<()> {
    for layout in [MemoryLayout::ChannelsLast, MemoryLayout::ChannelsFirst] {
        let first = layout == MemoryLayout::ChannelsFirst;
        if first && case.f32("x")?.shape.len() != 4 {
            continue;
        }
        let vars = Vars::new(Seed::new(0), case.dtype, &Device::Cpu);
        let mut place = Place::new(channels, if prefix.is_empty() { vars.builder() } else { vars.builder().pp(prefix) });
        place.layout = layout;
        let layer = build(&place)?;
        let zero = Tensor::zeros((), DType::I64, &Device::Cpu)?;
        vars.load(|name| if name.ends_with("tracked") { Some(zero.clone()) } else { case.tensor(name).ok() })?;
        run_layer(case, &layer, &vars, pass, first)?;
    }
    Ok(())
}

fn pass_of(case: &Trial) -> Pass {
    if case.params["train"].as_bool().unwrap_or(true) { Pass::train(Seed::new(0)) } else { Pass::eval() }
}

fn window(case: &Trial, name: &str) -> Option<Window> {
    let at: Vec<usize> = case.params[name].as_array()?.iter().map(|v| v.as_u64().unwrap() as usize).collect();
    Some(Window { top: at[0], left: at[1], bottom: at[2], right: at[3] })
}

fn order(case: &Trial, name: &str) -> Result<Vec<usize>> {
    Ok(case.i64(name)?.data.iter().map(|&i| i as usize).collect())
}

fn stats_case(case: &Trial, extent: &Extent) -> Result<()> {
    let xs = case.tensor("x")?;
    let xs = Var::from_tensor(&last(&xs)?)?;
    let (n, c) = (xs.dim(0)?, xs.dim(xs.rank() - 1)?);
    let stats = Stats::of(&xs.as_tensor().reshape((n, (), c))?, extent)?;
    let deviation = stats.deviation(case.number("eps")?)?;
    check(case, "mean", &stats.mean)?;
    check(case, "std", &deviation)?;
    let loss = (stats.mean.mul(&case.tensor("g_mean")?)?.sum_all()? + deviation.mul(&case.tensor("g_std")?)?.sum_all()?)?;
    let grads = loss.backward()?;
    check(case, "dx", &first(grads.get(xs.as_tensor()).expect("dx"))?)
}

fn mix_case(case: &Trial, extent: &Extent) -> Result<()> {
    let mixture = Mixture {
        partner: if case.has("perm") { order(case, "perm")? } else { Vec::new() },
        channels: if case.has("chan_perm") { Some(order(case, "chan_perm")?) } else { None },
        style: window(case, "style_box"),
        content: window(case, "content_box"),
        blend: case.params["lam"].as_f64(),
    };
    let xs = Var::from_tensor(&last(&case.tensor("x")?)?)?;
    let gy = last(&case.tensor("gy")?)?;
    let dims = xs.dims().to_vec();
    let flat = xs.as_tensor().reshape((dims[0], (), dims[dims.len() - 1]))?;
    let deviation = Stats::of(&flat, extent)?.deviation(1e-5)?.to_dtype(DType::F64)?.flatten_all()?;
    let (low, high) = (deviation.min(0)?.to_scalar::<f64>()?, deviation.max(0)?.to_scalar::<f64>()?);
    let largest = |name: &str| case.f32(name).map(|array| array.data.iter().fold(0f32, |most, v| most.max(v.abs())));
    case.terms.set(high / low * f64::from(largest("x")?) / low * f64::from(largest("gy")? / largest("dx")?));
    let ys = mix(&flat, dims[dims.len() - 2], extent, &mixture)?.reshape(dims)?;
    let grads = ys.mul(&gy)?.sum_all()?.backward()?;
    check(case, "y", &first(&ys)?)?;
    check(case, "dx", &first(grads.get(xs.as_tensor()).expect("dx"))?)
}

fn mixstyle_case(case: &Trial) -> Result<()> {
    let lambda = case.f32("lam")?.data.iter().map(|&lambda| f64::from(lambda)).collect();
    let styles = Styles { partner: order(case, "perm")?, lambda };
    let xs = Var::from_tensor(&last(&case.tensor("x")?)?)?;
    let dims = xs.dims().to_vec();
    let flat = xs.as_tensor().reshape((dims[0], (), dims[dims.len() - 1]))?;
    let ys = styles.apply(&flat, &Extent::All)?.reshape(dims)?;
    let grads = ys.mul(&last(&case.tensor("gy")?)?)?.sum_all()?.backward()?;
    check(case, "y", &first(&ys)?)?;
    check(case, "dx", &first(grads.get(xs.as_tensor()).expect("dx"))?)
}

/// Runs one case; whether there is a layer of its kind.
fn run(case: &Trial) -> Result<bool> {
    let channels = || case.f32("x").map(|x| x.shape[1]);
    let gates = |case: &Trial| case.flag("is_two").map(|two| SelfNormConfig { gates: 1 + usize::from(two) });
    let pass = pass_of(case);
    match case.op {
        "instance_stats" => stats_case(case, &Extent::All)?,
        "token_stats" => stats_case(case, &Extent::Prefix(lengths(case)?))?,
        "selfnorm" => layer_case(case, channels()?, "", &pass, |place| SelfNorm::new(gates(case).unwrap(), place))?,
        "selfnorm_tokens" => {
            let pass = pass.with_lengths(lengths(case)?);
            layer_case(case, case.f32("x")?.shape[2], "", &pass, |place| SelfNorm::new(gates(case).unwrap(), place))?;
        }
        "crossnorm_2ins" | "crossnorm_1ins" => mix_case(case, &Extent::All)?,
        "crossnorm_2ins_tokens" => mix_case(case, &Extent::Prefix(lengths(case)?))?,
        "mixstyle" => mixstyle_case(case)?,
        "ibn" => layer_case(case, channels()?, "", &pass, Ibn::new)?,
        "instance_norm" => layer_case(case, channels()?, "", &pass, GroupNorm::instance)?,
        "group_norm" => {
            let groups = case.integer("groups")?;
            layer_case(case, channels()?, "", &pass, |place| GroupNorm::new(groups, place))?;
        }
        "layer_norm" => {
            let (c, eps) = (case.f32("x")?.shape[2], case.number("eps")?);
            layer_case(case, c, "", &pass, |place| LayerNorm::new(place, eps))?;
        }
        "se" => {
            let reduction = case.integer("reduction")?;
            layer_case(case, channels()?, "", &pass, |place| SqueezeExcitation::new(reduction, place))?;
        }
        "batch_norm2d" | "batch_norm1d" => layer_case(case, channels()?, "", &pass, BatchNorm::new)?,
        "batch_norm2d_relu" => {
            struct Rectified(BatchNorm);
            impl Layer for Rectified {
                fn forward(&self, xs: &Tensor, pass: &Pass) -> candle_core::Result<Tensor> {
                    self.0.norm(xs, true, pass)
                }
            }
            layer_case(case, channels()?, "0", &pass, |place| BatchNorm::new(place).map(Rectified))?;
        }
        "crossnorm_box" => {
            for row in case.params["rows"].as_array().expect("rows") {
                let number = |i: usize| row[i].as_f64().expect("number");
                let at = |i: usize| number(i) as usize;
                let (window, share) = crop_window(at(0), at(1), number(2), at(3), at(4));
                let want = Window { top: at(5), left: at(6), bottom: at(7), right: at(8) };
                ensure!(window == want, "{row}: got {window:?}");
                ensure!((share > case.number("thres")?) == row[9].as_bool().expect("accepted"), "{row}: share {share}");
            }
        }
        _ => return Ok(false),
    }
    Ok(true)
}

/// In double precision results are the golden ones. In single precision they are as good as the inputs' own last digits: no
/// further off than a few times what moving each input by a unit in the last place gives.
#[test]
fn golden_statistics_norms_and_mixing() -> Result<()> {
    let index = Index::load("layers")?;
    let mut counts = 0;
    for case in &index.cases()? {
        let errors = |dtype, shaken| -> Result<Option<(Errors, f64)>> {
            let trial = Trial { case, dtype, shaken, errors: RefCell::default(), terms: Cell::new(0.) };
            Ok(run(&trial)?.then(|| (trial.errors.into_inner(), trial.terms.get())))
        };
        let Some((exact, terms)) = errors(DType::F64, None)? else { continue };
        let mut moved = Errors::new();
        for shaken in 0..4 {
            for (name, error) in errors(DType::F64, Some(shaken))?.into_iter().flat_map(|(errors, _)| errors) {
                let worst = moved.entry(name).or_default();
                *worst = worst.max(error);
            }
        }
        for (name, error) in exact {
            ensure!(error <= 1e-6, "{}: {name} in f64 is off by {error:.2e} of its largest value", case.id);
        }
        for (name, error) in errors(DType::F32, None)?.into_iter().flat_map(|(errors, _)| errors) {
            let allowed = (5. * moved[&name]).max(terms * f64::from(f32::EPSILON)).max(1e-5);
            ensure!(
                error <= allowed,
                "{}: {name} in f32 is off by {error:.2e} of its largest value, {allowed:.0e} is allowed",
                case.id
            );
        }
        counts += 1;
    }
    ensure!(counts > 0, "no case was run");
    println!("{counts} cases");
    Ok(())
}
