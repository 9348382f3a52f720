//! The golden cases of text: encoders, the word-vector ConvNet, means over valid tokens.
#![allow(clippy::unwrap_used, missing_docs, reason = "helpers of tests may stop")]

use anyhow::{Context, Result, ensure};
use candle_core::backprop::GradStore;
use candle_core::{DType, Device, Tensor, Var};
use sncn_core::loss::{cross_entropy, value};
use sncn_core::{Network, Packing, Pass, Seed, Vars};
use sncn_golden::{Array, Case, Index, fill, norm_and_probe};
use sncn_text::backbone::{ConvNet, ConvNetConfig, Encoder, EncoderConfig, Family, Head};
use sncn_text::padded_lengths;

const TYPES: [DType; 2] = [DType::F64, DType::F32];

/// Largest difference, as a share of the largest wanted value, that rounding may make.
fn allowed(dtype: DType) -> f64 {
    if dtype == DType::F64 { 1e-6 } else { 2e-5 }
}

fn filled(case: &Case, vars: &Vars) -> Result<()> {
    for (name, var) in vars.all() {
        let values = Tensor::from_vec(fill(case.text("salt")?, &name, var.dims(), 1.), var.shape(), &Device::Cpu)?;
        var.set(&values.to_dtype(var.dtype())?)?;
    }
    Ok(())
}

fn values(t: &Tensor) -> Result<Vec<f64>> {
    Ok(t.to_dtype(DType::F64)?.flatten_all()?.to_vec1()?)
}

fn near(case: &Case, what: &str, got: &Tensor, want: &[f32], dtype: DType) -> Result<()> {
    let got = values(got)?;
    ensure!(got.len() == want.len(), "{}: {what} has {} values, wanted {}", case.id, got.len(), want.len());
    let most = want.iter().fold(1e-30f64, |most, v| most.max(f64::from(v.abs())));
    let off = got.iter().zip(want).fold(0f64, |off, (got, want)| off.max((got - f64::from(*want)).abs()));
    ensure!(off <= allowed(dtype) * most, "{}: {what} is off by {off:e} of {most:e}", case.id);
    Ok(())
}

/// The rows of valid tokens of (N, L, C): padded queries are computed by the reference, and by us not at all.
fn valid(array: &Array<f32>, lengths: &[usize]) -> Vec<f32> {
    let (longest, c) = (array.shape[1], array.shape[2]);
    let rows = lengths.iter().enumerate().flat_map(|(n, &len)| (0..len).map(move |t| n * longest + t));
    rows.flat_map(|row| array.data[row * c..(row + 1) * c].to_vec()).collect()
}

fn ids(case: &Case, name: &str) -> Result<Tensor> {
    let array = case.i64(name)?;
    let ids: Vec<u32> = array.data.iter().map(|&id| id as u32).collect();
    Ok(Tensor::from_vec(ids, array.shape.as_slice(), &Device::Cpu)?)
}

fn labels(case: &Case) -> Result<Vec<u32>> {
    Ok(case.i64("labels")?.data.iter().map(|&label| label as u32).collect())
}

/// The state dict in its order, with the probes of its gradients.
fn check_state(case: &Case, vars: &Vars, grads: &GradStore, unused_parameters: &[String], dtype: DType) -> Result<()> {
    let state = case.params["state"].as_array().context("state")?;
    let all = vars.all();
    ensure!(all.len() == state.len(), "{}: {} entries, wanted {}", case.id, all.len(), state.len());
    let most = state.iter().filter_map(|want| want["grad_norm"].as_f64()).fold(0f64, f64::max);
    for ((name, var), want) in all.iter().zip(state) {
        ensure!(want["name"] == name.as_str(), "{}: {name} stands where {} should", case.id, want["name"]);
        ensure!(want["shape"] == serde_json::json!(var.dims()), "{}: {name} has shape {:?}", case.id, var.dims());
        let Some(grad) = grads.get(var.as_tensor()) else {
            ensure!(
                want["grad_norm"].is_null() && unused_parameters.iter().any(|prefix| name.starts_with(prefix)),
                "{name}: no gradient"
            );
            continue;
        };
        let (norm, probe) = norm_and_probe(case.text("salt")?, name, &values(grad)?);
        let wanted = (want["grad_norm"].as_f64().context("grad_norm")?, want["grad_probe"].as_f64().context("grad_probe")?);
        // what is 0 but for rounding, the gradient of the keys' bias, is held to the others
        let share = if dtype == DType::F64 { 1e-6 } else { 1e-4 };
        let allowed = share * wanted.0 + 1e-6 * most;
        ensure!(
            (norm - wanted.0).abs() <= allowed && (probe - wanted.1).abs() <= allowed,
            "{}: {name} {norm} {probe}, wanted {wanted:?}",
            case.id
        );
    }
    Ok(())
}

