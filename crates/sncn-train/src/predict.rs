//! Predictions: class probabilities of a batch, and the most probable class.

use candle_core::{D, DType, Result, Tensor};
use sncn_core::loss::softmax;
use sncn_core::{Network, Pass};

/// The scores (N, classes) of a batch in f64, without gradient.
///
/// # Errors
/// If the network fails.
pub fn scores(network: &dyn Network, inputs: &Tensor, pass: &Pass) -> Result<Tensor> {
    network.forward(inputs, pass)?.detach().to_dtype(DType::F64)
}

/// The class probabilities of a batch: the softmax of the scores (N, classes), row by row.
///
/// # Errors
/// If the network fails.
pub fn probabilities(network: &dyn Network, inputs: &Tensor, pass: &Pass) -> Result<Vec<Vec<f64>>> {
    softmax(&scores(network, inputs, pass)?)?.to_vec2::<f64>()
}

/// The class probabilities where only the classes listed can be answered: the softmax of their scores (N, classes in f64), row by row;
/// all others have probability 0. So data sets of some of a network's classes are scored, as ImageNet-R of 200 of 1000.
///
/// # Errors
/// If no class is listed, or one that the scores do not have.
pub fn probabilities_among(scores: &Tensor, classes: &[usize]) -> Result<Vec<Vec<f64>>> {
    let all = scores.dim(D::Minus1)?;
    if classes.is_empty() || classes.iter().any(|&class| class >= all) {
        candle_core::bail!("a subset of {} classes of {all}: at least one is wanted, each below {all}", classes.len())
    }
    let listed = Tensor::from_iter(classes.iter().map(|&class| class as u32), scores.device())?;
    let rows = softmax(&scores.index_select(&listed, 1)?)?.to_vec2::<f64>()?;
    let spread = |row: Vec<f64>| {
        let mut whole = vec![0.; all];
        classes.iter().zip(row).for_each(|(&class, p)| whole[class] = p);
        whole
    };
    Ok(rows.into_iter().map(spread).collect())
}

/// The index of the largest value; of equal values the first.
pub fn argmax(row: &[f64]) -> usize {
    row.iter().enumerate().fold(0, |best, (i, &p)| if p > row[best] { i } else { best })
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::Device;

    #[test]
    fn classes_that_are_not_listed_have_no_probability() -> Result<()> {
        // a score far above those listed must not drown them
        let scores = Tensor::new(&[[1f64, 9000., 0., 2., f64::NEG_INFINITY]], &Device::Cpu)?;
        let rows = probabilities_among(&scores, &[3, 0])?;
        let sum = 1. + 1f64.exp();
        assert_eq!(rows[0].len(), 5);
        for (got, want) in rows[0].iter().zip([1. / sum, 0., 0., 1f64.exp() / sum, 0.]) {
            assert!((got - want).abs() < 1e-15, "{got} is not {want}");
        }
        assert_eq!(argmax(&rows[0]), 3);
        for listed in [&[][..], &[5]] {
            let error = probabilities_among(&scores, listed).unwrap_err().to_string();
            assert!(error.contains("each below 5"), "{error}");
        }
        Ok(())
    }
}
