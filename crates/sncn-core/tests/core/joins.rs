//! Maps that meet: those of two recordings are refused, and what is set aside takes no gradient.
#![allow(clippy::unwrap_used, missing_docs, reason = "helpers of tests may stop")]

use candle_core::{DType, Device, Result, Tensor, Var};
use sncn_core::layer::{BatchNorm, Layer};
use sncn_core::ops::Conv;
use sncn_core::{Attention, BuildContext, FeatureMap, Packing, Pass, Seed, TokenMap, Vars};

fn var(shape: &[usize], dtype: DType) -> Result<Var> {
    let count = shape.iter().product::<usize>();
    let values: Vec<f64> = (0..count).map(|i| ((i * 37 + i * i * 11) % 101) as f64 / 25. - 2.).collect();
    Var::from_tensor(&Tensor::from_vec(values, shape, &Device::Cpu)?.to_dtype(dtype)?)
}

fn pass() -> Pass {
    Pass::train(Seed::new(1))
}

#[test]
fn maps_of_two_recordings_do_not_meet() -> Result<()> {
    let (one, two) = (var(&[2, 4, 4, 3], DType::F32)?, var(&[2, 4, 4, 3], DType::F32)?);
    let weight = var(&[3, 3, 1, 1], DType::F32)?;
    let start = |xs: &Var| FeatureMap::from_tensor(xs.as_tensor(), true, &pass());
    let (one, two) = (start(&one)?, start(&two)?);
    let plain = FeatureMap::from_tensor(var(&[2, 4, 4, 3], DType::F32)?.as_tensor(), false, &pass())?;
    for other in [&two, &plain] {
        let meetings = [
            one.add(other),
            one.add_relu(other, true),
            one.concat(other),
            one.conv_add(&weight, &Conv::default(), other),
            one.relu()?.conv_add(&weight, &Conv::default(), other),
            other.add(&one),
        ];
        for met in meetings {
            let error = met.err().unwrap().to_string();
            assert!(error.contains("FeatureMap::from_tensor"), "{error}");
        }
    }
    // each still gives its own gradient
    assert_eq!(one.to_tensor()?.dims(), [2, 4, 4, 3]);
    let error = one.to_tensor().err().unwrap().to_string();
    assert!(error.contains("a recording gives one tensor"), "{error}");
    Ok(())
}

#[test]
fn token_maps_of_two_recordings_do_not_meet() -> Result<()> {
    let packing = Packing::new(&[2, 3], 3)?;
    let start = || TokenMap::from_tensor(var(&[5, 4], DType::F32)?.as_tensor(), &pass());
    let (one, two) = (start()?, start()?);
    assert!(one.add(&two).err().unwrap().to_string().contains("different recordings"));
    let attention = Attention { heads: 2, dropout: None };
    assert!(attention.forward(&one, &one, &two, &packing).err().unwrap().to_string().contains("not of one recording"));
    let wrong = Packing::new(&[2, 2], 3)?;
    assert!(one.dropout(0.5, Seed::new(1), &wrong).is_err());
    Ok(())
}

/// The gradient of a sum of squares of what `f` makes of x, and x.
fn gradient(dtype: DType, f: impl Fn(&FeatureMap) -> Result<FeatureMap>) -> Result<(Vec<f64>, Vec<f64>)> {
    let xs = var(&[2, 4, 4, 3], dtype)?;
    let ys = f(&FeatureMap::from_tensor(xs.as_tensor(), true, &pass())?)?.to_tensor()?;
    let grads = ys.sum_all()?.backward()?;
    let values = |tensor: &Tensor| tensor.to_dtype(DType::F64)?.flatten_all()?.to_vec1::<f64>();
    let gradient = grads.get(xs.as_tensor()).map_or_else(|| Ok(Vec::new()), values)?;
    Ok((gradient, values(xs.as_tensor())?))
}

#[test]
fn what_is_set_aside_takes_no_gradient() -> Result<()> {
    for dtype in [DType::F32, DType::F64] {
        let (once, _) = gradient(dtype, |xs| xs.add(&xs.detach()))?;
        assert!(once.iter().all(|&g| g == 1.), "{dtype:?}: {once:?}");
        let (once, _) = gradient(dtype, |xs| xs.detach().add(xs))?;
        assert!(once.iter().all(|&g| g == 1.), "{dtype:?}: {once:?}");
        let (twice, _) = gradient(dtype, |xs| xs.add(xs))?;
        assert!(twice.iter().all(|&g| g == 2.), "{dtype:?}: {twice:?}");
        let (bent, values) = gradient(dtype, |xs| xs.relu()?.add(&xs.relu()?.detach()))?;
        assert!(bent.iter().zip(&values).all(|(&g, &x)| g == f64::from(u8::from(x > 0.))), "{dtype:?}");
        let (joined, _) = gradient(dtype, |xs| xs.detach().concat(xs))?;
        assert!(joined.iter().all(|&g| g == 1.), "{dtype:?}: {joined:?}");
    }
    Ok(())
}

