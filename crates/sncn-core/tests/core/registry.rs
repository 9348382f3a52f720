//! Every layer of the registry: its gradient against differences, its recorded forms against tensors, what it refuses.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "helpers of tests may stop")]

use candle_core::{DType, Device, Result, Tensor, Var};
use sncn_core::layer::{DsuDraw, EfdMixDraw, LAYERS, MixStyleDraw, PAdaInDraw, build};
use sncn_core::{BuildContext, FeatureMap, Layer, Packing, Pass, Seed, TokenMap, Vars};
use sncn_golden::u;

const CHANNELS: usize = 8;

fn random(name: &str, shape: &[usize], dtype: DType) -> Result<Tensor> {
    let count = shape.iter().product::<usize>() as u64;
    Tensor::from_iter((0..count).map(|i| 1.5 * u(name, i) + 0.3 * u(name, i / 7)), &Device::Cpu)?.reshape(shape)?.to_dtype(dtype)
}

fn settings(json: serde_json::Value) -> serde_json::Map<String, serde_json::Value> {
    json.as_object().cloned().unwrap()
}

/// A layer away from its initial values, where parameters may be equal.
fn built(kind: &str, dtype: DType) -> Result<(Box<dyn Layer>, Vars, usize)> {
    let vars = Vars::new(Seed::new(4), dtype, &Device::Cpu);
    let cx = BuildContext::new(CHANNELS, vars.builder());
    let layer = build(kind, settings(serde_json::json!({})), &cx)?;
    for (name, var) in vars.trainable() {
        var.set(&(var.as_detached_tensor() + (random(&name, var.dims(), dtype)? * 0.2)?)?)?;
    }
    Ok((layer, vars, cx.sites()))
}

fn loss(ys: &Tensor) -> Result<Tensor> {
    (ys * random("gradient", ys.dims(), ys.dtype())?)?.sum_all()
}

#[test]
fn every_layer_has_the_gradient_of_differences() -> Result<()> {
    // what these give x leaves out, by definition, a part of how they depend on it; golden values hold it
    const STOPPED: [&str; 3] = ["mixstyle", "efdmix", "padain"];
    for (kind, _) in LAYERS {
        let (layer, vars, sites) = built(kind, DType::F64)?;
        let xs = Var::from_tensor(&random("x", &[5, 4, 3, CHANNELS], DType::F64)?)?;
        // training comes first, so that running statistics are not at their beginning in evaluation
        for pass in [Pass::mixing(sites, sites, Seed::new(2)), Pass::eval()] {
            let value = || loss(&layer.forward(xs.as_tensor(), &pass)?);
            let grads = value()?.backward()?;
            let stopped = pass.train && STOPPED.contains(kind);
            let inputs = (!stopped).then(|| ("x".to_string(), xs.clone()));
            for (name, var) in vars.trainable().into_iter().chain(inputs) {
                let found = grads.get(var.as_tensor()).unwrap_or_else(|| panic!("{kind}: {name} has no gradient"));
                let (found, before): (Vec<f64>, Vec<f64>) = (found.flatten_all()?.to_vec1()?, var.flatten_all()?.to_vec1()?);
                for i in (0..found.len()).step_by(if name == "x" { 11 } else { 3 }) {
                    let moved = |by: f64| {
                        let mut values = before.clone();
                        values[i] += by;
                        var.set(&Tensor::from_vec(values, var.shape(), &Device::Cpu)?)?;
                        value()?.to_scalar::<f64>()
                    };
                    let slope = (moved(1e-5)? - moved(-1e-5)?) / 2e-5;
                    let off = (found[i] - slope).abs();
                    assert!(off < 1e-5 * (1. + slope.abs()), "{kind}, {name}, value {i}: {} for {slope}", found[i]);
                }
                var.set(&Tensor::from_vec(before, var.shape(), &Device::Cpu)?)?;
            }
        }
    }
    Ok(())
}

