//! The recorded form of a text encoder against the reference implementation: tensor operations in f64 on the same variables.
#![allow(clippy::unwrap_used, missing_docs, reason = "helpers of tests may stop")]

use candle_core::{DType, Device, Result, Tensor};
use candle_nn::Init;
use sncn_core::layer::{LAYERS, Layer, LayerNorm, build};
use sncn_core::{Attention, BuildContext, Indexed, Lookup, Packing, Pass, Seed, TokenMap, Vars};

const WIDTH: usize = 12;
const WORDS: usize = 9;
const LENGTHS: [usize; 4] = [5, 2, 7, 3];

struct Encoder {
    words: Tensor,
    places: Tensor,
    linears: Vec<(Tensor, Tensor)>,
    norms: Vec<LayerNorm>,
}

impl Encoder {
    fn new(vars: &Vars) -> Result<Self> {
        let cx = BuildContext::new(WIDTH, vars.builder());
        let random = |shape: &[usize], name: &str| cx.vb.get_with_hints(shape, name, Init::Randn { mean: 0., stdev: 0.5 });
        let shapes = [(WIDTH, WIDTH), (WIDTH, WIDTH), (WIDTH, WIDTH), (WIDTH, WIDTH), (30, WIDTH), (WIDTH, 30)];
        let linear = |(i, (to, from))| Ok((random(&[to, from], &format!("w{i}"))?, random(&[to], &format!("b{i}"))?));
        Ok(Self {
            words: random(&[WORDS, WIDTH], "words")?,
            places: random(&[8, WIDTH], "places")?,
            linears: shapes.into_iter().enumerate().map(linear).collect::<Result<_>>()?,
            norms: (0..3).map(|i| LayerNorm::new(&cx.at(WIDTH, cx.vb.pp(format!("norm{i}"))), 1e-5)).collect::<Result<_>>()?,
        })
    }

    /// With a layer between the attention and its sum, where there is one.
    fn forward(&self, pass: &Pass, rate: f64, layer: Option<&dyn Layer>) -> Result<Tensor> {
        let packing = Packing::new(&LENGTHS, 8)?;
        let norm = |i: usize, xs: &TokenMap| self.norms[i].on_sequences(xs, &packing, pass);
        let words: Vec<u32> = (0..packing.tokens() as u32).map(|i| i * i % WORDS as u32).collect();
        let places: Vec<u32> = LENGTHS.iter().flat_map(|&len| 0..len as u32).collect();
        let lookups = [
            Lookup { weight: &self.words, indices: &words, rows: Indexed::Token },
            Lookup { weight: &self.places, indices: &places, rows: Indexed::Position { first: 0 } },
        ];
        let linear = |xs: &TokenMap, i: usize| xs.linear(&self.linears[i].0, &self.linears[i].1);
        let seed = |name: &str| Seed::new(3).named(name);
        let xs = norm(0, &TokenMap::embed(&lookups, true, pass)?)?.dropout(rate, seed("start"), &packing)?;
        let dropout = (rate > 0.).then(|| (rate, seed("weights")));
        let ys = Attention { heads: 3, dropout }.forward(&linear(&xs, 0)?, &linear(&xs, 1)?, &linear(&xs, 2)?, &packing)?;
        let mut ys = linear(&ys, 3)?.dropout(rate, seed("attention"), &packing)?;
        if let Some(layer) = layer {
            ys = layer.on_sequences(&ys, &packing, pass)?;
        }
        let xs = norm(1, &xs.add(&ys)?)?;
        let ys = linear(&linear(&xs, 4)?.gelu_erf()?, 5)?;
        norm(2, &xs.add(&ys)?)?.to_tensor()
    }
}

/// Settings under which a layer does all that it can.
fn settings(kind: &str) -> serde_json::Map<String, serde_json::Value> {
    let settings = match kind {
        "selfnorm" => serde_json::json!({"gates": 2}),
        "crossnorm" => serde_json::json!({"crop": "both", "channel_shuffle": true, "blend": 0.3}),
        "group_norm" => serde_json::json!({"groups": 3}),
        _ => serde_json::json!({}),
    };
    settings.as_object().cloned().unwrap_or_default()
}

