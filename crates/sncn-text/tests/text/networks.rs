//! Every layer at every position of every kind of network: shape, no NaN, a gradient for every parameter; padding changes nothing.
#![allow(clippy::unwrap_used, missing_docs, reason = "helpers of tests may stop")]

use candle_core::{DType, Device, Result, Tensor};
use sncn_core::layer::{BuildContext, LAYERS, Layers, NORMS, NormConfig, Registry, Where, build};
use sncn_core::loss::cross_entropy;
use sncn_core::{LayerConfig, Network, Pass, Seed, Vars};
use sncn_text::backbone::{Activation, ConvNet, ConvNetConfig, Encoder, EncoderConfig, Family, Head, NormPosition, Positions};

const POSITIONS: [&str; 4] = ["embedding", "attention", "feed_forward", "sum"];

pub(crate) fn config(family: Family, norm: NormPosition) -> EncoderConfig {
    EncoderConfig {
        family,
        vocab_size: 30,
        hidden_size: 16,
        num_hidden_layers: 2,
        num_attention_heads: 2,
        intermediate_size: 24,
        max_position_embeddings: 20,
        type_vocab_size: 2,
        layer_norm_eps: 1e-12,
        pad_token_id: 1,
        hidden_dropout_prob: 0.1,
        attention_probs_dropout_prob: 0.1,
        classifier_dropout: None,
        hidden_act: Activation::Gelu,
        position_embedding_type: Positions::Absolute,
        norm,
    }
}

pub(crate) fn convnet(mask_windows: bool) -> ConvNetConfig {
    ConvNetConfig {
        vocab_size: 30,
        embedding_dim: 16,
        filters: 5,
        widths: vec![2, 3, 5],
        mask_windows,
        learn_embeddings: true,
        dropout: 0.5,
    }
}

/// Tokens of each of the sequences of [`ids`].
const LENGTHS: [usize; 4] = [7, 3, 2, 5];

/// Four sequences of token ids, padded to `longest`.
fn ids(longest: usize) -> Tensor {
    let row = |n: usize, len: usize| (0..longest).map(move |i| if i < len { 2 + ((i * 7 + n * 5) % 28) as u32 } else { 1 });
    let ids: Vec<u32> = LENGTHS.into_iter().enumerate().flat_map(|(n, len)| row(n, len)).collect();
    Tensor::from_vec(ids, (4, longest), &Device::Cpu).unwrap()
}

pub(crate) fn values(t: &Tensor) -> Vec<f64> {
    t.to_dtype(DType::F64).unwrap().flatten_all().unwrap().to_vec1().unwrap()
}

fn trains(what: &str, network: &dyn Network, vars: &Vars, sites: usize) -> Result<()> {
    let passes = [Pass::train(Seed::new(1)), Pass::mixing(sites, sites, Seed::new(2))];
    for pass in &passes[..if sites > 0 { 2 } else { 1 }] {
        let logits = network.forward(&ids(9), &pass.clone().with_lengths(LENGTHS))?;
        assert_eq!(logits.dims(), [4, 3], "{what}");
        assert!(values(&logits).iter().all(|v| v.is_finite()), "{what}");
        let grads = sncn_core::backward(&cross_entropy(&logits, &[0, 1, 2, 0], None)?)?;
        for (name, var) in vars.trainable() {
            let declared = network.unused_parameters().iter().any(|prefix| name.starts_with(prefix));
            let grad = grads.get(var.as_tensor());
            assert_eq!(grad.is_none(), declared, "{what}: {name}");
            assert!(grad.is_none_or(|grad| values(grad).iter().all(|v| v.is_finite())), "{what}: {name}");
        }
    }
    Ok(())
}