fn encoder(case: &Case, dtype: DType) -> Result<()> {
    let mut config: EncoderConfig = serde_json::from_value(case.params["config"].clone())?;
    // the index tells the families apart by the case's name, and by the padding id that RoBERTa's positions rest on
    if case.id.starts_with("roberta") {
        config.family = Family::Roberta;
    }
    let head = if case.text("head_input")? == "mean" { Head::Mean } else { Head::Pooler };
    let vars = Vars::new(Seed::new(0), dtype, &Device::Cpu);
    let network = Encoder::new(&config, case.integer("num_classes")?, head, &[], &vars)?;
    filled(case, &vars)?;
    // the count is that of the published body: without the classifier
    let classifier = case.integer("num_classes")? * (config.hidden_size + 1);
    ensure!(vars.parameter_count() - classifier == case.integer("param_count")?, "{}: {}", case.id, vars.parameter_count());
    let (input, types) = (ids(case, "input_ids")?, case.has("token_type_ids").then(|| ids(case, "token_type_ids")).transpose()?);
    let mask = case.i64("attention_mask")?;
    let sums: Vec<usize> = mask.data.chunks(mask.shape[1]).map(|row| row.iter().sum::<i64>() as usize).collect();
    let eval = Pass::eval().with_lengths(sums.clone());
    let tokens = network.read(&input, &eval)?;
    let lengths = tokens.packing().lengths();
    let guessed = padded_lengths(&input, config.pad_token_id)?;
    ensure!(sums == lengths[..] && sums == guessed, "{}: lengths {lengths:?} and {guessed:?}, wanted {sums:?}", case.id);
    for pass in [eval.clone(), Pass::train(Seed::new(0)).without_dropout()] {
        for (i, state) in network.states(&tokens, types.as_ref(), &pass)?.iter().enumerate() {
            near(case, &format!("hidden_state.{i}"), state, &valid(&case.f32(&format!("hidden_state.{i}"))?, lengths), dtype)?;
        }
        let vectors = network.vectors(&tokens, types.as_ref(), &pass)?;
        near(case, "last_hidden_state", &vectors, &valid(&case.f32("last_hidden_state")?, lengths), dtype)?;
        near(case, "masked_mean", &tokens.packing().mean(&vectors)?, &case.f32("masked_mean")?.data, dtype)?;
        let summary = network.summary(&vectors, tokens.packing())?;
        let named = if head == Head::Mean { "masked_mean" } else { "pooler_output" };
        near(case, named, &summary, &case.f32(named)?.data, dtype)?;
        let logits = network.classify(&summary)?;
        near(case, "logits", &logits, &case.f32("logits")?.data, dtype)?;
        let loss = cross_entropy(&logits, &labels(case)?, None)?;
        ensure!((value(&loss)? - case.number("loss")?).abs() < 1e-5, "{}: loss {}", case.id, value(&loss)?);
        if pass.train {
            check_state(case, &vars, &loss.backward()?, network.unused_parameters(), dtype)?;
            let again = cross_entropy(
                &network.classify(&network.summary(&network.vectors(&tokens, types.as_ref(), &pass)?, tokens.packing())?)?,
                &labels(case)?,
                None,
            )?;
            check_state(case, &vars, &sncn_core::backward(&again)?, network.unused_parameters(), dtype)?;
        }
    }
    if types.is_none() {
        near(case, "forward", &network.forward(&input, &eval)?, &case.f32("logits")?.data, dtype)?;
        let packed = Tensor::new(tokens.ids(), &Device::Cpu)?;
        near(case, "packed", &network.forward(&packed, &eval)?, &case.f32("logits")?.data, dtype)?;
    }
    Ok(())
}