/// The output, and the gradients of its sum under weights, by name.
fn run(dtype: DType, pass: &Pass, rate: f64, kind: Option<&str>, handed: bool) -> Result<Vec<(String, Vec<f64>)>> {
    let vars = Vars::new(Seed::new(4), dtype, &Device::Cpu);
    let encoder = Encoder::new(&vars)?;
    let values = |t: &Tensor| t.to_dtype(DType::F64)?.flatten_all()?.to_vec1::<f64>();
    let cx = BuildContext::new(WIDTH, vars.builder().pp("layer"));
    let layer = kind.map(|kind| build(kind, settings(kind), &cx)).transpose()?;
    let out = encoder.forward(pass, rate, layer.as_deref())?;
    let mut all = vec![("output".to_string(), values(&out)?)];
    if pass.train {
        let weights = Vars::new(Seed::new(9), dtype, &Device::Cpu);
        let weights = weights.builder().get_with_hints(out.shape(), "weights", Init::Randn { mean: 0., stdev: 1. })?;
        let loss = (out * weights)?.sum_all()?;
        let grads = if handed { sncn_core::backward(&loss)? } else { loss.backward()? };
        for (name, var) in vars.trainable() {
            let grad = grads.get(var.as_tensor());
            assert!(grad.is_some(), "{name}");
            all.push((name, grad.map_or_else(|| Ok(Vec::new()), values)?));
        }
    }
    Ok(all)
}

#[test]
fn recorded_and_plain_encoders_agree() -> Result<()> {
    let kinds = || LAYERS.iter().map(|(kind, _)| Some(*kind)).chain([None]);
    for (rate, kind) in [0., 0.3].into_iter().flat_map(|rate| kinds().map(move |kind| (rate, kind))) {
        for pass in [Pass::eval(), Pass::train(Seed::new(1)), Pass::mixing(1, 1, Seed::new(1))] {
            let slow = run(DType::F64, &pass, rate, kind, false)?;
            for handed in [false, true] {
                let fast = run(DType::F32, &pass, rate, kind, handed)?;
                assert_eq!(fast.len(), slow.len());
                let of_all = slow.iter().flat_map(|(_, slow)| slow).fold(0f64, |m, v| m.max(v.abs()));
                for ((name, fast), (_, slow)) in fast.iter().zip(&slow) {
                    let size = slow.iter().fold(0f64, |m, v| m.max(v.abs()));
                    let off = fast.iter().zip(slow).fold(0f64, |m, (a, b)| m.max((a - b).abs()));
                    assert_eq!(fast.len(), slow.len());
                    let what = format!("{name}, rate {rate}, {kind:?}, handed {handed}, train {}", pass.train);
                    // the gradient of the keys' bias is 0 but for rounding: it is measured against the rest
                    assert!(off <= 1e-4 * size.max(1e-2) + 1e-6 * of_all, "{what}: off by {off:e} of {size:e}");
                }
            }
        }
    }
    Ok(())
}

#[test]
fn a_frozen_table_gets_no_gradient() -> Result<()> {
    let table = Tensor::ones((4, 3), DType::F32, &Device::Cpu)?;
    let vars = Vars::new(Seed::new(4), DType::F32, &Device::Cpu);
    let norm = LayerNorm::new(&BuildContext::new(3, vars.builder()), 1e-5)?;
    let pass = Pass::train(Seed::new(1));
    let packing = Packing::new(&[2], 2)?;
    let xs = TokenMap::embed(&[Lookup { weight: &table, indices: &[0, 3], rows: Indexed::Token }], true, &pass)?;
    let out = norm.on_sequences(&xs, &packing, &pass)?.to_tensor()?;
    let grads = sncn_core::backward(&out.sum_all()?)?;
    assert!(grads.get(&table).is_none() && vars.trainable().iter().all(|(_, var)| grads.get(var.as_tensor()).is_some()));
    assert!(TokenMap::embed(&[Lookup { weight: &table, indices: &[4], rows: Indexed::Token }], true, &pass).is_err());
    assert!(TokenMap::embed(&[Lookup { weight: &table, indices: &[], rows: Indexed::Token }], true, &pass).is_err());
    Ok(())
}