#[test]
fn every_norm_in_the_place_of_layer_norm_trains() -> Result<()> {
    let none: [LayerConfig; 0] = [];
    let build = |norm: &NormConfig, position: NormPosition| {
        let vars = Vars::new(Seed::new(3), DType::F32, &Device::Cpu);
        let layers = Layers::from(&none).with_norm(Some(norm));
        Encoder::new(&config(Family::Bert, position), 3, Head::Pooler, layers, &vars).map(|network| (network, vars))
    };
    let known = NORMS.iter().filter(|kind| Registry::standard().is_norm(kind)).chain([&"ibn_a"]);
    for kind in known {
        for position in [NormPosition::Pre, NormPosition::Post] {
            let (network, vars) = build(&NormConfig::new(*kind), position)?;
            trains(&format!("{kind}, {position:?}"), &network, &vars, 0)?;
        }
    }
    let buffers = |norm: &NormConfig| -> Result<Vec<String>> {
        let names = build(norm, NormPosition::Post)?.1.all().into_iter().map(|(name, _)| name);
        Ok(names.filter(|name| name.ends_with("running_mean")).collect())
    };
    let first = NormConfig { place: Some(Where::First), ..NormConfig::new("batch_norm") };
    assert_eq!(buffers(&first)?, ["embeddings.LayerNorm.running_mean"]);
    assert_eq!(buffers(&NormConfig::new("batch_norm"))?.len(), 5);
    let middle = NormConfig { place: Some(Where::Middle), ..NormConfig::new("batch_norm") };
    for (norm, told) in [(middle, "where is \"middle\""), (NormConfig::new("ibn_b"), "end of stages 1 and 2")] {
        let error = buffers(&norm).unwrap_err().to_string();
        assert!(error.contains(told), "{error}");
    }
    let vars = Vars::new(Seed::new(3), DType::F32, &Device::Cpu);
    let norm = NormConfig::new("batch_norm");
    let error = ConvNet::new(&convnet(true), 3, Layers::from(&none).with_norm(Some(&norm)), &vars).map(|_| ()).unwrap_err();
    assert!(error.to_string().contains("this network has no norms; take the key away"), "{error}");
    Ok(())
}

#[test]
fn every_layer_at_every_position_trains() -> Result<()> {
    for (kind, _) in LAYERS {
        for position in POSITIONS {
            let (vars, layers) = (Vars::new(Seed::new(3), DType::F32, &Device::Cpu), [LayerConfig::new(*kind, position)]);
            let network = Encoder::new(&config(Family::Bert, NormPosition::Post), 3, Head::Mean, &layers, &vars)?;
            // the sites of one layer, in every block of the encoder or once
            let cx = BuildContext::new(32, Vars::new(Seed::new(3), DType::F32, &Device::Cpu).builder());
            build(kind, serde_json::Map::new(), &cx)?;
            let sites = cx.sites() * if position == "embedding" { 1 } else { 2 };
            assert_eq!(network.sites(), sites, "{kind} at {position}");
            trains(&format!("{kind} at {position}"), &network, &vars, sites)?;
        }
        let (vars, layers) = (Vars::new(Seed::new(3), DType::F32, &Device::Cpu), [LayerConfig::new(*kind, "embedding")]);
        let network = ConvNet::new(&convnet(true), 3, &layers, &vars)?;
        trains(&format!("{kind} in a ConvNet"), &network, &vars, network.sites())?;
    }
    Ok(())
}

#[test]
fn every_encoder_trains_and_padding_changes_nothing() -> Result<()> {
    let both = [LayerConfig::new("crossnorm", "sum"), LayerConfig::new("selfnorm", "sum")];
    for family in [Family::Bert, Family::Roberta, Family::Distilbert] {
        for norm in [NormPosition::Post, NormPosition::Pre] {
            for head in [Head::Pooler, Head::Mean] {
                for layers in [&both[..0], &both[..]] {
                    let what = format!("{family:?}, {norm:?}, {head:?}, {} layers", layers.len());
                    let build = |dtype| {
                        let vars = Vars::new(Seed::new(3), dtype, &Device::Cpu);
                        Encoder::new(&config(family, norm), 3, head, layers, &vars).map(|network| (network, vars))
                    };
                    let (network, vars) = build(DType::F32)?;
                    trains(&what, &network, &vars, network.sites())?;
                    let (network, _) = build(DType::F32)?;
                    let pass = Pass::eval().with_lengths(LENGTHS);
                    let (short, long) = (network.forward(&ids(7), &pass)?, network.forward(&ids(18), &pass)?);
                    assert_eq!(values(&short), values(&long), "{what}");
                    let alone = network.forward(&ids(7).narrow(0, 1, 1)?.narrow(1, 0, LENGTHS[1])?, &Pass::eval())?;
                    assert_eq!(values(&alone), values(&short.narrow(0, 1, 1)?), "{what}");
                    let slow = values(&build(DType::F64)?.0.forward(&ids(7), &pass)?);
                    assert!(values(&short).iter().zip(&slow).all(|(a, b)| (a - b).abs() < 1e-5), "{what}");
                }
            }
        }
    }
    Ok(())
}

/// Scores and all gradients of a network in f64, in a pass that mixes and drops.
fn passed(network: &dyn Network, vars: &Vars) -> Result<Vec<Vec<f64>>> {
    let pass = Pass::mixing(network.sites(), network.sites(), Seed::new(2)).with_lengths(LENGTHS);
    let logits = network.forward(&ids(9), &pass)?;
    let grads = cross_entropy(&logits, &[0, 1, 2, 0], None)?.backward()?;
    let gradients = vars.trainable().into_iter().filter_map(|(_, var)| grads.get(var.as_tensor()).map(values));
    Ok(std::iter::once(values(&logits)).chain(gradients).collect())
}

