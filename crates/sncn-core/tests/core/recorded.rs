//! The recorded form of a network's body against the reference implementation: tensor operations in f64 on the same variables.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "helpers of tests may stop")]

use candle_core::{DType, Device, Result, Tensor, Var};
use candle_nn::Init;
use sncn_core::layer::{BatchNorm, LAYERS, Layer, SelfNorm, SelfNormConfig, build};
use sncn_core::ops::Conv;
use sncn_core::{BoundingBox, BuildContext, CrossNormDraw, FeatureMap, Pass, Precision, Seed, Vars};

/// conv → CrossNorm → SelfNorm → norm, rectifier → conv → norm, rectifier → conv + shortcut → CrossNorm → SelfNorm → norm, rectifier → mean.
struct Body {
    convs: Vec<Tensor>,
    norms: Vec<BatchNorm>,
    gates: Vec<SelfNorm>,
    mixers: Vec<Box<dyn Layer>>,
}

const WIDTHS: [(usize, usize); 3] = [(3, 18), (18, 18), (18, 18)];

impl Body {
    fn new(vars: &Vars, gates: usize, mixer: &str) -> Result<Self> {
        let cx = BuildContext::new(18, vars.builder());
        let conv = |(i, (from, to)): (usize, (usize, usize))| {
            cx.vb.get_with_hints((to, from, 3, 3), &format!("conv{i}"), Init::Randn { mean: 0., stdev: 0.15 })
        };
        Ok(Self {
            convs: WIDTHS.into_iter().enumerate().map(conv).collect::<Result<_>>()?,
            norms: (0..3).map(|i| BatchNorm::new(&cx.at(18, cx.vb.pp(format!("bn{i}"))))).collect::<Result<_>>()?,
            gates: (0..2)
                .map(|i| SelfNorm::new(SelfNormConfig { gates }, &cx.at(18, cx.vb.pp(format!("sn{i}")))))
                .collect::<Result<_>>()?,
            mixers: (0..2).map(|_| build(mixer, serde_json::Map::new(), &cx)).collect::<Result<_>>()?,
        })
    }

    fn forward(&self, xs: &Tensor, recordable: bool, pass: &Pass) -> Result<Tensor> {
        let same = Conv { padding: 1, ..Conv::default() };
        let half = Conv { stride: 2, padding: 1, ..Conv::default() };
        let xs = FeatureMap::from_tensor(xs, recordable, pass)?.conv(&self.convs[0], &half)?;
        let xs = self.gates[0].on_map(&self.mixers[0].on_map(&xs, pass)?, pass)?;
        let ys = self.norms[0].norm_relu(&xs, pass)?.conv(&self.convs[1], &same)?;
        let ys = self.norms[1].norm_relu(&ys, pass)?;
        let ys = ys.conv_add(&self.convs[2], &same, &xs)?;
        let ys = self.gates[1].on_map(&self.mixers[1].on_map(&ys, pass)?, pass)?;
        self.norms[2].norm_relu(&ys, pass)?.global_avg_pool()
    }
}

fn random(shape: &[usize], name: &str, dtype: DType) -> Result<Tensor> {
    let vars = Vars::new(Seed::new(9), dtype, &Device::Cpu);
    vars.builder().get_with_hints(shape, name, Init::Randn { mean: 0.3, stdev: 1. })
}

/// Output, and gradients of the input and of every variable, by name.
fn run(dtype: DType, gates: usize, mixer: &str, pass: &Pass) -> Result<Vec<(String, Vec<f64>)>> {
    let vars = Vars::new(Seed::new(4), dtype, &Device::Cpu);
    let body = Body::new(&vars, gates, mixer)?;
    let xs = Var::from_tensor(&random(&[5, 9, 8, 3], "xs", dtype)?)?;
    let out = body.forward(xs.as_tensor(), true, pass)?;
    collect(&out, &xs, &vars, pass, &random(&[5, 18], "weights", dtype)?)
}

