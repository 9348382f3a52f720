//! Losses on class-last logits (…, K): cross-entropy with an ignore label, Jensen–Shannon consistency, softmax.

use crate::ops;
use candle_core::{D, DType, Result, Tensor, bail};

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

/// −log softmax at the label of every kept item, (kept), with the items' numbers. Logits of −∞ elsewhere do no harm.
fn kept_items(logits: &Tensor, labels: &[u32], ignore: Option<u32>) -> Result<(Tensor, Vec<u32>)> {
    let (items, classes) = check(logits, labels, ignore)?;
    let kept: Vec<u32> = (0..items).filter(|&i| ignore != Some(labels[i])).map(|i| i as u32).collect();
    let labels = Tensor::from_iter(kept.iter().map(|&i| labels[i as usize]), logits.device())?.unsqueeze(1)?;
    let rows = logits.reshape((items, classes))?.index_select(&Tensor::new(kept.as_slice(), logits.device())?, 0)?;
    Ok((log_softmax(&rows)?.gather(&labels, 1)?.squeeze(1)?.neg()?, kept))
}

/// Cross-entropy of every item, 0 where ignored, (items).
///
/// # Errors
/// Where a label is out of range, or there is not one for every item.
pub fn cross_entropy_per_item(logits: &Tensor, labels: &[u32], ignore: Option<u32>) -> Result<Tensor> {
    let (losses, kept) = kept_items(logits, labels, ignore)?;
    let zeros = Tensor::zeros(labels.len(), losses.dtype(), losses.device())?;
    zeros.index_add(&Tensor::new(kept, losses.device())?, &losses, 0)
}

/// Mean cross-entropy over the items that are not ignored.
///
/// # Errors
/// Where all items are ignored, a label is out of range, or there is not one for every item.
pub fn cross_entropy(logits: &Tensor, labels: &[u32], ignore: Option<u32>) -> Result<Tensor> {
    if !labels.is_empty() && labels.iter().all(|&label| ignore == Some(label)) {
        bail!("cross-entropy: all {} items carry the ignore label: there is nothing to learn from", labels.len())
    }
    if ops::has_kernel(logits) && logits.dtype() == DType::F32 {
        check(logits, labels, ignore)?;
        return ops::cross_entropy(logits, labels, ignore);
    }
    kept_items(logits, labels, ignore)?.0.mean_all()
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
