//! Every convolution, pooling, resizing and activation case of the golden layers, in f32 and f64, on the kernels and on the
//! reference implementations.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "helpers of tests may stop")]

use anyhow::{Context, Result, bail, ensure};
use candle_core::{DType, Device, Tensor, Var};
use sncn_core::reference::forced;
use sncn_core::{loss, ops};
use sncn_golden::{Case, Index, relative_error};

/// The operations whose cases run here.
pub(crate) const OPERATIONS: [&str; 14] = [
    "conv2d",
    "conv1d",
    "linear",
    "max_pool2d",
    "avg_pool2d",
    "global_avg_pool",
    "bilinear",
    "nearest",
    "relu",
    "gelu_sigmoid",
    "gelu_erf",
    "sigmoid",
    "softmax",
    "log_softmax",
];

fn check(case: &Case, name: &str, got: &Tensor, dtype: DType) -> Result<()> {
    let want = case.f32(name)?;
    let error = relative_error(&got.to_dtype(DType::F32)?.flatten_all()?.to_vec1()?, &want.data);
    ensure!(error <= 1e-5, "{}: {name} in {dtype:?} is off by {error:.2e} of its largest value", case.id);
    Ok(())
}

fn to_last(t: &Tensor) -> Result<Tensor> {
    Ok(match t.rank() {
        4 => t.permute((0, 2, 3, 1))?.contiguous()?,
        3 => t.transpose(1, 2)?.contiguous()?,
        _ => t.clone(),
    })
}

fn to_first(t: &Tensor) -> Result<Tensor> {
    Ok(match t.rank() {
        4 => t.permute((0, 3, 1, 2))?.contiguous()?,
        3 => t.transpose(1, 2)?.contiguous()?,
        _ => t.clone(),
    })
}

fn run(case: &Case, dtype: DType) -> Result<()> {
    let load = |name: &str| -> Result<Tensor> {
        let array = case.f32(name)?;
        Ok(Tensor::from_vec(array.data, array.shape, &Device::Cpu)?.to_dtype(dtype)?)
    };
    let maybe = |name: &str| if case.has(name) { load(name).and_then(|t| Ok(Some(Var::from_tensor(&t)?))) } else { Ok(None) };
    let map = !matches!(case.op, "relu" | "gelu_sigmoid" | "gelu_erf" | "sigmoid" | "softmax" | "log_softmax" | "linear");
    let xs = Var::from_tensor(&if map { to_last(&load("x")?)? } else { load("x")? })?;
    let (weight, bias) = (maybe("weight")?, maybe("bias")?);
    let x = xs.as_tensor();
    let b = bias.as_ref().map(Var::as_tensor);
    let w = || weight.as_ref().map(Var::as_tensor).context("weight");
    let conv = || -> Result<ops::Conv> {
        let (stride, padding) = (case.integer("stride")?, case.integer("padding")?);
        Ok(ops::Conv { stride, padding, same: false, dilation: case.integer("dilation")?, groups: case.integer("groups")? })
    };
    let size = || -> Result<(usize, usize)> {
        let size = case.params["size"].as_array().context("size")?;
        Ok((size[0].as_u64().context("size")? as usize, size[1].as_u64().context("size")? as usize))
    };
    let ys = match case.op {
        "conv2d" => ops::conv2d(x, w()?, b, &conv()?)?,
        "conv1d" => ops::conv1d(x, w()?, b, &conv()?)?,
        "linear" => ops::linear(x, w()?, b)?,
        "max_pool2d" => ops::max_pool2d(x, case.integer("kernel")?, case.integer("stride")?, case.integer("padding")?)?,
        "avg_pool2d" => ops::avg_pool2d(x, case.integer("kernel")?, case.integer("stride")?)?,
        "global_avg_pool" => ops::global_avg_pool(x)?,
        "bilinear" => ops::resize_bilinear(x, size()?)?,
        "nearest" => ops::resize_nearest(x, size()?)?,
        "relu" => ops::relu(x)?,
        "gelu_sigmoid" => ops::quick_gelu(x)?,
        "gelu_erf" => ops::gelu_erf(x)?,
        "sigmoid" => ops::sigmoid(x)?,
        "softmax" => loss::softmax(x)?,
        "log_softmax" => loss::log_softmax(x)?,
        other => bail!("no test of {other:?}"),
    };
    let gy = load("gy")?;
    let gy = if map { to_last(&gy)? } else { gy };
    let grads = ys.mul(&gy)?.sum_all()?.backward()?;
    let back = |t: &Tensor| if map { to_first(t) } else { Ok(t.clone()) };
    check(case, "y", &back(&ys)?, dtype)?;
    check(case, "dx", &back(grads.get(x).context("no dx")?)?, dtype)?;
    for (name, var) in [("d_weight", &weight), ("d_bias", &bias)] {
        if let Some(var) = var {
            check(case, name, grads.get(var.as_tensor()).context("no parameter gradient")?, dtype)?;
        }
    }
    Ok(())
}

pub(crate) fn golden_convolutions_pools_and_activations() -> Result<()> {
    let index = Index::load("layers")?;
    for case in index.cases()?.into_iter().filter(|case| OPERATIONS.contains(&case.op)) {
        for dtype in [DType::F32, DType::F64] {
            run(&case, dtype).with_context(|| case.id.to_string())?;
            forced(|| run(&case, dtype)).with_context(|| format!("{}, reference implementation", case.id))?;
        }
    }
    Ok(())
}
