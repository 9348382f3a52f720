//! Every operation's kernel is held to its reference implementation, values and gradients, and the reference implementation's
//! gradients to differences of its values.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "helpers of tests may stop")]

mod operations;
mod optimizers;

use anyhow::{Context, Result, ensure};
use candle_core::{DType, Device, Tensor, Var};
use operations::OPERATIONS;
use sncn_core::ops::has_kernel;
use sncn_core::reference::{forced, is_forced};
use sncn_core::stats::Positions;
use sncn_core::{loss, ops, stats};
use sncn_golden::u;

/// Numbers from −1 to 1, in f64.
pub(crate) fn random(name: &str, shape: &[usize]) -> Tensor {
    let count = shape.iter().product::<usize>() as u64;
    Tensor::from_iter((0..count).map(|i| u(name, i)), &Device::Cpu).unwrap().reshape(shape).unwrap()
}

pub(crate) type Run = Box<dyn Fn(&[Tensor]) -> candle_core::Result<Tensor>>;

/// An operation on given inputs.
pub(crate) struct Trial {
    /// What is particular.
    pub(crate) case: String,
    /// Differentiable, in f64.
    pub(crate) inputs: Vec<Tensor>,
    pub(crate) run: Run,
    /// Whether differences of values say what the gradients are: not at kinks.
    pub(crate) smooth: bool,
}

/// Values, the gradients of their product with fixed numbers, and how many operations the tape holds.
struct Outcome {
    tensors: Vec<Tensor>,
    nodes: usize,
}

fn outcome(trial: &Trial, dtype: DType) -> Result<Outcome> {
    let vars = trial.inputs.iter().map(|t| Var::from_tensor(&t.to_dtype(dtype)?)).collect::<candle_core::Result<Vec<_>>>()?;
    let inputs: Vec<Tensor> = vars.iter().map(|var| var.as_tensor().clone()).collect();
    let ys = (trial.run)(&inputs)?;
    let nodes = ys.sorted_nodes().len();
    let grads = (&ys * random("gradient", ys.dims()).to_dtype(dtype)?)?.sum_all()?.backward()?;
    let mut tensors = vec![ys];
    for (i, var) in vars.iter().enumerate() {
        tensors.push(grads.get(var).with_context(|| format!("input {i} has no gradient"))?.clone());
    }
    Ok(Outcome { tensors, nodes })
}

/// By how much `got` is off, as a part of the largest of `want` or of 1.
fn apart(got: &Tensor, want: &Tensor) -> Result<f64> {
    ensure!(got.dims() == want.dims(), "shape {:?}, wanted {:?}", got.dims(), want.dims());
    let flat = |t: &Tensor| t.to_dtype(DType::F64)?.flatten_all()?.to_vec1::<f64>();
    let (got, want) = (flat(got)?, flat(want)?);
    let largest = want.iter().fold(1f64, |most, v| most.max(v.abs()));
    let off = |(a, b): (&f64, &f64)| if a == b { 0. } else { (a - b).abs() };
    let most = got.iter().zip(&want).map(off).fold(0f64, |most, v| if v > most || v.is_nan() { v } else { most });
    Ok(most / largest)
}

/// Runs a check of every trial, naming the operation and case that fails.
fn each(check: impl Fn(&Trial) -> Result<()>) -> Result<()> {
    for operation in OPERATIONS {
        for trial in (operation.trials)() {
            check(&trial).with_context(|| format!("{}, {}", operation.name, trial.case))?;
        }
    }
    Ok(())
}

#[test]
fn kernels_and_reference_implementations_agree() -> Result<()> {
    for (dtype, bound) in [(DType::F64, 1e-9), (DType::F32, 2e-5)] {
        each(|trial| {
            let (kernel, reference) = (outcome(trial, dtype)?, forced(|| outcome(trial, dtype))?);
            for (i, (got, want)) in reference.tensors.iter().zip(&kernel.tensors).enumerate() {
                let off = apart(got, want)?;
                ensure!(off <= bound, "{dtype:?}: {} is off by {off:.1e}", if i == 0 { "the value" } else { "a gradient" });
            }
            Ok(())
        })?;
    }
    Ok(())
}

#[test]
fn gradients_of_reference_implementations_are_those_of_their_values() -> Result<()> {
    const STEP: f64 = 1e-5;
    each(|trial| {
        if !trial.smooth {
            return Ok(());
        }
        let value = |inputs: &[Tensor]| -> Result<f64> {
            let ys = (trial.run)(inputs)?;
            Ok((&ys * random("gradient", ys.dims()))?.sum_all()?.to_scalar()?)
        };
        forced(|| {
            let gradients = outcome(trial, DType::F64)?.tensors;
            for (i, gradient) in gradients.iter().skip(1).enumerate() {
                for direction in ["one", "two", "three"] {
                    let along = random(direction, gradient.dims());
                    let moved = |by: f64| -> Result<f64> {
                        let mut inputs = trial.inputs.clone();
                        inputs[i] = (&inputs[i] + (&along * by)?)?;
                        value(&inputs)
                    };
                    let slope = (moved(STEP)? - moved(-STEP)?) / (2. * STEP);
                    let claimed = (gradient * &along)?.sum_all()?.to_scalar::<f64>()?;
                    let scale = (gradient * &along)?.abs()?.sum_all()?.to_scalar::<f64>()?.max(1.);
                    ensure!((slope - claimed).abs() <= 1e-6 * scale, "input {i}: {claimed}, by differences {slope}");
                }
            }
            Ok(())
        })
    })
}

