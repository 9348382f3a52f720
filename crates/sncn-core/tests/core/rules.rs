//! Rules: the gradient of every operation on matrices against differences, on every kind of map, and what is refused.
#![allow(clippy::unwrap_used, clippy::panic, missing_docs, reason = "helpers of tests may stop")]

use candle_core::{DType, Device, Result, Tensor, Var};
use sncn_core::layer::{BatchNorm, LayerConfig, Registry};
use sncn_core::rule::{Affine, Instances, Matrix, Rule};
use sncn_core::{BoundingBox, BuildContext, FeatureMap, Hooks, Layer, Layers, Packing, Pass, Seed, TokenMap, Vars};
use std::sync::Mutex;

const SHAPE: [usize; 4] = [3, 4, 5, 6];

fn values(count: usize, step: usize) -> Vec<f64> {
    (0..count).map(|i| ((i * step + i * i * 11) % 101) as f64 / 40. - 1.2).collect()
}

fn tensor(shape: &[usize], step: usize, dtype: DType) -> Result<Tensor> {
    Tensor::from_vec(values(shape.iter().product(), step), shape, &Device::Cpu)?.to_dtype(dtype)
}

type Make = fn(&Instances, &Matrix, &Matrix, &Matrix) -> Result<Matrix>;

/// A rule of one operation, of means, standard deviations and a parameter (6, 6).
struct Own {
    weight: Tensor,
    make: Make,
    within: Option<BoundingBox>,
}

impl Rule for Own {
    fn rule(&self, map: &Instances, _: &Pass) -> Result<Option<Affine>> {
        let (whole, part) = (map.statistics()?, map.statistics_in(self.within)?);
        let matrix = (self.make)(map, &whole.mean, &part.std(1e-5)?, &map.parameter(&self.weight)?)?;
        let bias = matrix.affine(0.3, 0.1);
        Ok(Some(Affine::new(part.mean.affine(0.5, 0.2), matrix, bias).within(self.within)))
    }
}

/// Every operation on matrices.
const OPERATIONS: &[(&str, Make)] = &[
    ("add", |_, m, s, _| m.add(s)),
    ("sub", |_, m, s, _| s.sub(m)),
    ("mul", |_, m, s, _| m.mul(s)),
    ("div", |_, m, s, _| m.div(s)),
    ("broadcast rows", |_, m, _, w| m.mul(&w.select_rows(&[2])?)),
    ("broadcast columns", |_, m, s, _| m.mean_columns().div(s)?.sub(&m.mean_columns())),
    ("broadcast one", |_, m, s, _| s.div(&m.mean_rows().mean_columns().affine(1., 3.))),
    ("affine", |_, m, _, _| Ok(m.affine(1.7, -0.2))),
    ("sqr", |_, m, _, _| Ok(m.sqr())),
    ("sqrt", |_, _, s, _| Ok(s.sqrt())),
    ("recip", |_, _, s, _| Ok(s.recip())),
    ("exp", |_, m, _, _| Ok(m.exp())),
    ("log", |_, _, s, _| Ok(s.log())),
    ("sigmoid", |_, m, _, _| Ok(m.sigmoid())),
    ("tanh", |_, m, _, _| Ok(m.tanh())),
    ("relu", |_, m, _, _| Ok(m.relu())),
    ("clamp", |_, m, _, _| m.clamp(-0.05, 0.1)),
    ("mean_rows", |_, m, _, _| Ok(m.mean_rows())),
    ("weighted_rows", |_, m, _, _| m.weighted_rows(&[0.2, 0.5, -0.1])),
    ("mean_columns", |_, m, _, _| Ok(m.mean_columns())),
    ("mean_groups", |_, m, _, _| m.mean_groups(2)),
    ("select_rows", |_, m, _, _| m.select_rows(&[1, 1, 0])),
    ("select_columns", |_, m, _, _| m.select_columns(&[5, 0, 0, 3, 2, 1])),
    ("columns and join", |_, m, s, w| Matrix::join(&[m.columns(0..2)?, s.columns(3..5)?, w.select_rows(&[1])?.columns(0..2)?])),
    ("softmax", |_, m, _, _| Ok(m.affine(4., 0.).softmax())),
    ("linear", |_, m, _, w| m.linear(w)),
    ("transpose", |_, m, _, w| m.linear(&w.transpose())),
    ("detach", |_, m, s, _| m.mul(&s.detach())?.add(&s.detach().detach())),
    ("constant", |map, m, _, _| m.mul(&map.constant(1, 6, vec![0.1, -0.4, 2., 0., 1., 3.])?)),
];

fn loss(ys: &Tensor) -> Result<Tensor> {
    (ys * tensor(ys.dims(), 53, ys.dtype())?)?.sum_all()
}