/// The output, the gradients of its sum under `weights`, and running statistics, by name.
fn collect(out: &Tensor, xs: &Var, vars: &Vars, pass: &Pass, weights: &Tensor) -> Result<Vec<(String, Vec<f64>)>> {
    let values = |t: &Tensor| t.to_dtype(DType::F64)?.flatten_all()?.to_vec1::<f64>();
    let mut all = vec![("output".to_string(), values(out)?)];
    if pass.train {
        let grads = (out * weights)?.sum_all()?.backward()?;
        all.push(("input".to_string(), values(grads.get(xs.as_tensor()).unwrap())?));
        for (name, var) in vars.trainable() {
            let grad = grads.get(var.as_tensor());
            assert_eq!(grad.is_none(), name.starts_with("aside"), "{name}");
            all.push((name, grad.map_or_else(|| Ok(Vec::new()), values)?));
        }
    }
    for (name, var) in vars.all().into_iter().filter(|(name, _)| name.contains("running") || name.ends_with("_ra")) {
        all.push((name, values(var.as_tensor())?));
    }
    Ok(all)
}

fn compare(gates: usize, mixer: &str, pass: &Pass, what: &str) -> Result<()> {
    agree(&run(DType::F32, gates, mixer, pass)?, &run(DType::F64, gates, mixer, pass)?, what);
    Ok(())
}

fn agree(fast: &[(String, Vec<f64>)], slow: &[(String, Vec<f64>)], what: &str) {
    assert_eq!(fast.len(), slow.len());
    let size = |values: &[f64]| values.iter().fold(0f64, |m, v| m.max(v.abs()));
    let of_all = slow.iter().map(|(_, slow)| size(slow)).fold(0., f64::max);
    for ((name, fast), (_, slow)) in fast.iter().zip(slow) {
        assert_eq!(fast.len(), slow.len(), "{what}, {name}");
        // what is 0 but for rounding, as the gradient of a bias before a norm, is measured against the rest
        let allowed = 3e-4 * size(slow).max(1e-3) + 1e-6 * of_all;
        let off = fast.iter().zip(slow).fold(0f64, |m, (a, b)| m.max((a - b).abs()));
        assert!(off <= allowed, "{what}, {name}: off by {off:e} of {:e}", size(slow));
    }
}

#[test]
fn recorded_and_plain_passes_agree() -> Result<()> {
    let bbox = |top, left, bottom, right| Some(BoundingBox { top, left, bottom, right });
    let partner = vec![3, 0, 4, 3, 1];
    let plain = CrossNormDraw { partner: partner.clone(), channels: None, style: None, content: None, blend: None };
    let channels: Vec<usize> = (0..18).map(|c| (c * 5 + 2) % 18).collect();
    let mixtures = [
        ("neither", plain.clone()),
        ("style", CrossNormDraw { style: bbox(1, 0, 4, 3), ..plain.clone() }),
        ("content", CrossNormDraw { content: bbox(0, 1, 3, 4), ..plain.clone() }),
        ("both, blend", CrossNormDraw { style: bbox(1, 0, 4, 3), content: bbox(0, 1, 3, 4), blend: Some(0.3), ..plain.clone() }),
        ("one instance", CrossNormDraw { partner: Vec::new(), channels: Some(channels.clone()), ..plain.clone() }),
        ("channels, blend", CrossNormDraw { channels: Some(channels), blend: Some(0.7), ..plain }),
    ];
    for gates in [1, 2] {
        compare(gates, "crossnorm", &Pass::eval(), "evaluation")?;
        compare(gates, "crossnorm", &Pass::train(Seed::new(1)), "training")?;
        for sites in [1, 2] {
            compare(gates, "mixstyle", &Pass::mixing(2, sites, Seed::new(3)), &format!("MixStyle at {sites} site(s)"))?;
        }
        for (name, mixture) in &mixtures {
            for sites in [vec![0], vec![1], vec![0, 1]] {
                let pass = Pass::with_draws(sites.iter().map(|&site| (site, mixture.clone())), Seed::new(1));
                compare(gates, "crossnorm", &pass, &format!("{name} at {sites:?}, {gates} gate(s)"))?;
            }
        }
    }
    Ok(())
}

#[test]
fn an_evaluation_pass_says_that_it_records_nothing() -> Result<()> {
    let vars = Vars::new(Seed::new(4), DType::F32, &Device::Cpu);
    let body = Body::new(&vars, 1, "crossnorm")?;
    let out = body.forward(&random(&[2, 9, 8, 3], "xs", DType::F32)?, true, &Pass::eval())?;
    let error = out.sum_all()?.backward().err().unwrap().to_string();
    assert!(error.contains("Pass::train"), "{error}");
    Ok(())
}