/// A layer on sequences, between sums that let its map pend: the result, and the gradients of the vectors and variables.
fn on_sequences(kind: &str, dtype: DType) -> Result<Vec<Vec<f64>>> {
    let (layer, vars, sites) = built(kind, dtype)?;
    let pass = Pass::mixing(sites, sites, Seed::new(3));
    let lengths = [17, 9, 20];
    let xs = Var::from_tensor(&random("tokens", &[46, CHANNELS], dtype)?)?;
    let map = TokenMap::from_tensor(xs.as_tensor(), &pass)?;
    let ys = layer.on_sequences(&map.add(&map)?, &Packing::new(&lengths, 20)?, &pass)?.to_tensor()?;
    let grads = loss(&ys)?.backward()?;
    let values = |tensor: &Tensor| tensor.to_dtype(DType::F64)?.flatten_all()?.to_vec1::<f64>();
    let mut all = vec![values(&ys)?, values(grads.get(xs.as_tensor()).unwrap())?];
    for (_, var) in vars.all() {
        all.push(grads.get(var.as_tensor()).map_or_else(|| values(var.as_tensor()), values)?);
    }
    Ok(all)
}

#[test]
fn every_layer_on_recorded_sequences_meets_its_tensors() -> Result<()> {
    for (kind, _) in LAYERS {
        let (fast, slow) = (on_sequences(kind, DType::F32)?, on_sequences(kind, DType::F64)?);
        for (part, (fast, slow)) in fast.iter().zip(&slow).enumerate() {
            let size = slow.iter().fold(0.1f64, |m, v| m.max(v.abs()));
            let off = fast.iter().zip(slow).fold(0f64, |m, (a, b)| m.max((a - b).abs()));
            assert!(fast.len() == slow.len() && off <= 3e-5 * size, "{kind}, part {part}: off by {off:e} of {size:e}");
        }
    }
    Ok(())
}

#[test]
fn variables_have_the_published_names() -> Result<()> {
    let names =
        |kind: &str| -> Result<Vec<String>> { Ok(built(kind, DType::F32)?.1.all().into_iter().map(|(name, _)| name).collect()) };
    assert_eq!(names("mode_norm")?, ["alpha", "beta", "W.weight", "W.bias", "x_ra", "x2_ra"]);
    assert_eq!(names("switchable_norm")?, ["weight", "bias", "mean_weight", "var_weight", "running_mean", "running_var"]);
    let attention = ["0.weight", "1.weight", "1.bias", "1.running_mean", "1.running_var", "1.num_batches_tracked"];
    let attention = attention.map(|name| format!("attention_weights.attention.{name}"));
    let own = ["weight_", "bias_", "running_mean", "running_var", "num_batches_tracked"].map(str::to_string);
    assert_eq!(names("attentive_norm")?, [&own[..], &attention].concat());
    // what is a buffer is not trained
    let trained = |kind: &str| -> Result<usize> { Ok(built(kind, DType::F32)?.1.trainable().len()) };
    assert_eq!([trained("mode_norm")?, trained("switchable_norm")?, trained("attentive_norm")?], [4, 4, 5]);
    for kind in ["mixstyle", "efdmix", "dsu", "padain"] {
        assert!(names(kind)?.is_empty(), "{kind}");
    }
    Ok(())
}

fn refused(kind: &str, json: serde_json::Value) -> String {
    let vars = Vars::new(Seed::new(4), DType::F32, &Device::Cpu);
    build(kind, settings(json), &BuildContext::new(CHANNELS, vars.builder())).err().unwrap().to_string()
}