#[test]
fn every_operation_has_the_gradient_of_differences() -> Result<()> {
    let bbox = Some(BoundingBox { top: 1, left: 0, bottom: 4, right: 3 });
    for (name, make) in OPERATIONS {
        for within in [None, bbox] {
            let xs = Var::from_tensor(&tensor(&SHAPE, 37, DType::F64)?)?;
            let weight = Var::from_tensor(&tensor(&[6, 6], 29, DType::F64)?)?;
            let run = |xs: &Tensor, weight: &Tensor| {
                let own = Own { weight: weight.clone(), make: *make, within };
                loss(&own.forward(xs, &Pass::train(Seed::new(0)))?)
            };
            let grads = run(xs.as_tensor(), weight.as_tensor())?.backward()?;
            for (which, var) in [("x", &xs), ("weight", &weight)] {
                let Some(found) = grads.get(var.as_tensor()) else { continue };
                let (found, before): (Vec<f64>, Vec<f64>) = (found.flatten_all()?.to_vec1()?, var.flatten_all()?.to_vec1()?);
                for i in (0..found.len()).step_by(7) {
                    let moved = |by: f64| {
                        let mut values = before.clone();
                        values[i] += by;
                        let moved = Tensor::from_vec(values, var.shape(), &Device::Cpu)?;
                        let (xs, weight) = if which == "x" { (&moved, weight.as_tensor()) } else { (xs.as_tensor(), &moved) };
                        run(xs, weight)?.to_scalar::<f64>()
                    };
                    let difference = match *name {
                        // what is detached moves the result and is not told so
                        "detach" if which == "x" => found[i],
                        _ => (moved(1e-5)? - moved(-1e-5)?) / 2e-5,
                    };
                    let off = (found[i] - difference).abs();
                    assert!(off < 1e-5 * (1. + difference.abs()), "{name}, {which}, value {i}: {} for {difference}", found[i]);
                }
            }
        }
    }
    Ok(())
}

#[test]
fn recorded_maps_and_tokens_have_the_gradients_of_tensors() -> Result<()> {
    let lengths = [17, 9, 20];
    for (name, make) in OPERATIONS {
        let run = |dtype: DType, tokens: bool| -> Result<Vec<Vec<f64>>> {
            let weight = Var::from_tensor(&tensor(&[6, 6], 29, dtype)?)?;
            let own = Own { weight: weight.as_tensor().clone(), make: *make, within: None };
            let pass = Pass::train(Seed::new(0));
            let (xs, ys) = if tokens {
                let xs = Var::from_tensor(&tensor(&[46, 6], 37, dtype)?)?;
                let packing = Packing::new(&lengths, 20)?;
                let ys = own.on_sequences(&TokenMap::from_tensor(xs.as_tensor(), &pass)?, &packing, &pass)?.to_tensor()?;
                (xs, ys)
            } else {
                let xs = Var::from_tensor(&tensor(&SHAPE, 37, dtype)?)?;
                let map = FeatureMap::from_tensor(xs.as_tensor(), true, &pass)?;
                let ys = own.on_map(&map.relu()?.add(&map)?, &pass)?.relu()?.to_tensor()?;
                (xs, ys)
            };
            let grads = loss(&ys)?.backward()?;
            let zeros = weight.zeros_like()?;
            let all = [&ys, grads.get(xs.as_tensor()).unwrap(), grads.get(weight.as_tensor()).unwrap_or(&zeros)];
            all.into_iter().map(|t| t.to_dtype(DType::F64)?.flatten_all()?.to_vec1()).collect()
        };
        for tokens in [false, true] {
            let (fast, slow) = (run(DType::F32, tokens)?, run(DType::F64, tokens)?);
            for (fast, slow) in fast.iter().zip(&slow) {
                let size = slow.iter().fold(0f64, |m, v| m.max(v.abs()));
                let off = fast.iter().zip(slow).fold(0f64, |m, (a, b)| m.max((a - b).abs()));
                assert!(off <= 2e-5 * size.max(0.1), "{name}, tokens {tokens}: off by {off:e} of {size:e}");
            }
        }
    }
    Ok(())
}

/// A rule made of a closure.
struct Made<F>(F);

impl<F: Fn(&Instances) -> Result<Affine> + Send + Sync> Rule for Made<F> {
    fn rule(&self, map: &Instances, _: &Pass) -> Result<Option<Affine>> {
        (self.0)(map).map(Some)
    }

    fn name(&self) -> &'static str {
        "made"
    }
}

fn refusal(rule: impl Rule, shape: [usize; 4]) -> String {
    let of = |dtype: DType, recorded: bool| {
        let map = FeatureMap::from_tensor(&tensor(&shape, 37, dtype).unwrap(), recorded, &Pass::train(Seed::new(0))).unwrap();
        rule.on_map(&map, &Pass::train(Seed::new(0))).err().unwrap().to_string()
    };
    let (fast, slow) = (of(DType::F32, true), of(DType::F64, false));
    // with RUST_BACKTRACE candle adds where an error came from
    let told = |error: &str| error.lines().next().unwrap_or_default().to_string();
    assert_eq!(told(&fast), told(&slow));
    fast
}