#[test]
fn a_pass_that_keeps_weights_gives_the_same_bytes_for_any_batch_and_size() -> Result<()> {
    let vars = Vars::new(Seed::new(4), DType::F32, &Device::Cpu);
    let body = Body::new(&vars, 1, "crossnorm")?;
    for precision in [Precision::F32, Precision::Bf16] {
        let pass = Pass::eval().with_precision(precision);
        let keeping = pass.clone().keeping_weights();
        for shape in [[2, 9, 8, 3], [3, 9, 8, 3], [1, 3, 1, 3], [2, 17, 12, 3]] {
            let xs = random(&shape, "xs", DType::F32)?;
            let (fresh, kept) = (body.forward(&xs, true, &pass)?, body.forward(&xs, true, &keeping)?);
            assert_eq!(fresh.to_vec2::<f32>()?, kept.to_vec2::<f32>()?, "{shape:?}");
        }
        // the weights that it keeps are used: it does not see that they change, and another pass does
        let weight = vars.all().into_iter().find(|(name, _)| name == "conv0").unwrap().1;
        let (xs, before) = (random(&[2, 9, 8, 3], "xs", DType::F32)?, weight.as_tensor().copy()?);
        let first = body.forward(&xs, true, &keeping)?.to_vec2::<f32>()?;
        weight.set(&(&before * 2.)?)?;
        assert_eq!(body.forward(&xs, true, &keeping)?.to_vec2::<f32>()?, first);
        assert_ne!(body.forward(&xs, true, &keeping.clone().keeping_weights())?.to_vec2::<f32>()?, first);
        weight.set(&before)?;
    }
    Ok(())
}

/// A residual block in the manner of ResNet and ResNeXt, then a layer in that of DenseNet, 2×2 means, and a rectifier alone.
#[derive(Clone, Copy)]
struct Joined {
    /// Whether the sum's statistics are gathered as it is written.
    gather: bool,
    mixed: bool,
}

impl Joined {
    fn forward(self, xs: &Tensor, vars: &Vars, pass: &Pass) -> Result<Tensor> {
        let cx = BuildContext::new(12, vars.builder());
        let weight = |name: &str, shape| cx.vb.get_with_hints(shape, name, Init::Randn { mean: 0., stdev: 0.3 });
        let norm = |name: &str, channels| BatchNorm::new(&cx.at(channels, cx.vb.pp(name)));
        let gate = |name: &str, channels| SelfNorm::new(SelfNormConfig { gates: 1 }, &cx.at(channels, cx.vb.pp(name)));
        let grouped = Conv { padding: 1, groups: 3, ..Conv::default() };
        let xs = FeatureMap::from_tensor(xs, true, pass)?.conv(&weight("stem", (12, 3, 1, 1))?, &Conv::default())?;
        let ys = norm("bn0", 12)?.norm_relu(&xs, pass)?.conv(&weight("grouped", (12, 4, 3, 3))?, &grouped)?;
        let shortcut = xs.conv(&weight("shortcut", (12, 12, 1, 1))?, &Conv::default())?;
        let shortcut = norm("bn1", 12)?.on_map(&shortcut, pass)?;
        let mut ys = norm("bn2", 12)?.on_map(&ys, pass)?.add_relu(&shortcut, self.gather)?;
        if self.mixed {
            ys = gate("sn0", 12)?.on_map(&ys, pass)?;
        }
        // what is thrown away leaves no trace
        gate("aside", 12)?.on_map(&ys.detach(), pass)?;
        let more = norm("bn3", 12)?.norm_relu(&ys, pass)?.conv(&weight("more", (5, 12, 1, 1))?, &Conv::default())?;
        let ys = norm("bn4", 17)?.norm_relu(&ys.concat(&more)?, pass)?.conv(&weight("to", (8, 17, 1, 1))?, &Conv::default())?;
        let ys = ys.avg_pool2()?;
        gate("sn1", 8)?.on_map(&ys, pass)?.add(&ys)?.relu()?.add(&ys)?.global_avg_pool()
    }