#[test]
fn settings_out_of_range_are_refused() {
    use serde_json::json;
    for (kind, given, told) in [
        ("mode_norm", json!({"modes": 0}), "layer mode_norm: modes is 0; 1 or more is accepted"),
        ("attentive_norm", json!({"k": 0}), "layer attentive_norm: k is 0; 1 or more is accepted"),
        ("switchable_norm", json!({"k": 2}), "layer switchable_norm: unknown key \"k\"; this layer has no settings"),
        ("mode_norm", json!({"modes": -1}), "layer mode_norm: modes: invalid value"),
        ("mode_norm", json!({"mode": 2}), "layer mode_norm: mode: unknown field `mode`, expected `modes`"),
        ("efdmix", json!({"alpha": 0}), "layer efdmix: alpha is 0; a positive number is accepted"),
        ("efdmix", json!({"probability": 0}), "layer efdmix: probability is 0; more than 0 and at most 1 is accepted"),
        ("dsu", json!({"probability": 1.5}), "layer dsu: probability is 1.5; more than 0"),
        ("padain", json!({"probability": -0.1}), "layer padain: probability is -0.1; more than 0"),
        ("mixstyle", json!({"alpha": -1}), "layer mixstyle: alpha is -1; a positive number is accepted"),
    ] {
        let error = refused(kind, given);
        assert!(error.contains(told), "{error}");
    }
}

/// The error of a layer on a batch of this shape, the same recorded and on tensors.
fn error(layer: &dyn Layer, shape: &[usize], pass: &Pass) -> String {
    let of = |dtype: DType| {
        let map = FeatureMap::from_tensor(&random("x", shape, dtype).unwrap(), true, pass).unwrap();
        layer.on_map(&map, pass).err().unwrap().to_string().lines().next().unwrap_or_default().to_string()
    };
    assert_eq!(of(DType::F32), of(DType::F64));
    of(DType::F32)
}

#[test]
fn batches_on_which_a_layer_is_not_defined_are_refused() -> Result<()> {
    let (one, point) = ([1, 4, 3, CHANNELS], [5, 1, 1, CHANNELS]);
    let mixing = Pass::mixing(1, 1, Seed::new(2));
    for (kind, told) in [
        ("dsu", "DSU needs at least 2 instances, this batch has 1"),
        ("mode_norm", "needs at least 2 instances, this batch has 1"),
    ] {
        let (layer, ..) = built(kind, DType::F32)?;
        let error = error(&*layer, &one, &mixing);
        assert!(error.contains(told) && error.contains("use a batch size that leaves no batch of one"), "{error}");
        // in evaluation one is enough
        assert!(layer.forward(&random("x", &one, DType::F32)?, &Pass::eval()).is_ok());
    }
    let (layer, ..) = built("attentive_norm", DType::F32)?;
    assert!(error(&*layer, &one, &mixing).contains("use a larger batch"));
    for kind in ["dsu", "switchable_norm", "attentive_norm"] {
        let (layer, ..) = built(kind, DType::F32)?;
        let error = error(&*layer, &point, &mixing);
        assert!(error.contains("each instance needs at least 2 positions"), "{error}");
    }
    // draws for other batches
    let shape = [3, 4, 3, CHANNELS];
    let plain = Pass::train(Seed::new(0));
    let told = |layer: &dyn Layer| error(layer, &shape, &plain);
    let (partner, lambda) = (vec![0, 3, 1], vec![0.5; 3]);
    assert!(
        told(&EfdMixDraw { partner: partner.clone(), lambda: lambda.clone() }).contains("EFDMix: 3 partners and 3 values of λ")
    );
    assert!(told(&EfdMixDraw { partner: vec![0, 1, 2], lambda: vec![0.5] }).contains("and 1 values of λ"));
    assert!(told(&MixStyleDraw { partner: partner.clone(), lambda }).contains("are no choice for 3 instances"));
    assert!(told(&PAdaInDraw { partner }).contains("pAdaIN: 3 partners are no choice for 3 instances"));
    let draw = DsuDraw { mean: vec![0.; 24], std: vec![0.; 8] };
    assert!(told(&draw).contains("DSU: 24 and 8 values are no draw for 3 instances of 8 channels: 24 are needed of both"));
    Ok(())
}

