//! Losses on logits with the classes last, (…, K): cross-entropy with an ignored label or smoothed labels, Jensen–Shannon consistency.

use crate::ops;
use candle_core::{D, DType, Result, Tensor, bail};

/// Computes log softmax over the last axis.
///
/// # Errors
/// Returns an error for a scalar.
pub fn log_softmax(logits: &Tensor) -> Result<Tensor> {
    let relative = logits.broadcast_sub(&logits.max_keepdim(D::Minus1)?.detach())?;
    relative.broadcast_sub(&relative.exp()?.sum_keepdim(D::Minus1)?.log()?)
}

/// Computes softmax over the last axis.
///
/// # Errors
/// Returns an error for a scalar.
pub fn softmax(logits: &Tensor) -> Result<Tensor> {
    let exponentials = logits.broadcast_sub(&logits.max_keepdim(D::Minus1)?.detach())?.exp()?;
    exponentials.broadcast_div(&exponentials.sum_keepdim(D::Minus1)?)
}

/// Checks that there is a label for every item and that labels are classes; returns the numbers of items and classes.
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

/// −log softmax at the label of every item that is not ignored, with the indices of these items. Logits of −∞ at other classes are
/// allowed.
fn kept_items(logits: &Tensor, labels: &[u32], ignore: Option<u32>) -> Result<(Tensor, Vec<u32>)> {
    let (items, classes) = check(logits, labels, ignore)?;
    let kept: Vec<u32> = (0..items).filter(|&i| ignore != Some(labels[i])).map(|i| i as u32).collect();
    let labels = Tensor::from_iter(kept.iter().map(|&i| labels[i as usize]), logits.device())?.unsqueeze(1)?;
    let rows = logits.reshape((items, classes))?.index_select(&Tensor::new(kept.as_slice(), logits.device())?, 0)?;
    Ok((log_softmax(&rows)?.gather(&labels, 1)?.squeeze(1)?.neg()?, kept))
}

/// Computes the cross-entropy of every item: logits (…, K) to (items), 0 where the label is `ignore`. PyTorch's
/// `cross_entropy(…, reduction="none")`.
///
/// # Errors
/// Returns an error where the number of labels is not that of items, or a label is neither below K nor `ignore`.
pub fn cross_entropy_per_item(logits: &Tensor, labels: &[u32], ignore: Option<u32>) -> Result<Tensor> {
    let (losses, kept) = kept_items(logits, labels, ignore)?;
    let zeros = Tensor::zeros(labels.len(), losses.dtype(), losses.device())?;
    zeros.index_add(&Tensor::new(kept, losses.device())?, &losses, 0)
}

/// Computes the mean cross-entropy of logits (…, K) over the items whose label is not `ignore`.
///
/// # Errors
/// As [`cross_entropy_per_item`], and where all labels are `ignore`.
pub fn cross_entropy(logits: &Tensor, labels: &[u32], ignore: Option<u32>) -> Result<Tensor> {
    if !labels.is_empty() && labels.iter().all(|&label| ignore == Some(label)) {
        bail!("cross-entropy: all {} labels are the ignored one; at least one other is needed", labels.len())
    }
    if ops::has_kernel(logits) && logits.dtype() == DType::F32 {
        check(logits, labels, ignore)?;
        return ops::cross_entropy(logits, labels, ignore);
    }
    kept_items(logits, labels, ignore)?.0.mean_all()
}

/// Computes the mean cross-entropy of logits (…, K) with smoothed labels (Szegedy et al. 2016, arXiv 1512.00567, section 7): the target
/// of the labelled class is 1 − e + e/K, that of every other e/K, with e = `smoothing`. PyTorch's
/// `cross_entropy(…, label_smoothing=e)`. With e above 0 all logits must be finite.
///
/// # Errors
/// As [`cross_entropy`], and where `smoothing` is not from 0 to 1.
pub fn smoothed_cross_entropy(logits: &Tensor, labels: &[u32], smoothing: f64) -> Result<Tensor> {
    if !(0. ..=1.).contains(&smoothing) {
        bail!("cross-entropy: a smoothing of {smoothing}; 0 to 1 is accepted")
    }
    let labelled = cross_entropy(logits, labels, None)?;
    if smoothing == 0. {
        return Ok(labelled);
    }
    let uniform = log_softmax(logits)?.mean_all()?.neg()?;
    (labelled * (1. - smoothing))? + (uniform * smoothing)?
}