    fn run(self, dtype: DType, pass: &Pass) -> Result<Vec<(String, Vec<f64>)>> {
        let vars = Vars::new(Seed::new(4), dtype, &Device::Cpu);
        let xs = Var::from_tensor(&random(&[5, 9, 7, 3], "xs", dtype)?)?;
        let out = self.forward(xs.as_tensor(), &vars, pass)?;
        collect(&out, &xs, &vars, pass, &random(&[5, 8], "weights", dtype)?)
    }
}

#[test]
fn joined_maps_agree_with_tensors() -> Result<()> {
    for joined in [(false, false), (true, false), (false, true), (true, true)].map(|(gather, mixed)| Joined { gather, mixed }) {
        for (pass, what) in [(Pass::train(Seed::new(1)), "training"), (Pass::eval(), "evaluation")] {
            agree(&joined.run(DType::F32, &pass)?, &joined.run(DType::F64, &pass)?, what);
        }
    }
    Ok(())
}

/// Units in the manner of AllConvNet: convolution with a bias, norm and GELU, whose map two read; layers between them; then
/// 2×2 maxima, dropout, a 1×1 convolution that pads, and the mean over a corner.
#[derive(Clone, Copy, Debug)]
struct Smooth {
    mixer: &'static str,
    /// Where layers are attached: after the convolution, the norm, the GELU.
    at: [bool; 3],
}

impl Smooth {
    fn forward(self, xs: &Tensor, vars: &Vars, pass: &Pass) -> Result<Tensor> {
        let cx = BuildContext::new(19, vars.builder());
        let mixers = (0..3).map(|_| build(self.mixer, serde_json::Map::new(), &cx)).collect::<Result<Vec<_>>>()?;
        let attached = |i: usize, xs: FeatureMap| {
            if !self.at[i] {
                return Ok(xs);
            }
            let gate = SelfNorm::new(SelfNormConfig { gates: 1 }, &cx.at(19, cx.vb.pp(format!("sn{i}"))))?;
            gate.on_map(&mixers[i].on_map(&xs, pass)?, pass)
        };
        let conv = |xs: &FeatureMap, name: &str, shape: (usize, usize, usize, usize)| {
            let weight = cx.vb.get_with_hints(shape, name, Init::Randn { mean: 0., stdev: 0.2 })?;
            let bias = cx.vb.get_with_hints(shape.0, &format!("{name}.bias"), Init::Randn { mean: 0., stdev: 0.5 })?;
            xs.conv_bias(&weight, &bias, &Conv { padding: 1, ..Conv::default() })
        };
        let norm = |name: &str| BatchNorm::new(&cx.at(19, cx.vb.pp(name)));
        let xs = FeatureMap::from_tensor(xs, true, pass)?;
        let ys = attached(0, conv(&xs, "one", (19, 3, 3, 3))?)?;
        let ys = attached(2, attached(1, norm("bn0")?.on_map(&ys, pass)?)?.quick_gelu()?)?;
        let more = conv(&ys, "two", (19, 19, 3, 3))?.max_pool(2, 2, 0)?;
        let ys = ys.max_pool(2, 2, 0)?.dropout(0.5, pass.seed().named("drop"))?.add(&more)?;
        // the norm, as the network has it, and the bias alone, whose gradient is not nearly 0
        let ys = conv(&ys, "three", (19, 19, 1, 1))?;
        norm("bn1")?.on_map(&ys, pass)?.quick_gelu()?.add(&ys.quick_gelu()?)?.corner_mean(4, 5)
    }

    fn run(self, dtype: DType, pass: &Pass) -> Result<Vec<(String, Vec<f64>)>> {
        let vars = Vars::new(Seed::new(4), dtype, &Device::Cpu);
        let xs = Var::from_tensor(&random(&[5, 9, 10, 3], "xs", dtype)?)?;
        let out = self.forward(xs.as_tensor(), &vars, pass)?;
        collect(&out, &xs, &vars, pass, &random(&[5, 19], "weights", dtype)?)
    }
}