#[test]
fn a_site_acts_where_the_pass_says_and_as_often_as_its_probability() -> Result<()> {
    let xs = random("x", &[5, 4, 3, CHANNELS], DType::F32)?;
    let changed = |layer: &dyn Layer, pass: &Pass| -> Result<bool> {
        Ok((layer.forward(&xs, pass)? - &xs)?.abs()?.max_all()?.to_scalar::<f32>()? > 0.)
    };
    for kind in ["mixstyle", "efdmix", "dsu", "padain"] {
        let (layer, _, sites) = built(kind, DType::F32)?;
        assert_eq!(sites, 1);
        let mixing = |seed| Pass::mixing(1, 1, Seed::new(seed));
        assert!(changed(&*layer, &mixing(1))? && changed(&*layer, &mixing(2))?, "{kind}");
        for pass in [Pass::train(Seed::new(1)), Pass::eval()] {
            assert!(!changed(&*layer, &pass)?, "{kind}");
        }
        assert!(layer.forward(&xs, &Pass::with_draws([(0, 7u8)], Seed::new(1))).is_err(), "{kind}: a draw of another type");
    }
    for kind in ["efdmix", "dsu", "padain"] {
        let vars = Vars::new(Seed::new(4), DType::F32, &Device::Cpu);
        let cx = BuildContext::new(CHANNELS, vars.builder());
        let layer = build(kind, settings(serde_json::json!({"probability": 0.3})), &cx)?;
        let acted = (0..400).map(|seed| changed(&*layer, &Pass::mixing(1, 1, Seed::new(seed)))).collect::<Result<Vec<_>>>()?;
        let acted = acted.into_iter().filter(|&acted| acted).count();
        // 120 of 400, 4 standard deviations of 9
        assert!((83..=157).contains(&acted), "{kind}: {acted} of 400");
    }
    Ok(())
}

#[test]
fn instances_that_do_not_mix_stay_and_the_others_mix_among_themselves() -> Result<()> {
    use serde_json::json;
    let mixes = [false, true, true, false, true, true, false];
    let who: Vec<u32> = (0..7).filter(|&n| mixes[n as usize]).collect();
    let others: Vec<u32> = (0..7).filter(|&n| !mixes[n as usize]).collect();
    let kinds = [
        ("crossnorm", json!({})),
        ("crossnorm", json!({"crop": "both", "channel_shuffle": true})),
        ("crossnorm", json!({"mode": "one_instance", "blend": 0.3})),
        ("mixstyle", json!({})),
        ("efdmix", json!({})),
        ("dsu", json!({})),
        ("padain", json!({})),
    ];
    for (kind, given) in kinds {
        let vars = Vars::new(Seed::new(4), DType::F32, &Device::Cpu);
        let layer = build(kind, settings(given.clone()), &BuildContext::new(CHANNELS, vars.builder()))?;
        let pass = Pass::mixing(1, 1, Seed::new(9));
        for dtype in [DType::F64, DType::F32] {
            let xs = random("x", &[7, 5, 4, CHANNELS], dtype)?;
            let rows = |xs: &Tensor, rows: &[u32]| xs.index_select(&Tensor::new(rows, &Device::Cpu)?, 0);
            let most = |a: &Tensor, b: &Tensor| (a - b)?.abs()?.max_all()?.to_dtype(DType::F64)?.to_scalar::<f64>();
            let ys = layer.forward(&xs, &pass.clone().mixing_among(mixes))?;
            let alone = layer.forward(&rows(&xs, &who)?, &pass)?;
            assert_eq!(most(&rows(&ys, &others)?, &rows(&xs, &others)?)?, 0., "{kind} {given}");
            let error = most(&rows(&ys, &who)?, &alone)?;
            assert!(error < 1e-5 && most(&alone, &rows(&xs, &who)?)? > 0.05, "{kind} {given}: {error}");
            let wrong = layer.forward(&xs, &pass.clone().mixing_among([true; 3])).unwrap_err().to_string();
            assert!(wrong.contains("the pass says of 3 instances whether they mix, the batch has 7"), "{wrong}");
        }
    }
    Ok(())
}