#[test]
fn what_is_forced_runs_and_what_is_not_does_not() -> Result<()> {
    if is_forced() {
        return Ok(()); // the environment forces it, so there is no kernel to tell from
    }
    for operation in OPERATIONS {
        let mut differ = false;
        for trial in (operation.trials)() {
            let (kernel, reference) = (outcome(&trial, DType::F32)?, forced(|| outcome(&trial, DType::F32))?);
            differ |= kernel.nodes != reference.nodes;
        }
        ensure!(differ == operation.two_forms, "{}: the forms differ: {differ}", operation.name);
    }
    let xs = random("x", &[2]);
    ensure!(has_kernel(&xs) && !forced(|| has_kernel(&xs)) && !has_kernel(&xs.to_dtype(DType::F16)?));
    Ok(())
}

#[test]
fn values_that_are_not_finite_are_treated_alike() -> Result<()> {
    const NAN: f32 = f32::NAN;
    const INF: f32 = f32::INFINITY;
    let case = |shape: &[usize], values: &[f32], run: Run| -> Result<Trial> {
        let xs = Tensor::new(values, &Device::Cpu)?.reshape(shape)?;
        Ok(Trial { case: String::new(), inputs: vec![xs], run, smooth: false })
    };
    let behind = Positions::Prefix([2].into());
    let spread = behind.clone();
    let trials = [
        case(&[5], &[NAN, INF, -INF, 0., -0.], Box::new(|t| ops::relu(&t[0])))?,
        case(&[5], &[NAN, INF, -INF, 6., -0.], Box::new(|t| ops::relu6(&t[0])))?,
        case(&[5], &[NAN, INF, -INF, 6., -0.], Box::new(|t| ops::leaky_relu(&t[0], 0.1)))?,
        case(&[3], &[INF, -INF, -1e5], Box::new(|t| ops::sigmoid(&t[0])))?,
        case(&[1, 3, 3, 1], &[1., 2., 3., 4., NAN, 6., 7., -INF, INF], Box::new(|t| ops::max_pool2d(&t[0], 2, 1, 1)))?,
        case(&[1, 2, 2, 1], &[1., INF, 2., 3.], Box::new(|t| ops::resize_bilinear(&t[0].narrow(2, 0, 1)?, (3, 1))))?,
        case(&[2, 3], &[1., -INF, 2., -INF, 3., -INF], Box::new(|t| loss::cross_entropy(&t[0], &[2, 1], None)))?,
        case(&[1, 3, 1], &[1., 4., NAN], Box::new(move |t| stats::Stats::of(&t[0], &spread)?.mean.sqr()))?,
        case(
            &[1, 3, 1],
            &[1., 4., NAN],
            Box::new(move |t| {
                let a = t[0].narrow(1, 0, 1)?.squeeze(0)?;
                stats::apply_affine(&t[0], &a, &a, &a, &behind, stats::Outside::Zero)
            }),
        )?,
    ];
    for (i, trial) in trials.iter().enumerate() {
        let (kernel, reference) = (outcome(trial, DType::F32)?, forced(|| outcome(trial, DType::F32))?);
        for (got, want) in reference.tensors.iter().zip(&kernel.tensors) {
            let (got, want) = (got.flatten_all()?.to_vec1::<f32>()?, want.flatten_all()?.to_vec1::<f32>()?);
            let same = |(a, b): (&f32, &f32)| a == b || (a.is_nan() && b.is_nan()) || (a - b).abs() < 1e-6;
            ensure!(got.iter().zip(&want).all(same), "case {i}: {got:?} for {want:?}");
        }
    }
    Ok(())
}

#[test]
fn every_public_operation_is_in_the_table_or_says_why_not() {
    let sources = [
        include_str!("../../../src/ops/mod.rs"),
        include_str!("../../../src/packing.rs"),
        include_str!("../../../src/stats.rs"),
        include_str!("../../../src/loss.rs"),
    ];
    let mut missing: Vec<_> = sources.iter().flat_map(|source| public(source)).collect();
    assert!(missing.len() > 20, "the sources are not read as they are written: {missing:?}");
    missing.retain(|name| !OPERATIONS.iter().any(|o| o.name == *name) && !operations::EXEMPT.iter().any(|(n, _)| n == name));
    assert!(missing.is_empty(), "no trial in tests/core/reference/operations.rs holds its reference implementation: {missing:?}");
}

/// The functions that a source exports and those it has that take a tensor.
fn public(source: &str) -> Vec<&str> {
    let exported = source.split("\npub use ").skip(1).filter_map(|rest| {
        let names = rest.split(';').next()?.rsplit("::").next()?;
        Some(names.trim_matches(['{', '}']).split(',').map(str::trim))
    });
    let functions = source.split("pub fn ").skip(1).filter_map(|rest| {
        let (name, arguments) = rest.split_once('(')?;
        arguments.split("->").next()?.contains("Tensor").then_some(name)
    });
    exported.flatten().filter(|name| name.starts_with(char::is_lowercase)).chain(functions).collect()
}