#[test]
fn smooth_units_agree_with_tensors() -> Result<()> {
    let bbox = |top, left, bottom, right| Some(BoundingBox { top, left, bottom, right });
    let partner = vec![3, 0, 4, 3, 1];
    let crops = CrossNormDraw { partner, channels: None, style: bbox(1, 0, 4, 3), content: bbox(0, 1, 3, 4), blend: Some(0.3) };
    let plain = CrossNormDraw { style: None, content: None, ..crops.clone() };
    let given = |mixture: &CrossNormDraw| Pass::with_draws((0..3).map(|site| (site, mixture.clone())), Seed::new(1));
    for at in [[false; 3], [true, false, false], [false, true, false], [false, false, true], [true; 3]] {
        let check = |mixer, pass: &Pass, what: &str| {
            let smooth = Smooth { mixer, at };
            agree(&smooth.run(DType::F32, pass)?, &smooth.run(DType::F64, pass)?, &format!("{smooth:?}, {what}"));
            Result::Ok(())
        };
        check("crossnorm", &Pass::eval(), "evaluation")?;
        check("crossnorm", &Pass::train(Seed::new(1)).without_dropout(), "training")?;
        check("crossnorm", &given(&plain), "whole maps")?;
        check("crossnorm", &given(&crops), "crops")?;
        check("mixstyle", &Pass::mixing(3, 3, Seed::new(3)), "MixStyle")?;
    }
    Ok(())
}

#[test]
fn threads_change_nothing() -> Result<()> {
    let smooth = Smooth { mixer: "crossnorm", at: [true; 3] };
    let run = |threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| smooth.run(DType::F32, &Pass::train(Seed::new(1))))
    };
    let (one, three) = (run(1)?, run(3)?);
    one.iter().zip(&three).for_each(|(one, three)| assert_eq!(one, three));
    Ok(())
}

/// What segmentation networks have: a layer of that kind before the rectifier and after it, padded maxima, a dilated
/// convolution, the mean over positions and resizing, concatenation, dropout, and a map at the end.
fn dense_labels(kind: &str, dtype: DType, pass: &Pass) -> Result<Vec<(String, Vec<f64>)>> {
    let vars = Vars::new(Seed::new(4), dtype, &Device::Cpu);
    let xs = Var::from_tensor(&random(&[4, 11, 13, 3], "xs", dtype)?)?;
    let cx = BuildContext::new(18, vars.builder());
    let conv = |xs: &FeatureMap, name: &str, shape: (usize, usize, usize, usize), conv: Conv| {
        xs.conv(&cx.vb.get_with_hints(shape, name, Init::Randn { mean: 0., stdev: 0.2 })?, &conv)
    };
    let settings = if kind == "group_norm" { serde_json::json!({"groups": 6}) } else { serde_json::json!({}) };
    let settings = settings.as_object().cloned().unwrap_or_default();
    let norm = |name: &str| build(kind, settings.clone(), &cx.at(18, cx.vb.pp(name)));
    let map = FeatureMap::from_tensor(xs.as_tensor(), true, pass)?;
    let padded = Conv { padding: 1, ..Conv::default() };
    let ys = norm("n0")?.on_map(&conv(&map, "one", (18, 3, 3, 3), padded)?, pass)?.relu()?.max_pool(3, 2, 1)?;
    let dilated = Conv { padding: 2, dilation: 2, ..Conv::default() };
    let ys = norm("n1")?.on_map(&norm("n2")?.on_map(&conv(&ys, "two", (18, 18, 3, 3), dilated)?, pass)?, pass)?.relu()?;
    let (_, h, w, _) = ys.dims()?;
    let mean = conv(&ys.global_avg_pool_keepdim()?, "three", (18, 18, 1, 1), Conv::default())?.relu()?.resize_bilinear((h, w))?;
    let ys = ys.dropout(0.25, pass.seed().named("drop"))?.concat(&mean)?.resize_bilinear((2 * h + 1, w - 1))?;
    let out = ys.to_tensor()?;
    collect(&out, &xs, &vars, pass, &random(out.dims(), "weights", dtype)?)
}

#[test]
fn heads_of_segmentation_and_every_layer_agree_with_tensors() -> Result<()> {
    for (kind, _) in LAYERS {
        for (pass, what) in [(Pass::mixing(3, 3, Seed::new(1)), "training"), (Pass::eval(), "evaluation")] {
            let (fast, slow) = (dense_labels(kind, DType::F32, &pass)?, dense_labels(kind, DType::F64, &pass)?);
            agree(&fast, &slow, &format!("{kind}, {what}"));
        }
    }
    Ok(())
}