#[test]
fn layers_of_what_is_set_aside_learn_and_give_nothing_back() -> Result<()> {
    for dtype in [DType::F32, DType::F64] {
        let vars = Vars::new(Seed::new(0), dtype, &Device::Cpu);
        let norm = BatchNorm::new(&BuildContext::new(3, vars.builder()))?;
        let xs = var(&[2, 4, 4, 3], dtype)?;
        let map = FeatureMap::from_tensor(xs.as_tensor(), true, &pass())?;
        let ys = map.add(&norm.on_map(&map.detach(), &pass())?)?.to_tensor()?;
        let grads = sncn_core::backward(&ys.sqr()?.sum_all()?)?;
        for (name, var) in vars.trainable() {
            let gradient = grads.get(var.as_tensor()).unwrap().abs()?.max_all()?.to_dtype(DType::F64)?.to_scalar::<f64>()?;
            assert!(gradient > 0.1, "{name} {gradient}");
        }
        // with 2·y on both sides, only the way that is not aside comes back
        let apart = (grads.get(xs.as_tensor()).unwrap() - (ys * 2.)?)?.abs()?.max_all()?.to_dtype(DType::F64)?;
        assert!(apart.to_scalar::<f64>()? < 1e-5);
    }
    Ok(())
}

/// Two maps of one recording, each with tables that are pending, meet in a sum, a rectified sum and side by side: the gradients of
/// both, of what both come from and of their weights are those of tensors in double precision.
#[test]
fn two_maps_of_one_recording_give_the_gradients_of_tensors() -> Result<()> {
    type Meet = fn(&FeatureMap, &FeatureMap) -> Result<FeatureMap>;
    let meetings: [(&str, Meet); 4] = [
        ("sum", |one, two| one.add(two)),
        ("rectified sum", |one, two| one.add_relu(two, true)),
        ("side by side", |one, two| one.concat(two)),
        ("a map twice", |one, two| one.add(two)?.concat(one)),
    ];
    let run = |dtype: DType, meet: Meet| -> Result<Vec<Vec<f64>>> {
        let vars = Vars::new(Seed::new(0), dtype, &Device::Cpu);
        let norms = [0, 1].map(|i| BatchNorm::new(&BuildContext::new(3, vars.builder().pp(format!("norm{i}")))));
        let [first, second] = norms;
        let (first, second) = (first?, second?);
        let weight = Var::from_tensor(&(var(&[3, 3, 1, 1], dtype)?.as_tensor() * 0.5)?)?;
        let xs = var(&[2, 4, 4, 3], dtype)?;
        let start = FeatureMap::from_tensor(xs.as_tensor(), true, &pass())?;
        let one = first.on_map(&start.conv(&weight, &Conv::default())?, &pass())?;
        let two = second.norm_relu(&start, &pass())?;
        let ys = meet(&one, &two)?.to_tensor()?;
        let factors = var(ys.dims(), dtype)?;
        let grads = (&ys * factors.as_tensor())?.sum_all()?.backward()?;
        let mut all =
            vec![ys.clone(), grads.get(xs.as_tensor()).unwrap().clone(), grads.get(weight.as_tensor()).unwrap().clone()];
        all.extend(vars.trainable().into_iter().map(|(_, var)| grads.get(var.as_tensor()).unwrap().clone()));
        all.iter().map(|tensor| tensor.to_dtype(DType::F64)?.flatten_all()?.to_vec1()).collect()
    };
    for (name, meet) in meetings {
        let (recorded, tensors) = (run(DType::F32, meet)?, run(DType::F64, meet)?);
        assert_eq!(recorded.len(), 7);
        for (i, (recorded, tensors)) in recorded.iter().zip(&tensors).enumerate() {
            let size = tensors.iter().fold(0f64, |most, value| most.max(value.abs()));
            let off = recorded.iter().zip(tensors).fold(0f64, |most, (a, b)| most.max((a - b).abs()));
            assert!(
                recorded.len() == tensors.len() && off <= 1e-4 * size.max(1.),
                "{name}, tensor {i}: off by {off:e} of {size:e}"
            );
        }
    }
    Ok(())
}
