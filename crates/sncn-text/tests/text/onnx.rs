//! Networks of this crate as ONNX files, answered by another engine.
#![allow(clippy::unwrap_used, clippy::panic, missing_docs, reason = "helpers of tests may stop")]

use crate::networks::{config, convnet, values};
use candle_core::{DType, Device, Result, Tensor};
use sncn_core::layer::Registry;
use sncn_core::{LayerConfig, Layers, Network, NormConfig, Pass, Seed, Vars};
use sncn_onnx::export_texts;
use sncn_text::backbone::{ConvNet, Encoder, EncoderConfig, Family, Head, NormPosition, TextNetwork};
use tract_onnx::prelude::{Datum, Framework, InferenceFact, InferenceModelExt, IntoRunnable, IntoTValue, tvec};

const WORDS: usize = 30;

/// Texts of several lengths, of which one is as short as SelfNorm allows.
fn texts(lengths: &[usize]) -> Vec<Vec<u32>> {
    let word = |n: usize, index: usize| ((index * 7 + n * 5) % WORDS) as u32;
    lengths.iter().enumerate().map(|(n, &length)| (0..length).map(|index| word(n, index)).collect()).collect()
}

/// The answers of a file to texts, each padded to the longest with a word that others have inside.
fn answers(file: &[u8], texts: &[Vec<u32>]) -> Vec<f64> {
    let longest = texts.iter().map(Vec::len).max().unwrap_or(0);
    let padded = |of: &dyn Fn(&[u32], usize) -> i64| -> Vec<i64> {
        texts.iter().flat_map(|text| (0..longest).map(|index| of(text, index))).collect()
    };
    let ids = padded(&|text, index| text.get(index).map_or(7, |&id| i64::from(id)));
    let mask = padded(&|text, index| i64::from(index < text.len()));
    let shape = [texts.len(), longest];
    let input = |values: &[i64]| tract_onnx::prelude::Tensor::from_shape(&shape, values).unwrap().into_tvalue();
    let fact = || InferenceFact::dt_shape(i64::datum_type(), shape);
    let model = tract_onnx::onnx().model_for_read(&mut &*file).unwrap();
    let model = model.with_input_fact(0, fact()).unwrap().with_input_fact(1, fact()).unwrap();
    let run = model.into_optimized().unwrap().into_runnable().unwrap();
    let answer = run.run(tvec!(input(&ids), input(&mask))).unwrap();
    answer[0].to_plain_array_view::<f32>().unwrap().iter().map(|&score| f64::from(score)).collect()
}

/// The largest difference between a network and its file, in units of the largest logit.
fn difference(network: &dyn Network, lengths: &[usize]) -> Result<f64> {
    let file = export_texts(network, WORDS, &[])?;
    let texts = texts(lengths);
    let ids = Tensor::new(texts.concat(), &Device::Cpu)?;
    let ours = values(&network.forward(&ids, &Pass::eval().with_lengths(lengths))?);
    let theirs = answers(&file, &texts);
    assert_eq!(ours.len(), theirs.len());
    let most = |values: &mut dyn Iterator<Item = f64>| values.fold(0f64, |most, value| most.max(value.abs()));
    Ok(most(&mut ours.iter().zip(&theirs).map(|(one, two)| one - two)) / most(&mut ours.iter().copied()))
}

/// Fresh variables, those of running statistics other than 0 and 1, as training leaves them.
fn trained<N>(build: impl FnOnce(&Vars) -> Result<N>) -> Result<N> {
    let vars = Vars::new(Seed::new(7), DType::F32, &Device::Cpu);
    let network = build(&vars)?;
    for (index, (name, var)) in vars.all().into_iter().enumerate() {
        let noise = || Seed::new(index as u64).normal(var.shape())?.to_dtype(var.dtype());
        if name.ends_with("running_mean") || name.ends_with("x_ra") {
            var.set(&(noise()? * 0.2)?)?;
        } else if name.ends_with("running_var") || name.ends_with("x2_ra") {
            var.set(&(noise()?.sqr()? * 0.5)?.affine(1., 0.5)?)?;
        }
    }
    Ok(network)
}

fn encoder(config: &EncoderConfig, head: Head, layers: Layers<'_>) -> Result<Box<dyn TextNetwork>> {
    trained(|vars| Ok(Box::new(Encoder::new(config, 3, head, layers, vars)?) as Box<dyn TextNetwork>))
}

fn check(what: &str, network: Result<Box<dyn TextNetwork>>, shortest: usize) {
    let network = network.unwrap_or_else(|error| panic!("{what}: {error}"));
    for lengths in [&[7, shortest, 4, 9][..], &[shortest, 3], &[5]] {
        match difference(&*network, lengths) {
            Ok(far) => assert!(far < 1e-4, "{what}, {lengths:?}: {far}"),
            Err(error) => panic!("{what}, {lengths:?}: {error}"),
        }
    }
}

#[test]
fn every_kind_of_network_is_the_same_as_an_onnx_file() {
    for family in [Family::Bert, Family::Roberta, Family::Distilbert] {
        for norm in [NormPosition::Post, NormPosition::Pre] {
            for head in [Head::Pooler, Head::Mean] {
                let network = encoder(&config(family, norm), head, (&[]).into());
                check(&format!("{family:?}, {norm:?}, {head:?}"), network, 1);
            }
        }
    }
    for inside in [true, false] {
        let network = trained(|vars| ConvNet::new(&convnet(inside), 3, &[], vars));
        check(&format!("ConvNet, {inside}"), network.map(|network| Box::new(network) as Box<dyn TextNetwork>), 1);
    }
}

#[test]
fn every_layer_is_the_same_as_an_onnx_file() {
    let config = config(Family::Distilbert, NormPosition::Post);
    for kind in Registry::standard().names() {
        for at in ["embedding", "sum"] {
            let layers = [LayerConfig::new(kind, at)];
            check(&format!("encoder, {kind} at {at}"), encoder(&config, Head::Mean, (&layers).into()), 2);
        }
        let layers = [LayerConfig::new(kind, "embedding")];
        let network = trained(|vars| ConvNet::new(&convnet(true), 3, &layers, vars));
        check(&format!("ConvNet, {kind}"), network.map(|network| Box::new(network) as Box<dyn TextNetwork>), 2);
    }
}

#[test]
fn every_norm_is_the_same_as_an_onnx_file() {
    let config = config(Family::Distilbert, NormPosition::Pre);
    for kind in ["instance_norm", "group_norm", "mode_norm", "attentive_norm", "switchable_norm", "batch_norm"] {
        let norm = NormConfig::new(kind);
        // of instance-normalised vectors the mean is nothing but rounding
        check(kind, encoder(&config, Head::Pooler, Layers::from(&[]).with_norm(Some(&norm))), 2);
    }
}

#[test]
fn a_network_that_texts_do_not_fit_is_refused_by_what_it_lacks() {
    let mut short = config(Family::Distilbert, NormPosition::Post);
    short.max_position_embeddings = 2;
    let network = encoder(&short, Head::Mean, (&[]).into()).unwrap();
    let error = export_texts(&*network, WORDS, &[]).unwrap_err().to_string();
    assert!(error.contains("3 tokens; this encoder takes 2"), "{error}");
}
