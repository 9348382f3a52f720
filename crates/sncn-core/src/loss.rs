//! Losses on class-last logits (…, K): cross-entropy with an ignore label, Jensen–Shannon consistency, softmax.

use crate::ops;
use candle_core::{D, DType, Device, Result, Tensor, bail};

/// log softmax over the last axis, shifted by the (detached) maximum.
///
/// # Errors
/// Where the tensor has no axis.
pub fn log_softmax(logits: &Tensor) -> Result<Tensor> {
    let shifted = logits.broadcast_sub(&logits.max_keepdim(D::Minus1)?.detach())?;
    shifted.broadcast_sub(&shifted.exp()?.sum_keepdim(D::Minus1)?.log()?)
}

/// softmax over the last axis.
///
/// # Errors
/// Where the tensor has no axis.
pub fn softmax(logits: &Tensor) -> Result<Tensor> {
    let raised = logits.broadcast_sub(&logits.max_keepdim(D::Minus1)?.detach())?.exp()?;
    raised.broadcast_div(&raised.sum_keepdim(D::Minus1)?)
}

/// The number of items and classes, one label an item and every kept label a class.
fn check(logits: &Tensor, labels: &[u32], ignore: Option<u32>) -> Result<(usize, usize)> {
    let classes = logits.dim(D::Minus1)?;
    let items = logits.elem_count() / classes.max(1);
    if labels.len() != items {
        bail!("cross-entropy: {} labels for {items} items", labels.len())
    }
    match labels.iter().find(|&&label| ignore != Some(label) && label as usize >= classes) {
        Some(label) => {
            bail!("cross-entropy: label {label}; 0 to {} is accepted for {classes} classes", classes.saturating_sub(1))
        }
        None => Ok((items, classes)),
    }
}

/// 1 at the label of every kept item, (items, K), and how many are kept.
fn one_hot(logits: &Tensor, labels: &[u32], ignore: Option<u32>) -> Result<(Tensor, usize)> {
    let (items, classes) = check(logits, labels, ignore)?;
    let mut hot = vec![0f32; items * classes];
    let mut kept = 0;
    for (row, &label) in hot.chunks_exact_mut(classes.max(1)).zip(labels).filter(|(_, label)| ignore != Some(**label)) {
        row[label as usize] = 1.;
        kept += 1;
    }
    let hot = Tensor::from_vec(hot, (items, classes), &Device::Cpu)?.to_device(logits.device())?;
    Ok((hot.to_dtype(logits.dtype())?, kept))
}

/// Cross-entropy of every item, 0 where ignored, (items).
///
/// # Errors
/// Where a label is out of range, or there is not one for every item.
pub fn cross_entropy_per_item(logits: &Tensor, labels: &[u32], ignore: Option<u32>) -> Result<Tensor> {
    let (hot, _) = one_hot(logits, labels, ignore)?;
    log_softmax(logits)?.reshape(hot.shape())?.mul(&hot)?.sum(D::Minus1)?.neg()
}

/// Mean cross-entropy over the items that are not ignored.
///
/// # Errors
/// Where all items are ignored, a label is out of range, or there is not one for every item.
pub fn cross_entropy(logits: &Tensor, labels: &[u32], ignore: Option<u32>) -> Result<Tensor> {
    if !labels.is_empty() && labels.iter().all(|&label| ignore == Some(label)) {
        bail!("cross-entropy: all {} items carry the ignore label: there is nothing to learn from", labels.len())
    }
    if logits.device().is_cpu() && logits.dtype() == DType::F32 {
        check(logits, labels, ignore)?;
        return ops::cross_entropy(logits, labels, ignore);
    }
    let (hot, kept) = one_hot(logits, labels, ignore)?;
    log_softmax(logits)?.reshape(hot.shape())?.mul(&hot)?.sum_all()?.neg()? / kept as f64
}

/// Jensen–Shannon consistency of three predictions (N, K) (Hendrycks et al. 2020, AugMix): the mean over the three of
/// KL(pᵢ ‖ m), m = clamp(mean of p, 1e-7, 1), summed over classes and averaged over the batch.
///
/// # Errors
/// Where shapes differ.
pub fn jensen_shannon(logits: [&Tensor; 3]) -> Result<Tensor> {
    let [one, two, three] = logits;
    let (p, q, r) = (softmax(one)?, softmax(two)?, softmax(three)?);
    let mean = ((&p + &q)? + &r)?.affine(1. / 3., 0.)?;
    // the gradient is zero where the clamp acts
    let inside = mean.ge(1e-7)?.to_dtype(mean.dtype())?;
    let mixture = (mean.mul(&inside)? + inside.affine(-1e-7, 1e-7)?)?.log()?;
    let divergence = |p: &Tensor, logits: &Tensor| p.mul(&log_softmax(logits)?.sub(&mixture)?)?.sum_all();
    let sum = ((divergence(&p, one)? + divergence(&q, two)?)? + divergence(&r, three)?)?;
    sum / (3 * p.dim(0)?) as f64
}

/// The value of a scalar loss.
///
/// # Errors
/// Where it is no scalar.
pub fn value(loss: &Tensor) -> Result<f64> {
    loss.to_dtype(DType::F64)?.to_scalar()
}
