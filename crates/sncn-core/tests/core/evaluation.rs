//! Evaluation passes keep convolutions back until something reads them: every reader gets the same values, in any order.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "helpers of tests may stop")]

use candle_core::{DType, Device, Result, Tensor};
use candle_nn::Init;
use sncn_core::layer::{BatchNorm, Layer, SelfNorm, SelfNormConfig};
use sncn_core::ops::Conv;
use sncn_core::{BuildContext, FeatureMap, Pass, Seed, Vars};

/// What reads the result of a convolution after a norm: in each case several readers, which find the map in different states.
const CASES: [&str; 11] = [
    "alone",
    "activated and not",
    "activated first",
    "sum",
    "sum, then its part",
    "sum of written maps",
    "gated sum",
    "twice",
    "statistics last",
    "concat",
    "halves",
];

fn case(name: &str, dtype: DType) -> Result<Vec<f64>> {
    let vars = Vars::new(Seed::new(4), dtype, &Device::Cpu);
    let cx = BuildContext::new(18, vars.builder());
    let xs = cx.vb.get_with_hints((3, 7, 6, 3), "xs", Init::Randn { mean: 0., stdev: 1. })?;
    let pass = Pass::eval();
    let conv = |xs: &FeatureMap, name: &str, from, kernel: usize| {
        let weight = cx.vb.get_with_hints((18, from, kernel, kernel), name, Init::Randn { mean: 0., stdev: 0.2 })?;
        xs.conv(&weight, &Conv { padding: kernel / 2, ..Conv::default() })
    };
    let norm = |name: &str, xs: &FeatureMap| {
        let vb = cx.vb.pp(name);
        vb.get_with_hints(18, "weight", Init::Uniform { lo: 0.5, up: 1.5 })?;
        vb.get_with_hints(18, "running_mean", Init::Randn { mean: 0., stdev: 0.3 })?;
        BatchNorm::new(&cx.at(18, vb))?.on_map(xs, &pass)
    };
    let gate = |xs: &FeatureMap| SelfNorm::new(SelfNormConfig { gates: 2 }, &cx.at(18, cx.vb.pp("sn")))?.on_map(xs, &pass);
    let xs = FeatureMap::from_tensor(&xs, true, &pass)?;
    let one = norm("n1", &conv(&xs, "c1", 3, 3)?)?;
    let out = match name {
        "alone" => conv(&one.relu()?, "c2", 18, 1)?.relu()?,
        "activated and not" => conv(&one, "c2", 18, 1)?.add(&conv(&one.relu()?, "c3", 18, 3)?)?,
        "activated first" => conv(&one.relu6()?, "c3", 18, 3)?.add(&one)?,
        "sum" => {
            let two = norm("n2", &conv(&xs, "c2", 3, 1)?)?;
            let sum = one.add_relu(&two, false)?;
            conv(&sum, "c4", 18, 3)?.add(&sum)?
        }
        "sum, then its part" => {
            let sum = one.add(&norm("n2", &conv(&xs, "c2", 3, 1)?)?)?;
            conv(&sum.relu()?, "c4", 18, 3)?.add(&one)?.add(&sum)?
        }
        "sum of written maps" => {
            let two = norm("n2", &conv(&xs, "c2", 3, 1)?)?;
            let read = conv(&one, "c3", 18, 1)?.add(&conv(&two, "c4", 18, 1)?)?;
            let sum = one.add_relu(&two, true)?;
            conv(&sum, "c5", 18, 3)?.add(&sum)?.add(&read)?
        }
        "gated sum" => {
            let sum = gate(&one.add(&norm("n2", &conv(&xs, "c2", 3, 1)?)?)?)?;
            conv(&sum, "c3", 18, 1)?.add(&sum)?
        }
        "twice" => {
            let copy = one.relu()?;
            conv(&copy.clone(), "c2", 18, 1)?.add(&conv(&copy, "c3", 18, 3)?)?.add(&copy)?
        }
        "statistics last" => conv(&one, "c2", 18, 1)?.add(&gate(&one)?)?,
        "concat" => one.relu()?.concat(&conv(&one, "c2", 18, 1)?)?,
        _ => one.relu()?.avg_pool2()?.max_pool(2, 1, 0)?.detach().materialize()?,
    };
    out.to_tensor()?.to_dtype(DType::F64)?.flatten_all()?.to_vec1()
}

#[test]
fn whatever_is_kept_back_equals_the_reference() -> Result<()> {
    for name in CASES {
        let slow = case(name, DType::F64)?;
        let largest = slow.iter().fold(0f64, |most, y| most.max(y.abs()));
        assert!(largest > 0.5, "{name}: values of at most {largest}");
        let fast = case(name, DType::F32)?;
        assert_eq!(fast.len(), slow.len(), "{name}");
        for (fast, slow) in fast.iter().zip(&slow) {
            assert!((fast - slow).abs() < 1e-5 * largest, "{name}: {fast} instead of {slow}");
        }
    }
    Ok(())
}

/// A map that is written with what is pending has bit by bit the values of one that is written first and read with it.
#[test]
fn when_a_map_is_written_changes_no_bit() -> Result<()> {
    let vars = Vars::new(Seed::new(4), DType::F32, &Device::Cpu);
    let cx = BuildContext::new(18, vars.builder());
    let xs: Tensor = Seed::new(1).normal((2, 8, 8, 18))?;
    let weight = cx.vb.get_with_hints((18, 18, 3, 3), "c", Init::Randn { mean: 0., stdev: 0.2 })?;
    let norm = BatchNorm::new(&cx.at(18, cx.vb.pp("n")))?;
    let run = |hold: bool| -> Result<Vec<f32>> {
        let pass = Pass::eval();
        let raw = FeatureMap::from_tensor(&xs, true, &pass)?.conv(&weight, &Conv { padding: 1, ..Conv::default() })?;
        let ys = norm.norm_relu(&raw, &pass)?;
        // held, the values are needed without the norm too
        let raw = hold.then_some(raw);
        let ys = ys.to_tensor()?.flatten_all()?.to_vec1()?;
        drop(raw);
        Ok(ys)
    };
    assert_eq!(run(true)?, run(false)?);
    Ok(())
}