/// Computes the Jensen–Shannon consistency of three predictions, logits (N, K) each (AugMix, Hendrycks et al. 2020, section 3):
/// the mean of KL(pᵢ ‖ m) over the three, with m = clamp(mean of the pᵢ, 1e-7, 1), summed over classes and averaged over the batch.
///
/// # Errors
/// Returns an error where the shapes differ.
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

/// Computes the entropy −Σ p·log p of the softmax p of every item: logits (…, K) to (…).
///
/// # Errors
/// Returns an error for a scalar.
pub fn entropy(logits: &Tensor) -> Result<Tensor> {
    let logs = log_softmax(logits)?;
    logs.exp()?.mul(&logs)?.sum(D::Minus1)?.neg()
}

/// Reads the value of a scalar loss.
///
/// # Errors
/// Returns an error where it is not a scalar.
pub fn value(loss: &Tensor) -> Result<f64> {
    loss.to_dtype(DType::F64)?.to_scalar()
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::{Device, Var};

    fn logits(dtype: DType) -> Result<Var> {
        let values = (0..15).map(|i| f64::from(i * i % 7) * 0.7 - 2.);
        Var::from_tensor(&Tensor::from_iter(values, &Device::Cpu)?.reshape((3, 5))?.to_dtype(dtype)?)
    }

    const LABELS: [u32; 3] = [4, 0, 2];

    #[test]
    fn smoothed_labels_are_spread_over_all_classes() -> Result<()> {
        for smoothing in [0., 0.1, 0.5, 1.] {
            let target = |item: usize, class: usize| {
                let own = if LABELS[item] as usize == class { 1. } else { 0. };
                (1. - smoothing) * own + smoothing / 5.
            };
            let logs = log_softmax(logits(DType::F64)?.as_tensor())?.to_vec2::<f64>()?;
            let terms = (0..3).flat_map(|item| (0..5).map(move |class| (item, class)));
            let want = -terms.map(|(item, class)| target(item, class) * logs[item][class]).sum::<f64>() / 3.;
            let got = value(&smoothed_cross_entropy(logits(DType::F64)?.as_tensor(), &LABELS, smoothing)?)?;
            assert!((got - want).abs() < 1e-14, "{smoothing}: {got} is not {want}");
            let fast = value(&smoothed_cross_entropy(logits(DType::F32)?.as_tensor(), &LABELS, smoothing)?)?;
            assert!((fast - want).abs() < 1e-6, "{smoothing}: {fast} is not {want}");
            // softmax − target, over the number of items
            let (x, fast) = (logits(DType::F64)?, logits(DType::F32)?);
            let gradient = |x: &Var| smoothed_cross_entropy(x.as_tensor(), &LABELS, smoothing)?.backward();
            let p = softmax(x.as_tensor())?.to_vec2::<f64>()?;
            let (exact, single) = (gradient(&x)?, gradient(&fast)?);
            let exact = exact.get(&x).map(Tensor::to_vec2::<f64>).transpose()?.unwrap_or_default();
            let single = single.get(&fast).map(Tensor::to_vec2::<f32>).transpose()?.unwrap_or_default();
            for (item, class) in (0..3).flat_map(|item| (0..5).map(move |class| (item, class))) {
                let want = (p[item][class] - target(item, class)) / 3.;
                assert!((exact[item][class] - want).abs() < 1e-14, "{smoothing}: {item}, {class}");
                assert!((f64::from(single[item][class]) - want).abs() < 1e-6, "{smoothing}: {item}, {class}");
            }
        }
        let error = smoothed_cross_entropy(logits(DType::F64)?.as_tensor(), &LABELS, 1.5).unwrap_err().to_string();
        assert!(error.contains("a smoothing of 1.5; 0 to 1 is accepted"), "{error}");
        Ok(())
    }
}
