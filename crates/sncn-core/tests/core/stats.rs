//! Statistics and the affine map, kernels and reference implementations, against the sums that define them.
#![allow(clippy::unwrap_used, reason = "helpers of tests may stop")]

use candle_core::{DType, Device, Result, Tensor};
use sncn_core::BoundingBox;
use sncn_core::reference::forced;
use sncn_core::stats::{Outside, Positions, Stats, apply_affine};

/// Instances, rows, columns, channels.
const SIZES: [usize; 4] = [3, 4, 5, 2];

fn value(i: usize) -> f64 {
    ((i * 37 + i * i * 11) % 101) as f64 / 25. - 1.
}

fn tensor(shape: &[usize], first: usize, dtype: DType) -> Result<Tensor> {
    let values: Vec<f64> = (0..shape.iter().product()).map(|i| value(first + i)).collect();
    Tensor::from_vec(values, shape, &Device::Cpu)?.to_dtype(dtype)
}

type TakesPart = fn(usize, usize) -> bool;

/// Every extent, with whether a position of an instance takes part.
fn all_positions() -> [(Positions, TakesPart); 4] {
    let window = BoundingBox { top: 1, left: 2, bottom: 3, right: 5 };
    [
        (Positions::All, |_, _| true),
        (Positions::Box(window, 5), |_, p| (1..3).contains(&(p / 5)) && p % 5 >= 2),
        (Positions::Prefix([20, 3, 9].into()), |n, p| p < [20, 3, 9][n]),
        (Positions::Spans([(2, 20), (0, 2), (5, 9)].into()), |n, p| ([2, 0, 5][n]..[20, 2, 9][n]).contains(&p)),
    ]
}

fn values(tensor: &Tensor) -> Result<Vec<f64>> {
    tensor.to_dtype(DType::F64)?.flatten_all()?.to_vec1()
}

fn near(what: &str, got: &Tensor, want: &[f64]) -> Result<()> {
    let got = values(got)?;
    assert_eq!(got.len(), want.len(), "{what}");
    for (i, (got, want)) in got.iter().zip(want).enumerate() {
        assert!((got - want).abs() < 1e-5 * (1. + want.abs()), "{what}, value {i}: {got} for {want}");
    }
    Ok(())
}

/// Runs a test in both types, on the kernels and on the reference implementations.
fn on_both(test: impl Fn(DType) -> Result<()>) -> Result<()> {
    [DType::F32, DType::F64].into_iter().try_for_each(|dtype| test(dtype).and_then(|()| forced(|| test(dtype))))
}

#[test]
fn statistics_are_the_sums_that_define_them() -> Result<()> {
    let [n, h, w, c] = SIZES;
    on_both(|dtype| {
        let xs = tensor(&[n, h * w, c], 0, dtype)?;
        for (positions, takes_part) in &all_positions() {
            let stats = Stats::of(&xs, extent)?;
            let (mut mean, mut variance, mut unbiased, mut counts) = (vec![], vec![], vec![], vec![]);
            for n in 0..n {
                let positions: Vec<usize> = (0..h * w).filter(|&p| takes_part(n, p)).collect();
                let count = positions.len() as f64;
                counts.push(count);
                for c in 0..SIZES[3] {
                    let at = |p: &usize| value((n * h * w + p) * SIZES[3] + c);
                    let centre = positions.iter().map(at).sum::<f64>() / count;
                    let squares: f64 = positions.iter().map(|p| (at(p) - centre).powi(2)).sum();
                    mean.push(centre);
                    variance.push(squares / count);
                    unbiased.push((squares / (count - 1.) + 1e-3).sqrt());
                }
            }
            let what = format!("{extent:?} in {dtype:?}");
            near(&format!("mean, {what}"), &stats.mean, &mean)?;
            near(&format!("variance, {what}"), &stats.variance, &variance)?;
            near(&format!("count, {what}"), &stats.count, &counts)?;
            near(&format!("standard deviation, {what}"), &stats.deviation(1e-3)?, &unbiased)?;
        }
        Ok(())
    })
}

#[test]
fn the_affine_map_is_what_it_says_inside_and_outside() -> Result<()> {
    let [n, h, w, c] = SIZES;
    on_both(|dtype| {
        let xs = tensor(&[n, h * w, c], 0, dtype)?;
        for rows in [1, n] {
            let matrix = |k: usize| tensor(&[rows, c], 1000 * k, dtype);
            let at = |k: usize, n: usize, c: usize| value(1000 * k + if rows == 1 { c } else { n * SIZES[3] + c });
            for (positions, takes_part) in &all_positions() {
                for outside in [Outside::Keep, Outside::Zero] {
                    let one = |i: usize| {
                        let (n, p, c) = (i / (h * w * c), i / c % (h * w), i % c);
                        if takes_part(n, p) {
                            at(2, n, c) * (value(i) - at(1, n, c)) + at(3, n, c)
                        } else if outside == Outside::Keep {
                            value(i)
                        } else {
                            0.
                        }
                    };
                    let wanted: Vec<f64> = (0..n * h * w * c).map(one).collect();
                    let ys = apply_affine(&xs, &matrix(1)?, &matrix(2)?, &matrix(3)?, positions, outside)?;
                    near(&format!("{positions:?}, {rows} row(s), in {dtype:?}"), &ys, &wanted)?;
                }
            }
        }
        Ok(())
    })
}

#[test]
fn positions_must_fit_and_the_statistics_of_none_are_zero() -> Result<()> {
    on_both(|dtype| {
        let xs = tensor(&[2, 3, 1], 0, dtype)?;
        let of = |positions: Positions| Stats::of(&xs, &positions);
        // of no position all is 0, and no number is undefined
        let none = of(Positions::Prefix([3, 0].into()))?;
        assert_eq!((values(&none.mean)?[1], values(&none.variance)?[1]), (0., 0.));
        assert!(of(Positions::Prefix([3].into())).is_err() && of(Positions::Prefix([3, 4].into())).is_err());
        assert!(of(Positions::Spans([(0, 3), (2, 1)].into())).is_err());
        assert!(of(Positions::Box(BoundingBox { top: 0, left: 0, bottom: 2, right: 2 }, 2)).is_err());
        Ok(())
    })
}