#[test]
fn tables_that_do_not_fit_are_refused_in_words() {
    let scaled = |rows: usize, columns: usize, value: f64| {
        Made(move |map: &Instances| Ok(Affine::scaled(map.constant(rows, columns, vec![value; rows * columns])?)))
    };
    let shape = refusal(scaled(2, 6, 1.), SHAPE);
    assert!(shape.contains("made: its scale has shape (2, 6); expected (3, 6)"), "{shape}");
    let nan = refusal(scaled(1, 6, f64::NAN), SHAPE);
    assert!(nan.contains("made: its scale is NaN for instance 0, channel 0"), "{nan}");
    let infinite = refusal(Made(|map: &Instances| Ok(Affine::scaled(map.statistics()?.variance.affine(0., 0.).recip()))), SHAPE);
    assert!(infinite.contains("its scale is inf"), "{infinite}");
    let rows = refusal(Made(|map: &Instances| Ok(Affine::scaled(map.statistics()?.mean.select_rows(&[7])?))), SHAPE);
    assert!(rows.contains("rows [7]"), "{rows}");
    let one = refusal(Made(|map: &Instances| Ok(Affine::scaled(map.statistics()?.std(0.)?))), [3, 1, 1, 6]);
    assert!(one.contains("over 1 position(s) is not defined"), "{one}");
    let outside = Some(BoundingBox { top: 0, left: 0, bottom: 9, right: 2 });
    let boxed = refusal(Made(move |map: &Instances| Ok(Affine::scaled(map.statistics_in(outside)?.mean))), SHAPE);
    assert!(boxed.contains("is not inside a map"), "{boxed}");
}

#[test]
fn tables_end_with_the_call_of_their_rule() {
    let kept: Mutex<Option<usize>> = Mutex::default();
    // a matrix is not `Send`, so a rule cannot keep one: what it can keep are values
    let keeps = Made(move |map: &Instances| {
        let mean = map.statistics()?.mean;
        *kept.lock().unwrap() = Some(mean.values().len());
        Ok(Affine::scaled(mean))
    });
    assert!(keeps.forward(&tensor(&SHAPE, 37, DType::F32).unwrap(), &Pass::eval()).is_ok());
}

#[test]
fn an_error_names_the_layer_and_its_position() -> Result<()> {
    let vars = Vars::new(Seed::new(0), DType::F32, &Device::Cpu);
    let cx = BuildContext::new(6, vars.builder());
    let configs = [LayerConfig::new("selfnorm", "post"), LayerConfig::new("batch_norm", "pre")];
    let hooks = Hooks::new(Layers::from(&configs), &[("pre", 6), ("post", 6)], &cx)?;
    let pass = Pass::train(Seed::new(0));
    let map = |shape: &[usize]| FeatureMap::from_tensor(&tensor(shape, 37, DType::F32)?, true, &pass);
    let error = hooks.on_map("post", map(&[2, 1, 1, 6])?, &pass).err().unwrap().to_string();
    assert!(error.contains("layer \"selfnorm\" at \"post\"") && error.contains("1 position"), "{error}");
    let error = hooks.on_map("pre", map(&[1, 1, 1, 6])?, &pass).err().unwrap().to_string();
    assert!(error.contains("layer \"batch_norm\" at \"pre\"") && error.contains("use a larger batch"), "{error}");
    let error = hooks.on_map("post", map(&[1, 4, 4, 6])?, &pass).err().unwrap().to_string();
    assert!(error.contains("layer \"selfnorm\" at \"post\"") && error.contains("use a larger batch"), "{error}");
    Ok(())
}

#[test]
fn a_name_is_registered_once() -> Result<()> {
    let registry = Registry::default().with("mine", |settings, cx| {
        settings.none()?;
        Ok(Box::new(BatchNorm::new(cx)?))
    })?;
    let vars = Vars::new(Seed::new(0), DType::F32, &Device::Cpu);
    let cx = BuildContext::new(6, vars.builder());
    assert!(registry.build("mine", serde_json::Map::new(), &cx).is_ok());
    let error = registry.build("yours", serde_json::Map::new(), &cx).err().unwrap().to_string();
    assert!(error.contains("known: selfnorm") && error.contains("mine"), "{error}");
    for taken in ["mine", "selfnorm"] {
        let error = registry.clone().with(taken, |_, cx| Ok(Box::new(BatchNorm::new(cx)?))).err().unwrap().to_string();
        assert!(error.contains("registered already"), "{error}");
    }
    Ok(())
}