#[test]
fn networks_are_the_same_without_kernels() -> Result<()> {
    let both = |at: &str| [LayerConfig::new("crossnorm", at), LayerConfig::new("selfnorm", at)];
    type Built = (Box<dyn Network>, Vars);
    let encoder = || -> Result<Built> {
        let vars = Vars::new(Seed::new(3), DType::F64, &Device::Cpu);
        Ok((Box::new(Encoder::new(&config(Family::Bert, NormPosition::Post), 3, Head::Mean, &both("sum"), &vars)?), vars))
    };
    let convnet = || -> Result<Built> {
        let vars = Vars::new(Seed::new(3), DType::F64, &Device::Cpu);
        Ok((Box::new(ConvNet::new(&convnet(true), 3, &both("embedding"), &vars)?), vars))
    };
    let builds: [&dyn Fn() -> Result<Built>; 2] = [&encoder, &convnet];
    for (i, build) in builds.into_iter().enumerate() {
        let run = || build().and_then(|(network, vars)| passed(&*network, &vars));
        let (kernels, reference) = (run()?, sncn_core::reference::forced(run)?);
        assert_eq!(kernels.len(), reference.len());
        for (one, two) in kernels.iter().zip(&reference) {
            let size = one.iter().fold(1e-3f64, |m, v| m.max(v.abs()));
            let off = one.iter().zip(two).fold(0f64, |m, (a, b)| m.max((a - b).abs()));
            assert!(off <= 1e-8 * size, "network {i}: off by {off:e} of {size:e}");
        }
    }
    Ok(())
}

#[test]
fn a_convnet_takes_texts_shorter_than_its_filters() -> Result<()> {
    for mask_windows in [false, true] {
        let network = ConvNet::new(&convnet(mask_windows), 3, &[], &Vars::new(Seed::new(3), DType::F32, &Device::Cpu))?;
        let short = network.forward(&Tensor::new(&[[4u32, 5]], &Device::Cpu)?, &Pass::eval())?;
        let padded = network.forward(&Tensor::new(&[[4u32, 5, 1, 1, 1]], &Device::Cpu)?, &Pass::eval().with_lengths([2]))?;
        assert_eq!(values(&short), values(&padded));
    }
    Ok(())
}

#[test]
fn what_does_not_fit_is_refused_by_name() -> Result<()> {
    let vars = || Vars::new(Seed::new(3), DType::F32, &Device::Cpu);
    let error = |result: Result<Tensor>| result.unwrap_err().to_string();
    let network = Encoder::new(&config(Family::Roberta, NormPosition::Post), 3, Head::Mean, &[], &vars())?;
    let long = Tensor::full(5u32, (1, 19), &Device::Cpu)?;
    assert!(error(network.forward(&long, &Pass::eval())).contains("19 tokens; this encoder takes 18"));
    assert!(
        error(network.forward(&Tensor::new(&[[40u32, 5]], &Device::Cpu)?, &Pass::eval()))
            .contains("index 40 is out of range for 30 rows")
    );
    assert!(error(network.forward(&Tensor::new(&[[1f32]], &Device::Cpu)?, &Pass::eval())).contains("expected u32"));
    let packed = Tensor::new(&[4u32, 5, 6], &Device::Cpu)?;
    assert!(error(network.forward(&packed, &Pass::eval())).contains("Pass::with_lengths"));
    assert!(
        error(network.forward(&packed, &Pass::eval().with_lengths([2, 2]))).contains("3 token ids for sequences of 4 tokens")
    );
    let padded = Tensor::new(&[[4u32, 5, 6]], &Device::Cpu)?;
    assert!(error(network.forward(&padded, &Pass::eval().with_lengths([4]))).contains("lengths [4]"));
    let layers = [LayerConfig::new("selfnorm", "pre")];
    let unknown =
        Encoder::new(&config(Family::Bert, NormPosition::Post), 3, Head::Mean, &layers, &vars()).err().unwrap().to_string();
    assert!(unknown.contains("embedding, attention, feed_forward, sum"), "{unknown}");
    let wrong = EncoderConfig { num_attention_heads: 3, ..config(Family::Bert, NormPosition::Post) };
    assert!(Encoder::new(&wrong, 3, Head::Mean, &[], &vars()).err().unwrap().to_string().contains("no multiple of"));
    Ok(())
}