fn convnet(case: &Case, dtype: DType) -> Result<()> {
    let config = ConvNetConfig {
        vocab_size: case.integer("vocab_size")?,
        embedding_dim: case.integer("embedding_dim")?,
        filters: case.integer("filters")?,
        widths: serde_json::from_value(case.params["widths"].clone())?,
        mask_windows: case.flag("mask_windows")?,
        learn_embeddings: false,
        dropout: 0.,
    };
    let vars = Vars::new(Seed::new(0), dtype, &Device::Cpu);
    let network = ConvNet::new(&config, case.integer("num_classes")?, &[], &vars)?;
    filled(case, &vars)?;
    let input = ids(case, "input_ids")?;
    let lengths: Vec<usize> = case.i64("lengths")?.data.iter().map(|&len| len as usize).collect();
    let packing = Packing::new(&lengths, input.dim(1)?)?;
    let pass = Pass::eval().with_lengths(lengths);
    near(case, "forward", &network.forward(&input, &pass)?, &case.f32("logits")?.data, dtype)?;
    let mask = case.i64("mask")?.data;
    let table = vars.all()[0].1.as_tensor().clone();
    let all = table.index_select(&input.flatten_all()?, 0)?.reshape((input.dim(0)?, input.dim(1)?, config.embedding_dim))?;
    let mask =
        Tensor::from_vec(mask.iter().map(|&v| v as f64).collect::<Vec<_>>(), (input.dim(0)?, input.dim(1)?, 1), &Device::Cpu)?;
    let words = Var::from_tensor(&all.detach().broadcast_mul(&mask.to_dtype(dtype)?)?)?;
    let features = network.features(words.as_tensor(), &packing)?;
    near(case, "features", &features, &case.f32("features")?.data, dtype)?;
    let logits = network.classify(&features)?;
    near(case, "logits", &logits, &case.f32("logits")?.data, dtype)?;
    let loss = cross_entropy(&logits, &labels(case)?, None)?;
    ensure!((value(&loss)? - case.number("loss")?).abs() < 1e-5, "{}: loss {}", case.id, value(&loss)?);
    let grads = loss.backward()?;
    near(case, "d_embedded", grads.get(words.as_tensor()).context("d_embedded")?, &case.f32("d_embedded")?.data, dtype)?;
    check_state(case, &vars, &grads, network.unused_parameters(), dtype)
}

fn masked_mean(case: &Case, dtype: DType) -> Result<()> {
    let (x, mask, gy) = (case.f32("x")?, case.i64("mask")?, case.f32("gy")?);
    let tensor = |array: &Array<f32>| -> Result<Tensor> {
        Ok(Tensor::from_vec(array.data.clone(), array.shape.as_slice(), &Device::Cpu)?.to_dtype(dtype)?)
    };
    let lengths: Vec<usize> = mask.data.chunks(mask.shape[1]).map(|row| row.iter().sum::<i64>() as usize).collect();
    let packing = Packing::new(&lengths, mask.shape[1])?;
    let xs = Var::from_tensor(&tensor(&x)?)?;
    let means = packing.mean(&packing.pack(xs.as_tensor())?)?;
    near(case, "y", &means, &case.f32("y")?.data, dtype)?;
    let grads = (means * tensor(&gy)?)?.sum_all()?.backward()?;
    near(case, "dx", grads.get(xs.as_tensor()).context("dx")?, &case.f32("dx")?.data, dtype)
}

/// The operations whose cases run here.
pub(crate) const OPERATIONS: [&str; 3] = ["encoder", "glove_convnet", "masked_mean"];

pub(crate) fn golden_text_cases() -> Result<()> {
    let index = Index::load("text")?;
    for case in &index.cases()? {
        for dtype in TYPES {
            match case.op {
                "encoder" => encoder(case, dtype),
                "glove_convnet" => convnet(case, dtype),
                "masked_mean" => masked_mean(case, dtype),
                other => anyhow::bail!("{}: no test of {other:?}", case.id),
            }
            .with_context(|| format!("{} in {dtype:?}", case.id))?;
        }
    }
    Ok(())
}
